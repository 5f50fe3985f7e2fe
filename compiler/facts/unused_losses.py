"""A loss that no stage uses."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from ...dsl.elaborate.losses import before
from ...dsl.program import Body, Ref
from ..graph import operands
from .view import View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the losses that are in none of the stages' sums, by themselves or in another loss."""
    stages = view.program.stages
    used = {path for stage in stages.values() for path, weight in stage.losses.items() if weight}
    for body in view.trained if stages else ():
        summed = read_by(body, [loss.ref for loss in body.losses if loss.path in used])
        used |= {loss.path for loss in body.losses if loss.ref in summed}
    for path, loss in {loss.path: loss for body in view.trained for loss in body.losses}.items() if stages else ():
        if path not in used:
            yield warning("A533", f"no stage uses the loss `{loss.path}`", loss.span, "name it in a stage's `losses`, or take it out")


def read_by(body: Body, refs: list[Ref]) -> set[Ref]:
    """Return some values and all that go into them: the sum of one loss is that loss itself."""
    return {*refs} | {ref for number in before(body, refs) for _, ref in operands(body.nodes[number])}
