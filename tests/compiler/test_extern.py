"""Extern blocks: off until the caller allows them, their signature verified before anything is built."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import archloom
from archloom.dsl.diagnostics import Failure

TEXT = """
extern block Scale(n: int) from "somewhere.parts:Scale" {
  in x: float[B, n]
  out y: float[B, n]
}
model Wrapped {
  in x: float[B, 4]
  scale = Scale(4)
  out y = scale(x)
}
"""
NAME = "somewhere.parts:Scale"


class Scale(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((n,), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Wrong(Scale):
    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight)[:, :-1]


class Failing(Scale):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight[None]


class Strange(Scale):
    def forward(self, x: Tensor) -> Tensor:
        return [x]  # pyright: ignore[reportReturnType]  # what the check is to find


def test_nothing_runs_unless_it_is_allowed() -> None:
    with pytest.raises(Failure, match="`scale` wraps `somewhere.parts:Scale`, which isn't allowed"):
        archloom.compile(TEXT)
    with pytest.raises(Failure, match="isn't allowed"):
        archloom.compile(TEXT, extern={"other:Scale": Scale})


def test_an_allowed_class_is_a_leaf_at_its_path() -> None:
    model = archloom.compile(TEXT, extern={NAME: Scale})
    x = torch.randn(3, 4)
    assert torch.equal(model(x).y, 2 * x)
    assert list(model.state_dict()) == ["scale.weight"]
    assert isinstance(model.scale, Scale)
    assert torch.equal(copy.deepcopy(model)(x).y, 2 * x)


def test_it_gets_its_values_from_its_own_class() -> None:
    model = archloom.compile(TEXT, extern={NAME: Scale}, device="meta").materialize("cpu")
    assert torch.equal(model.scale.weight, torch.full((4,), 2.0))


@pytest.mark.parametrize(
    ("wrapped", "message"),
    [
        (Wrong, r"returns float32 \[3, 3\] for `y: float\[B, 4\]` at B = 3"),
        (Failing, r"fails on \(x: float\[B, 4\]\)"),
        (lambda n: 3, "makes a int, not an `nn.Module`"),
        (lambda: None, r"can't be made with \(n = 4\)"),
    ],
)
def test_a_broken_signature_is_found_when_compiling(wrapped: type[nn.Module], message: str) -> None:
    with pytest.raises(Failure, match=message):
        archloom.compile(TEXT, extern={NAME: wrapped})


def test_a_name_that_cannot_be_imported_says_so() -> None:
    with pytest.raises(Failure, match=r"`somewhere\.parts:Scale` can't be imported"):
        archloom.compile(TEXT, extern=True)
