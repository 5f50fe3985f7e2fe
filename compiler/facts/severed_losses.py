"""A loss that trains nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from .view import View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the losses that give no parameter a gradient; a model without parameters that move has none to give."""
    moving = [t for t in view.parameters if not view.is_still(t.path)]
    body = view.program.training
    for loss in body.losses if moving else ():
        reached = view.gradient.of(body, frozenset({loss.ref}))
        if not view.among(moving, reached):
            found = view.among(moving, view.dependence.of(body, frozenset({loss.ref})))
            cause = "every way to one goes through whole numbers, truths, rounding or `detach`" if found else "it depends on none"
            yield warning("A557", f"the loss `{loss.path}` gives no parameter a gradient: {cause}", loss.span, "compute it from what the model gives")
