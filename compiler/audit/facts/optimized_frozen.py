"""A frozen parameter that an optimiser holds."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, amount, listed, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield one finding for all of them."""
    inventory, held = seen.inventory, seen.optimized()
    still = [path for path, value in inventory.parameters.items() if not value.requires_grad and id(value) in held]
    if still:
        groups = inventory.groups(still)
        help = "hand over `[p for p in model.parameters() if p.requires_grad]`: an optimiser may move what it holds, by weight decay or momentum"
        yield warning("A555", f"the optimiser holds what is frozen: {listed(groups)} ({amount(inventory, still)})", "optimizer", tuple(still), help)
