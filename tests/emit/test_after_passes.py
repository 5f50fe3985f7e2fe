"""An emitted file after passes gives what the compiled model after passes gives; what is derived from parameters it computes at each call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.cli import run
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.optimize.pipelines import PIPELINES
from archloom.compiler.optimize.registry import passes

from .comparing import ROOT, same, values

TEXTS = ROOT / "tests" / "passes" / "texts"
SMALL = ("unifork", "colm", "filter", "invpt", "mlore", "taskexpert", "taskprompter", "scalearn")
ASKED = list({passes: name for name, passes in PIPELINES.items() if passes}.values())


def compare(path: Path, preset: str | None, asked: str) -> None:
    """Emit a text after passes and hold it against the compiled model."""
    program = optimize(load_program(path, preset=preset), asked).program
    torch.manual_seed(0)
    model: Any = archloom.compile(path, preset=preset, dtype="float64", optimize=asked)
    emitted = archloom.compile(path, preset=preset, dtype="float64", optimize=asked, source=True)
    emitted.load_state_dict(model.state_dict())
    given = model.example_inputs()
    if not program.only_evaluates:
        same(model, emitted, given)
        return
    assert not emitted.training
    found, wanted = values(emitted(**given)), values(model(**given))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-12, equal_nan=True, msg=str(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in passes() if name != "checkpoint"])  # which is refused
def test_each_pass(name: str) -> None:
    compare(TEXTS / f"{name}.arch", None, ", ".join((*passes()[name].example, name)))


@pytest.mark.slow
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("name", SMALL)
def test_examples(name: str, asked: str) -> None:
    compare(ROOT / "examples" / f"{name}.arch", "small", asked)


def test_a_derived_value_is_an_expression(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["emit", str(TEXTS / "pack.arch"), "--optimize", "pack"]) == 0
    assert "torch.stack([self.bias[0], self.bias[1], self.bias[2]], dim=0)" in capsys.readouterr().out
