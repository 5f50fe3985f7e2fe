"""See `LayChannelsLast`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar, cast

from ...blocks.parameters import per_axis
from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.types import extent
from ..graph import Graph, module_at, operands
from ..optimize.batching import BINARY, ELEMENTWISE
from ..optimize.interface import Journal, Pass
from ..optimize.rebuilding import rebuild
from ..optimize.resizing import grows, is_resize
from ..optimize.writing import Writer
from .fold_norms import functional

KEEPING = frozenset(
    (
        "avg_pool2d",
        "max_pool2d",
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "resize",
        "pixel_shuffle",
        "conv2d",
        "pad",
        "concat",
        "in_channels_last",
    )
)
"""Operations on a map whose result lies in memory as what they read does."""
LEAVES = frozenset(("Conv2d", "ConvTranspose2d", "BatchNorm2d", "GroupNorm", "Dropout", "Dropout2d"))
"""Modules of which the same is true."""


@dataclass(frozen=True, slots=True)
class LayChannelsLast(Pass):
    """Put maps in memory with their channels innermost where convolutions of several places, or resizes that make more places, read them.

    Kernels are laid out so, too: a value of parameters alone, which `fold_parameters` keeps.  Results may lie in memory in that order; their axes
    and numbers are the same.  A resize of fewer than `least` channels is left as it is, and so is one whose result is read in another order at once.
    """

    least: int = 4

    after: ClassVar[tuple[str, ...]] = ("fold_norms", "resize_late", "batch_families")
    fires: ClassVar[Mapping[str, int]] = {"taskexpert:small": 8}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Lay out what the convolutions of each body read."""
        return rebuild(graph, lambda body: _laid(body, self.least, journal))


def _laid(body: Body, least: int, journal: Journal) -> Body:
    layout = _Layout(body, least)
    if not layout.turned:
        return body
    writer = Writer(body)
    turned: dict[Ref, Ref] = {}
    for number, node in enumerate(body.nodes):
        if number not in layout.turned:
            writer.copy(number)
            continue
        x = cast(Ref, node.inputs["x"])
        if x not in layout.laid and x not in turned:
            turned[x] = writer.operation("in_channels_last", node, x=writer.at(x))
        writer.stand_for(number, [_write(writer, node, turned.get(x, writer.at(x)))])
        journal.fire(body, f"`{node.target}` reads its channels side by side", node.span)
    return writer.body()


class _Layout:
    """Which nodes of a body are to read maps with their channels innermost, and which values are such maps then."""

    def __init__(self, body: Body, least: int) -> None:
        self.body, self.least = body, least
        self.laid: set[Ref] = set()
        self.turned: set[int] = set()
        for number, node in enumerate(body.nodes):
            if self._gains(node, Ref(number)):
                self.turned.add(number)
            if number in self.turned or self._keeps(node) or (node.kind is NodeKind.OPERATION and node.target == "resized_conv2d"):
                self.laid.add(Ref(number))

    def _gains(self, node: Node, made: Ref) -> bool:
        x = node.inputs.get("x")
        if not isinstance(x, Ref) or self.body.type(x).rank != 4:
            return False
        if is_resize(node):
            return x not in self.laid and self._channels(x) >= self.least and grows(self.body, node) and is_taken(self.body, made)
        held = kernel(self.body, node)
        return held is not None and prod(held) > 1

    def _channels(self, ref: Ref) -> int:
        size = extent(self.body.type(ref).shape[1])
        return size if isinstance(size, int) else 0

    def _keeps(self, node: Node) -> bool:
        """Tell whether a node's result lies as what it reads, and that so."""
        maps = [ref for _, ref in operands(node) if self.body.type(ref).rank == 4]
        return bool(maps) and is_keeper(self.body, node) and all(ref in self.laid for ref in maps)


def is_keeper(body: Body, node: Node) -> bool:
    """Tell whether a node's result is a map that lies in memory as those that it reads."""
    if len(node.outputs) != 1 or node.outputs[0].rank != 4:
        return False
    if node.kind is NodeKind.LEAF:
        declared = module_at(body, node.target)
        return declared is not None and declared.kind in LEAVES
    kept = node.target in KEEPING or node.target in BINARY or (node.target in ELEMENTWISE and node.target != "mT")
    return node.kind is NodeKind.OPERATION and kept


def is_taken(body: Body, ref: Ref) -> bool:
    """Tell whether all that reads a value, in calls too, takes a map in either order; what a body gives is taken so."""
    taken: dict[Ref, bool] | None = body.found.get("taken in either order")
    if taken is None:
        taken = body.found["taken in either order"] = {}
        for node in body.nodes:
            for name, read in operands(node):
                taken[read] = taken.get(read, True) and (is_keeper(body, node) or _is_taken_inside(node, name))
    return taken.get(ref, True)


def _is_taken_inside(call: Node, name: str) -> bool:
    callee = call.body
    return callee is not None and all(is_taken(callee, Ref(declared.node)) for declared in callee.inputs if declared.key == name)


def kernel(body: Body, node: Node) -> tuple[int, ...] | None:
    """Return how many places the kernel of a convolution over two axes spans; None for what is none, or pads by other values than zeros."""
    if node.kind is NodeKind.OPERATION and node.target == "conv2d":
        weight = node.inputs["weight"]
        return tuple(size for axis in body.type(weight).shape[2:] if isinstance(size := extent(axis), int)) if isinstance(weight, Ref) else None
    declared = module_at(body, node.target) if node.kind is NodeKind.LEAF else None
    if declared is None or declared.kind not in ("Conv2d", "ConvTranspose2d") or declared.arguments.get("padding_mode", "zeros") != "zeros":
        return None
    return per_axis(declared.arguments["kernel"], 2)


def _write(writer: Writer, node: Node, x: Ref) -> Ref:
    """Write a node that reads such a map, with its kernel laid out alike."""
    declared = module_at(writer.old, node.target) if node.kind is NodeKind.LEAF else None
    if declared is not None and declared.kind == "Conv2d":
        own = writer.weights(node.target, declared, node.span)
        return functional(writer, declared, node, x, writer.operation("in_channels_last", node, x=own["weight"]), own.get("bias"))
    given: dict[str, Any] = {name: writer.operand(operand) for name, operand in node.inputs.items()} | {"x": x}
    if node.target == "conv2d":
        given["weight"] = writer.operation("in_channels_last", node, x=given["weight"])
    return writer.add(replace(node, inputs=given))
