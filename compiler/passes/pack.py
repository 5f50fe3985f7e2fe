"""See `Pack`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from ...dsl.program import Body, Node, NodeKind, OutputDecl, Recipe, Ref
from ..graph import Graph, operand_refs
from ..optimize.interface import Journal, Pass
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class Pack(Pass):
    """Keep parameters that are always read side by side in one storage: `stack` and `concat` along axis 0 of whole parameters cost nothing then.

    Each parameter stays, under its own name, as a view of that storage.
    """

    fires: ClassVar[Mapping[str, int]] = {"minilm": 2, "unifork:small": 14}
    example: ClassVar[tuple[str, ...]] = ("merge_linears",)

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Make each such node a derived value."""
        return rebuild(graph, lambda body: _packed(body, journal))


def _packed(body: Body, journal: Journal) -> Body:
    found = [number for number, node in enumerate(body.nodes) if is_side_by_side(body, node)]
    if not found:
        return body
    writer = Writer(body)
    for number, node in enumerate(body.nodes):
        if number in found:
            writer.stand_for(number, [writer.add(packed(body, node))])
            journal.fire(body, f"{len(operand_refs(node.inputs['tensors']))} parameters in one storage", node.span)
        else:
            writer.copy(number)
    return writer.body()


def is_side_by_side(body: Body, node: Node) -> bool:
    """Tell whether a node puts whole parameters side by side along axis 0, each once."""
    if node.kind is not NodeKind.OPERATION or node.target not in ("stack", "concat") or node.attributes.get("dim") != 0:
        return False
    read = [body.nodes[ref.node] for ref in operand_refs(node.inputs["tensors"])]
    paths = {each.target for each in read if each.kind is NodeKind.PARAMETER}
    moved = {update.path for update in body.updates}
    return len(paths) == len(read) > 1 and len({body.type(ref).dtype for ref in operand_refs(node.inputs["tensors"])}) == 1 and not paths & moved


def packed(body: Body, node: Node) -> Node:
    """Return the derived value that a node side by side is."""
    read = [body.nodes[ref.node] for ref in operand_refs(node.inputs["tensors"])]
    joined = replace(node, inputs={"tensors": tuple(Ref(number) for number in range(len(read)))})
    output = OutputDecl("value", (), Ref(len(read)), node.span)
    recipe = Recipe(Body(body.name, node.span, body.training, nodes=[*read, joined], outputs=[output]), packed=True)
    name = f"{read[0].name}es" if read[0].name.endswith("s") else f"{read[0].name}s"
    return Node(NodeKind.DERIVED, name, {}, {"recipe": recipe}, node.outputs, node.span, node.name)
