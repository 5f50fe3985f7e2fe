"""Dropout that is live in a frozen part that nothing trained comes before."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each frozen part, unless trained parameters work inside of what is frozen, as adapters do.

    Such a network has to run in training mode.  A frozen part at the beginning, a backbone under a head, could as well be computed
    once: dropout there is noise in its features.
    """
    if any(seen.live.values()):
        return
    parts: dict[str, list[str]] = {}
    for path in seen.live:
        parts.setdefault(seen.inventory.still_part(path) or "", []).append(path)
    for part, paths in parts.items():
        message = f"`{part or 'the model'}` is frozen, and dropout is live in it: its features are noisy"
        yield warning("A552", message, part, tuple(paths), "set it to `.eval()` after `model.train()`, at every epoch")
