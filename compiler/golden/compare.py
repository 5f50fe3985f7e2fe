"""How far computed tensors are from stored ones, and how far they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from ...dsl.record import record

Kind = Literal["output", "gradient", "buffer"]

LIMITS: Mapping[torch.dtype, Mapping[Kind, float]] = {
    torch.float64: {"output": 2e-5, "gradient": 1e-4, "buffer": 2e-5},
    torch.float32: {"output": 5e-5, "gradient": 2e-4, "buffer": 5e-5},
}
"""The largest difference allowed, as a share of the stored tensor's largest entry."""

NOISE = 1e-6
"""A gradient below this share of the case's largest gradient is rounding: such as that of a bias in front of a norm."""


@record
class Row:
    """One stored tensor: what it was compared with, the largest difference, and the largest that is allowed (as shares of its largest entry)."""

    kind: Kind
    stored: str
    ours: str
    difference: float
    limit: float
    reason: str = ""  # why it counts as different, where no number says so
    note: str = ""  # what the difference is a share of, where it isn't the tensor's largest entry; what else is known of it

    @property
    def holds(self) -> bool:
        """Whether the difference is within the limit."""
        return not self.reason and self.difference <= self.limit


def compare(
    kind: Kind, stored: str, theirs: Tensor, path: str, ours: Tensor | None, dtype: torch.dtype, noise: float = 0.0, stated: float = 0.0
) -> Row:
    """Compare a stored tensor with a computed one; whole numbers and truth values must be equal, `noise` is an absolute difference that passes,
    `stated` the error that passes state, which is the limit where it is higher.
    """
    limit = max(LIMITS[dtype][kind], stated) if theirs.is_floating_point() else 0.0
    if ours is None:
        small = kind == "gradient" and theirs.abs().max().item() <= noise
        return Row(kind, stored, path, 0.0, limit, "" if small else "no gradient reaches it")
    if ours.shape != theirs.shape:
        return Row(kind, stored, path, float("inf"), limit, f"its shape is {list(theirs.shape)}, ours {list(ours.shape)}")
    ours, theirs = ours.detach().double(), theirs.double()
    if theirs.numel() == 0:
        return Row(kind, stored, path, 0.0, limit)
    off = torch.where(ours == theirs, 0.0, (ours - theirs).abs()).max().item()  # equal infinities differ by nothing
    finite = theirs[theirs.isfinite()].abs()
    largest = finite.max().item() if finite.numel() else 0.0
    if off <= noise or off == 0:
        return Row(kind, stored, path, off * NOISE / noise if off else 0.0, NOISE if off else limit, note="of the largest gradient" if off else "")
    if off != off:
        return Row(kind, stored, path, float("inf"), limit, "one is no number where the other is")
    return Row(kind, stored, path, off / largest if largest else float("inf"), limit)


def explained(row: Row, ours: Tensor | None, again: Tensor | None) -> Row:
    """Say of a gradient above its limit what float32 alone does there: `ours` and `again` were computed in float64 and float32.

    It stays above: whether the stored tensor is off by its own rounding is for the reader to judge.
    """
    if row.holds or row.reason or ours is None or again is None:
        return row
    moved = compare(row.kind, row.stored, ours, row.ours, again, ours.dtype).difference
    return replace(row, note=f"float32 alone moves it by {moved:.1e}")
