"""Runs a pipeline over a program, and keeps a record of each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ...dsl.program import Body, EntryPlan, Program
from ...dsl.record import record
from ..census import Census, distinct
from ..graph import Graph
from ..passes.slice import Slice
from ..slice import Slicer
from ..tasks import known_tasks
from .cutting import cut, outputs
from .interface import Event, Keeps, Pass
from .pipelines import Asked, pipeline
from .rebuilding import roots


@record
class Step:
    """One pass that has run: where it applied, where it did not and why, how long it took, and the nodes before and after."""

    name: str
    seconds: float
    fired: tuple[Event, ...]
    declined: tuple[Event, ...]
    before: int
    after: int


@record
class Optimized:
    """A program after a pipeline, and what each pass did."""

    program: Program
    steps: tuple[Step, ...]


Watch = Callable[[str, Graph], object]
"""Is shown the graph before the first pass (as `input`), and after each by the pass's name."""


def optimize(program: Program, asked: Asked, watch: Watch | None = None, tasks: Sequence[str] | None = None) -> Optimized:
    """Return the program after the passes of a pipeline, cut to some tasks before.

    A pass that keeps evaluation alone gives a program without training: no stages, no losses, no updates.  Raises ValueError for a
    pipeline, a pass or an option that there isn't, and for a task that the model hasn't.
    """
    known = known_tasks(program, tasks)
    chosen = ((Slice(known),) if known is not None else ()) + pipeline(asked)
    if not chosen:
        return Optimized(program, ())
    original = program
    if any(each.keeps is Keeps.EVALUATION for each in chosen):
        program = evaluation(program)
    graph = Graph(program)
    if watch is not None:
        watch("input", graph)
    steps: list[Step] = []
    for each in chosen:
        graph, step = _run(each, graph)
        steps.append(step)
        if watch is not None:
            watch(each.name(), graph)
    return Optimized(replace(graph.program, original=original), tuple(steps))


def _run(each: Pass, graph: Graph) -> tuple[Graph, Step]:
    from .interface import Journal

    journal, before, start = Journal(), size(graph), time.perf_counter()
    graph = each.run(graph, journal)
    seconds = time.perf_counter() - start
    return graph, Step(each.name(), seconds, tuple(journal.fired), tuple(journal.declined), before, size(graph))


def size(graph: Graph) -> int:
    """Return the number of nodes in all bodies, each counted once."""
    return sum(len(body.nodes) for body in graph.bodies)


def evaluation(program: Program) -> Program:
    """Return a program that only evaluates: the bodies of evaluation with their outputs and states, and all tensors of the text."""
    entries = {name: EntryPlan(plan.name, plan.eval, None) for name, plan in program.entries.items()}
    evaluated = replace(program, train=None, stages={}, variants={}, entries=entries, only_evaluates=True)
    slicer = Slicer(keep=True)
    made = cut(evaluated, outputs, outputs, slicer, updates=False)
    return replace(made, eval=_holding(made.eval, map(slicer.held, roots(program))))


def _holding(body: Body, others: Iterable[Body]) -> Body:
    """Return a body that holds what others hold, too: what training and stages alone call stays in the state dict."""
    for other in others:
        if _tensors(other) - _tensors(body):
            modules = dict(body.modules)
            for path, declared in other.modules.items():
                known = modules.get(path, declared)
                modules[path] = replace(known, bodies=list(distinct([*known.bodies, *declared.bodies])))
            parameters = body.parameters | {path: own for path, own in other.parameters.items() if path not in body.parameters}
            ties = list(dict.fromkeys((*body.ties, *other.ties)))
            body = replace(body, modules=modules, parameters=parameters, ties=ties, frozen=list(dict.fromkeys((*body.frozen, *other.frozen))))
    return body


def _tensors(body: Body) -> set[str]:
    return {tensor.path for tensor in Census((body,)).tensors()}
