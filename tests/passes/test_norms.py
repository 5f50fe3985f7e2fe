"""Batch norms that passes make one: each stays what it is in a state dict, in its mode, and in what is done to it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.optimize.manager import optimize

from .comparing import compare, run, same

TEXT = """arch 1
block Tower(dim: int) {
  in x: float[B, dim, H, W]
  conv, norm, last = Conv2d(dim, 3, 1), BatchNorm2d(3), Conv2d(3, 2, 1)
  out y = last(relu(norm(conv(x))))
}
model M(dim: int = 4, n: int = 8) {
  in x: float[B, dim, H, W]
  for t in 0..n {
    tower = Tower(dim)
    out y = tower(x)
  }
}
"""
TWICE = TEXT.replace("    out y = tower(x)\n", "    out y = tower(x)\n    out z = tower(2 * x)\n")


def models(text: str) -> tuple[Any, Any]:
    plain, other = (archloom.compile(text, dtype="float64", optimize=passes).train() for passes in ("none", "default"))
    other.load_state_dict(plain.state_dict())
    return plain, other


def alike(plain: Any, other: Any) -> None:
    inputs = plain.example_inputs()
    same(run(plain, inputs, True), run(other, inputs, True))
    same(plain.state_dict(), other.state_dict())


def fired(text: str) -> list[str]:
    return [event.what for step in optimize(load_program(text), "batch_families").steps for event in step.fired]


def test_one_of_them_that_stands_still_stands_still() -> None:
    plain, other = models(TEXT)
    alike(plain, other)
    for model in (plain, other):
        model.get_submodule("tower.3.norm").eval()
        model.get_submodule("tower.5.norm").weight.requires_grad_(False)
    before = other.state_dict()["tower.3.norm.running_mean"].clone()
    alike(plain, other)
    assert torch.equal(other.state_dict()["tower.3.norm.running_mean"], before)
    alike(plain.eval(), other.eval())
    alike(*copy.deepcopy((plain.train(), other.train())))


def test_norms_that_are_called_twice_stay_apart(tmp_path: Path) -> None:
    assert any("norm" in event for event in fired(TEXT)) and not any("norm" in event for event in fired(TWICE))
    path = tmp_path / "m.arch"
    path.write_text(TWICE)
    compare(path, None, "default")


def test_norms_whose_statistics_are_plain_means_stay_apart_where_a_model_trains() -> None:
    mean = TEXT.replace("BatchNorm2d(3)", "BatchNorm2d(3, momentum = none)")
    assert not any("norm" in event for event in fired(mean))
    plain, other = models(mean)
    by_hand = copy.deepcopy(plain.get_submodule("tower.0"))
    assert by_hand.norm.momentum is None
    norm = torch.nn.BatchNorm2d(3, momentum=None, dtype=torch.float64)
    for _ in range(2):
        alike(plain, other)
        norm(by_hand.conv(plain.example_inputs()["x"]))
    same(dict(norm.named_buffers()), dict(plain.get_submodule("tower.0.norm").named_buffers()))


def test_a_hook_on_one_of_them_is_not_lost() -> None:
    _, other = models(TEXT)
    other.get_submodule("tower.0.norm").register_forward_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match=r"`tower\.0\.norm` has a hook"):
        other(**other.example_inputs())
