"""What the language asks of the operands of an operation beyond what torch asks: one dtype, axes that exist, sizes that are equal."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from .values import Wrong

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INTS = (torch.int64, torch.int32)


def need(condition: bool, reason: str, kind: str = "text") -> None:
    if not condition:
        raise Wrong(reason, kind)


def of(x: Any, *allowed: torch.dtype, what: str = "x") -> Tensor:
    need(isinstance(x, Tensor), f"{what} is no tensor")
    need(x.dtype in allowed, f"{what} is {x.dtype}")
    return x


def floats(*tensors: Any) -> None:
    """Require floats of one dtype; absent operands are left out."""
    one([of(t, *FLOATS) for t in tensors if t is not None])


def numbers(*tensors: Any) -> None:
    one([of(t, *FLOATS, *INTS) for t in tensors if t is not None])


def one(tensors: list[Tensor]) -> None:
    need(len({t.dtype for t in tensors}) <= 1, f"dtypes {[t.dtype for t in tensors]} are mixed")


def literal(value: Any, dtype: torch.dtype) -> Any:
    """Return a number of the text as it stands beside a dtype."""
    need(isinstance(value, (bool, int, float, Fraction)), f"{value!r} is no operand")
    need(isinstance(value, bool) is (dtype is torch.bool), "truths and numbers are mixed")
    if dtype in INTS:
        need(isinstance(value, int) or (isinstance(value, Fraction) and value.denominator == 1), "a fraction beside ints")
        return int(value)
    return float(value) if isinstance(value, Fraction) else value


def operands(values: list[Any], allowed: str) -> list[Any]:
    """Return operands of one dtype, numbers of the text as that dtype takes them."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    need(bool(tensors), "no operand is a tensor")
    kinds = {"float": FLOATS, "number": (*FLOATS, *INTS, torch.complex64), "bool": (torch.bool,), "int": INTS, "any": (*FLOATS, *INTS, torch.bool)}[
        allowed
    ]
    one([of(t, *kinds) for t in tensors])
    return [v if isinstance(v, Tensor) else literal(v, tensors[0].dtype) for v in values]


def axis(dim: int, rank: int) -> int:
    need(-rank <= dim < rank, f"there is no axis {dim} of {rank}")
    return dim % rank


def axes(dim: Any, rank: int) -> list[int]:
    """Return axes counted from 0; all for None, none twice."""
    if dim is None:
        return list(range(rank))
    found = [axis(d, rank) for d in ([dim] if isinstance(dim, int) else dim)]
    need(len(set(found)) == len(found), "an axis is named twice")
    return found


def reduced(dim: Any, rank: int) -> list[int]:
    """Return the axes that are reduced: to torch none of them would be all."""
    need(dim is None or isinstance(dim, int) or len(dim) > 0, "no axis is reduced")
    return axes(dim, rank)


def equal(a: int, b: int, what: str) -> None:
    need(a == b, f"{what}: {a} and {b}", "run")


def shapes(*tensors: Tensor) -> None:
    """Require one shape."""
    first = tensors[0]
    for other in tensors[1:]:
        need(other.dim() == first.dim(), "ranks differ")
        for a, b in zip(first.shape, other.shape, strict=True):
            equal(a, b, "shapes")


def within(value: float, low: float, high: float | None = None, *, open_low: bool = False, open_high: bool = False) -> None:
    """Require a number of the text to lie in an interval."""
    need(not (value <= low if open_low else value < low), f"{value} is too small")
    need(high is None or not (value >= high if open_high else value > high), f"{value} is too large")


def listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, (int, float)) else list(value)
