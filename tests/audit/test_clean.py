"""Where nothing is wrong nothing is found: in plain models that look as if, in those of transformers and peft, in our own examples."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

import archloom
from archloom.compiler.audit.run import audited

from .clean import CLEAN
from .tricky import TRICKY

QUICK = ("bert, classes",)


def slowly(names: Iterable[str]) -> list[Any]:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", TRICKY)
def test_plain_model(name: str) -> None:
    torch.manual_seed(0)
    found = audited(TRICKY[name]())
    assert found.ok, str(found)
    assert all(effect.startswith("changes the results") for effect in found.inputs.values()), found.inputs


@pytest.mark.parametrize("name", slowly(CLEAN))
def test_model_of_transformers(name: str) -> None:
    torch.manual_seed(0)
    model, batch = CLEAN[name]()
    before = {path: value.clone() for path, value in model.state_dict().items()}
    found = archloom.audit(model, batch)
    assert found.ok, str(found)
    assert all(effect.startswith("changes the results") for effect in found.inputs.values()), found.inputs
    assert all(torch.equal(value, before[path]) for path, value in model.state_dict().items())


EXAMPLES = Path(__file__).parents[2] / "examples"
OURS: dict[str, dict[str, Any]] = {
    "scene": {},
    "adapterfusion": {"preset": "small"},
    "colm": {"preset": "small"},
    "com_mlp": {"preset": "small"},
    "filter": {"preset": "small"},
    "mlore": {"preset": "small"},
    "scalearn": {"preset": "small"},
    "taskexpert": {"preset": "small"},
    "unifork": {"preset": "small"},
}
"""Our own examples, as small as they come."""


@pytest.mark.parametrize("name", [name if name == "scene" else pytest.param(name, marks=pytest.mark.slow) for name in OURS])
def test_example_of_ours(name: str) -> None:
    torch.manual_seed(0)
    model: Any = archloom.compile(EXAMPLES / f"{name}.arch", **OURS[name])
    found = archloom.audit(model, model.example_inputs(), steps=1)
    assert found.ok, str(found)
    assert found.losses and found.inputs
