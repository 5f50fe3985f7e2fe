"""Parameters that no result depends on."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from .view import View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the modules that are called, and all of whose parameters could be any numbers."""
    dead = [own.path for own in view.missing(view.used) if view.is_called(own.path)]
    for named, span in view.groups(dead):
        help = "use what it gives, or take it out: it gets no gradient, and costs memory and time"
        yield warning("A122", f"no output and no loss depends on {named}", span, help)
