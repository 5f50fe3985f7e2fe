"""What is frozen and moves all the same, or would."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, amount, error
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each module or parameter that steps of training changed, or that is said to be frozen and requires a gradient."""
    inventory = seen.inventory
    open_ = [path for path in inventory.declared if inventory.parameters[path].requires_grad]
    for group, paths in inventory.groups(dict.fromkeys((*seen.moved, *open_))).items():
        said = f" by `{inventory.declared[paths[0]]}`" if paths[0] in inventory.declared else ""
        moves = "and moves" if any(path in seen.moved for path in paths) else "and would move"
        what = f"`{group}` is frozen{said} ({amount(inventory, paths)}) {moves}"
        if any(path in open_ for path in paths):
            yield error("A550", f"{what}: it requires a gradient", group, paths, "call `requires_grad_(False)` on it")
        else:
            help = "an optimiser may still hold its momentum, or `forward` writes to it: make it a buffer if that is meant"
            yield error("A550", f"{what}, though it requires no gradient", group, paths, help)
