"""Buffers of frozen parts that training moves, as the statistics of a batch norm."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, listed, plural, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each frozen part."""
    parts: dict[str, list[str]] = {}
    for path in seen.steps.moved_buffers:
        part = seen.inventory.still_part(path)
        if part is not None:
            parts.setdefault(part, []).append(path)
    for part, paths in parts.items():
        message = f"`{part or 'the model'}` is frozen, and training moves {plural(len(paths), 'buffer')} in it: {listed(paths)}"
        yield warning("A551", message, part, tuple(paths), "set it to `.eval()` after `model.train()`, at every epoch")
