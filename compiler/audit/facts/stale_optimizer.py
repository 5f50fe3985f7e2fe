"""What an optimiser holds, and neither the model nor any loss has."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, error, listed, plural
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield one finding for all of them."""
    stale = [name for name, reached in seen.outside.items() if not reached]
    if stale:
        message = f"the optimiser holds {plural(len(stale), 'parameter')} that the model doesn't have and no loss reaches: {listed(stale)}"
        yield error("A556", message, "optimizer", tuple(stale), "make the optimiser last: after moving, wrapping or replacing parts of the model")
