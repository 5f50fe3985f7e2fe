"""Rows that go to members of a family, each to a few: which rows, and products with each member's own matrix."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from .beside import gradients, side_of
from .composites import segment_sum

LARGE = 1 << 20
"""Bytes of matrices from which on it takes longer to write their gradient down and add it up than to find out that it needn't be."""
FEW = 1 << 19
"""Multiply-adds that take no longer than to sort rows and to bring them back."""


def routes(chosen: Tensor, members: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the rows that go to each member, the members, where in `chosen` each stands, and where the rows of each member end.

    chosen: int[..., k] in 0..members; rows, own, places: int[n k] for n rows, by members, then rows; rows and places are counted through all axes;
    ends: int32[members].
    """
    own, places = torch.sort(chosen.flatten(), stable=True)
    rows = torch.div(places, chosen.size(-1), rounding_mode="floor")
    ends = torch.searchsorted(own, torch.arange(members, device=own.device), right=True, out_int32=True)
    return rows, own, places, ends


def grouped_linear(x: Tensor, weight: Tensor, bias: Tensor | None, member: Tensor, ends: Tensor | None = None) -> Tensor:
    """Map each row by the matrix of its member: `y[r] = weight[member[r]] x[r] + bias[member[r]]`.

    x: float[R, din], weight: float[E, dout, din], bias: float[E, dout], member: int[R], y: float[R, dout]; `ends`, int32[E], is given where rows
    stand by members, and tells where those of each end.
    """
    if ends is None:
        order = torch.argsort(member, stable=True)
        ends = torch.searchsorted(member[order], torch.arange(weight.size(0), device=x.device), right=True, out_int32=True)
        return grouped_linear(x[order], weight, bias, member[order], ends)[torch.argsort(order)]
    y = grouped_product(x, weight, member, ends)
    return y if bias is None else y + functional.embedding(member, bias)


def moe_ffn(x: Tensor, chosen: Tensor, gates: Tensor, inner: Tensor, outer: Tensor, activation: str) -> Tensor:
    """Add up what feed-forward experts make of each row, by gates: `y = sum_j gates_j outer_e f(inner_e x)` with `e = chosen_j`.

    x: float[..., din], chosen: int[..., k] in 0..E, gates: float[..., k], inner: float[E h, din], outer: float[E, dout, w], y: float[..., dout].
    f is the activation where h = w; where h = 2 w it is that of the first half, times the second.  Few rows are given to all experts.
    """
    members, k = outer.size(0), chosen.size(-1)
    rows, picks = x.reshape(-1, x.size(-1)), chosen.reshape(-1, k)
    count = rows.size(0)
    few = count * (members - k) * (inner.numel() + outer.numel()) <= FEW * members
    if few and not x.is_meta:  # where what each row needs is counted
        hidden = _activated(functional.linear(rows, inner).view(count, members, inner.size(0) // members), outer, activation)
        every = torch.bmm(hidden.transpose(0, 1), outer.mT).transpose(0, 1)
        picked = every.gather(1, picks[:, :, None].expand(-1, -1, outer.size(1)))
        y = torch.bmm(gates.reshape(-1, 1, k), picked)
    else:
        at, own, places, ends = routes(picks, members)
        y = grouped_linear(functional.embedding(at, rows), inner.view(members, -1, inner.size(1)), None, own, ends)
        y = grouped_linear(_activated(y, outer, activation), outer, None, own, ends)
        y = y * torch.index_select(gates.flatten(), 0, places)[:, None]
        y = segment_sum(y, at, count)
    return y.view(*x.shape[:-1], outer.size(1))


def _activated(hidden: Tensor, outer: Tensor, activation: str) -> Tensor:
    function = getattr(functional, activation)
    if hidden.size(-1) == outer.size(2):
        return function(hidden)
    first, second = torch.split_with_sizes(hidden, [outer.size(2)] * 2, -1)
    return function(first) * second


def grouped_product(x: Tensor, weight: Tensor, member: Tensor, ends: Tensor) -> Tensor:
    """Map rows that stand by members: by torch's grouped product, or where there are fewer rows than members by one for each that has some.

    In compiled code, where it isn't known how many rows a member has, it is torch's in bfloat16, and else each member takes all rows.
    """
    if x.is_meta:  # all matrices are alike
        return functional.linear(x, weight[0])
    if torch.compiler.is_compiling():
        return _grouped(x, weight, ends) if x.dtype is torch.bfloat16 and is_groupable(x, weight) else _everywhere(x, weight, member)
    if is_groupable(x, weight) and x.size(0) >= weight.size(0):
        large = weight.nbytes >= LARGE and x.device.type == "cpu"
        packed = large and torch.is_grad_enabled() and side_of(weight) is not None
        return cast(Any, super(torch.autograd.Function, Grouped)).apply(x, weight, ends) if packed else _grouped(x, weight, ends)
    if not x.size(0):
        return functional.linear(x, weight[0])
    side = side_of(weight) if torch.is_grad_enabled() and not torch.is_autocast_enabled(x.device.type) else None
    if side is not None:
        return cast(Any, super(torch.autograd.Function, Product)).apply(x, weight.detach(), ends, *side.parts)
    each = weight.unbind(0) if torch.is_grad_enabled() else weight
    return torch.cat([functional.linear(x[start:end], each[place]) for place, start, end in _filled(ends)])


def _grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    return functional.grouped_mm(x, weight.transpose(1, 2), offs=ends)


def _everywhere(x: Tensor, weight: Tensor, member: Tensor) -> Tensor:
    y = functional.linear(x, weight[0])
    for place in range(1, weight.size(0)):
        y = torch.where((member == place)[:, None], functional.linear(x, weight[place]), y)
    return y


def _filled(ends: Tensor) -> list[tuple[int, int, int]]:
    """List the members that have rows, and where those begin and end."""
    stops: list[int] = cast(Any, ends).tolist()
    return [(place, start, end) for place, (start, end) in enumerate(zip([0, *stops], stops, strict=False)) if end > start]


class Grouped(torch.autograd.Function):
    """torch's grouped product with packed matrices, which adds to the gradients of the parameters in their storage where they stand side by side.

    So a second backward pass before an optimizer's step makes no gradient of all matrices first.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
        """Map the rows; see `grouped_product`."""
        ctx.save_for_backward(x, weight, ends)
        return _grouped(x, weight, ends)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients of the rows and of the matrices, if they aren't added already; they have gradients in turn."""
        x, weight, ends = ctx.saved_tensors
        by = grads[0].contiguous()
        back = functional.grouped_mm(by, weight, offs=ends) if ctx.needs_input_grad[0] else None
        standing = gradients(side_of(weight))
        if standing is None:
            return back, functional.grouped_mm(by.t(), x, offs=ends), None
        stops: list[int] = ends.tolist()
        counts = [end - start for start, end in zip([0, *stops], stops, strict=False)]
        columns, rows = torch.split_with_sizes(by.t(), counts, 1), torch.split_with_sizes(x, counts)
        for into, each, others in zip(standing.view_as(weight).unbind(), columns, rows, strict=True):
            into.addmm_(each, others)
        return back, None, None


class Product(torch.autograd.Function):
    """Products of rows with a matrix for each member that gives each parameter in the storage of the matrices a gradient of its own.

    Those of members without rows are zeros that take no storage.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, ends: Tensor, *parts: Tensor) -> Tensor:
        """Map the rows; see `grouped_product`."""
        ctx.save_for_backward(x, weight)
        ctx.filled, ctx.parts = _filled(ends), parts
        return torch.cat([functional.linear(x[start:end], weight[place]) for place, start, end in ctx.filled])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients of the rows and of each parameter; they have gradients in turn where those are asked for."""
        x, weight = ctx.saved_tensors
        each = torch.cat(ctx.parts).view_as(weight) if torch.is_grad_enabled() else weight
        back = torch.cat([torch.mm(grads[0][start:end], each[place]) for place, start, end in ctx.filled]) if ctx.needs_input_grad[0] else None
        count = len(ctx.parts) // weight.size(0)
        sizes = [part.size(0) for part in ctx.parts[:count]]
        zero = x.new_zeros(())
        found: list[Tensor | None] = [zero.expand_as(part) for part in ctx.parts]
        for place, start, end in ctx.filled:
            whole = torch.mm(grads[0][start:end].t(), x[start:end])
            found[place * count : (place + 1) * count] = torch.split_with_sizes(whole, sizes)
        return back, None, None, *found


def is_groupable(x: Tensor, weight: Tensor) -> bool:
    """Tell whether torch's grouped product takes the dtype, and rows of these widths: they must be multiples of 16 bytes."""
    widths = (x.stride(0), weight.size(1), weight.size(2))
    return x.dtype is weight.dtype and x.dtype in (torch.float32, torch.bfloat16) and not any(width * x.element_size() % 16 for width in widths)
