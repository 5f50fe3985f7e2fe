"""What the machine can do at most, as seen in the same run: products of matrices, and reading and writing memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .timing import seconds

TRIES = 5
ENOUGH = 0.02
"""Seconds from which on larger matrices tell nothing new."""
LARGEST = 8192
TRIAD = 1 << 24
"""Numbers in each vector of the triad: more than caches hold."""


def gemm(dtype: torch.dtype, device: torch.device) -> float:
    """Return the floating-point operations a second, two for each multiply-add, of a product of two square matrices, the best of several tries."""
    size = 256
    while True:
        left, right = (_filled((size, size), dtype, device) for _ in range(2))
        out = torch.empty((size, size), dtype=dtype, device=device)

        def product(a: Tensor = left, b: Tensor = right, c: Tensor = out) -> None:
            torch.mm(a, b, out=c)

        best = _best(product, device, 2)
        if best >= ENOUGH or size == LARGEST:
            return 2 * size**3 / min(best, _best(product, device, TRIES))
        size *= 2


def bandwidth(device: torch.device) -> float:
    """Return the bytes a second of `a = b + 0.5 c` over long vectors of float32, the best of several tries: two are read, one is written."""
    a, b, c = (_filled((TRIAD,), torch.float32, device) for _ in range(3))
    return 3 * a.nbytes / _best(lambda: torch.add(b, c, alpha=0.5, out=a), device, TRIES)


def _filled(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.full(shape, 0.5, dtype=dtype, device=device)


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
