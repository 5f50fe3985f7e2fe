"""Parameters that losses would train, that no stage trains and no weights map fills."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from ..flow import stems, together
from .view import View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield what stays as it was initialised though a stage's loss would train it; frozen for good, or from a file, it does so on purpose."""
    stages = view.program.stages.values()
    known = {*view.program.weights, *view.program.stages}
    if not stages or any(source not in known for stage in stages for source in stage.sources):
        return
    filled = {rule.target for weights in view.program.weights.values() for rule in weights.rules}
    taught = together(view.taught_in(stage) for stage in stages)
    moving = frozenset(view.moving)
    still = [path for path in view.free if path not in moving]
    idle = [path for path in still if path not in filled and not any(stem in filled for stem in stems(path)) and taught.holds(path)]
    for named, span in view.groups(idle):
        message = f"no stage trains {named}, and no weights map fills it: it stays as it was initialised"
        yield warning("A530", message, span, "`tune` it in a stage, or say where it is made that it stands still: `freeze NAME`")
