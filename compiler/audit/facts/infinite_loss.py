"""A loss that is not a finite number."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, error
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each loss that is infinite or not a number at its first step."""
    for name, value in seen.steps.values.items():
        if not bool(value.isfinite()):
            help = "look for a logarithm of zero, a division by the count of nothing, or a row that is masked as a whole"
            yield error("A558", f"the loss `{name}` is {value.item()} at the first step", f"losses.{name}", (), help)
