"""A selector that matches nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, error
from ..observing import Observed
from ..selectors import Miss


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each."""
    for pattern, found in seen.inventory.selected.items():
        if isinstance(found, Miss):
            yield error(found.code, found.message, pattern or "selector", (), found.help)
