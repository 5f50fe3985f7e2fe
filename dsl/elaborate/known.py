"""Tensors of whole numbers whose every element the text decides: tables of places that are counted and computed, such as those of windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..primitive import Grid, Numbers
from ..program import Body, Node, NodeKind, Ref
from ..source import Span
from .choices import Spend

MOST = 20_000
"""Elements of one tensor that are computed; of a larger one nothing is known."""

PIECES = 8
"""So many stretches of numbers are kept of one tensor."""


class KnownTensors:
    """Computes such tensors of one body, each once; `spend` counts the work."""

    def __init__(self, body: Body, spend: Spend) -> None:
        self._body, self._spend = body, spend
        self._found: dict[Ref, Grid | None] = {}

    def of(self, ref: Ref) -> Grid | None:
        """Return a tensor with all of its elements; None where anything in it comes from elsewhere."""
        waiting, needed = [ref], set[int]()
        while waiting:
            one = waiting.pop()
            if one in self._found or one.node in needed:
                continue
            node = self._body.nodes[one.node]
            self._spend(node.span, 1)
            if not _may_be_known(node):
                self._found[one] = self._found[ref] = None
                return None
            needed.add(one.node)
            waiting.extend(operand for operand in node.inputs.values() if isinstance(operand, Ref))
        for number in sorted(needed):
            self._found[Ref(number)] = self._made(self._body.nodes[number])
        return self._found[ref]

    def _made(self, node: Node) -> Grid | None:
        if node.kind is NodeKind.CONSTANT:
            value = node.attributes["value"]
            return Grid((), (value,)) if type(value) is int else None
        shape = tuple(axis for axis in node.outputs[0].shape if isinstance(axis, int))
        inputs: Mapping[str, Any] = {**node.attributes, **{name: self._found.get(one) for name, one in node.inputs.items() if isinstance(one, Ref)}}
        if any(inputs[name] is None for name in node.inputs) or node.primitive is None or node.primitive.exact is None:
            return None
        try:
            values = node.primitive.exact(inputs, shape)
        except ZeroDivisionError:
            return None
        self._spend(node.span, 1 + len(values or ()) // 32)
        return Grid(shape, values) if values is not None else None


def _may_be_known(node: Node) -> bool:
    """Tell whether a node's elements are known once those of its operands are."""
    if node.kind is NodeKind.CONSTANT:
        return True
    if node.kind is not NodeKind.OPERATION or node.primitive is None or node.primitive.exact is None or len(node.outputs) != 1:
        return False
    count = 1
    for axis in node.outputs[0].shape:
        count *= axis if isinstance(axis, int) else MOST + 1
    return node.outputs[0].dtype.is_int and count <= MOST and all(isinstance(operand, Ref) for operand in node.inputs.values())


def numbers_of(grid: Grid, said: Span) -> tuple[Numbers, ...]:
    """Return the numbers that a tensor holds: all stretches of neighbours, or the first and the last of very many."""
    found: list[Numbers] = []
    start: int | None = None
    ordered = sorted(set(grid.values))
    for place, value in enumerate(ordered):
        start = value if start is None else start
        if place + 1 == len(ordered) or ordered[place + 1] != value + 1:
            found.append(Numbers(start, value + 1, said))
            start = None
    return tuple(found if len(found) <= PIECES else (found[0], found[-1]))
