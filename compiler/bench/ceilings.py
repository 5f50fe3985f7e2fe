"""What the machine can do at most, as seen in the same run: products of matrices, and reading and writing memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...dsl.record import record
from ..runtime.quantized import int8_linear
from .configuration import INT8
from .timing import seconds

ENOUGH = 0.002
"""Seconds from which on larger matrices tell nothing new; what takes much longer is interrupted by whatever else runs."""
CHANNELS = 64
LARGEST = 8192
TRIAD = 1 << 24
"""Numbers in each vector of the triad: more than caches hold."""


Product = Callable[[], object]


@record
class Probe:
    """Something that a machine does as fast as it can, and how much it is: floating-point operations, or bytes."""

    amount: float
    call: Product


def gemm(dtype: str, device: torch.device) -> list[Probe]:
    """Return products of two square matrices, each multiply-add two operations, of a size that takes long enough.

    Beside torch's plain product there is a convolution, which another library computes, and of `int8` what quantized linears call, which takes
    floats and rounds them.
    """
    makers = [_plain, *OTHERS.get(dtype, ())]
    return [_sized(lambda size, make=make: make(size, getattr(torch, dtype), device), device) for make in makers]


def triad(device: torch.device) -> Probe:
    """Return `a = b + 0.5 c` over long vectors of float32: two are read, one is written."""
    a, b, c = (torch.full((TRIAD,), 0.5, device=device) for _ in range(3))
    call = waited(lambda: torch.add(b, c, alpha=0.5, out=a), device)
    call()
    return Probe(3 * a.nbytes, call)


def rate(probes: Sequence[Probe], times: Sequence[Sequence[float]]) -> float:
    """Return the amount a second of the fastest of several probes, by the best of its times."""
    return max(probe.amount / min(each) for probe, each in zip(probes, times, strict=True))


def _sized(make: Callable[[int], Probe], device: torch.device) -> Probe:
    size = 256
    while True:
        probe = make(size)
        probe = Probe(probe.amount, waited(probe.call, device))
        if min(seconds(probe.call) for _ in range(3)) >= ENOUGH or size >= LARGEST:
            return probe
        size *= 2


def _plain(size: int, dtype: torch.dtype, device: torch.device) -> Probe:
    untyped: Any = torch
    multiply = untyped._int_mm if dtype is torch.int8 else untyped.mm
    left, right = (torch.ones((size, size), dtype=dtype, device=device) for _ in range(2))
    return Probe(2 * size**3, lambda: multiply(left, right))


def _convolution(size: int, dtype: torch.dtype, device: torch.device) -> Probe:
    side = size // 4
    x, weight = (torch.ones(shape, dtype=dtype, device=device) for shape in ((1, CHANNELS, side, side), (CHANNELS, CHANNELS, 3, 3)))
    return Probe(2 * CHANNELS**2 * 9 * side**2, lambda: torch.conv2d(x, weight, padding=1))


def _rounding(size: int, dtype: torch.dtype, device: torch.device) -> Probe:
    x, weight, scale = torch.ones((size, size), device=device), torch.ones((size, size), dtype=dtype, device=device), torch.ones(size, device=device)
    return Probe(2 * size**3, lambda: int8_linear(x, weight, scale))


OTHERS = {"float32": (_convolution,), "bfloat16": (_convolution,), INT8: (_rounding,)}


def waited(call: Callable[[], Any], device: torch.device) -> Callable[[], Any]:
    """Return a call that ends when the device has done its work, and gives what the call gives."""
    if device.type != "cuda":
        return call

    def run() -> Any:
        found = call()
        torch.cuda.synchronize(device)
        return found

    return run
