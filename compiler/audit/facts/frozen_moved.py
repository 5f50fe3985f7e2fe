"""What is frozen and moves all the same, or would."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, amount, error, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each module or parameter that steps of training changed, or that a selector calls frozen and that can move.

    What requires a gradient and is left out of the optimiser stands still, too.
    """
    inventory, held = seen.inventory, seen.optimized()
    values = inventory.parameters
    free = {path for path in inventory.declared if values[path].requires_grad and (not held or id(values[path]) in held)}
    for group, paths in inventory.groups(path for path in values if path in seen.steps.moved or path in free).items():
        said = f" by `{inventory.declared[paths[0]]}`" if paths[0] in inventory.declared else ""
        moves = "and moves" if any(path in seen.steps.moved for path in paths) else "and would move"
        what = f"`{group}` is frozen{said} ({amount(inventory, paths)}) {moves}"
        if any(path in free for path in paths):
            yield error("A550", f"{what}: it requires a gradient", group, paths, "call `requires_grad_(False)` on it")
        else:
            help = "`forward` writes to it; if that is meant, as of an average, a buffer says so"
            yield (error if said else warning)("A550", f"{what}, though it requires no gradient", group, paths, help)
