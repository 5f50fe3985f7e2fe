"""A loss that no stage uses."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from .view import View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the losses that are in none of the stages' sums."""
    stages = view.program.stages
    used = {path for stage in stages.values() for path, weight in stage.losses.items() if weight}
    for path, loss in {loss.path: loss for body in view.trained for loss in body.losses}.items() if stages else ():
        if path not in used:
            yield warning("A533", f"no stage uses the loss `{loss.path}`", loss.span, "name it in a stage's `losses`, or take it out")
