"""What the machine can do at most, as seen in the same run: products of matrices, and reading and writing memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..runtime.quantized import int8_linear
from .configuration import INT8
from .timing import seconds

TRIES = 5
ENOUGH = 0.02
"""Seconds from which on larger matrices tell nothing new."""
LARGEST = 8192
TRIAD = 1 << 24
"""Numbers in each vector of the triad: more than caches hold."""


Product = Callable[[], object]


def gemm(dtype: str, device: torch.device) -> float:
    """Return the operations a second, two for each multiply-add, of a product of two square matrices, the best of several tries.

    Of `int8` it is the better of torch's plain product and of what quantized linears call, which takes floats and rounds them.
    """
    makers = (_plain, _rounding) if dtype == INT8 else (_plain,)
    return max(_rate(lambda size, make=make: make(size, getattr(torch, dtype), device), device) for make in makers)


def _rate(make: Callable[[int], Product], device: torch.device) -> float:
    size = 256
    while True:
        product = make(size)
        best = _best(product, device, 2)
        if best >= ENOUGH or size >= LARGEST:
            return 2 * size**3 / min(best, _best(product, device, TRIES))
        size *= 2


def _plain(size: int, dtype: torch.dtype, device: torch.device) -> Product:
    untyped: Any = torch
    multiply = untyped._int_mm if dtype is torch.int8 else untyped.mm
    left, right = (torch.ones((size, size), dtype=dtype, device=device) for _ in range(2))
    return lambda: multiply(left, right)


def _rounding(size: int, dtype: torch.dtype, device: torch.device) -> Product:
    x, weight, scale = torch.ones((size, size), device=device), torch.ones((size, size), dtype=dtype, device=device), torch.ones(size, device=device)
    return lambda: int8_linear(x, weight, scale)


def bandwidth(device: torch.device) -> float:
    """Return the bytes a second of `a = b + 0.5 c` over long vectors of float32, the best of several tries: two are read, one is written."""
    a, b, c = (torch.full((TRIAD,), 0.5, device=device) for _ in range(3))
    return 3 * a.nbytes / _best(lambda: torch.add(b, c, alpha=0.5, out=a), device, TRIES)


def _best(call: Callable[[], object], device: torch.device, tries: int) -> float:
    waiting = waited(call, device)
    waiting()
    return min(seconds(waiting) for _ in range(tries))


def waited(call: Callable[[], Any], device: torch.device) -> Callable[[], Any]:
    """Return a call that ends when the device has done its work, and gives what the call gives."""
    if device.type != "cuda":
        return call

    def run() -> Any:
        found = call()
        torch.cuda.synchronize(device)
        return found

    return run
