"""Tensors that have another shape in the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding, error
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield a finding for each."""
    if seen.keys is not None:
        for name, (stored, own) in seen.keys.misshapen.items():
            message = f"`{name}` has the shape {list(stored)} in `{seen.keys.name}` and {list(own)} in the model"
            yield error("A654", message, seen.keys.name, (name,), "compare the model's configuration with that of the checkpoint")
