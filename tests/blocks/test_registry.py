"""The registry refuses what is incomplete; the library finds files; initialisers fill."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pydoc import locate
from typing import Any, cast

import pytest
import torch

from archloom.blocks.arguments import tensor
from archloom.blocks.initialisers import INITIALISERS, filling
from archloom.blocks.library import StandardLibrary
from archloom.blocks.registry import primitives, register
from archloom.dsl.facts import Facts
from archloom.dsl.primitive import Initialiser, RuleFailure
from archloom.dsl.rule import ShapeRule
from archloom.dsl.types import DType, TensorType

LIBRARY = StandardLibrary()
SQRT = primitives()["sqrt"]


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"arguments": ()}, "arguments"),
        ({"arguments": (tensor("x"),)}, "a doc for each argument"),
        ({"doc": " "}, "a docstring with its equation and shapes"),
        ({"cost_rule": None}, "a cost rule"),
        ({"lowering": None}, "a lowering"),
        ({"good": ()}, "good samples"),
        ({"bad": ()}, "error samples with their code"),
        ({"bad": SQRT.good}, "error samples with their code"),
        ({"is_leaf": True}, "a call with a tensor, as it is a leaf"),
        ({"arguments": (tensor("x", "one"), tensor("x", "another"))}, "distinct argument names"),
    ],
)
def test_an_incomplete_primitive_is_refused(changes: dict[str, Any], lacks: str) -> None:
    with pytest.raises(TypeError) as caught:
        register(replace(SQRT, name="new", **changes))
    assert str(caught.value) == f"the primitive `new` lacks {lacks}"
    assert "new" not in primitives()


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="the primitive `sqrt` is registered twice"):
        register(SQRT)


def test_missing_and_wrong_words_are_refused_for_every_primitive() -> None:
    with pytest.raises(RuleFailure) as missing:
        SQRT.infer(ShapeRule(Facts()), {})
    assert (missing.value.code, missing.value.message) == ("A202", "`sqrt` needs `x`")
    x = TensorType(DType.FLOAT, (2,))
    with pytest.raises(RuleFailure) as word:
        primitives()["activation"].infer(ShapeRule(Facts()), {"x": x, "name": "gelo"})
    assert (word.value.code, word.value.message, word.value.help) == ("A213", "`name` of `activation` can't be `gelo`", "did you mean `gelu`?")


def test_primitives_are_found_without_torch() -> None:
    code = (
        "import sys; from archloom.blocks.library import StandardLibrary as L; l = L(); l.primitive('softmax'); l.load(('norm',)); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_library_files_are_found_by_dotted_name() -> None:
    modules = LIBRARY.modules()
    assert "norm" in modules
    assert list(modules) == sorted(modules)
    for name in modules:
        source = LIBRARY.load(tuple(name.split(".")))
        assert source is not None
        assert source.name == f"blocks/{name.replace('.', '/')}.arch"
        assert source.text
    assert LIBRARY.load(("nothing",)) is None
    assert LIBRARY.load(("..", "norm")) is None
    assert LIBRARY.load(()) is None


def test_names_are_sorted_and_looked_up() -> None:
    names = LIBRARY.primitive_names()
    assert list(names) == sorted(names)
    assert all((found := LIBRARY.primitive(n)) is not None and found.name == n for n in names)
    assert LIBRARY.primitive("relu_") is None


@pytest.mark.parametrize("name", sorted(INITIALISERS))
def test_initialisers_fill_in_place(name: str) -> None:
    given = {"value": 0.5} if name == "constant" else {}
    target, keywords = filling(Initialiser(name, given))
    value = torch.full((6, 6, 3) if name == "dirac" else (6, 6), torch.nan)
    cast("Any", locate(target))(value, **keywords)
    assert not value.isnan().any()
    assert INITIALISERS[name].doc.endswith(".")
    assert all(a.doc for a in LIBRARY.initialisers()[name])


def test_initialisers_keep_their_numbers() -> None:
    assert filling(Initialiser("constant", {"value": 2.0})) == ("torch.nn.init.constant_", {"val": 2.0})
    assert filling(Initialiser("trunc_normal", {"std": 0.02})) == ("torch.nn.init.trunc_normal_", {"std": 0.02, "mean": 0.0, "a": -2.0, "b": 2.0})
    with pytest.raises(TypeError, match="`normal` takes no `sdt`"):
        filling(Initialiser("normal", {"sdt": 0.02}))
    with pytest.raises(TypeError, match="`constant` needs `value`"):
        filling(Initialiser("constant", {}))


def test_kaiming_is_how_torch_starts_a_linear() -> None:
    value, linear = torch.empty(64, 32), torch.nn.Linear(32, 64)
    target, keywords = filling(Initialiser("kaiming", {}))
    torch.set_rng_state(torch.Generator().manual_seed(0).get_state())
    cast("Any", locate(target))(value, **keywords)
    torch.set_rng_state(torch.Generator().manual_seed(0).get_state())
    linear.reset_parameters()
    assert torch.equal(value, linear.weight)
