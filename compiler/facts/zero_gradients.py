"""Parameters that losses depend on in steps only: their gradient is zero, or there is none."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from .view import STEPS, View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield what a loss depends on, and gets no gradient from any; what is frozen for good needs none."""
    untaught = {own.path for own in view.missing(view.taught) if view.lost.holds(own.path)}
    silent = [path for path in view.moving if path in untaught] if untaught else []
    for named, span in view.groups(silent):
        message = f"the losses depend on {named}, but no gradient reaches it"
        help = f"every way goes through {STEPS}; freeze it, or give it another way"
        yield warning("A553", message, span, help)
