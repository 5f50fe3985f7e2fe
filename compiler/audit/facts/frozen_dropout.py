"""Dropout that is live in a frozen part."""

from __future__ import annotations

from collections.abc import Iterator

from ...paths import covers
from ..finding import Finding, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each part that a selector says is frozen, and for frozen ones that nothing trained comes before.

    Where trained parameters work inside of what is frozen, as adapters do, the whole has to run in training mode, and dropout is a choice there.
    A frozen beginning, a backbone under a head, could as well be computed once: dropout there is noise in its features.
    """
    parts: dict[str, list[str]] = {}
    for path in seen.live.paths:
        part = seen.inventory.still_part(path) or ""
        if not seen.live.is_hosted(path) or any(covers(part, declared) for declared in seen.inventory.declared):
            parts.setdefault(part, []).append(path)
    for part, paths in parts.items():
        message = f"`{part or 'the model'}` is frozen, and dropout is live in it: what it gives is noisy"
        yield warning("A552", message, part, tuple(paths), "set it to `.eval()` after `model.train()`, at every epoch")
