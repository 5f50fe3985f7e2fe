"""See `Cse`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ...dsl.program import Body, Node, NodeKind, Operand, Recipe, Ref
from ..graph import Graph
from ..optimize.interface import Journal, Pass
from ..optimize.purity import is_pure, static
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class Cse(Pass):
    """Compute a value once that a body computes several times: the same operation or call of the same module, on the same values.

    What draws or moves buffers is left as it is.
    """

    fires: ClassVar[Mapping[str, int]] = {"colm:small": 4}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Let the first of equal values stand for all."""
        evaluates = graph.program.only_evaluates
        return rebuild(graph, lambda body: _once(body, evaluates, journal))


def _once(body: Body, evaluates: bool, journal: Journal) -> Body:
    writer = Writer(body)
    known: dict[Any, int] = {}
    often = Counter(node.target for node in body.nodes)
    again = 0
    for number, node in enumerate(body.nodes):
        key = _key(writer, body, node, evaluates) if often[node.target] > 1 or node.kind is NodeKind.DERIVED else None
        first = known.get(key) if key is not None else None
        if first is not None:
            writer.stand_for(number, [Ref(first, index) for index in range(len(node.outputs))])
            if node.kind is not NodeKind.PARAMETER:
                journal.fire(body, f"`{node.name or node.target}` is computed already", node.span)
            again += 1
            continue
        made = writer.copy(number)
        if key is not None:
            known[key] = made.node
    return writer.body() if again else body


def _key(writer: Writer, body: Body, node: Node, evaluates: bool) -> Any:
    if not is_pure(body, node, evaluates):
        return None
    if node.kind is NodeKind.DERIVED:
        return _computed(node.attributes["recipe"])
    return _step(node, {name: writer.operand(operand) for name, operand in node.inputs.items()})


def _computed(recipe: Recipe) -> Any:
    """Return what tells of a derived value whether it is another one: how it is computed, as its name may be that of several."""
    return (recipe.packed, recipe.body.outputs[0].ref, *(_step(node, node.inputs) for node in recipe.body.nodes))


def _step(node: Node, inputs: Mapping[str, Operand]) -> Any:
    return (node.kind, node.target, id(node.body), static(node.attributes), tuple(sorted(inputs.items(), key=lambda each: each[0])))
