"""See `ComposeMaps`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ...blocks.parameters import per_axis
from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.record import record
from ...dsl.types import extent
from ..graph import Graph, module_at, operand_refs
from ..optimize.convolving import is_plain, made_with, tensors
from ..optimize.interface import Journal, Pass
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@record
class Inner:
    """One of the values that a map reads side by side: what it is, how wide, and the map that it comes from, if the two are to be one."""

    value: Ref
    width: int
    node: Node | None


@dataclass(frozen=True, slots=True)
class ComposeMaps(Pass):
    """Compute a linear of linears as one, `V concat(W_1 x_1 + b_1, x_2) + c = [V_1 W_1, V_2] concat(x_1, x_2) + V_1 b_1 + c`, where that takes fewer
    multiply-adds; convolutions of one place are such linears, too.

    The product of the weights depends on parameters alone: without `fold_parameters` it is computed at each call.
    """

    fires: ClassVar[Mapping[str, int]] = {"taskprompter:compared": 1}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Compose the maps of each body."""
        return rebuild(graph, lambda body: _composed(body, journal))


def _composed(body: Body, journal: Journal) -> Body:
    read = readers(body)
    found = {number: inner for number, node in enumerate(body.nodes) if (inner := _inner(body, node, read))}
    if not found:
        return body
    writer = Writer(body)
    for number, node in enumerate(body.nodes):
        if number in found:
            writer.stand_for(number, [_write(writer, node, found[number])])
            names = ", ".join(f"`{each.node.target}`" for each in found[number] if each.node is not None)
            journal.fire(body, f"`{node.target}` and {names} are one map", node.span)
        else:
            writer.copy(number)
    return writer.body()


def _sizes(body: Body, node: Node) -> tuple[str, int, int] | None:
    """Return whether a node is a linear or a convolution of one place, with the channels that it gives and reads; None for anything else."""
    made = made_with(body, node)
    if node.kind is NodeKind.LEAF:
        declared = module_at(body, node.target)
        kind = declared.kind.lower() if declared is not None else ""
    else:
        kind = node.target if node.kind is NodeKind.OPERATION else ""
    if kind == "linear" and node.kind is NodeKind.LEAF:
        return kind, int(made["dout"]), int(made["din"])
    if kind == "conv2d" and node.kind is NodeKind.LEAF:
        window = (per_axis(made["kernel"], 2), made["padding"] if isinstance(made["padding"], str) else per_axis(made["padding"], 2))
        return (kind, int(made["cout"]), int(made["cin"])) if is_plain(made) and window == ((1, 1), (0, 0)) else None
    weight = node.inputs.get("weight") if kind in ("linear", "conv2d") else None
    sizes = [extent(axis) for axis in body.type(weight).shape] if isinstance(weight, Ref) else []
    fits = kind == "linear" or (len(sizes) == 4 and sizes[2:] == [1, 1] and is_plain(made) and per_axis(made["padding"], 2) == (0, 0))
    if len(sizes) < 2 or not fits or not isinstance(sizes[0], int) or not isinstance(sizes[1], int):
        return None
    return kind, sizes[0], sizes[1]


def _inner(body: Body, node: Node, read: Counter[Ref]) -> tuple[Inner, ...]:
    """Return what a map reads side by side, if it pays to be one with some of it."""
    own, x = _sizes(body, node), node.inputs.get("x")
    if own is None or not isinstance(x, Ref):
        return ()
    source, axis = body.nodes[x.node], 1 if own[0] == "conv2d" else body.type(x).rank - 1
    is_joined = (
        source.kind is NodeKind.OPERATION and source.target == "concat" and source.attributes["dim"] % body.type(x).rank == axis and read[x] == 1
    )
    found: list[Inner] = []
    for ref in operand_refs(source.inputs["tensors"]) if is_joined else (x,):
        width = extent(body.type(ref).shape[axis])
        if not isinstance(width, int):
            return ()
        before = _sizes(body, body.nodes[ref.node]) if read[ref] == 1 else None
        pays = before is not None and before[0] == own[0] and own[1] * before[2] < width * (own[1] + before[2])
        found.append(Inner(ref, width, body.nodes[ref.node] if pays else None))
    return tuple(found) if any(each.node is not None for each in found) else ()


def _write(writer: Writer, node: Node, inner: tuple[Inner, ...]) -> Ref:
    kind, held = "linear" if _is_linear(writer, node) else "conv2d", tensors(writer, node)
    outer, bias = _matrix(writer, node, held["weight"], kind), held.get("bias")
    values: list[Ref] = []
    weights: list[Ref] = []
    start = 0
    for each in inner:
        part = writer.operation("index", node, x=outer, items=(slice(None), slice(start, start + each.width))) if len(inner) > 1 else outer
        start += each.width
        value = each.value
        if each.node is not None:
            own = tensors(writer, each.node)
            if "bias" in own:
                added = writer.operation("matmul", node, a=part, b=own["bias"])
                bias = added if bias is None else writer.operation("add", node, a=bias, b=added)
            part = writer.operation("matmul", node, a=part, b=_matrix(writer, node, own["weight"], kind))
            value = each.node.inputs["x"]
        assert isinstance(value, Ref)
        values.append(writer.at(value))
        weights.append(part)
    return _joined(writer, node, kind, values, weights, bias)


def _joined(writer: Writer, node: Node, kind: str, values: list[Ref], weights: list[Ref], bias: Ref | None) -> Ref:
    """Write one map of values side by side."""
    axis = 1 if kind == "conv2d" else -1
    x = writer.operation("concat", node, tensors=tuple(values), dim=axis) if len(values) > 1 else values[0]
    weight = writer.operation("concat", node, tensors=tuple(weights), dim=1) if len(weights) > 1 else weights[0]
    if kind == "conv2d":
        weight = writer.operation("index", node, x=weight, items=(slice(None), slice(None), None, None))
    given: dict[str, Any] = {"bias": bias} if bias is not None else {}
    return writer.operation(kind, node, node.name, x=x, weight=weight, **given)


def _is_linear(writer: Writer, node: Node) -> bool:
    found = _sizes(writer.old, node)
    return found is not None and found[0] == "linear"


def _matrix(writer: Writer, node: Node, weight: Ref, kind: str) -> Ref:
    """Return a kernel as a matrix [outputs, inputs]."""
    return weight if kind == "linear" else writer.operation("index", node, x=weight, items=(slice(None), slice(None), 0, 0))
