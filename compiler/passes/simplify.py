"""See `Simplify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...dsl.program import Body, Node, NodeKind, Ref
from ..graph import Graph, module_at, operand_refs
from ..optimize.interface import Journal, Pass
from ..optimize.purity import DROPS, chance
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class Simplify(Pass):
    """Leave out what changes nothing: dropout that never drops, products by 1, changes of shape to the same shape,
    one value put together.

    Where the model only evaluates, every dropout and `detach` is left out.
    """

    fires: ClassVar[Mapping[str, int]] = {"mlore:small": 10}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Let the operand of each such operation stand for its value."""
        evaluates = graph.program.only_evaluates
        return rebuild(graph, lambda body: _simplified(body, evaluates, journal))


def _simplified(body: Body, evaluates: bool, journal: Journal) -> Body:
    writer = Writer(body)
    changed = False
    for number, node in enumerate(body.nodes):
        same = _unchanged(body, node, evaluates)
        if same is None:
            writer.copy(number)
            continue
        writer.stand_for(number, [writer.at(same)])
        journal.fire(body, f"`{node.target}` changes nothing", node.span)
        changed = True
    return writer.body() if changed else body


def _unchanged(body: Body, node: Node, evaluates: bool) -> Ref | None:
    """Return the operand that a node gives back unchanged."""
    if node.kind is NodeKind.LEAF:
        declared = module_at(body, node.target)
        idle = declared is not None and (declared.kind == "Identity" or (declared.kind in DROPS and (evaluates or declared.arguments.get("p") == 0)))
        return _operand(node, "x") if idle else None
    if node.kind is not NodeKind.OPERATION:
        return None
    rule = RULES.get(node.target)
    found = rule(node, evaluates) if rule is not None else None
    return found if found is not None and body.type(found) == node.outputs[0] else None


def _operand(node: Node, name: str) -> Ref | None:
    found = node.inputs.get(name)
    return found if isinstance(found, Ref) else None


def _drop(node: Node, evaluates: bool) -> Ref | None:
    return _operand(node, "x") if evaluates or chance(node) == 0 else None


def _detach(node: Node, evaluates: bool) -> Ref | None:
    return _operand(node, "x") if evaluates else None


def _product(node: Node, evaluates: bool) -> Ref | None:
    """`x * 1` and `1 * x`."""
    a, b = node.attributes.get("a"), node.attributes.get("b")
    return _operand(node, "b") if _is(a, 1) else _operand(node, "a") if _is(b, 1) else None


def _quotient(node: Node, evaluates: bool) -> Ref | None:
    return _operand(node, "a") if _is(node.attributes.get("b"), 1) else None


def _is(value: object, number: int) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == number


def _shape(node: Node, evaluates: bool) -> Ref | None:
    """To the shape that it has: the caller compares the types."""
    return _operand(node, "x")


def _alone(node: Node, evaluates: bool) -> Ref | None:
    """A concat of one value."""
    parts = operand_refs(node.inputs["tensors"])
    return parts[0] if len(parts) == 1 else None


RULES: Mapping[str, Callable[[Node, bool], Ref | None]] = {
    "dropout": _drop,
    "drop_path": _drop,
    "detach": _detach,
    "mul": _product,
    "div": _quotient,
    "concat": _alone,
    "expand": _shape,
    "reshape": _shape,
    "flatten": _shape,
    "squeeze": _shape,
    "float": _shape,
    "float32": _shape,
    "float64": _shape,
    "int": _shape,
    "bool": _shape,
}
