"""Rows that go to members of a family, each to a few: which rows, and products with each member's own matrix."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional


def routes(keep: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the rows for which a mask is true, their members, both as one place, and where the rows of each member end.

    keep: bool[..., E], true `count` times in each of its rows, rows, members, places = E rows + members: int[rows count], by members, then rows;
    rows are counted through all axes; ends: int32[E].
    """
    table = keep.reshape(-1, keep.size(-1)).t()
    size = table.size(1) * count
    found = None if torch.compiler.is_compiling() or keep.is_meta else torch.nonzero(table)
    if found is None or found.size(0) != size:
        found = torch.nonzero_static(table, size=size)  # the same, of known size, and slower
    member, row = found.t().contiguous().unbind(0)
    return row, member, torch.add(member, row, alpha=table.size(0)), torch.cumsum(table.sum(1), 0, dtype=torch.int32)


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


def grouped_product(x: Tensor, weight: Tensor, member: Tensor, ends: Tensor) -> Tensor:
    """Map rows that stand by members: by torch's grouped product where it takes them, else by a product for each member."""
    if x.is_meta:  # all matrices are alike
        return functional.linear(x, weight[0])
    open_ = torch.compiler.is_compiling()  # how many rows a member has isn't known
    few = not open_ and x.size(0) < weight.size(0) and not torch.is_grad_enabled()  # most members have none
    if is_groupable(x, weight) and not few and (x.dtype is torch.bfloat16 or not open_):
        return functional.grouped_mm(x, weight.transpose(1, 2), offs=ends)
    if open_:  # each member takes all rows, and keeps its own
        y = functional.linear(x, weight[0])
        for place in range(1, weight.size(0)):
            y = torch.where((member == place)[:, None], functional.linear(x, weight[place]), y)
        return y
    starts: list[int] = [0, *cast(Any, ends).tolist()]
    parts = [(place, start, end) for place, (start, end) in enumerate(zip(starts[:-1], starts[1:], strict=True)) if end > start]
    if few:
        return torch.cat([functional.linear(x[start:end], weight[place]) for place, start, end in parts])
    each = weight.unbind(0)
    return torch.cat([functional.linear(x[start:end], each[place]) for place, start, end in parts])


def is_groupable(x: Tensor, weight: Tensor) -> bool:
    """Tell whether torch's grouped product takes the dtype, and rows of these widths: they must be multiples of 16 bytes."""
    widths = (x.stride(0), weight.size(1), weight.size(2))
    return x.dtype is weight.dtype and x.dtype in (torch.float32, torch.bfloat16) and not any(width * x.element_size() % 16 for width in widths)
