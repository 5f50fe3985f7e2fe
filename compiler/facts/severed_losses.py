"""A loss that trains nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from .view import STEPS, View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the losses that give no parameter a gradient."""
    for body, loss in view.severed:
        depends = view.dependence.of(body, frozenset({loss.ref}))
        cause = f"every way to one goes through {STEPS}" if any(map(depends.holds, view.free)) else "it depends on none"
        yield warning("A557", f"the loss `{loss.path}` gives no parameter a gradient: {cause}", loss.span, "compute it from what the model gives")
