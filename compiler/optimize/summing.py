"""Sums, and what they add up: values, each by a gate of its own."""

from __future__ import annotations

from collections.abc import Mapping

from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.record import record
from ..graph import operands
from .gates import is_gate


@record
class Product:
    """A value and the gate that it is multiplied by."""

    gate: Ref
    value: Ref


def sums(body: Body, read: Mapping[Ref, int]) -> dict[int, tuple[Ref, ...]]:
    """Return the largest sums, with what they add up."""
    found: dict[int, tuple[Ref, ...]] = {}
    for number, node in enumerate(body.nodes):
        a, b = node.inputs.get("a"), node.inputs.get("b")
        if node.kind is NodeKind.OPERATION and node.target == "add" and isinstance(a, Ref) and isinstance(b, Ref) and a != b and _is_even(body, node):
            parts = [found.pop(ref.node) if ref.node in found and read[ref] == 1 else (ref,) for ref in (a, b)]
            found[number] = (*parts[0], *parts[1])
    return found


def _is_even(body: Body, node: Node) -> bool:
    """Tell whether nothing is stretched."""
    return all(body.type(ref).shape == node.outputs[0].shape for _, ref in operands(node))


def is_scaled(body: Body, ref: Ref) -> bool:
    """Tell whether a value is a product in which one factor is stretched to the other's shape."""
    node = body.nodes[ref.node]
    return node.kind is NodeKind.OPERATION and node.target == "mul" and not _is_even(body, node) and len(list(operands(node))) == 2


def gated(body: Body, ref: Ref) -> Product | None:
    """Return a value and its gate, one number for each sample."""
    if not is_scaled(body, ref):
        return None
    node, shape = body.nodes[ref.node], body.type(ref).shape
    for gate, value in ((node.inputs["a"], node.inputs["b"]), (node.inputs["b"], node.inputs["a"])):
        if isinstance(gate, Ref) and isinstance(value, Ref) and body.type(value).shape == shape and is_gate(body.type(gate), body.type(value)):
            return Product(gate, value)
    return None
