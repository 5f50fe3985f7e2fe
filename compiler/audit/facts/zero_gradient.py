"""A trained parameter that losses depend on, and that gets no gradient, or exactly zero at every step and from other values too."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, amount, listed, warning
from ..observing import Observed
from ..running import Gradient


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each module or parameter; what a loss without any gradient depends on is left to that loss."""
    inventory, reach = seen.inventory, seen.steps.reach
    severed = {name for name, found in reach.items() if not any(found.values())}
    for group, found in seen.unreached.items():
        if found.losses and not found.losses & severed:
            depend = "depends" if len(found.losses) == 1 else "depend"
            message = f"{listed(sorted(found.losses))} {depend} on `{group}` ({amount(inventory, found.paths)}), but no gradient reaches it"
            help = "look for `detach`, `no_grad`, `argmax`, `.item()` or `.data` on the way; freeze it if that is meant"
            yield warning("A553", message, group, found.paths, help)
    for group, paths in inventory.groups(path for path in inventory.trained if seen.best(path) is Gradient.ZERO).items():
        losses = [name for name, found in reach.items() if any(found[path] is Gradient.ZERO for path in paths)]
        message = f"`{group}` is trained ({amount(inventory, paths)}), and its gradient from {listed(losses)} is exactly zero at every step"
        yield warning("A553", message, group, paths, "look for a ReLU that is always off, a factor of zero that is frozen, or a constant index")
