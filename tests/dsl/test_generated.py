"""Generated specs: what check accepts runs, gives what Python gives, is the same copied and step by step, and is kept by the formatter."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import archloom
from archloom.compiler.check import check_text
from archloom.dsl.dims import Dim
from archloom.dsl.elaborate import statements
from archloom.dsl.format.text import format_text
from archloom.dsl.program import Body
from archloom.dsl.source import Source
from archloom.dsl.types import extent

from .spec_generator import Generator
from .test_elaborate_copies import shape
from .test_rulings import flat

SEEDS = range(8)
STATEMENTS = 7


def checked(text: str) -> Body:
    result = check_text(Source("spec.arch", text))
    assert result.ok, [(d.code, d.span.text, d.message) for d in result.diagnostics] + [text]
    return result.programs["M"].eval


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_accepted_runs_and_gives_what_python_gives(seed: int) -> None:
    text, source = Generator(seed).spec(STATEMENTS)
    body = checked(text)
    python: dict[str, Any] = {"torch": torch}
    exec(source, python)
    model = archloom.compile(text, dtype="float64").eval()
    for sizes in ({}, {"B": 3}):
        inputs = model.example_inputs(**sizes)
        with torch.no_grad():
            found, wanted = flat(model(**inputs)), flat(python["hand"](model.state_dict(), **inputs))
        assert found.keys() == wanted.keys()
        known = {"B": inputs["x"].shape[0], "S": inputs["q"].shape[1]}
        for out in body.outputs:
            key = ".".join([out.name, *map(str, out.members)])
            stated = [s.value({y: known[y.name] for y in s.symbols()}) if isinstance(s, Dim) else s for s in map(extent, body.type(out.ref).shape)]
            assert list(found[key].shape) == stated
            torch.testing.assert_close(found[key], wanted[key].broadcast_to(found[key].shape), rtol=1e-6, atol=1e-8, equal_nan=True)


@pytest.mark.parametrize("seed", range(100, 112))
def test_the_meaning_is_kept_by_copying_and_by_the_formatter(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = Generator(seed).spec(STATEMENTS)
    copied = checked(text)
    with monkeypatch.context() as patch:
        patch.setattr(statements, "LEAST", 10**9)
        assert shape(checked(text)) == shape(copied)
    tidy = format_text(text)
    assert format_text(tidy) == tidy and shape(checked(tidy), places=False) == shape(copied, places=False)
