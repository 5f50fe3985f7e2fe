"""What whole numbers a choice by truths, `where(condition, a, b)`, may give.

A number that stands in an arm is given where the condition can come out so: it must hang on data.  What an arm may hold is given in whole
where the condition hangs on other data than the arm; where it compares the arm itself with a number, the stretch that the comparison leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..dims import Dim
from ..primitive import Numbers
from ..program import Body, Node, NodeKind, Operand, Ref
from ..source import Span
from ..stretches import Stretch, cut, limit, numbers

Held = tuple[Numbers, ...]
Spend = Callable[[Span, int], None]
COMPARED = {"lt": (False, 0), "ge": (True, 0), "le": (False, 1), "gt": (True, 1)}
"""Of `x OP n`: whether x lies above, and how far from n the stretches below and above meet."""

TURNED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


def chosen(body: Body, node: Node, condition: str, arms: tuple[str, ...], held: Mapping[Ref, Held], sources: Sources) -> dict[str, Held]:
    """Return what each arm of a choice may give; nothing for an arm of which that is open."""
    ref = node.inputs[condition]
    data = sources.of(ref)
    if not data:
        return {}
    found: dict[str, Held] = {}
    for name in arms:
        arm = node.inputs.get(name, None)
        number = _number(body, node, name)
        if number is not None:
            found[name] = (Numbers(number, number + 1),)
        elif isinstance(arm, Ref) and isinstance(ref, Ref):
            apart = held.get(arm, ()) if data.isdisjoint(sources.of(arm)) else _left(body, ref, arm, name == arms[0], held)
            if apart:
                found[name] = apart
    return found


class Sources:
    """What values of one body hang on that differs from call to call: inputs, draws and states, each; parameters and chance, as one."""

    def __init__(self, body: Body, spend: Spend) -> None:
        self._body, self._spend = body, spend
        self._found: dict[int, frozenset[object]] = {}

    def of(self, operand: Operand) -> frozenset[object]:
        """Return the sources of an operand."""
        refs = _refs(operand)
        waiting, needed = [ref.node for ref in refs], set[int]()
        while waiting:
            number = waiting.pop()
            if number not in self._found and number not in needed:
                needed.add(number)
                waiting.extend(ref.node for one in self._body.nodes[number].inputs.values() for ref in _refs(one))
        for number in sorted(needed):  # a node stands behind those that it reads
            node = self._body.nodes[number]
            self._spend(node.span, 1)
            inner = (self._found[ref.node] for one in node.inputs.values() for ref in _refs(one))
            self._found[number] = frozenset(_own(node, number)).union(*inner)
        return frozenset[object]().union(*(self._found[ref.node] for ref in refs))


def _own(node: Node, number: int) -> tuple[object, ...]:
    if node.kind in (NodeKind.INPUT, NodeKind.DRAW, NodeKind.STATE):
        return (number,)
    if node.primitive is not None and node.primitive.is_random:
        return ("chance",)
    return () if node.kind in (NodeKind.CONSTANT, NodeKind.OPERATION) else ("parameters",)


def _refs(operand: Operand) -> tuple[Ref, ...]:
    return (operand,) if isinstance(operand, Ref) else operand or ()


def _number(body: Body, node: Node, name: str) -> int | Dim | None:
    """Return an argument that is a whole number known while the text is read."""
    operand = node.inputs.get(name)
    value = node.attributes.get(name)
    if isinstance(operand, Ref):
        made = body.nodes[operand.node]
        value = made.attributes["value"] if made.kind is NodeKind.CONSTANT else None
    return value if type(value) is int or isinstance(value, Dim) else None


def _left(body: Body, condition: Ref, arm: Ref, wanted: bool, held: Mapping[Ref, Held]) -> Held:
    """Return what an arm may give where the condition compares it, or what it is clamped from, with a number."""
    test, made = body.nodes[condition.node], body.nodes[arm.node]
    base, low, high = arm, None, None
    if made.kind is NodeKind.OPERATION and made.target == "clamp":
        base, low, high = made.inputs["x"], made.attributes.get("min"), made.attributes.get("max")
        if any(name in made.inputs or type(made.attributes.get(name)) not in (int, type(None)) for name in ("min", "max")):
            return ()
    kind = test.target if test.kind is NodeKind.OPERATION else ""
    number = _number(body, test, "b")
    if test.inputs.get("a") != base or number is None:
        kind, number = TURNED.get(kind, ""), _number(body, test, "a")
        if test.inputs.get("b") != base:
            return ()
    if kind not in COMPARED or number is None or not isinstance(base, Ref):
        return ()
    above, shift = COMPARED[kind]
    side: Stretch = (number + shift, None) if above is wanted else (None, number + shift)
    known = [((n.low, n.high), n) for n in held.get(base, ())] or _any_number(body.nodes[base.node])
    found = ((part, of) for stretch, of in known if (part := cut(stretch, side)) is not None)
    return tuple(n for part, of in found if (n := numbers(limit(part, low, high), of)) is not None)


def _any_number(node: Node) -> list[tuple[Stretch, Numbers]]:
    """Return what an input may hold of whose range nothing is declared."""
    return [((None, None), Numbers(0, 0))] if node.kind is NodeKind.INPUT else []
