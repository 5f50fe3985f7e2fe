"""Linears by oneDNN, which torch uses for convolutions and not for these: on some processors it is twice as fast as what torch calls there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LEAST_PRODUCTS = 1_000_000
"""Below so many multiply-adds preparing the call takes longer than it spares."""
_transformed: Callable[[], bool] = vars(torch)["_C"]._are_functorch_transforms_active


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, rectify: bool = False) -> Tensor:
    """Map the last axis: by oneDNN in float32 on a CPU, where nothing is differentiated, compiled or transformed and it pays; else as ever.

    With `rectify` the result is clipped at zero, in the very storage: oneDNN's own clipping would make 0 of NaN.
    x: float[..., din], weight: float[dout, din], bias: float[dout], y: float[..., dout].
    """
    watched = torch.compiler.is_compiling() or torch.is_grad_enabled() or _transformed()
    by = functional.linear if watched or not _pays_for(x, weight) else _pointwise
    made = by(x, weight, bias)
    if not rectify:
        return made
    return torch.relu(made) if watched else made.relu_()


def parted_linear(x: Tensor, weight: Tensor, bias: Tensor | None, weights: Tensor, biases: Tensor | None) -> Tensor:
    """Map rows by several matrices that lie one below another: by oneDNN at once where that pays, else each by itself; nothing is recorded.

    x: float[B, din], weight: float[E N, din], bias: float[E N], weights: float[E, din, N], biases: float[E, 1, N], y: float[E, B, N].
    """
    if x.numel() * weight.size(0) >= LEAST_PRODUCTS and _pays_for(x, weight) and not _transformed():
        return torch.unflatten(_pointwise(x, weight, bias), -1, (weights.size(0), -1)).movedim(-2, 0)
    rows = x.expand(weights.size(0), -1, -1)
    return torch.bmm(rows, weights) if biases is None else torch.baddbmm(biases, rows, weights)


def _pays_for(x: Tensor, weight: Tensor) -> bool:
    few = x.numel() * weight.size(0) < LEAST_PRODUCTS  # asked first: what is small can't wait for the rest
    return not few and _fits(x, weight) and works() and pays()


@cache
def works() -> bool:
    """Tell whether this torch has the operation, which is none of its public ones, and it gives a linear's numbers: seen once, on a small one."""
    x, weight, bias = (torch.linspace(-1, 1, 6 * n).sin().view(n, 6) for n in (4, 5, 1))
    bias = bias[0, :5]
    try:
        with torch.no_grad():
            return torch.allclose(_pointwise(x, weight, bias), functional.linear(x, weight, bias), atol=1e-5)
    except (AttributeError, RuntimeError, TypeError):
        return False


@cache
def pays() -> bool:
    """Tell whether the operation is the faster one on this processor by a tenth at least: timed once, on 64 rows of 512, for some milliseconds."""
    x, weight = torch.ones(64, 512), torch.ones(512, 512)
    with torch.no_grad():
        return _least(lambda: _pointwise(x, weight, None)) < 0.9 * _least(lambda: functional.linear(x, weight))


def _least(call: Callable[[], object]) -> float:
    found: list[float] = []
    for _ in range(5):
        start = perf_counter()
        call()
        found.append(perf_counter() - start)
    return min(found)


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    operations: Any = torch.ops
    return operations.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _fits(x: Tensor, weight: Tensor) -> bool:
    """Tell whether oneDNN takes these as they are: rows of any strides, and a matrix without gaps, by any other its slowest code runs."""
    plain = x.device.type == "cpu" and x.dtype is weight.dtype is torch.float32 and x.dim() > 1 and weight.is_contiguous()
    return plain and torch.backends.mkldnn.enabled and not torch.is_autocast_enabled("cpu")
