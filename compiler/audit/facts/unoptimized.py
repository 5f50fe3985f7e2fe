"""A trained parameter that no optimiser holds."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, amount, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each module or parameter."""
    if not seen.subject.optimizers:
        return
    held = seen.optimized()
    inventory = seen.inventory
    for group, paths in inventory.groups(path for path in inventory.trained if id(inventory.parameters[path]) not in held).items():
        message = f"`{group}` is trained ({amount(inventory, paths)}), and no optimiser holds it: it stays as it is"
        yield warning("A554", message, group, paths, "make the optimiser after the model is whole, or freeze it")
