"""See `OnednnLinears`."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar, cast

from ...dsl.program import Body, ModuleDecl, Node, NodeKind, Ref
from ...dsl.types import extent
from ..graph import Graph, module_at
from ..optimize.interface import Journal, Keeps, Pass
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class OnednnLinears(Pass):
    """Run linears by oneDNN, as convolutions are: float32 on a CPU, in calls that differentiate nothing.

    Weights of fewer than `least` numbers, and other calls, are computed as before; all are where torch lacks the operation,
    `torch.ops.mkldnn._linear_pointwise`, which is none of its public ones, or it gives other numbers, or is seen to spare less than a tenth of the
    time on this processor.  A convolution of one place, the public way to oneDNN, takes longer than a linear.  A `relu` that alone reads what a
    linear gives clips it in its place.
    """

    least: int = 16384

    keeps: ClassVar[Keeps] = Keeps.EVALUATION
    example: ClassVar[tuple[str, ...]] = ("merge_linears",)
    tried: ClassVar[str] = "least = 0"
    fires: ClassVar[Mapping[str, int]] = {"minilm": 4, "unifork:small": 47}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Replace linears, operations and modules."""
        return rebuild(graph, lambda body: _replaced(body, self.least, journal))


def _replaced(body: Body, least: int, journal: Journal) -> Body:
    found = {number for number, node in enumerate(body.nodes) if _size(body, node) >= least}
    if not found:
        return body
    writer, clips = Writer(body), dict(_clips(body, found))
    for number, node in enumerate(body.nodes):
        if number in clips:
            _write(writer, clips[number], number)
        elif number not in found:
            writer.copy(number)
        elif number not in clips.values():
            _write(writer, number, number)
        if number in found:
            journal.fire(body, f"`{node.name or node.target}`", node.span)
    return writer.body()


def _clips(body: Body, linears: Container[int]) -> Iterator[tuple[int, int]]:
    """Yield each `relu` that is all that reads a linear, and that linear."""
    read = readers(body)
    for number, node in enumerate(body.nodes):
        x = node.inputs.get("x")
        if node.kind is NodeKind.OPERATION and node.target == "relu" and isinstance(x, Ref) and x.node in linears and read[x] == 1:
            yield number, x.node


def _write(writer: Writer, linear: int, last: int) -> None:
    """Write a linear, with what follows it up to the last step."""
    body, node = writer.old, writer.old.nodes[linear]
    given = {name: writer.operand(operand) for name, operand in node.inputs.items()}
    if node.kind is NodeKind.LEAF:
        given |= writer.weights(node.target, cast(ModuleDecl, module_at(body, node.target)), node.span)
    writer.stand_for(last, [writer.operation("onednn_linear", node, body.nodes[last].name, rectify=last != linear, **given)])


def _size(body: Body, node: Node) -> int:
    """Return how many numbers the weight of a linear holds, those of one sample where each has its own; -1 for what is none."""
    if node.kind is NodeKind.OPERATION and node.target == "linear":
        return prod(axis for axis in map(extent, body.type(cast(Ref, node.inputs["weight"])).shape) if isinstance(axis, int))
    declared = module_at(body, node.target) if node.kind is NodeKind.LEAF else None
    return declared.arguments["din"] * declared.arguments["dout"] if declared is not None and declared.kind == "Linear" else -1
