"""The codes of the catalogue that no text alone can cause: weights that are read, Python that is wrapped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import archloom
from archloom.dsl.diagnostics import Failure

MODEL = 'model M { in x: float[B, 4]; head = Linear(4, 2); out y = head(x) }\nweights start for M from "here" { head <- "classifier" }'
WHOLE = {"classifier.weight": (2, 4), "classifier.bias": (2,)}


def nowhere(folder: Path) -> Path:
    return folder / "nowhere"


def pickle(folder: Path) -> Path:
    torch.save({"classifier.weight": torch.zeros(2, 4)}, folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


def short(folder: Path) -> Path:
    path = stored(folder, WHOLE)
    path.write_bytes(path.read_bytes()[:-9])
    return path


def index(folder: Path) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"classifier.weight": "gone.safetensors"}}))
    return path


def stored(folder: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    path = folder / "model.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


WEIGHTS = {
    "no file": ("A650", nowhere),
    "a shard that isn't there": ("A650", index),
    "a pickle": ("A651", pickle),
    "cut short": ("A652", short),
    "one missing": ("A653", lambda folder: stored(folder, {"classifier.weight": (2, 4)})),
    "of another shape": ("A654", lambda folder: stored(folder, {**WHOLE, "classifier.weight": (3, 4)})),
    "left over": ("A655", lambda folder: stored(folder, {**WHOLE, "pooler.weight": (4, 4)})),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_do_not_fit(name: str, tmp_path: Path) -> None:
    code, make = WEIGHTS[name]
    with pytest.raises(Failure) as caught:
        archloom.compile(MODEL, weights=make(tmp_path))
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_weights_that_can_not_be_saved(tmp_path: Path) -> None:
    model = archloom.compile(MODEL.replace('"classifier"', 'concat("a", "b", dim = 0)'))
    with pytest.raises(Failure) as caught:
        model.save_weights(tmp_path, map="start")
    assert [d.code for d in caught.value.diagnostics] == ["A656"]


def test_weights_that_fit(tmp_path: Path) -> None:
    model = archloom.compile(MODEL, weights=stored(tmp_path, WHOLE))
    assert all(not p.any() for p in model.parameters())


EXTERN = 'extern block Lin({}) from "torch.nn:{}" {{ in x: float[B, {}]; out y: float[B, {}] }}\n'
USE = "model M {{ in x: float[B, 4]; f = Lin({}); out y = f(x) }}"
PYTHON = {
    "not allowed": ("A821", EXTERN.format("in_features: int, out_features: int", "Linear", "in_features", "out_features") + USE.format("4, 3"), ()),
    "no such class": ("A822", EXTERN.format("a: int", "Lineer", "a", "3") + USE.format("4"), ("torch.nn:Lineer",)),
    "other arguments": ("A822", EXTERN.format("a: int", "Linear", "a", "3") + USE.format("4"), ("torch.nn:Linear",)),
    "another shape": (
        "A823",
        EXTERN.format("in_features: int, out_features: int", "Linear", "in_features", "in_features") + USE.format("4, 3"),
        ("torch.nn:Linear",),
    ),
}


@pytest.mark.parametrize("name", PYTHON)
def test_python_that_does_not_fit(name: str) -> None:
    code, text, allowed = PYTHON[name]
    with pytest.raises(Failure) as caught:
        archloom.compile(text, extern=set(allowed))
    assert [d.code for d in caught.value.diagnostics] == [code]
