"""A trained parameter that gets no gradient from any loss."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, amount, listed, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each module or parameter; what only a loss without a gradient depends on is left to that loss."""
    inventory = seen.inventory
    severed = {name for name, found in seen.steps.reach.items() if not any(found.values())}
    for group, paths in seen.unreached.items():
        touched = seen.touches[group]
        if touched & severed:
            continue
        what = f"`{group}` is trained ({amount(inventory, paths)})"
        if touched:
            help = "look for `detach`, `no_grad`, `argmax`, `.item()` or `.data` on the way from it"
            change = "change" if len(touched) > 1 else "changes"
            yield warning("A516", f"{what} and gets no gradient, though {listed(sorted(touched))} {change} with it", group, paths, help)
        elif not inventory.is_called(group, seen.called):
            yield warning("A122", f"{what} and its module is never called", group, paths, "call it in `forward`, or take it out")
        else:
            yield warning("A516", f"{what} and no loss depends on it", group, paths, "use what it gives in a loss, freeze it, or take it out")
