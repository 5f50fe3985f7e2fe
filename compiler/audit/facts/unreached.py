"""A trained parameter that only outputs depend on, and no loss."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, amount, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each module or parameter that gets no gradient because what it does is in no loss."""
    for group, found in seen.unreached.items():
        if found.outputs and not found.losses:
            message = f"`{group}` is trained ({amount(seen.inventory, found.paths)}), and outputs depend on it, but no loss does"
            yield warning("A516", message, group, found.paths, "use what it gives in a loss, or freeze it")
