"""Every block and function of the library has an example in `cases`; each checks, runs, learns and repeats itself."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archloom
from archloom.compiler.check import check_text
from archloom.dsl import ast
from archloom.dsl.parser import parse
from archloom.dsl.source import Source

from .cases import CASES

LIBRARY = Path(archloom.__file__).parent / "blocks"
SIZES = {"B": 3, "S": 5, "T": 4, "N": 7}
FREE_OF_GRADIENT = re.compile(r"(^|\.)(key|k_proj)\.bias$")
"""A bias on all keys alike moves all scores of a query alike, and so nothing, unless positions turn the keys."""

STILL = ("teacher", "cos", "sin", "at", "c")
"""Inputs without a gradient: teachers by their meaning, positions, and a condition whose weight starts as zero."""


@cache
def items() -> dict[str, ast.Item]:
    """Return every block, function and definition of the library by its dotted name."""
    found: dict[str, ast.Item] = {}
    for path in sorted(LIBRARY.rglob("*.arch")):
        file = ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
        for item in parse(Source(path.name, path.read_text(encoding="utf-8"))).items:
            if isinstance(item.tree, (ast.Block, ast.Fn, ast.Definition)):
                found[f"{file}.{item.tree.name}"] = item.tree
    return found


def variants() -> list[Any]:
    """Return each example with all its inputs and, where some may be left out, with those it needs."""
    return [
        pytest.param(name, whole, id=f"{name}{'' if whole else '-least'}")
        for name, case in CASES.items()
        for whole in ([True, False] if case.without else [True])
    ]


def compiled(name: str, whole: bool) -> nn.Module:
    torch.manual_seed(0)
    return archloom.compile(CASES[name].text(name, whole=whole))


def inputs(name: str, whole: bool) -> dict[str, Tensor]:
    """Return inputs of the declared types; masks are padding on the right, so that every row keeps a token."""
    case, generator = CASES[name], torch.Generator().manual_seed(1)
    found: dict[str, Tensor] = {}
    for key, text in case.inputs.items():
        if not whole and key in case.without:
            continue
        kind, shape_text, high = re.findall(r"^(\w+)\[(.*?)\](?: in 0\.\.(\w+))?$", text)[0]
        shape = [SIZES.get(n) or int(n) for n in shape_text.split(", ")]
        if kind == "int":
            found[key] = torch.randint(0, SIZES.get(high) or int(high), shape, generator=generator)
        elif kind == "bool":
            found[key] = torch.arange(shape[1])[None] < torch.tensor([shape[1], 3, 2])[:, None]
        else:
            found[key] = torch.randn(shape, generator=generator)
    return found


def mixture(outputs: Any) -> Tensor:
    """Return a number that leans on every finite element of every float result, each with its own weight."""
    total = torch.zeros(())
    for value in (v for v in outputs.values() if torch.is_tensor(v) and v.is_floating_point()):
        weights = torch.cos(torch.arange(value.numel(), dtype=value.dtype)).view_as(value)
        total = total + torch.where(torch.isfinite(value), value, 0.0).mul(weights).sum()
    return total


def test_every_item_has_an_example() -> None:
    assert items().keys() == CASES.keys()


@pytest.mark.parametrize("name", [n for n, i in items().items() if not isinstance(i, ast.Definition)])
def test_docstring_says_what_how_and_in_what_shapes(name: str) -> None:
    doc = getattr(items()[name], "doc", None) or ""
    first = " ".join(doc.strip().split("\n\n")[0].split())
    assert re.match(r"[A-Z][a-z]+\b", first), "a verb first"
    assert "`" in first, "the equation stands in backticks"
    assert re.search(r"\b(float|int|bool)\[", doc), "the shapes are written as types"


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.arch")), ids=lambda path: path.stem)
def test_file_has_edition_and_docstring(path: Path) -> None:
    first, second = path.read_text(encoding="utf-8").splitlines()[:2]
    assert first == "arch 1"
    assert second.startswith('"""')


@pytest.mark.parametrize(("name", "whole"), variants())
def test_check_finds_nothing(name: str, whole: bool) -> None:
    found = check_text(Source(name, CASES[name].text(name, whole=whole)))
    assert [d.message for d in found.diagnostics] == []


@pytest.mark.parametrize(("name", "whole"), variants())
def test_gradient_reaches_every_parameter(name: str, whole: bool) -> None:
    model = compiled(name, whole).eval()
    given = {k: v.requires_grad_() if v.is_floating_point() else v for k, v in inputs(name, whole).items()}
    result = model(**given)
    floats = [v for v in result.values() if torch.is_tensor(v) and v.is_floating_point()]
    if not floats:
        assert not list(model.parameters())
        return
    mixture(result).backward()
    turned = "Grouped" in name or name.startswith(("llama.", "qwen2.", "unifork.Forked"))
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert torch.isfinite(parameter.grad).all(), path
        assert parameter.grad.abs().max() > 0 or (FREE_OF_GRADIENT.search(path) and not turned), path
    for key, value in given.items():
        if value.is_floating_point() and key not in STILL:
            assert value.grad is not None and value.grad.abs().max() > 0, key


@pytest.mark.parametrize(("name", "whole"), variants())
def test_evaluation_repeats_itself(name: str, whole: bool) -> None:
    model = compiled(name, whole).eval()
    given = inputs(name, whole)
    first, second = model(**given), model(**given)
    assert list(first) == list(CASES[name].outputs)
    for key in first:
        assert torch.equal(first[key], second[key])


@pytest.mark.parametrize(("name", "whole"), [p for p in variants() if "mask" in CASES[p.values[0]].without and p.values[1]])
def test_padding_changes_nothing(name: str, whole: bool) -> None:
    """What stands at places that the mask leaves out is seen by no other place."""
    model = compiled(name, whole).eval()
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
        torch.testing.assert_close(before[key][keep], after[key][keep])


@pytest.mark.parametrize(("name", "most"), [("bert.Embeddings", 16), ("roberta.Embeddings", 30), ("position.LearnedPositions", 16)])
def test_more_places_than_there_are_positions_are_refused(name: str, most: int) -> None:
    model = compiled(name, False).eval()
    ((key, value),) = inputs(name, False).items()
    long = torch.cat([value] * 8, dim=1)
    model(**{key: long[:, :most]})
    with pytest.raises(ValueError, match="S"):
        model(**{key: long[:, : most + 1]})
