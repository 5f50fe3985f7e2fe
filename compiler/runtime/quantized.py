"""Maps whose weights are whole numbers of a few bits: how floats become such, and what computes with them."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .packing import Order, numbers, packed, packs

TORCH: Any = torch
OPS: Any = torch.ops
INSTEAD = "quantize to `int8_weight`, which runs everywhere"


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


def int8_linear(x: Tensor, weight: Any, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map the last axis by whole numbers, `x` rounded to 8 bits over its own range, and add up in 32 bits.

    x: float[..., din], weight: int8[dout, din], scale: float32[dout], bias: float[dout], y: float[..., dout].  On a CPU torch's operator rounds
    `x` over the range of all of it; elsewhere, in compiled code, and where torch lacks it, each vector is rounded over its own.
    """
    rows = x.detach().reshape(-1, x.size(-1)).to(torch.float32)
    if packs(weight, x.device) and torch.backends.quantized.engine != "none" and hasattr(OPS.quantized, "linear_dynamic"):
        y: Tensor = OPS.quantized.linear_dynamic(rows, packed(weight, scale, DYNAMIC), _is_narrow())
    else:
        y = _by_rows(rows, numbers(weight)) * scale.detach()
    y = y.to(x.dtype).view(*x.shape[:-1], weight.shape[0])
    return y if bias is None else y.add_(bias)


def int8_weight_linear(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map the last axis by whole numbers that are made floats again at each call.

    x: float[..., din], weight: int8[dout, din], scale: float32[dout], bias: float[dout], y: float[..., dout].
    """
    rows = x.to(torch.float32) if x.dtype is torch.float16 else x  # whose range is too small for sums of such products
    y = (functional.linear(rows, weight.to(rows.dtype)) * scale.detach().to(rows.dtype)).to(x.dtype)
    return y if bias is None else y + bias


def int4_scale(x: Tensor, group: int) -> Tensor:
    """Return the step by which the numbers of each group along a row are whole ones from -8 to 7: the one farthest from zero becomes -8.

    x: float[n, din], y: bfloat16[n, din / group].
    """
    groups = torch.unflatten(x.detach(), 1, [-1, group]).to(torch.float32)
    farthest = groups.gather(2, groups.abs().argmax(2, keepdim=True))[..., 0]
    tiny = torch.finfo(torch.bfloat16).tiny
    return torch.where(farthest.abs() < 8 * tiny, tiny, farthest / -8).to(torch.bfloat16)


def int4_quantize(x: Tensor, scale: Tensor) -> Tensor:
    """Round each group along a row to whole numbers of its step, two in a byte, the first in the lower half.

    x: float[n, din], scale: bfloat16[n, din / group], y: int8[n, din / 2].
    """
    groups = torch.unflatten(x.detach(), 1, [scale.size(1), -1]).to(torch.float32) / scale.detach().to(torch.float32)[..., None]
    return int4_bytes(groups.round().clamp(-8, 7).to(torch.int8).flatten(1))


def int4_bytes(whole: Tensor) -> Tensor:
    """Put two numbers in a byte, the first in the lower half; whole: int8[n, din], y: int8[n, din / 2]."""
    return (whole[:, 1::2] << 4) | (whole[:, ::2] & 15)


def int4_whole(weight: Tensor) -> Tensor:
    """Return the whole numbers of bytes that hold two; weight: int8[n, din / 2], y: int8[n, din]."""
    return torch.stack([(weight << 4) >> 4, weight >> 4], 2).flatten(1)


def int4_restored(weight: Tensor, scale: Tensor) -> Tensor:
    """Return the floats that whole numbers of 4 bits stand for; weight: int8[n, din / 2], scale: bfloat16[n, din / group], y: bfloat16[n, din]."""
    return (torch.unflatten(int4_whole(weight), 1, [scale.size(1), -1]) * scale[..., None]).flatten(1)


def int4_linear(x: Tensor, weight: Any, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map the last axis by whole numbers of 4 bits, which are made bfloat16 as they are read; sums are of float32.

    x: float[..., din], weight: int8[dout, din / 2], scale: bfloat16[dout, din / group], bias: float[dout], y: float[..., dout].
    """
    rows = x.detach().reshape(-1, x.size(-1)).to(torch.bfloat16)
    if torch.compiler.is_compiling() or weight.is_inference() or x.is_meta:
        y = functional.linear(rows, int4_restored(numbers(weight), scale.detach()))
    else:
        lacking = no_int4(x.device)
        if lacking is not None:
            raise NotImplementedError(f"{lacking}: {INSTEAD}")
        whole, steps = packed(weight, scale, FOUR)
        y = OPS.aten._weight_int4pack_mm_for_cpu(rows, whole, x.size(-1) // scale.size(1), steps)[:, : weight.shape[0]]
    y = y.to(x.dtype).reshape(*x.shape[:-1], weight.shape[0])
    return y if bias is None else y + bias


def no_int4(device: torch.device) -> str | None:
    """Say that nothing multiplies by numbers of 4 bits on a device; None where something does."""
    if device.type == "cpu" and TORCH.cpu._is_avx2_supported():
        return None
    where = "this CPU, which has no AVX2" if device.type == "cpu" else f"`{device.type}`"
    return f"there is no kernel for `int4_weight` on {where}"


def _int4_pack(weight: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    more = (0, 0, 0, -len(weight) % 16)  # the kernel takes 16 rows at once
    weight, scale = functional.pad(weight, more), functional.pad(scale.detach(), more)
    return _four(int4_whole(weight).to(torch.int32) + 8), torch.stack([scale, torch.zeros_like(scale)], 2).transpose(0, 1).contiguous()


def _four(whole: Tensor) -> Tensor:
    """Put numbers from 0 to 15 in the kernel's order, two in a byte."""
    return OPS.aten._convert_weight_to_int4pack_for_cpu(whole, 1)


def _int4_unpack(found: tuple[Tensor, Tensor], shape: torch.Size) -> Tensor:
    """Put numbers back to where the kernel's order, which torch doesn't tell, takes them from: it is shown the places, a digit at a time."""
    rows, width = shape[0] + -shape[0] % 16, 2 * shape[1]
    places = torch.arange(rows * width, dtype=torch.int32).view(rows, width)
    taken = torch.zeros(rows * width, dtype=torch.int64)
    for low in range(0, (rows * width).bit_length(), 4):
        taken += _halves(_four((places >> low) & 15)).to(torch.int64) << low
    whole = torch.empty_like(taken, dtype=torch.uint8)
    whole[taken] = _halves(found[0])
    return int4_bytes(whole.view(rows, width)[: shape[0]].to(torch.int8) - 8)


def _halves(found: Tensor) -> Tensor:
    """Return both numbers of each byte, one after the other."""
    return torch.stack([found & 15, found >> 4], -1).flatten()


def _by_rows(x: Tensor, weight: Tensor) -> Tensor:
    """Round each row of `x` over its own range and multiply; x: float32[n, din], weight: int8[dout, din], y: float32[n, dout]."""
    step = x.abs().amax(1, keepdim=True).div(127).clamp(min=torch.finfo(torch.float32).tiny)
    whole = (x / step).round()
    if not multiplies_whole(x, weight):
        return functional.linear(whole, weight.to(torch.float32)) * step
    return TORCH._int_mm(whole.to(torch.int8), weight.mT).to(torch.float32) * step


def multiplies_whole(x: Tensor, weight: Tensor) -> bool:
    """Tell whether torch multiplies whole numbers of 8 bits of these sizes on this device."""
    if x.device.type == "cuda":
        return x.size(0) > 16 and weight.size(0) % 8 == 0 and weight.size(1) % 8 == 0
    return x.device.type in ("cpu", "meta")


def _dynamic_pack(weight: Tensor, scale: Tensor) -> Any:
    zeros = torch.zeros(len(scale), dtype=torch.long)
    with warnings.catch_warnings():  # torch will have other tensors for such weights; the operators that take them stay
        warnings.simplefilter("ignore", UserWarning)
        whole = TORCH._make_per_channel_quantized_tensor(weight, scale.to(torch.float64), zeros, 0)
    return OPS.quantized.linear_prepack(whole, None)


def _dynamic_unpack(found: Any, shape: torch.Size) -> Tensor:
    return OPS.quantized.linear_unpack(found)[0].int_repr().view(shape)


DYNAMIC = Order(_dynamic_pack, _dynamic_unpack)
FOUR = Order(_int4_pack, _int4_unpack)


def _is_narrow() -> bool:
    """Tell whether `x` is to be rounded to 7 bits: without an instruction for sums of four products these overflow."""
    return torch.backends.quantized.engine in ("x86", "fbgemm") and not TORCH.cpu._is_vnni_supported()
