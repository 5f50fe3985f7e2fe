"""Every block and function of the library has an example in `blocks/examples.py`; each checks, runs, learns and repeats itself."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import archloom
from archloom.blocks.examples import EXAMPLES
from archloom.compiler.api import load_program
from archloom.compiler.check import check_text
from archloom.compiler.summary import summarise
from archloom.dsl import ast
from archloom.dsl.dims import Dim
from archloom.dsl.format import WIDTH, format_source
from archloom.dsl.parser import parse
from archloom.dsl.source import Source
from archloom.dsl.types import extent

LIBRARY = Path(archloom.__file__).parent / "blocks"
SIZES = {"B": 3, "S": 5, "T": 4, "N": 7}
FREE_OF_GRADIENT = re.compile(r"(^|\.)(key|k_proj)\.bias$")
"""A bias on all keys alike moves all scores of a query alike, and so nothing, unless positions turn the keys."""

STILL = ("teacher", "cos", "sin", "at", "c")
"""Inputs without a gradient: teachers by their meaning, positions, and a condition whose weight starts as zero."""


@cache
def items() -> dict[str, ast.Item]:
    """Return every block and function of the library by its dotted name, and blocks made of others by a definition."""
    found: dict[str, ast.Item] = {}
    for path in sorted(LIBRARY.rglob("*.arch")):
        file = ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
        for item in parse(Source(path.name, path.read_text(encoding="utf-8"))).items:
            if isinstance(item.tree, (ast.Block, ast.Fn)) or (isinstance(item.tree, ast.Definition) and isinstance(item.tree.value, ast.Call)):
                found[f"{file}.{item.tree.name}"] = item.tree
    return found


def variants() -> list[Any]:
    """Return each example with all its inputs and, where some may be left out, with those it needs."""
    return [
        pytest.param(name, whole, id=f"{name}{'' if whole else '-least'}")
        for name, case in EXAMPLES.items()
        for whole in ([True, False] if case.without else [True])
    ]


@cache
def compiled(name: str, whole: bool) -> nn.Module:
    """Return the example as a module in eval mode."""
    torch.manual_seed(0)
    return archloom.compile(EXAMPLES[name].text(name, whole=whole)).eval()


def inputs(name: str, whole: bool) -> dict[str, Tensor]:
    """Return inputs of the declared types; masks are padding on the right, so that every row keeps a token."""
    case, generator = EXAMPLES[name], torch.Generator().manual_seed(1)
    found: dict[str, Tensor] = {}
    for key, text in case.inputs.items():
        if not whole and key in case.without:
            continue
        kind, shape_text, below = re.findall(r"^(\w+)\[(.*?)\](?: in 0\.\.(\w+))?$", text)[0]
        shape = [SIZES.get(n) or int(n) for n in shape_text.split(", ") if n]
        base, named, high = re.findall(r"^(\w+)(?:\[\w+ in (?:\{(.*)\}|0\.\.(\d+))\])?$", key)[0]
        members = named.split(", ") if named else range(int(high or 0))
        for flat in [f"{base}.{member}" for member in members] or [base]:
            if kind == "int":
                found[flat] = torch.randint(0, SIZES.get(below) or int(below), shape, generator=generator)
            elif kind == "bool":
                kept = torch.arange(shape[1])[None] < torch.tensor([shape[1], 3, 2])[:, None]
                found[flat] = kept.view(shape[0], shape[1], *[1] * (len(shape) - 2)).expand(shape)
            else:
                found[flat] = torch.randn(shape, generator=generator)
    return found


def applied(model: nn.Module, given: Mapping[str, Tensor]) -> Any:
    """Call a model with inputs by flat names: `x.a` is member `a` of the family `x`."""
    nested: dict[str, Any] = {}
    for key, value in given.items():
        base, _, member = key.partition(".")
        if member:
            nested.setdefault(base, {})[member] = value
        else:
            nested[base] = value
    return model(**nested)


def mixture(outputs: Any) -> Tensor:
    """Return a number that leans on every finite element of every float result, each with its own weight."""
    total = torch.zeros(())
    for value in (v for v in outputs.values() if torch.is_tensor(v) and v.is_floating_point()):
        weights = torch.cos(torch.arange(value.numel(), dtype=value.dtype)).view_as(value)
        total = total + torch.where(torch.isfinite(value), value, 0.0).mul(weights).sum()
    return total


def test_every_item_has_an_example() -> None:
    assert items().keys() == EXAMPLES.keys()


@pytest.mark.parametrize("name", [n for n, i in items().items() if not isinstance(i, ast.Definition)])
def test_docstring_says_what_how_and_in_what_shapes(name: str) -> None:
    doc = getattr(items()[name], "doc", None) or ""
    first = " ".join(doc.strip().split("\n\n")[0].split())
    assert re.match(r"[A-Z][a-z]+\b", first), "a verb first"
    assert "`" in first, "the equation stands in backticks"
    assert re.search(r"\b(float|float32|int|bool)\[", doc), "the shapes are written as types"


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.arch")), ids=lambda path: path.stem)
def test_file_has_edition_and_docstring_and_is_laid_out(path: Path) -> None:
    source = Source(path.name, path.read_text(encoding="utf-8"))
    first, second = source.text.splitlines()[:2]
    assert first == "arch 1"
    assert second.startswith('"""')
    assert format_source(source) == source.text
    assert all(len(line) <= WIDTH for line in source.text.splitlines())


@pytest.mark.parametrize(("name", "whole"), variants())
def test_check_finds_nothing(name: str, whole: bool) -> None:
    found = check_text(Source(name, EXAMPLES[name].text(name, whole=whole)))
    assert [d.message for d in found.diagnostics] == []


@pytest.mark.parametrize(("name", "whole"), variants())
def test_gradient_reaches_every_parameter(name: str, whole: bool) -> None:
    model = compiled(name, whole).train(EXAMPLES[name].training)
    given = {k: v.requires_grad_() if v.is_floating_point() else v for k, v in inputs(name, whole).items()}
    result = applied(model, given)
    floats = [v for v in result.values() if torch.is_tensor(v) and v.is_floating_point()]
    if not floats:
        assert not list(model.parameters())
        return
    model.zero_grad()
    mixture(result).backward()
    model.eval()
    turned = "Grouped" in name or name.startswith(("llama.", "qwen2.", "unifork.Forked"))
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert torch.isfinite(parameter.grad).all(), path
        assert parameter.grad.abs().max() > 0 or (FREE_OF_GRADIENT.search(path) and not turned), path
    for key, value in given.items():
        if value.is_floating_point() and key not in STILL:
            assert value.grad is not None and value.grad.abs().max() > 0, key


@pytest.mark.parametrize(("name", "whole"), variants())
def test_shapes_and_cost_are_those_of_torch(name: str, whole: bool) -> None:
    program = load_program(EXAMPLES[name].text(name, whole=whole))
    model = copy.deepcopy(compiled(name, whole)).requires_grad_(False).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        result = applied(model, {key: value.to("meta") for key, value in inputs(name, whole).items()})
    table = {symbol: SIZES[symbol.name] for symbol in program.eval.symbols.values()}
    for declared in program.eval.outputs:
        wanted = [extent(axis) for axis in program.eval.type(declared.ref).shape]
        assert list(result[declared.name].shape) == [n.substitute(table) if isinstance(n, Dim) else n for n in wanted]
    expense = summarise(program, SIZES).expense
    assert expense is not None
    assert 2 * expense.multiply_adds == counter.get_total_flops()


@pytest.mark.parametrize(("name", "whole"), variants())
def test_evaluation_repeats_itself(name: str, whole: bool) -> None:
    model = compiled(name, whole)
    given = inputs(name, whole)
    first, second = applied(model, given), applied(model, given)
    assert list(first) == [*EXAMPLES[name].outputs, *["penalty"] * EXAMPLES[name].penalised]
    for key in first:
        assert torch.equal(first[key], second[key])


@pytest.mark.parametrize(("name", "whole"), [p for p in variants() if "mask" in EXAMPLES[p.values[0]].without and p.values[1]])
def test_padding_changes_nothing(name: str, whole: bool) -> None:
    """What stands at places that the mask leaves out is seen by no other place."""
    model = compiled(name, whole)
    given = inputs(name, whole)
    mask, first = given["mask"], next(iter(given))
    changed = {**given, first: given[first].clone()}
    if mask.shape == given[first].shape[:2]:
        noise = torch.randint_like(given[first], 0, 11) if not given[first].is_floating_point() else torch.randn_like(given[first])
        place = mask if given[first].dim() == 2 else mask[..., None]
        changed[first] = torch.where(place, given[first], noise)
        keep = mask
    else:  # the mask of another sequence
        changed["context"] = torch.where(mask[..., None], given["context"], torch.randn_like(given["context"]))
        keep = torch.ones(given[first].shape[:2], dtype=torch.bool)
    before, after = model(**given), model(**changed)
    for key in before:
        kept = keep if before[key].shape[:2] == keep.shape else ...  # what is read from all places together
        torch.testing.assert_close(before[key][kept], after[key][kept])


@pytest.mark.parametrize(("name", "most"), [("bert.Embeddings", 16), ("roberta.Embeddings", 30), ("position.LearnedPositions", 16)])
def test_more_places_than_there_are_positions_are_refused(name: str, most: int) -> None:
    model = compiled(name, False)
    ((key, value),) = inputs(name, False).items()
    long = torch.cat([value] * 8, dim=1)
    model(**{key: long[:, :most]})
    with pytest.raises(ValueError, match="S"):
        model(**{key: long[:, : most + 1]})
