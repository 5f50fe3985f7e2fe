"""See `Cancel`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...dsl.program import Body, Node, NodeKind, Ref
from ..graph import Graph, operand_refs
from ..optimize.batching import ELEMENTWISE
from ..optimize.interface import Journal, Pass
from ..optimize.moves import is_move, order
from ..optimize.purity import static
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class Cancel(Pass):
    """Leave out changes of form that cancel: parts of a split put together again, what is done to each part alike, moved axes that move back,
    a shape that is read in another one at once.
    """

    fires: ClassVar[Mapping[str, int]] = {"scalearn:small": 2}
    example: ClassVar[tuple[str, ...]] = ("sum_linears", "merge_linears")

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Let what was there before stand for what comes out."""
        return rebuild(graph, lambda body: _cancelled(body, journal))


def _cancelled(body: Body, journal: Journal) -> Body:
    writer, read = Writer(body), readers(body)
    changed = False
    for number, node in enumerate(body.nodes):
        made = _short(writer, body, node, read) if node.kind is NodeKind.OPERATION else None
        if made is None:
            writer.copy(number)
            continue
        writer.stand_for(number, [made])
        journal.fire(body, f"`{node.target}` undoes what was done before", node.span)
        changed = True
    return writer.body() if changed else body


def _short(writer: Writer, body: Body, node: Node, read: Counter[Ref]) -> Ref | None:
    """Return a shorter way to the value of a node."""
    if node.target in ("concat", "stack"):
        return _whole(writer, body, node, operand_refs(node.inputs["tensors"]), node.attributes["dim"], read)
    x = node.inputs.get("x")
    if not isinstance(x, Ref) or read[x] != 1 or body.nodes[x.node].kind is not NodeKind.OPERATION:
        return None
    inner = body.nodes[x.node]
    before = inner.inputs.get("x")
    if not isinstance(before, Ref):
        return None
    if is_move(node) and is_move(inner):
        first, second = order(inner), order(node)
        axes = [first[axis] for axis in second]
        return writer.at(before) if axes == sorted(axes) else writer.operation("permute", node, node.name, x=writer.at(before), order=axes)
    if node.target == inner.target == "reshape":
        same = body.type(before) == node.outputs[0]
        return writer.at(before) if same else writer.operation("reshape", node, node.name, x=writer.at(before), shape=node.outputs[0].shape)
    return None


def _whole(writer: Writer, body: Body, node: Node, parts: Sequence[Ref], dim: int, read: Counter[Ref]) -> Ref | None:
    """Return what parts that are joined along an axis are the parts of, or the same done to all of it at once."""
    if any(read[part] != 1 for part in parts):
        return None
    sources = [body.nodes[part.node] for part in parts]
    first = sources[0]
    if first.kind is not NodeKind.OPERATION:
        return None
    if first.target in (("split",) if node.target == "concat" else ("unbind",)):
        return _source(writer, body, node, first, parts, dim)
    alike = all(each.target == first.target and static(each.attributes) == static(first.attributes) for each in sources)
    if not alike or first.target not in ELEMENTWISE or first.target == "mT" or len({part.node for part in parts}) != len(parts):
        return None
    inner = [each.inputs.get("x") for each in sources]
    found = _whole(writer, body, node, [ref for ref in inner if isinstance(ref, Ref)], dim, read)
    return writer.operation(first.target, node, first.name, x=found, **first.attributes) if found is not None else None


def _source(writer: Writer, body: Body, node: Node, split: Node, parts: Sequence[Ref], dim: int) -> Ref | None:
    """Return the part of a split's operand that neighbouring results of it make up again."""
    source, first = split.inputs["x"], parts[0].index
    in_order = [part.index for part in parts] == list(range(first, first + len(parts))) and len({part.node for part in parts}) == 1
    if not in_order or not isinstance(source, Ref):
        return None
    rank = node.outputs[0].rank
    axis = dim % rank
    if split.attributes["dim"] % body.type(source).rank != axis:
        return None
    if len(parts) == len(split.outputs):
        return writer.at(source)
    sizes = split.attributes.get("sizes", ())
    if split.target != "split" or not all(isinstance(size, int) for size in sizes):
        return None
    start = sum(sizes[:first])
    items = (*(slice(None),) * axis, slice(start, start + sum(sizes[first : first + len(parts)])))
    return writer.operation("index", node, x=writer.at(source), items=items)
