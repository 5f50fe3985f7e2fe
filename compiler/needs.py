"""What the outputs and losses of a model read: which losses go with which tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..dsl.program import Body
from .reach import Reach


class Needs:
    """The losses of a root with their tasks (None for the model's own), and the inputs by key that each result needs, in either mode."""

    def __init__(self, eval_body: Body, train_body: Body) -> None:
        self._bodies = (train_body, eval_body)
        self._reach = Reach(train_body)
        self.tasks: Mapping[str, str | None] = {loss.path: loss.task for body in self._bodies for loss in body.losses}
        self.inputs = {path: self._inputs(path) for path in self.tasks}

    def _inputs(self, path: str) -> frozenset[str]:
        for body in self._bodies:
            names = [loss.path for loss in body.losses]
            if path in names:
                return self._reach.needs(body, len(body.outputs) + names.index(path))
        return frozenset()

    def losses(self, tasks: Collection[str]) -> set[str]:
        """Return the losses of tasks, and those of the model's own that need no other inputs."""
        found = {path for path, task in self.tasks.items() if task in tasks}
        reached = self.reached(tasks, found)
        return found | {path for path, task in self.tasks.items() if task is None and self.inputs[path] <= reached}

    def reached(self, tasks: Collection[str], losses: Iterable[str]) -> frozenset[str]:
        """Return the inputs that the outputs of tasks, and some losses, need."""
        body = self._bodies[1]
        outputs = (self._reach.needs(body, i) for i, out in enumerate(body.outputs) if out.task in tasks)
        return frozenset[str]().union(*outputs, *(self.inputs[path] for path in losses))
