"""A task that has outputs and no loss, beside tasks that have one."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from .view import View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the tasks that nothing trains; where no task has a loss, training is another's business."""
    body = view.program.training
    taught = {loss.task for loss in body.losses}
    first = {out.task: out.span for out in reversed(body.outputs)}
    if taught & set(view.program.tasks):
        for task in view.program.tasks:
            if task not in taught and task in first:
                yield warning("A532", f"the task `{task}` has outputs and no loss", first[task], f"write `loss ...` in `task {task}`")
