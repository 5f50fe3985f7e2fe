"""Operations that torch has no single function for; an emitted file carries along those that it calls."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Extreme = Literal["amax", "amin"]


def behind(x: Tensor, count: int) -> Tensor:
    """Add axes of size 1 at the end."""
    return x[(..., *[None] * count)]


def read_rows(x: Tensor, index: Tensor) -> Tensor:
    """Read axis 1 at positions of each row's own: `y[b, i] = x[b, index[b, i]]`.

    x: any[B, S, ...], index: int[B, N], y: any[B, N, ...].
    """
    return torch.gather(x, 1, behind(index, x.dim() - 2).expand(-1, -1, *x.shape[2:]))


def splice(x: Tensor, part: Tensor, at: Tensor, replace: int = 0) -> Tensor:
    """Put `part` into `x` from position `at` on, where `replace` elements of `x` go away.

    x: any[B, S, ...], part: any[B, N, ...], at: int[B], y: any[B, S + N - replace, ...].
    """
    old, new = x.size(1), part.size(1)
    places = torch.arange(old + new - replace, device=at.device)
    offset = places - at[:, None]
    outside = torch.where(offset < 0, places, places - (new - replace)).clamp(0, old - 1)
    inside = (offset >= 0) & (offset < new)
    inserted = read_rows(part, offset.clamp(0, new - 1))
    return torch.where(behind(inside, x.dim() - 2), inserted, read_rows(x, outside))


def window(x: Tensor, start: Tensor, length: int) -> Tensor:
    """Read a stretch that begins at a position of each row's own: `y[a, i] = x[a, start[a] + i]`.

    x: any[A..., S, ...], start: int[A...], y: any[A..., length, ...].
    """
    rows = start.dim()
    places = start[..., None] + torch.arange(length, device=start.device)
    places = behind(places, x.dim() - rows - 1)
    return torch.gather(x, rows, places.expand(*[-1] * (rows + 1), *x.shape[rows + 1 :]))


def batched_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map the last axis of each of several values by a matrix of its own: `y[e] = x[e] weight[e]^T + bias[e]`.

    x: float[E, ..., din], weight: float[E, dout, din], bias: float[E, dout], y: float[E, ..., dout].
    """
    rows = x.flatten(1, -2) if x.dim() > 2 else x[:, None]
    y = torch.bmm(rows, weight.mT) if bias is None else torch.baddbmm(bias[:, None], rows, weight.mT)
    return y if x.dim() == 3 else torch.unflatten(y, 1, x.shape[1:-1]) if x.dim() > 3 else y[:, 0]


def masked_mean(x: Tensor, mask: Tensor, dim: int | list[int], keepdim: bool = False) -> Tensor:
    """Average `x` along `dim` where the mask is true, zero where it never is.

    x: float[...], mask: bool[...] that stretches to x.  What is masked out may be infinite.
    """
    total = torch.where(mask, x, 0.0).sum(dim, keepdim=keepdim)
    return total / mask.sum(dim, keepdim=keepdim).clamp(min=1)


def rope_angles(at: Tensor, dim: int, theta: float) -> Tensor:
    """Return the angles `at * theta^(-2i / dim)`; at: number[...], y: float32[..., dim / 2]."""
    part = torch.arange(0, dim, 2, dtype=torch.float32, device=at.device) / dim
    return at.to(torch.float32)[..., None] * (1.0 / theta**part)


def rope_table(at: Tensor, dim: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the cosines and the signed sines of `apply_rope`, for pairs half the width apart.

    at: number[...], the positions; cos, sin: dtype[..., dim].
    """
    angles = rope_angles(at, dim, theta)
    cos, sin = torch.cos(angles), torch.sin(angles)
    return torch.cat([cos, cos], dim=-1).to(dtype), torch.cat([-sin, sin], dim=-1).to(dtype)


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs of elements that stand half the width apart; x, cos, sin: float[..., S, dim]."""
    return torch.addcmul(x * cos, torch.roll(x, x.size(-1) // 2, -1), sin)


def rope_table_interleaved(at: Tensor, dim: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the cosines and the signed sines of `apply_rope_interleaved`, for neighbours.

    at: number[...], the positions; cos, sin: dtype[..., dim].
    """
    angles = rope_angles(at, dim, theta)
    cos, sin = torch.cos(angles), torch.sin(angles)
    cos, sin = torch.stack([cos, cos], dim=-1), torch.stack([-sin, sin], dim=-1)
    return cos.flatten(-2).to(dtype), sin.flatten(-2).to(dtype)


def apply_rope_interleaved(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs of neighbouring elements; x, cos, sin: float[..., S, dim]."""
    partner = torch.flip(torch.unflatten(x, -1, [-1, 2]), [-1]).flatten(-2)
    return torch.addcmul(x * cos, partner, sin)


def segment_sum(x: Tensor, segment: Tensor, count: int) -> Tensor:
    """Add up the rows of each segment.

    x: number[n, ...], segment: int[n] in 0..count, y: number[count, ...].
    """
    return x.new_zeros([count, *x.shape[1:]]).index_add(0, segment, x)


def segment_mean(x: Tensor, segment: Tensor, count: int) -> Tensor:
    """Average the rows of each segment, zero for an empty one.

    x: float[n, ...], segment: int[n] in 0..count, y: float[count, ...].
    """
    rows = segment_sum(torch.ones_like(segment), segment, count).clamp(1)
    return segment_sum(x, segment, count) / behind(rows, x.dim() - 1)


def segment_extreme(x: Tensor, segment: Tensor, count: int, kind: Extreme) -> Tensor:
    """Take the largest or smallest of each segment, zero for an empty one.

    x: float[n, ...], segment: int[n] in 0..count, y: float[count, ...].
    """
    place = behind(segment, x.dim() - 1).expand_as(x)
    return x.new_zeros([count, *x.shape[1:]]).scatter_reduce(0, place, x, kind, include_self=False)


def segment_softmax(x: Tensor, segment: Tensor, count: int) -> Tensor:
    """Normalise exponentials within each segment.

    x: float[n, ...], segment: int[n] in 0..count, y: as x.  Each segment's largest is
    taken off first, so that no exponential overflows; it needs no gradient.
    """
    still = x.detach()
    place = behind(segment, x.dim() - 1).expand_as(x)
    lowest = still.new_full([count, *x.shape[1:]], float("-inf"))
    highest = lowest.scatter_reduce(0, place, still, "amax")
    weight = torch.exp(x - torch.index_select(highest, 0, segment))
    return weight / torch.index_select(segment_sum(weight, segment, count), 0, segment)


def dynamic_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | list[int] = 1,
    padding: int | list[int] | str = 0,
    dilation: int | list[int] = 1,
) -> Tensor:
    """Slide a kernel of each sample's own over its places: one convolution in groups, a group for each sample.

    x: float[B, cin, n...], weight: float[B, cout, cin, kernel...], bias: float[B, cout], y: float[B, cout, ...].
    """
    rows, cout = weight.size(0), weight.size(1)
    joined = x.reshape(1, rows * x.size(1), *x.shape[2:])
    convolve = torch.conv1d if x.dim() == 3 else torch.conv2d
    y = convolve(joined, weight.flatten(0, 1), None if bias is None else bias.flatten(), stride, padding, dilation, rows)
    return y.reshape(rows, cout, *y.shape[2:])


def in_channels_last(x: Tensor) -> Tensor:
    """Lay a map out with its channels innermost, where it isn't so already; x: any[B, C, H, W], y: as x."""
    return x.contiguous(memory_format=torch.channels_last)


def resized_taps(x: Tensor, size: int, taps: int, padding: int, align: bool) -> Tensor:
    """Return what each place of an axis gives to each place of a convolution over the resized axis, for each of its taps.

    x: an identity matrix float[n, n], y: float[taps, n, size + 2 * padding - taps + 1].
    """
    spread = functional.interpolate(x[None], size, mode="linear", align_corners=align)[0]
    seen = functional.pad(spread, [padding, padding])
    return seen.unfold(1, seen.size(1) - taps + 1, 1).transpose(0, 1)


def resized_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    plus: Tensor | None,
    size: list[int],
    kernel: list[int],
    padding: list[int],
    align: bool = False,
) -> Tensor:
    """Convolve what a bilinear resize gives: the kernel's taps first, at the old places, then the resize along each axis with their shifts.

    x: float[B, cin, h, w], weight: float[cin, k * l * cout], bias: float[cout], size: H and W, kernel: k and l, plus, y: float[B, cout,
    H + 2 padding - k + 1, ...]; y lies in memory with its channels innermost, and plus costs least where it does, too.
    """
    rows, height, width = x.size(0), x.size(2), x.size(3)
    tall, wide = kernel
    each = torch.unflatten(torch.matmul(x.permute(0, 2, 3, 1).flatten(1, 2), weight), 2, [tall, -1])
    each = torch.unflatten(each, 1, [height, width]).permute(0, 3, 1, 2, 4).reshape(rows * tall * height, width * wide, -1)
    across = resized_taps(torch.eye(width, dtype=x.dtype, device=x.device), size[1], wide, padding[1], align).permute(2, 1, 0).flatten(1)
    lines = torch.bmm(across.expand(rows * tall * height, -1, -1), each)
    down = resized_taps(torch.eye(height, dtype=x.dtype, device=x.device), size[0], tall, padding[0], align).flatten(0, 1)
    down, columns, lines = down.mT.expand(rows, -1, -1), lines.size(1), lines.reshape(rows, tall * height, -1)
    y = torch.bmm(down, lines) if plus is None else torch.baddbmm(plus.permute(0, 2, 3, 1).flatten(2), down, lines)
    y = torch.unflatten(y, 2, [columns, -1])
    y = y if bias is None else y.add_(bias)  # another map of this size costs more than the sum
    return y.permute(0, 3, 1, 2)
