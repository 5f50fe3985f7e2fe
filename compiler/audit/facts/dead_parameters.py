"""A trained parameter that nothing depends on."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, amount, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each module that is never called, and each module or parameter that could be any numbers."""
    for group, found in seen.unreached.items():
        if not found.losses and not found.outputs:
            what = f"`{group}` is trained ({amount(seen.inventory, found.paths)})"
            if seen.inventory.is_called(group, seen.called):
                help = "use what it gives, or take it out: it gets no gradient, and costs memory and time"
                yield warning("A122", f"{what}, and no output and no loss depends on it", group, found.paths, help)
            else:
                yield warning("A122", f"{what}, and its module is never called", group, found.paths, "call it in `forward`, or take it out")
