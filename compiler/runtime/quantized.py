"""Maps whose weights are whole numbers of a few bits: how floats become such, and what computes with them."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

TORCH: Any = torch
OPS: Any = torch.ops
PACKED: Any = WeakTensorKeyDictionary()
"""For weights as they are stored, those that torch's operators compute with, and of which versions they are."""


def int8_scale(x: Tensor) -> Tensor:
    """Return the step by which each row's numbers are whole ones from -127 to 127: `max_j |x_ij| / 127`, the least positive one for zeros.

    x: float[n, ...], y: float32[n].
    """
    rows = x.detach().flatten(1).to(torch.float32)
    return rows.abs().amax(1).div(127).clamp(min=torch.finfo(torch.float32).tiny)


def int8_quantize(x: Tensor, scale: Tensor) -> Tensor:
    """Round each row to whole numbers of its step.

    x: float[n, ...], scale: float32[n], y: int8[n, ...].
    """
    rows = x.detach().flatten(1).to(torch.float32) / scale.detach()[:, None]
    return rows.round().clamp(-127, 127).to(torch.int8).view(x.shape)


def int8_linear(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map the last axis by whole numbers, `x` rounded to 8 bits over its own range, and add up in 32 bits.

    x: float[..., din], weight: int8[dout, din], scale: float32[dout], bias: float[dout], y: float[..., dout].  On a CPU torch's operator rounds
    `x` over the range of all of it; elsewhere, and in compiled code, each vector is rounded over its own.
    """
    rows = x.detach().reshape(-1, x.size(-1)).to(torch.float32)
    packs = x.device.type == "cpu" and not torch.compiler.is_compiling() and not weight.is_inference()
    if packs and torch.backends.quantized.engine != "none":
        y: Tensor = OPS.quantized.linear_dynamic(rows, packed(weight, scale), _is_narrow())
    else:
        y = _by_rows(rows, weight) * scale.detach()
    y = y.to(x.dtype).view(*x.shape[:-1], weight.size(0))
    return y if bias is None else y.add_(bias)


def _by_rows(x: Tensor, weight: Tensor) -> Tensor:
    """Round each row of `x` over its own range and multiply; x: float32[n, din], weight: int8[dout, din], y: float32[n, dout]."""
    step = x.abs().amax(1, keepdim=True).div(127).clamp(min=torch.finfo(torch.float32).tiny)
    return TORCH._int_mm((x / step).round().to(torch.int8), weight.mT).to(torch.float32) * step


def packed(weight: Tensor, scale: Tensor) -> Any:
    """Return a weight as the operator takes it, made anew where its numbers have changed."""
    versions = (weight._version, id(scale), scale._version)
    found = PACKED.get(weight)
    if found is None or found[0] != versions:
        zeros = torch.zeros(len(scale), dtype=torch.long)
        with warnings.catch_warnings():  # torch will have other tensors for such weights; the operators that take them stay
            warnings.simplefilter("ignore", UserWarning)
            whole = TORCH._make_per_channel_quantized_tensor(weight, scale.to(torch.float64), zeros, 0)
        found = PACKED[weight] = (versions, scale, OPS.quantized.linear_prepack(whole, None))
    return found[2]


def _is_narrow() -> bool:
    """Tell whether `x` is to be rounded to 7 bits: without an instruction for sums of four products these overflow."""
    return torch.backends.quantized.engine in ("x86", "fbgemm") and not TORCH.cpu._is_vnni_supported()
