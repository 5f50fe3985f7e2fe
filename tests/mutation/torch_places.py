# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's own table of operations: pools, resizing, convolutions, attention and rotary positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import FLOATS, equal, floats, need, of, shapes, within
from .torch_elementwise import TABLE, entry
from .torch_layers import FLOAT, Number

# ----------------------------------------------------------------------------------------------------------- places


def _places(value: Any, count: int, least: int, what: str) -> list[int]:
    found = [value] * count if isinstance(value, int) else list(value) if isinstance(value, (list, tuple)) else []
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= least for n in found)
    need(len(found) == count and whole, f"{what}: {value}")
    return found


def _pool(kind: str, count: int) -> Callable[..., Tensor]:
    function = getattr(F, f"{kind}_pool{count}d")

    def run(x: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, count_padding: bool = True) -> Tensor:
        need(of(x, *FLOATS).dim() == count + 2, "a pool's axes")
        k, p = _places(kernel, count, 1, "kernel"), _places(padding, count, 0, "padding")
        s = _places(kernel if stride is None else stride, count, 1, "stride")
        need(all(2 * a <= b for a, b in zip(p, k, strict=True)), "a pool's padding")
        need(not (ceil and (any(b > a for a, b in zip(k, s, strict=True)) or any(p))), "a pool's ceil")
        extra = {"count_include_pad": count_padding} if kind == "avg" else {}
        return function(x, k, s, p, ceil_mode=ceil, **extra)

    return run


def _adaptive(kind: str, count: int) -> Callable[..., Tensor]:
    function = getattr(F, f"adaptive_{kind}_pool{count}d")

    def run(x: Any, size: Any) -> Tensor:
        need(of(x, *FLOATS).dim() == count + 2, "a pool's axes")
        return function(x, _places(size, count, 1, "size"))

    return run


for _kind in ("max", "avg"):
    for _count in (1, 2, 3):
        TABLE[f"{_kind}_pool{_count}d"] = _pool(_kind, _count)
    for _count in (1, 2):
        TABLE[f"adaptive_{_kind}_pool{_count}d"] = _adaptive(_kind, _count)

RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4}


@entry
def resize(x: Any, size: Any, scale: Any, like: Any, mode: str, align: bool, antialias: bool) -> Tensor:
    count = of(x, *FLOATS).dim() - 2
    need(x.dim() == RANKS.get(mode, x.dim()) and 1 <= count <= 3, "resize's axes")
    need(sum(v is not None for v in (size, scale, like)) == 1, "resize takes one of size, scale, like")
    need(not (align and mode not in RANKS) and not (antialias and mode not in ("bilinear", "bicubic")), "resize's flags")
    if like is not None:
        need(like.dim() >= count, "like has too few axes")
        size = list(like.shape[like.dim() - count :])
    if scale is not None:
        listed_ = [scale] * count if isinstance(scale, (int, float)) else list(scale)
        need(len(listed_) == count and all(s > 0 for s in listed_), "resize's scale")
        return F.interpolate(x, scale_factor=[float(s) for s in listed_], mode=mode)
    sizes = [size] * count if isinstance(size, int) else list(size) * (count if len(size) == 1 else 1)
    need(len(sizes) == count, "resize's sizes")
    options = {"align_corners": True} if align else {}
    return F.interpolate(x, sizes, mode=mode, antialias=antialias, **options)


@entry
def pixel_shuffle(x: Any, factor: int) -> Tensor:
    need(of(x, *FLOATS).dim() == 4 and factor >= 1, "pixel_shuffle")
    return F.pixel_shuffle(x, factor)


def _conv(count: int) -> Callable[..., Tensor]:
    function = getattr(F, f"conv{count}d")

    def run(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Tensor:
        floats(x, weight, bias)
        need(x.dim() == count + 2 and weight.dim() == count + 2, "a convolution's axes")
        need(groups >= 1, "groups")
        _places(stride, count, 1, "stride"), _places(dilation, count, 1, "dilation")
        if padding != "same":
            padding = _places(padding, count, 0, "padding")
        return function(x, weight, bias, stride, padding, dilation, groups)

    return run


TABLE["conv1d"], TABLE["conv2d"] = _conv(1), _conv(2)


def _dynamic_conv(count: int) -> Callable[..., Tensor]:
    convolve = _conv(count)

    def run(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any) -> Tensor:
        floats(x, weight, bias)
        need(weight.dim() == count + 3 and (bias is None or bias.dim() == 2), "a kernel for each sample")
        equal(len(x), len(weight), "samples and kernels")
        if bias is not None:
            equal(len(bias), len(weight), "biases and kernels")
        rows = [convolve(x[i : i + 1], weight[i], None if bias is None else bias[i], stride, padding, dilation, 1) for i in range(len(x))]
        return torch.cat(rows)

    return run


TABLE["dynamic_conv1d"], TABLE["dynamic_conv2d"] = _dynamic_conv(1), _dynamic_conv(2)


@entry
def resized_conv2d(x: Any, weight: Any, bias: Any, plus: Any, size: Any, kernel: Any, padding: Any, align: bool) -> Tensor:
    floats(x, weight, bias, plus)
    need(x.dim() == 4 and weight.dim() == 2 and len(size) == 2 and all(n >= 1 for n in size), "resized places")
    rows, columns = _places(kernel, 2, 1, "resized_conv2d")
    equal(weight.shape[1] % (rows * columns), 0, "the kernel's places")
    y = F.interpolate(x, list(size), mode="bilinear", **({"align_corners": True} if align else {}))
    y = TABLE["conv2d"](y, weight.reshape(weight.shape[0], rows, columns, -1).permute(3, 0, 1, 2), bias, 1, padding, 1, 1)
    if plus is None:
        return y
    shapes(plus, y)
    return y + plus


# --------------------------------------------------------------------------------------------------------- attention


@entry
def attention(q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: Any, drop: float) -> Tensor:
    floats(q, k, v)
    within(drop, 0, 1, open_high=True)
    need(q.dim() >= 3 and k.dim() == q.dim() == v.dim(), "attention's axes")
    for i, (a, b, c) in enumerate(zip(q.shape[:-2], k.shape[:-2], v.shape[:-2], strict=True)):
        equal(b, c, "keys and values")
        if i == 1 and q.dim() == 4 and a != b:
            need(b > 0 and a % b == 0, "heads", "run")
        else:
            equal(a, b, "queries and keys")
    equal(k.shape[-2], v.shape[-2], "keys and values")
    if k.shape[:-2] != q.shape[:-2]:
        k, v = (t.repeat_interleave(q.shape[1] // k.shape[1], 1) for t in (k, v))
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else float(scale))
    if mask is not None:
        need(mask.dtype in (torch.bool, q.dtype), "the mask's dtype")
        need(2 <= mask.dim() <= scores.dim(), "the mask's axes")
        need(torch.broadcast_shapes(mask.shape, scores.shape) == scores.shape, "the mask stretches the scores", "run")
        scores = scores.masked_fill(~mask, -1e9) if mask.dtype is torch.bool else scores + mask
    if causal:
        need(k.shape[-2] >= q.shape[-2], "fewer keys than queries", "run")
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(k.shape[-2] - q.shape[-2])
        scores = scores.masked_fill(~seen, -1e9)
    return torch.softmax(scores, -1) @ v


@entry
def causal_mask(queries: int, keys: int | None) -> Tensor:
    last = queries if keys is None else keys
    need(last >= queries, "fewer keys than queries", "run")
    return torch.ones(queries, last, dtype=torch.bool).tril(last - queries)


@entry
def rope_table(at: Any, dim: int, theta: float, interleaved: bool) -> tuple[Tensor, Tensor]:
    of(at, *Number)
    need(dim >= 2 and dim % 2 == 0, "an odd width")
    within(theta, 0, open_low=True)
    angle = at.to(FLOAT)[..., None] * float(theta) ** (-torch.arange(0, dim, 2, dtype=FLOAT) / dim)
    angle = torch.cat([angle, angle], -1)
    return angle.cos(), angle.sin()


@entry
def apply_rope(x: Any, cos: Any, sin: Any, interleaved: bool) -> Tensor:
    floats(x, cos, sin)
    need(x.dim() >= 2 and cos.dim() == sin.dim() and cos.dim() >= 1, "rope's axes")
    width = cos.shape[-1]
    need(0 < width <= x.shape[-1] and width % 2 == 0, "rope's width")
    shapes(cos, sin)
    part, rest = x[..., :width], x[..., width:]
    need(torch.broadcast_shapes(part.shape, cos.shape) == part.shape, "the tables stretch x", "run")
    a, b = part.chunk(2, -1)
    return torch.cat([part * cos + torch.cat([b, a], -1) * sin, rest], -1)


@entry
def rope(x: Any, theta: float, offset: int, interleaved: bool, dim: int | None) -> Tensor:
    need(of(x, *FLOATS).dim() >= 2, "rope's axes")
    width = x.shape[-1] if dim is None else dim
    need(2 <= width <= x.shape[-1] and width % 2 == 0, "rope's width")
    cos, sin = rope_table(torch.arange(x.shape[-2]) + offset, width, theta, interleaved)
    return apply_rope(x, cos, sin, interleaved)
