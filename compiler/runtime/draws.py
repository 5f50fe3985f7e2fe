"""Draws: what a `draw` gives when the caller doesn't pass it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..lower.names import imported

Size = Sequence[int]


def normal(given: Tensor | None, shape: Size, mean: float = 0.0, std: float = 1.0, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `given`, or normal numbers."""
    if given is not None:
        return given
    drawn = torch.randn(shape, dtype=dtype, device=device)
    return drawn if mean == 0 and std == 1 else drawn * std + mean


def uniform(given: Tensor | None, shape: Size, low: float = 0.0, high: float = 1.0, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `given`, or numbers evenly from `low` to `high`; whole numbers below `high` for an int dtype."""
    if given is not None:
        return given
    if not dtype.is_floating_point:
        return torch.randint(int(low), int(high), tuple(shape), dtype=dtype, device=device)
    return torch.rand(shape, dtype=dtype, device=device) * (high - low) + low


def bernoulli(given: Tensor | None, shape: Size, p: float = 0.5, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `given`, or ones with probability `p`, else zeros."""
    return given if given is not None else (torch.rand(shape, device=device) < p).to(dtype)


def permutation(given: Tensor | None, shape: Size, n: int | None = None, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `given`, or a random order of the last axis for each row; of the numbers below `n` if that is more."""
    if given is not None:
        return given
    *rows, length = shape
    order = torch.argsort(torch.rand([*rows, length if n is None else n], device=device), dim=-1)
    return order[..., :length].to(dtype)


def gumbel(given: Tensor | None, shape: Size, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `given`, or `-log(-log(u))` of uniform numbers."""
    if given is not None:
        return given
    tiny = torch.finfo(dtype).tiny
    return -torch.log(-torch.log(torch.rand(shape, dtype=dtype, device=device).clamp_min(tiny)).clamp_min(tiny))


DISTRIBUTIONS: Mapping[str, Callable[..., Tensor]] = {
    "normal": normal,
    "uniform": uniform,
    "bernoulli": bernoulli,
    "permutation": permutation,
    "gumbel": gumbel,
}
"""What a `draw` may be drawn from."""


class Random(nn.Module):
    """A function that draws anew at every call, at its block's path, so that what it draws can be given from outside."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function
        self._call = imported(function)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return what the function gives."""
        return self._call(*args, **kwargs)

    def extra_repr(self) -> str:
        """Name the function."""
        return self.function


class Draw(nn.Module):
    """One `draw` of a block, at its path, so that it can be given from outside."""

    def __init__(self, distribution: str, **numbers: float) -> None:
        super().__init__()
        self.distribution, self.numbers = distribution, numbers
        self._draw = DISTRIBUTIONS[distribution]

    def forward(self, given: Tensor | None, shape: Size, *, dtype: torch.dtype, device: torch.device, **sizes: int) -> Tensor:
        """Return `given`, or a tensor of this shape, dtype and device; `sizes` are arguments that each batch sets anew."""
        return self._draw(given, shape, **self.numbers, **sizes, dtype=dtype, device=device)

    def extra_repr(self) -> str:
        """Show the distribution."""
        numbers: Mapping[str, Any] = self.numbers
        return f"{self.distribution}({', '.join(f'{name}={value:g}' for name, value in numbers.items())})"
