"""See `OnednnLinears`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from ...blocks.registry import primitives
from ...dsl.program import Body, NodeKind
from ..graph import Graph
from ..optimize.interface import Journal, Keeps, Pass
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class OnednnLinears(Pass):
    """Run the linears that passes have made by oneDNN, as convolutions are: float32 on a CPU, in calls that differentiate nothing.

    Others, and small ones, are computed as before; all are where torch lacks the operation, `torch.ops.mkldnn._linear_pointwise`, which is none of
    its public ones, or it gives other numbers.  A convolution of one place, the public way to oneDNN, takes longer than a linear.  Modules that are
    called stay as they are.
    """

    keeps: ClassVar[Keeps] = Keeps.EVALUATION
    example: ClassVar[tuple[str, ...]] = ("merge_linears",)
    fires: ClassVar[Mapping[str, int]] = {"minilm": 1, "unifork:small": 19}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Replace the operation `linear`."""
        return rebuild(graph, lambda body: _replaced(body, journal))


def _replaced(body: Body, journal: Journal) -> Body:
    found = {number for number, node in enumerate(body.nodes) if node.kind is NodeKind.OPERATION and node.target == "linear"}
    if not found:
        return body
    entry = primitives()["onednn_linear"]
    writer = Writer(body)
    for number, node in enumerate(body.nodes):
        if number in found:
            inputs = {name: writer.operand(operand) for name, operand in node.inputs.items()}
            writer.stand_for(number, [writer.add(replace(node, target=entry.name, primitive=entry, inputs=inputs))])
            journal.fire(body, f"`{node.name or node.target}`", node.span)
        else:
            writer.copy(number)
    return writer.body()
