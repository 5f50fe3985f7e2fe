"""Tensors of the checkpoint that the model lacks."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, listed, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield one finding for all of them, but for those that only a prefix keeps from being taken."""
    keys = seen.keys
    left = () if keys is None else tuple(name for name in keys.unused if name not in keys.alike.values())
    if keys is not None and left:
        message = f"`{keys.name}` also has {listed(left)}, which the model takes nowhere"
        yield warning("A655", message, keys.name, left, "leave them out, or build the part of the model that they belong to")
