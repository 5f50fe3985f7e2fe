"""See `ReadPrefixes`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.types import extent
from ..graph import Graph, operand_refs, operands
from ..optimize.inlining import inlined_where
from ..optimize.interface import Journal, Pass
from ..optimize.rebuilding import rebuild
from ..optimize.scheduling import schedule
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class ReadPrefixes(Pass):
    """Read what linears get of the same first parts as views of one value: of `[x_0]`, `[x_0, x_1]`, .. the longest alone is put together.

    So the linears of chains are products with prefixes of one buffer, without copies (Chain-of-Model, arXiv 2505.11820), and those that read
    the same prefix can be merged.
    """

    fires: ClassVar[Mapping[str, int]] = {"colm:small": 7, "com_mlp:small": 2}
    example: ClassVar[tuple[str, ...]] = ("simplify",)

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Share the prefixes of each body, with those calls written out that they reach into."""
        return rebuild(graph, lambda body: _shared(body, journal))


def _shared(body: Body, journal: Journal) -> Body:
    if _joined(body) < 2:
        return body
    chosen = inlined_where(body, _reached, lambda callee: _joined(callee) > 0)
    whole = _prefixes(chosen)
    order = schedule(chosen, [], {number: [Ref(longest)] for number, longest in whole.items()}) if whole else None
    if order is None:
        return body
    writer = Writer(chosen)
    for (number,) in order:
        if number in whole:
            writer.stand_for(number, [_prefix(writer, chosen.nodes[number], writer.at(Ref(whole[number])))])
        else:
            writer.copy(number)
    for longest in dict.fromkeys(whole.values()):
        count = sum(other == longest for other in whole.values())
        journal.fire(body, f"values read as parts of one: {count}", chosen.nodes[longest].span)
    return writer.body()


def _joined(body: Body) -> int:
    """Return how many values are put together along their last axis in a body and what it calls, each called body once for each call."""
    found: int | None = body.found.get("joined channels")
    if found is None:
        found = sum(_joined(node.body) if node.body is not None else _joins_channels(node) for node in body.nodes)
        body.found["joined channels"] = found
    return found


def _reached(flat: Body) -> Iterator[int]:
    whole = _prefixes(flat)
    yield from whole
    yield from whole.values()


def _prefixes(body: Body) -> dict[int, int]:
    """Return the concats that are the beginning of another one, or equal to one, each with the longest such."""
    read = {ref.node for node in body.nodes for ref in _mapped(node)}
    found = {number: operand_refs(node.inputs["tensors"]) for number, node in enumerate(body.nodes) if number in read and _joins_channels(node)}
    whole: dict[int, int] = {}
    for number, parts in found.items():
        longest = max((other for other, more in found.items() if more[: len(parts)] == parts), key=lambda other: (len(found[other]), -other))
        if longest != number and number not in _before(body, longest):
            whole[number] = longest
    return whole


def _mapped(node: Node) -> Iterator[Ref]:
    """Yield what a linear reads."""
    linear = node.kind is NodeKind.LEAF and node.primitive is not None and node.primitive.name == "Linear"
    name = "x" if linear or (node.kind is NodeKind.OPERATION and node.target in ("linear", "index")) else "a" if node.target == "matmul" else ""
    yield from operand_refs(node.inputs.get(name))


def _joins_channels(node: Node) -> bool:
    """Tell whether a node puts values side by side along their last axis, of known size."""
    if node.kind is not NodeKind.OPERATION or node.target != "concat":
        return False
    rank = node.outputs[0].rank
    return node.attributes["dim"] % rank == rank - 1 and isinstance(extent(node.outputs[0].shape[-1]), int)


def _before(body: Body, number: int) -> set[int]:
    """Return the nodes that one depends on."""
    found, waiting = set[int](), [number]
    while waiting:
        for _, ref in operands(body.nodes[waiting.pop()]):
            if ref.node not in found:
                found.add(ref.node)
                waiting.append(ref.node)
    return found


def _prefix(writer: Writer, node: Node, longest: Ref) -> Ref:
    """Return the value of a concat as the beginning of a longer one."""
    size = extent(node.outputs[0].shape[-1])
    if writer.type(longest).shape[-1] == size:
        return longest
    return writer.operation("index", node, node.name, x=longest, items=(..., slice(None, size)))
