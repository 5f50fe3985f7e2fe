"""Which values of a body depend on parameters alone, and the derived value that takes the place of one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from math import prod

from ...dsl.dims import Dim
from ...dsl.program import Body, Node, NodeKind, Operand, OutputDecl, Recipe, Ref
from ...dsl.types import DType, extent
from ..graph import operands
from ..slice import symbols_in
from .purity import is_pure

SOURCES = (NodeKind.PARAMETER, NodeKind.DERIVED)


def of_parameters(body: Body) -> dict[int, int]:
    """Return the nodes that depend on parameters alone, with how many numbers they are computed from."""
    found: dict[int, int] = {}
    for number, node in enumerate(body.nodes):
        if node.kind in SOURCES:
            if is_pure(body, node, True):
                found[number] = numbers(node)
        elif _is_foldable(body, node):
            sources = {ref.node for _, ref in operands(node)}
            if sources and sources <= found.keys():
                found[number] = sum(found[source] for source in sources)
    return found


def _is_foldable(body: Body, node: Node) -> bool:
    single = node.kind is NodeKind.OPERATION and len(node.outputs) == 1 and is_pure(body, node, True)
    open_ = any(symbols_in(node.attributes.values())) or any(isinstance(axis, Dim) for output in node.outputs for axis in output.shape)
    return single and not open_ and DType.FLOAT not in node.attributes.values() and node.target != "float"


def numbers(node: Node) -> int:
    """Return how many numbers a value of a known shape holds."""
    return prod(int(size) if not isinstance(size := extent(axis), Dim) else 1 for axis in node.outputs[0].shape)


def cone(body: Body, top: int) -> list[int]:
    """Return the nodes that a value is computed from, and its own, in order."""
    needed = {top}
    for number in range(top, -1, -1):
        if number in needed:
            needed.update(ref.node for _, ref in operands(body.nodes[number]))
    return sorted(needed)


def derived(body: Body, top: int, name: str = "") -> Node:
    """Return the derived value of a node that depends on parameters alone: its recipe holds what it is computed from."""
    nodes: list[Node] = []
    places: dict[int, int] = {}
    for number in cone(body, top):
        node = body.nodes[number]
        if node.kind is NodeKind.DERIVED:
            recipe: Recipe = node.attributes["recipe"]
            places[number] = _append(nodes, recipe.body, range(len(recipe.body.nodes)), {})[recipe.body.outputs[0].ref.node]
        else:
            _append(nodes, body, (number,), places)
    node = body.nodes[top]
    recipe = Recipe(Body(body.name, node.span, False, nodes=nodes, outputs=[OutputDecl("value", (), Ref(places[top]), node.span)]), packed=False)
    first = node.name or next((each.name for each in nodes if each.kind is NodeKind.PARAMETER), node.target)
    return Node(NodeKind.DERIVED, name or f"{first}_folded", {}, {"recipe": recipe}, node.outputs, node.span, node.name)


def _append(nodes: list[Node], body: Body, chosen: Collection[int], places: dict[int, int]) -> dict[int, int]:
    """Add nodes of a body to a recipe's, a parameter that is there already not again; `places` tells where each of them is."""

    def at(operand: Operand) -> Operand:
        if operand is None:
            return None
        return Ref(places[operand.node]) if isinstance(operand, Ref) else tuple(Ref(places[ref.node]) for ref in operand)

    for number in chosen:
        node = body.nodes[number]
        known = next((i for i, each in enumerate(nodes) if each.kind is node.kind is NodeKind.PARAMETER and each.target == node.target), None)
        places[number] = len(nodes) if known is None else known
        if known is None:
            nodes.append(replace(node, inputs={name: at(operand) for name, operand in node.inputs.items()}))
    return places
