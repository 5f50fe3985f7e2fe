"""Tensors of the model that the checkpoint lacks."""

from __future__ import annotations

from collections.abc import Iterator

from ....dsl.diagnostics import closest
from ..finding import Finding, listed, warning
from ..observing import Observed


def find(seen: Observed) -> Iterator[Finding]:
    """Yield one finding for all of them."""
    keys = seen.keys
    if keys is not None and keys.missing:
        near = closest(keys.missing[0], keys.unused)
        help = f"`{keys.missing[0]}` is nearest to `{near}`" if near else "they keep the values that the model starts with"
        if keys.alike:
            some = "all" if len(keys.alike) == len(keys.missing) else f"{len(keys.alike):,}"
            help = f"{some} of them are there, under names that differ by `{keys.prefix}` in front"
        yield warning("A653", f"`{keys.name}` has no {listed(keys.missing)}", keys.name, keys.missing, help)
