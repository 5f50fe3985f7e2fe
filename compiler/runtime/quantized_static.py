"""Maps by whole numbers of 8 bits whose inputs are rounded over a range that was found on data beforehand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .composites import behind
from .packing import Order, numbers, packed, packs
from .quantized import OPS


def static_steps(low: float, high: float) -> tuple[float, int]:
    """Return the step by which numbers of a range are whole ones from 0 to 255, and the one that zero is."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = max((high - low) / 255, 1e-30)
    return step, min(max(round(-low / step), 0), 255)


def static_rounded(x: Tensor, step: float, zero: int) -> Tensor:
    """Round numbers to whole ones of a step; what is outside of the range takes its end.  x: float[...], y: uint8[...]."""
    return x.detach().to(torch.float32).mul(1 / step).round_().add_(zero).clamp_(0, 255).to(torch.uint8)


def static_floats(x: Tensor, step: float, zero: int) -> Tensor:
    """Return the floats that rounded numbers stand for."""
    return (static_rounded(x, step, zero).to(torch.float32) - zero) * step


def pair(value: int | list[int]) -> list[int]:
    """Return a number for each of two axes."""
    return [value, value] if isinstance(value, int) else list(value)


def _linear_pack(weight: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    return OPS.onednn.qlinear_prepack(weight, None), torch.zeros_like(scale, dtype=torch.int32)


def _linear_unpack(found: tuple[Tensor, Tensor], shape: torch.Size) -> Tensor:
    return found[0].to_dense().mT.contiguous().view(shape)


def _conv_unpack(found: tuple[Tensor, Tensor], shape: torch.Size) -> Tensor:
    return found[0].to_dense().contiguous().view(shape)


LINEAR = Order(_linear_pack, _linear_unpack)


def int8_static_linear(x: Tensor, weight: Any, scale: Tensor, bias: Tensor | None, low: float, high: float) -> Tensor:
    """Map the last axis by whole numbers, `x` rounded to 8 bits over a given range.

    x: float[..., din], weight: int8[dout, din], scale: float32[dout], bias: float[dout], y: float[..., dout].
    """
    step, zero = static_steps(low, high)
    if packs(weight, x.device):
        rows = static_rounded(x, step, zero).reshape(-1, x.size(-1))
        whole, zeros = packed(weight, scale, LINEAR)
        y = OPS.onednn.qlinear_pointwise(rows, step, zero, whole, scale.detach(), zeros, None, 1.0, 0, torch.float32, "none", [], "")
    else:
        y = functional.linear(static_floats(x, step, zero), numbers(weight) * scale.detach()[:, None])
    y = y.to(x.dtype).reshape(*x.shape[:-1], weight.shape[0])
    return y if bias is None else y.add_(bias)


def int8_static_conv2d(
    x: Tensor,
    weight: Any,
    scale: Tensor,
    bias: Tensor | None,
    low: float,
    high: float,
    stride: int | list[int],
    padding: int | list[int],
    dilation: int | list[int],
    groups: int = 1,
) -> Tensor:
    """Slide a kernel of whole numbers over the places, `x` rounded to 8 bits over a given range.

    x: float[B, cin, h, w], weight: int8[cout, cin / groups, k, l], scale: float32[cout], bias: float[cout], y: float[B, cout, H, W].
    """
    step, zero = static_steps(low, high)
    how = pair(stride), pair(padding), pair(dilation), groups

    def pack(weight: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return OPS.onednn.qconv_prepack(weight, scale.detach(), step, zero, *how, None), torch.zeros_like(scale, dtype=torch.int32)

    if packs(weight, x.device):
        whole, zeros = packed(weight, scale, Order(pack, _conv_unpack))
        places = static_rounded(x, step, zero)
        y = OPS.onednn.qconv2d_pointwise(places, step, zero, whole, scale.detach(), zeros, None, *how, 1.0, 0, torch.float32, "none", [], "")
    else:
        y = torch.conv2d(static_floats(x, step, zero), numbers(weight) * behind(scale.detach(), 3), None, *how)
    y = y.to(x.dtype)
    return y if bias is None else y.add_(bias[:, None, None])
