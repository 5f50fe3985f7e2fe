"""See `FoldParameters`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...dsl.program import Body
from ..graph import Graph, operands
from ..optimize.deriving import SOURCES, derived, numbers, of_parameters
from ..optimize.interface import Journal, Keeps, Pass
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer
from .pack import is_side_by_side, packed


@dataclass(frozen=True, slots=True)
class FoldParameters(Pass):
    """Compute once what depends on parameters alone, and again when they have changed.

    `growth` is how many times more numbers a folded value may hold than what it is computed from.
    """

    growth: int = 4

    keeps: ClassVar[Keeps] = Keeps.EVALUATION
    fires: ClassVar[Mapping[str, int]] = {"minilm": 3, "unifork:small": 28}
    example: ClassVar[tuple[str, ...]] = ("merge_linears",)

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Make each value between parameters and the rest a derived one."""
        return rebuild(graph, lambda body: _folded(body, self.growth, journal))


def _folded(body: Body, growth: int, journal: Journal) -> Body:
    known = of_parameters(body)
    tops, loose = _tops(body, known, growth)
    if not tops:
        return body
    writer = Writer(body)
    for number, node in enumerate(body.nodes):
        if number not in known or number in loose or node.kind in SOURCES:
            writer.copy(number)
        elif number in tops:
            made = packed(body, node) if is_side_by_side(body, node) else derived(body, number)
            writer.stand_for(number, [writer.add(made)])
            journal.fire(body, f"`{node.name or node.target}` depends on parameters alone", node.span)
    return writer.body()


def _tops(body: Body, known: Mapping[int, int], growth: int) -> tuple[set[int], set[int]]:
    """Return the computed values to keep, and those that are too large for it: of these, what they are computed from is kept."""
    read = {ref.node for number, node in enumerate(body.nodes) if number not in known for _, ref in operands(node)}
    read |= {ref.node for ref in (*(o.ref for o in body.outputs), *(s.result for s in body.states))}
    kept, loose = set[int](), set[int]()
    left = [number for number in known if number in read]
    while left:
        number = left.pop()
        node = body.nodes[number]
        if node.kind in SOURCES or number in kept or number in loose:
            continue
        if numbers(node) <= growth * known[number]:
            kept.add(number)
        else:
            loose.add(number)
            left.extend(ref.node for _, ref in operands(node))
    return kept, loose
