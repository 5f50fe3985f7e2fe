"""A loss that gives no trained parameter a gradient."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each such loss."""
    for name, found in seen.steps.reach.items():
        if not any(found.values()):
            cause = "nothing is trained: every parameter is frozen" if not seen.inventory.trained else "it was cut off, or all on its way is frozen"
            help = "look for `detach`, `no_grad`, `argmax`, `.item()`, or a tensor made anew from the loss"
            yield warning("A557", f"the loss `{name}` gives no trained parameter a gradient: {cause}", f"losses.{name}", (), help)
