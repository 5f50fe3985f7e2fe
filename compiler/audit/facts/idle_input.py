"""An entry of the batch that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, warning
from ..inputs import Verdict
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each; a loss that is no number shows nothing of what it depends on."""
    if not all(bool(value.isfinite()) for value in seen.steps.values.values()):
        return
    for name, effect in seen.inputs.items():
        if effect.verdict is Verdict.NOTHING:
            message = f"`{name}` changes nothing: with other values every loss and output stays the same, bit by bit"
            yield warning("A120", message, f"batch.{name}", (), "use it, or leave it out of the batch")
