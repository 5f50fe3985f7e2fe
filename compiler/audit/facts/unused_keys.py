"""Tensors of the checkpoint that the model lacks."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, listed, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield one finding for all of them, unless names that the model has differ from them by a prefix alone."""
    keys = seen.keys
    if keys is not None and keys.unused and keys.prefix is None:
        message = f"`{keys.name}` also has {listed(keys.unused)}, which the model takes nowhere"
        yield warning("A655", message, keys.name, keys.unused, "leave them out, or build the part of the model that they belong to")
