"""See `MergeAttentions`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.types import TensorType, extent
from ..graph import Graph, operands
from ..optimize.batching import ELEMENTWISE
from ..optimize.interface import Journal, Pass
from ..optimize.purity import static
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.scheduling import schedule
from ..optimize.writing import Writer, pruned

HEADS = 1
"""The axis of heads of what attention reads and gives."""


@dataclass(frozen=True, slots=True)
class MergeAttentions(Pass):
    """Compute attentions side by side as one with the heads of all: those under the same mask, over equally many tokens, such as of chains.

    What is done to queries, keys and values of each alike, such as rotating them, is done to all heads at once.
    """

    fires: ClassVar[Mapping[str, int]] = {"colm:small": 2}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Merge the attentions of each body."""
        evaluates = graph.program.only_evaluates
        return rebuild(graph, lambda body: _merged(body, evaluates, journal))


def _merged(body: Body, evaluates: bool, journal: Journal) -> Body:
    if not any(len(group) > 1 for group in _alike(body, evaluates).values()):
        return body
    whole, body = body, pruned(body)  # what nothing needs would read queries and keys, too
    groups = [group for group in _alike(body, evaluates).values() if len(group) > 1]
    order = schedule(body, groups, {}) if groups else None
    if order is None:
        return whole
    writer, read = Writer(body), readers(body)
    last = _last(body, read, groups)
    for first, *others in order:
        if others:
            _merge(writer, read, (first, *others), last)
            journal.fire(body, f"{1 + len(others)} attentions are one", body.nodes[first].span)
        elif not writer.has(Ref(first)):
            writer.copy(first)
    return writer.body()


def _alike(body: Body, evaluates: bool) -> dict[Any, list[int]]:
    """Return the attentions that draw nothing, by all that they have in common but for their number of heads."""
    found: dict[Any, list[int]] = {}
    for number, node in enumerate(body.nodes):
        if node.kind is NodeKind.OPERATION and node.target == "attention" and (evaluates or node.attributes["drop"] == 0):
            types = [body.type(_operand(node, name)) for name in ("q", "k", "v")]
            mask = node.inputs.get("mask")
            if _has_heads(types) and (not isinstance(mask, Ref) or _stretches(body.type(mask))):
                others = tuple((type_.dtype, *(axis for at, axis in enumerate(type_.shape) if at != HEADS)) for type_ in types)
                found.setdefault((others, mask, static(node.attributes)), []).append(number)
    return found


def _has_heads(types: Sequence[TensorType]) -> bool:
    """Tell whether queries, keys and values have equally many heads, a known number."""
    heads = [extent(type_.shape[HEADS]) for type_ in types if type_.rank == 4]
    return len(heads) == len(types) and isinstance(heads[0], int) and len(set(heads)) == 1


def _stretches(mask: TensorType) -> bool:
    """Tell whether a mask is the same for all heads."""
    return mask.rank < 3 or mask.shape[mask.rank - 3] == 1


def _merge(writer: Writer, read: Counter[Ref], lanes: Sequence[int], last: Mapping[int, int]) -> None:
    """Write the attentions of some lanes as one."""
    body = writer.old
    nodes = [body.nodes[number] for number in lanes]
    like = nodes[0]
    given = {name: _joined(writer, read, [_operand(node, name) for node in nodes], HEADS) for name in ("q", "k", "v")}
    mask = like.inputs.get("mask")
    shared = {"mask": writer.at(mask)} if isinstance(mask, Ref) else {}
    whole = writer.operation("attention", like, like.name, **{**like.attributes, **given, **shared})
    ends, axis = list(lanes), HEADS
    if all(number in last for number in lanes):  # heads go back to their channels at once
        ends = [last[number] for number in lanes]
        after = body.nodes[ends[0]]
        whole, axis = writer.operation(after.target, after, after.name, **{**after.attributes, "x": whole}), _forward(after) or 0
    sizes = tuple(body.nodes[number].outputs[0].shape[axis] for number in ends)
    parts = writer.operation("split", like, x=whole, sizes=sizes, dim=axis)
    for index, end in enumerate(ends):
        writer.stand_for(end, [Ref(parts.node, index)])


def _operand(node: Node, name: str) -> Ref:
    found = node.inputs[name]
    assert isinstance(found, Ref)
    return found


def _joined(writer: Writer, read: Counter[Ref], refs: Sequence[Ref], axis: int) -> Ref:
    """Return values put together along an axis: what was done to each of them alike is done to all at once."""
    body = writer.old
    nodes = [body.nodes[ref.node] for ref in refs]
    first = nodes[0]
    alike = all(
        node.kind is NodeKind.OPERATION and node.target == first.target and static(node.attributes) == static(first.attributes) for node in nodes
    )
    own = all(read[ref] == 1 for ref in refs) and len({ref.node for ref in refs}) == len(refs)
    inner = _inner(first, axis) if alike and own else None
    if inner is None or any(list(node.inputs) != ["x"] for node in nodes):
        return writer.operation("concat", first, tensors=tuple(writer.at(ref) for ref in refs), dim=axis)
    found = _joined(writer, read, [_operand(node, "x") for node in nodes], inner)
    return writer.operation(first.target, first, first.name, **{**first.attributes, "x": found})


def _inner(node: Node, axis: int) -> int | None:
    """Return the axis of `x` along which an operation may be done apart, as along one of its result; None where there is none."""
    rank = node.outputs[0].rank
    if node.target in ELEMENTWISE and node.target != "mT":
        return axis
    if node.target == "rope":
        return axis if axis < rank - 2 else None
    if node.target == "repeat_interleave":
        return axis
    if node.target != "rearrange":
        return None
    left, right = _sides(node)
    return _places(node, left, right, axis)


def _forward(node: Node) -> int | None:
    """Return the axis of a rearrangement's result into which the heads of what it reads go, as the outermost part."""
    left, right = _sides(node)
    return _places(node, right, left, HEADS)


def _sides(node: Node) -> tuple[list[str], list[str]]:
    """Return the axes of a pattern, `(h d)` being one."""
    left, _, right = node.attributes["pattern"].partition("->")
    return re.findall(r"\([^)]*\)|\S+", left), re.findall(r"\([^)]*\)|\S+", right)


def _places(node: Node, there: Sequence[str], here: Sequence[str], axis: int) -> int | None:
    """Return which axis `there` has the name of axis `here` as its outermost part, if that name is free to be larger."""
    name = here[axis]
    outermost = [part.strip("() ").split(" ")[0] for part in there]
    free = name.isidentifier() and name not in node.attributes["axes"] and node.attributes["like"] is None
    return outermost.index(name) if free and name in outermost else None


def _last(body: Body, read: Counter[Ref], groups: Sequence[Sequence[int]]) -> dict[int, int]:
    """Return for attentions the rearrangement that alone reads each, where those of one group are alike and put heads into an axis."""
    found: dict[int, int] = {}
    for group in groups:
        ends = [_reader(body, number) if read[Ref(number)] == 1 else None for number in group]
        nodes = [body.nodes[end] for end in ends if end is not None]
        alike = len(nodes) == len(group) and len({static(node.attributes) for node in nodes}) == 1
        if alike and all(node.target == "rearrange" and _forward(node) is not None for node in nodes):
            found.update((number, end) for number, end in zip(group, ends, strict=True) if end is not None)
    return found


def _reader(body: Body, number: int) -> int | None:
    return next((other for other, node in enumerate(body.nodes) if any(ref.node == number for _, ref in operands(node))), None)
