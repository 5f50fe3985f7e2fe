"""A loss that trains nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from ...dsl.program import NodeKind
from .view import View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the losses that give no parameter a gradient; a model without parameters that move has none to give.

    A block's own loss may be for what comes into the block, as a commitment is; into the model it may come from outside.
    """
    body = view.program.training
    for loss in body.losses:
        reached = view.gradient.of(body, frozenset({loss.ref}))
        if reached.inputs and body.nodes[loss.ref.node].kind is NodeKind.CALL:
            continue
        if all(map(view.is_still, reached.each())) and view.free:
            depends = view.dependence.of(body, frozenset({loss.ref}))
            found = any(map(depends.holds, view.free))
            cause = "every way to one goes through whole numbers, truths, rounding or `detach`" if found else "it depends on none"
            yield warning("A557", f"the loss `{loss.path}` gives no parameter a gradient: {cause}", loss.span, "compute it from what the model gives")
