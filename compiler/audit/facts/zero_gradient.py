"""A gradient that is exactly zero at every step, on every batch, and from other values too."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, amount, listed, warning
from ..observing import Observed
from ..running import Gradient


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each module or parameter that a loss reaches to no effect."""
    inventory = seen.inventory
    for group, paths in inventory.groups(path for path in inventory.trained if seen.best(path) is Gradient.ZERO).items():
        losses = [name for name, found in seen.steps.reach.items() if any(found[path] is Gradient.ZERO for path in paths)]
        message = f"`{group}` is trained ({amount(inventory, paths)}), and its gradient from {listed(losses)} is exactly zero at every step"
        yield warning("A553", message, group, paths, "look for a ReLU that is always off, a factor of zero that is frozen, or a constant index")
