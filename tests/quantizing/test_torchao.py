"""The bridge to torchao: its results beside those of the passes, on the same choices and the same data."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor

import archloom
from archloom.compiler.quantizing.torchao import config, static

from .test_search import SPEC, data

CONV = """arch 1

model M(c: int = 16) {
  in x: float[B, 3, H, W]
  a, b = Conv2d(3, c, 3, padding = 1), Conv2d(c, c, 3, padding = 1)
  head = Linear(c, 10)
  out y = head(mean(relu(b(relu(a(x)))), dim = [2, 3]))
}
"""


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.slow
@pytest.mark.parametrize("to", ["int8_dynamic", "int8_weight", "int4_weight"])
def test_the_same_choices_in_torchao(to: str) -> None:
    torchao: Any = import_module("torchao.quantization")
    torch.manual_seed(0)
    found = archloom.quantize(SPEC, data(), size=0.7, to=to, optimize="none")
    torch.manual_seed(0)
    plain: Any = archloom.compile(SPEC).eval()
    ours: Any = archloom.compile(SPEC, optimize=found.passes)
    ours.load_state_dict(plain.state_dict())
    theirs = copy.deepcopy(plain)
    torchao.quantize_(theirs, config(found.taken), filter_fn=None)
    changed = {name for name, value in theirs.named_parameters() if type(value) is not torch.nn.Parameter}
    assert changed == {path for choice in found.taken for path in choice.weights}
    [batch] = data(1)
    with torch.no_grad():
        wanted = plain(**batch).y
        assert error(ours(**batch).y, wanted) < 1.3 * error(theirs(**batch).y, wanted)


def test_ranges_are_none_of_its_configurations() -> None:
    found = archloom.quantize(SPEC, data(), size=0.9, to="int8_static", optimize="none")
    with pytest.raises(ValueError, match="^torchao has no configuration for `int8_static`.*: quantize the exported model by `static`$"):
        config(found.taken)


@pytest.mark.slow
def test_static_quantization_of_an_exported_model() -> None:
    torch.manual_seed(0)
    plain: Any = archloom.compile(CONV).eval()
    given: Any = [{"x": torch.randn(4, 3, 8, 8)} for _ in range(3)]
    found = archloom.quantize(CONV.replace("c: int = 16", "c: int = 64"), given, error=1, to="int8_static", optimize="none")
    assert len(found.taken) == 1  # the others hold fewer numbers than are taken by themselves
    made = static(plain, given)
    ranged = import_module("archloom.compiler.quantizing.batches").ranges(plain, given)
    passes = f"quantize(to = 'int8_static', least = 1, ranges = {tuple((path, *range_) for path, range_ in ranged.items())})"
    ours: Any = archloom.compile(CONV, optimize=passes)
    ours.load_state_dict(plain.state_dict())
    with torch.no_grad():
        wanted = plain(**given[0]).y
        theirs = made(**given[0]).y
        assert error(theirs, wanted) < 0.02
        assert error(ours(**given[0]).y, wanted) < 1.5 * error(theirs, wanted) + 1e-3
    with pytest.raises(archloom.InputError, match=r"^batch 1: `x` is declared float\[B, 3, H, W\]"):
        static(plain, [given[0], {"x": torch.zeros(3)}])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:To copy construct from a tensor:UserWarning")  # Inductor's own
def test_it_is_compiled_with_frozen_weights() -> None:
    torch.manual_seed(0)
    plain: Any = archloom.compile(CONV).eval()
    batch: Any = {"x": torch.randn(4, 3, 8, 8)}
    made = static(plain, [batch])
    inductor: Any = import_module("torch._inductor.config")
    torch.compiler.reset()
    with torch.no_grad(), inductor.patch(freezing=True):
        assert error(torch.compile(made)(**batch).y, plain(**batch).y) < 0.02
