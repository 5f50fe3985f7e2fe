"""See `FoldParameters`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from ...dsl.dims import Dim
from ...dsl.program import Body, Node, NodeKind, OutputDecl, Recipe, Ref
from ...dsl.types import DType, extent
from ..graph import Graph, operands
from ..optimize.interface import Journal, Keeps, Pass
from ..optimize.purity import is_pure
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer
from ..slice import symbols_in
from .pack import is_side_by_side, packed


@dataclass(frozen=True, slots=True)
class FoldParameters(Pass):
    """Compute once what depends on parameters alone, and again when they have changed.

    `growth` is how many times more numbers a folded value may hold than what it is computed from.
    """

    growth: int = 4

    keeps: ClassVar[Keeps] = Keeps.EVALUATION
    fires: ClassVar[Mapping[str, int]] = {"minilm": 3, "unifork:small": 30}
    example: ClassVar[tuple[str, ...]] = ("merge_linears",)

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Make each value between parameters and the rest a derived one."""
        return rebuild(graph, lambda body: _folded(body, self.growth, journal))


def _folded(body: Body, growth: int, journal: Journal) -> Body:
    known = _of_parameters(body)
    tops, loose = _tops(body, known, growth)
    if not tops:
        return body
    writer = Writer(body)
    for number, node in enumerate(body.nodes):
        if number not in known or number in loose or node.kind is NodeKind.PARAMETER:
            writer.copy(number)
        elif number in tops:
            made = packed(body, node) if is_side_by_side(body, node) else _derived(body, number, known)
            writer.stand_for(number, [writer.add(made)])
            journal.fire(body, f"`{node.name or node.target}` depends on parameters alone", node.span)
    return writer.body()


def _of_parameters(body: Body) -> dict[int, int]:
    """Return the nodes that depend on parameters alone, with how many numbers they are computed from."""
    found: dict[int, int] = {}
    for number, node in enumerate(body.nodes):
        if node.kind is NodeKind.PARAMETER:
            if is_pure(body, node, True):
                found[number] = _numbers(node)
        elif _is_foldable(body, node):
            sources = {ref.node for _, ref in operands(node)}
            if sources and sources <= found.keys():
                found[number] = sum(found[source] for source in sources)
    return found


def _is_foldable(body: Body, node: Node) -> bool:
    single = node.kind is NodeKind.OPERATION and len(node.outputs) == 1 and is_pure(body, node, True)
    open_ = any(symbols_in(node.attributes.values())) or any(isinstance(axis, Dim) for output in node.outputs for axis in output.shape)
    return single and not open_ and DType.FLOAT not in node.attributes.values() and node.target != "float"


def _numbers(node: Node) -> int:
    return prod(int(size) if not isinstance(size := extent(axis), Dim) else 1 for axis in node.outputs[0].shape)


def _tops(body: Body, known: Mapping[int, int], growth: int) -> tuple[set[int], set[int]]:
    """Return the computed values to keep, and those that are too large for it: of these, what they are computed from is kept."""
    read = {ref.node for number, node in enumerate(body.nodes) if number not in known for _, ref in operands(node)}
    read |= {ref.node for ref in (*(o.ref for o in body.outputs), *(s.result for s in body.states))}
    kept, loose = set[int](), set[int]()
    left = [number for number in known if number in read]
    while left:
        number = left.pop()
        node = body.nodes[number]
        if node.kind is NodeKind.PARAMETER or number in kept or number in loose:
            continue
        if _numbers(node) <= growth * known[number]:
            kept.add(number)
        else:
            loose.add(number)
            left.extend(ref.node for _, ref in operands(node))
    return kept, loose


def _derived(body: Body, top: int, known: Mapping[int, int]) -> Node:
    """Return the derived value of a node: its recipe holds what it is computed from."""
    needed = {top}
    for number in range(top, -1, -1):
        if number in needed:
            needed.update(ref.node for _, ref in operands(body.nodes[number]))
    order = sorted(needed)
    places = {old: new for new, old in enumerate(order)}
    nodes: list[Node] = []
    for number in order:
        node = body.nodes[number]
        inputs = {
            name: None if operand is None else Ref(places[operand.node]) if isinstance(operand, Ref) else tuple(Ref(places[r.node]) for r in operand)
            for name, operand in node.inputs.items()
        }
        nodes.append(replace(node, inputs=inputs))
    node = body.nodes[top]
    recipe = Recipe(Body(body.name, node.span, False, nodes=nodes, outputs=[OutputDecl("value", (), Ref(places[top]), node.span)]), packed=False)
    name = node.name or next((each.name for each in nodes if each.kind is NodeKind.PARAMETER), node.target)
    return Node(NodeKind.DERIVED, f"{name}_folded", {}, {"recipe": recipe}, node.outputs, node.span, node.name)
