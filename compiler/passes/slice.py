"""See `Slice`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ...dsl.diagnostics import closest
from ...dsl.program import Body, Program
from ..graph import Graph, result_names
from ..needs import Needs
from ..optimize.cutting import without_rest
from ..optimize.interface import Journal, Pass
from ..paths import covers
from ..tasks import known_tasks


@dataclass(frozen=True, slots=True)
class Slice(Pass):
    """Leave out what the asked `tasks` and `results` don't need, with the parameters that nothing reads then.

    Results are outputs or losses by path, `depth.y` or `logits.0`; a path stands for all below it.  With a task go its losses, and the model's
    own where they need no other inputs.  Entries stay where they need nothing that is left out.  A state dict of the whole model loads
    as ever: what it holds of dropped parameters is passed over; put over it, the slice's own state dict gives one of the whole model again.
    Give it first: what other passes have computed together can't be cut any more.
    """

    tasks: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    leaves_out: ClassVar[bool] = True
    tried: ClassVar[str] = "tasks = ('semseg',)"
    fires: ClassVar[Mapping[str, int]] = {"taskexpert:small": 5, "mlore:small": 7, "invpt:small": 9, "taskprompter:small": 7}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Cut the model to what is asked for; raises ValueError, with a suggestion, for a task or a result that it hasn't."""
        program = graph.program
        if not self.tasks and not self.results:
            journal.decline(program.eval, "neither `tasks` nor `results` say what is to stay", program.eval.span)
            return graph
        known_tasks(program, self.tasks or None)
        names = _names(program)
        losses = Needs(program.eval, program.training).losses(self.tasks)
        kept = losses | {name for asked in self.results for name in _known(program, names, asked)}
        made, rest = without_rest(program, lambda body: _wanted(body, self.tasks, kept), lambda body: _of_entry(body, self.tasks))
        left = _names(made)
        for text in (*(name for name in names if name not in left), *(f"entry {name}" for name in rest.entries)):
            journal.fire(program.eval, f"`{text}` is left out", program.eval.span)
        if rest.tensors:
            journal.fire(program.eval, str(rest), program.eval.span)
        return Graph(replace(made, tasks=tuple(task for task in program.tasks if any(out.task == task for out in made.eval.outputs))))


def _names(program: Program) -> list[str]:
    """Return the names of all outputs and losses."""
    return list(dict.fromkeys((*result_names(program.eval), *result_names(program.training))))


def _known(program: Program, names: Sequence[str], asked: str) -> list[str]:
    """Return the results at and below a path."""
    found = [name for name in names if covers(asked, name)]
    if not found:
        near = closest(asked, names)
        raise ValueError(f"`{program.name}` has no result `{asked}`{f', did you mean `{near}`' if near else ''}: it has {', '.join(names)}")
    return found


def _wanted(body: Body, tasks: Collection[str], kept: Collection[str]) -> list[int]:
    """Return the outputs of tasks, and what else is kept by name."""
    asked = {number for number, output in enumerate(body.outputs) if output.task in tasks}
    return [number for number, name in enumerate(result_names(body)) if number in asked or name in kept]


def _of_entry(body: Body, tasks: Collection[str]) -> list[int]:
    """Return the outputs of an entry without those of other tasks."""
    return [number for number, output in enumerate(body.outputs) if not tasks or output.task is None or output.task in tasks]
