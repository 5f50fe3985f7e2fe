"""See `Unrecord`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...dsl.extern import ExternFunction
from ...dsl.program import Body, Node, NodeKind, Recording, Region
from ..graph import Graph, callees, module_at
from ..optimize.gradients import Gradients
from ..optimize.interface import Journal, Pass
from ..optimize.rebuilding import marked

READS = (NodeKind.PARAMETER, NodeKind.CONSTANT, NodeKind.DERIVED)
"""Steps that torch records nothing of, whatever they give."""


@dataclass(frozen=True, slots=True)
class Unrecord(Pass):
    """Run what no gradient is taken of without recording it: what is only detached, compared, or written to a buffer.

    It takes `least` such steps one after another, those inside of calls counted: fewer are recorded in less time than it takes to say so.
    With `losses`, the losses are all that gradients are taken of: outputs that none of them reads give none.  What is frozen is not recorded anyway.
    """

    losses: bool = False
    least: int = 10

    marks: ClassVar[bool] = True
    fires: ClassVar[Mapping[str, int]] = {"texts/unrecord": 3, "sketches/ControllableMTA": 2}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Mark the steps of each body."""
        if graph.program.only_evaluates:
            journal.decline(graph.program.eval, "the model only evaluates: nothing is recorded", graph.program.eval.span)
            return graph
        gradients = Gradients(graph.program, self.losses)
        regions: dict[int, dict[int, Region]] = {}
        for body in gradients.bodies:
            if gradients.is_passed(body):
                found = [run for run in _runs(body, gradients, journal) if _count(body, run) >= self.least]
                for number, run in enumerate(found):
                    inner = (n for n in range(run[0], run[-1] + 1) if not body.nodes[n].is_handed_in)
                    regions.setdefault(id(body), {}).update((n, Region(Recording.NOTHING, number)) for n in inner)
                    journal.fire(body, f"{_count(body, run)} steps run unrecorded", body.nodes[run[0]].span)
        return marked(graph, regions) if regions else graph


def _count(body: Body, run: Iterable[int]) -> int:
    """Return how many steps some are, with those of the blocks that they call."""
    return sum(1 if inner is None else _steps(inner) for inner in (body.nodes[number].body for number in run))


def _steps(body: Body) -> int:
    found: int | None = body.found.get("steps")
    if found is None:
        found = body.found["steps"] = _count(body, (n for n, node in enumerate(body.nodes) if not node.is_handed_in and node.kind not in READS))
    return found


def _runs(body: Body, gradients: Gradients, journal: Journal) -> Iterator[Sequence[int]]:
    """Yield the steps that would be recorded in vain, those with no other step between them that is recorded for a purpose."""
    run: list[int] = []
    for number, node in enumerate(body.nodes):
        if node.kind in (NodeKind.INPUT, NodeKind.STATE):
            continue
        vain = gradients.records(body, number) and not gradients.wants(body, number)
        if vain and is_extern(body, node):
            journal.decline(body, f"`{node.target}` is extern: it may need gradients itself", node.span)
        if node.kind is NodeKind.DRAW or is_extern(body, node) or (gradients.records(body, number) and not vain):
            if run:
                yield run
            run = []
        elif vain and node.kind not in READS:
            run.append(number)
    if run:
        yield run


def is_extern(body: Body, node: Node) -> bool:
    """Tell whether a step is, or calls, code of others."""
    if node.kind is NodeKind.EXTERN or isinstance(node.primitive, ExternFunction):
        return True
    declared = module_at(body, node.target) if node.kind in (NodeKind.LEAF, NodeKind.CALL) else None
    if declared is not None and declared.extern is not None:
        return True
    return node.body is not None and _holds_extern(node.body)


def _holds_extern(body: Body) -> bool:
    found: bool | None = body.found.get("extern")
    if found is None:
        own = any(node.body is None and is_extern(body, node) for node in body.nodes)
        found = body.found["extern"] = own or any(map(_holds_extern, callees(body)))
    return found
