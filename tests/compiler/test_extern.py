"""Extern blocks and functions: off until the caller allows them, their signatures verified before anything is built."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.summary import summarise
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


# ------------------------------------------------------------------------------------------------------------ functions

PAIRS = """
extern fn pairs(cost: float[B, L, M], mask: bool[B, M] = none, how: {best, worst} = best, skip: list[int] = []) -> int[B, M] from "somewhere:pairs"
model Matched {
  in x: float[B, 4, N]
  in mask: bool[B, N]
  scale = Linear(4, 4)
  z = scale(x.mT).mT
  repeat i in 0..2 {
    pair = pairs(z, mask = none, how = worst, skip = [i])
  }
  out chosen = pairs(z * 2.0, mask)
  out first = pair[0]
}
"""


def pairs(cost: Tensor, mask: Tensor | None, how: str, skip: list[int]) -> Tensor:
    cost = cost.index_fill(1, torch.tensor(skip, dtype=torch.int64, device=cost.device), 1e9 if how == "best" else -1e9)
    found = cost.argmin(1) if how == "best" else cost.argmax(1)
    return found if mask is None else torch.where(mask, found, 0)


def through_numpy(cost: Tensor, mask: Tensor | None, how: str, skip: list[int]) -> Tensor:
    """As a solver of another package: it wants values."""
    return torch.from_numpy(cost.detach().cpu().numpy().argmin(1) * 1)


class Callable_:
    def __call__(self, cost: Tensor, mask: Tensor | None, how: str, skip: list[int]) -> Tensor:
        return pairs(cost, mask, how, skip)


def test_a_function_runs_only_if_it_is_allowed() -> None:
    with pytest.raises(Failure, match="`pairs` calls `somewhere:pairs`, which isn't allowed"):
        archloom.compile(PAIRS)
    with pytest.raises(Failure, match="`somewhere:pairs` can't be imported"):
        archloom.compile(PAIRS, extern=True)
    with pytest.raises(Failure, match="A824"):
        archloom.compile(PAIRS, source=True)


@pytest.mark.parametrize(
    "function", [pairs, Callable_(), functools.partial(pairs), lambda **given: pairs(**given)], ids=["def", "object", "partial", "lambda"]
)
def test_an_allowed_function_is_called_by_name_with_plain_values(function: Any) -> None:
    model = archloom.compile(PAIRS, extern={"somewhere:pairs": function})
    x, mask = torch.randn(3, 4, 5), torch.rand(3, 5) < 0.5
    z = model.scale(x.mT).mT
    result = model(x, mask)
    assert torch.equal(result.chosen, pairs(z * 2, mask, "best", []))
    assert torch.equal(result.first, pairs(z, None, "worst", [0]))
    assert set(model.state_dict()) == {"scale.weight", "scale.bias"}
    assert torch.equal(copy.deepcopy(model)(x, mask).chosen, result.chosen)


def test_a_function_that_wants_values_is_verified_on_some() -> None:
    model = archloom.compile(PAIRS, extern={"somewhere:pairs": through_numpy})
    x = torch.randn(2, 4, 3)
    assert torch.equal(model(x, torch.ones(2, 3, dtype=torch.bool)).first, model.scale(x.mT).mT.argmin(1))


def test_gradients_and_half_precision_go_through() -> None:
    text = 'extern fn soft(x: float[B, N], t: float) -> float[B, N] from "somewhere:soft"\n'
    text += "model M { in x: float[B, 4]; f = Linear(4, 4); out y = soft(f(x), 0.5) }"
    for dtype in (torch.float32, torch.bfloat16):
        model = archloom.compile(text, extern={"somewhere:soft": lambda x, t: torch.softmax(x / t, -1)}, dtype=dtype)
        y = model(torch.randn(2, 4, dtype=dtype)).y
        y[:, 0].sum().backward()
        assert y.dtype is dtype and model.f.weight.grad is not None and model.f.weight.grad.abs().sum() > 0


def test_it_is_exported_and_drawn() -> None:
    text = 'extern fn soft(x: float[B, N]) -> float[B, N] from "somewhere:soft"\nmodel M { in x: float[B, 4]; out y = soft(x) }'
    model = archloom.compile(text, extern={"somewhere:soft": soft})
    x = torch.randn(2, 4)
    model(x)
    exported = torch.export.export(model, (x,))
    assert torch.equal(exported.module()(x).y, torch.tanh(x))
    assert "soft" in archloom.draw(text).svg


def soft(x: Tensor) -> Tensor:
    return torch.tanh(x)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda cost, mask, how, skip: cost.argmin(2), r"returns int64 \[2, 4\] for `int\[B, M\]` at B = 2, M = 3"),
        (lambda cost, mask, how, skip: cost[:, 0], r"returns float32 \[\d+, \d+\] for `int\[B, M\]`"),
        (lambda cost, mask, how, skip: (cost, cost), r"returns a tuple for `int\[B, M\]` at .*, not a tensor"),
        (lambda cost, mask, how: cost, r"fails on \(cost: float\[B, 4, M\], mask = None, how = worst, skip = \[0\]\): .*skip"),
        (7, r"`somewhere:pairs` is a int, and can't be called"),
    ],
)
def test_a_function_that_breaks_its_signature_is_found_when_compiling(function: Any, message: str) -> None:
    with pytest.raises(Failure, match=message):
        archloom.compile(PAIRS, extern={"somewhere:pairs": function})


def test_an_error_inside_a_function_names_the_line_of_its_call() -> None:
    def picky(cost: Tensor, mask: Tensor | None, how: str, skip: list[int]) -> Tensor:
        if mask is not None and not cost.is_meta and cost.shape[0] == 9:
            raise ValueError("nine is too many")
        return pairs(cost, mask, how, skip)

    model = archloom.compile(PAIRS, extern={"somewhere:pairs": picky})
    with pytest.raises(archloom.ModelError, match=r"<text>:11:\d+: in `Matched`: `out chosen = pairs\(z \* 2.0, mask\)` failed: nine is too many"):
        model(torch.randn(9, 4, 5), torch.ones(9, 5, dtype=torch.bool))


def test_claims_are_tested_through_it() -> None:
    text = 'extern fn soft(x: float[B, N]) -> float[B, N] from "somewhere:soft"\n'
    text += "model M { in x: float[B, 4]; y = soft(x); out y; assert y[:, 0] ignores x[:, 1:] }"
    assert len(archloom.compile(text, extern={"somewhere:soft": soft}).check_claims()) == 1
    with pytest.raises(Failure, match="A703"):
        archloom.compile(text, extern={"somewhere:soft": lambda x: torch.softmax(x, -1)}).check_claims()


def test_what_it_costs_is_not_known_and_said_so() -> None:
    for text, name in ((PAIRS, "pairs"), (TEXT, "Scale")):
        summary = summarise(load_program(text), {"B": 2, "N": 5})
        assert summary.expense is not None and summary.expense.unknown == {name}
