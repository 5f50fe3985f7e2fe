"""See `MergeLinears`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

from ...dsl.program import Body, ModuleDecl, NodeKind, Ref
from ..graph import Graph, module_at
from ..optimize.interface import Journal, Pass
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class MergeLinears(Pass):
    """Compute linears that read the same value as one: `x [W_1; W_2]^T + [b_1; b_2]`, split.  Queries, keys and values, gates and their like.

    Each of them keeps its parameters.  A block's own are merged, those of modules that it was handed are not.
    """

    fires: ClassVar[Mapping[str, int]] = {"minilm": 1, "unifork:small": 8}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Merge what reads the same, body by body."""
        return rebuild(graph, lambda body: _merged(body, journal))


def _merged(body: Body, journal: Journal) -> Body:
    groups = [group for group in _siblings(body).values() if len(group) > 1]
    if not groups:
        return body
    writer = Writer(body)
    first = {group[0]: group for group in groups}
    later = {number for group in groups for number in group[1:]}
    for number in range(len(body.nodes)):
        if number in first:
            _merge(writer, first[number], journal)
        elif number not in later:
            writer.copy(number)
    return writer.body()


def _siblings(body: Body) -> dict[tuple[Ref, bool], list[int]]:
    """Return the linears by what they read and whether they add a bias."""
    found: dict[tuple[Ref, bool], list[int]] = {}
    for number, node in enumerate(body.nodes):
        declared = module_at(body, node.target) if node.kind is NodeKind.LEAF else None
        read = node.inputs.get("x")
        if declared is not None and declared.kind == "Linear" and isinstance(read, Ref):
            known = found.setdefault((read, bool(declared.arguments.get("bias", True))), [])
            if all(body.nodes[other].target != node.target for other in known):
                known.append(number)
    return found


def _merge(writer: Writer, group: list[int], journal: Journal) -> None:
    body = writer.old
    nodes = [body.nodes[number] for number in group]
    like = nodes[0]
    modules = [cast(ModuleDecl, module_at(body, node.target)) for node in nodes]
    held = [writer.weights(node.target, declared, node.span) for node, declared in zip(nodes, modules, strict=True)]
    weight = writer.operation("concat", like, tensors=tuple(each["weight"] for each in held), dim=0)
    bias = writer.operation("concat", like, tensors=tuple(each["bias"] for each in held), dim=0) if "bias" in held[0] else None
    read = like.inputs["x"]
    assert isinstance(read, Ref)
    whole = writer.operation("linear", like, x=writer.at(read), weight=weight, **({"bias": bias} if bias is not None else {}))
    widths = tuple(declared.arguments["dout"] for declared in modules)
    parts = writer.operation("split", like, x=whole, sizes=widths, dim=-1)
    for index, number in enumerate(group):
        writer.stand_for(number, [Ref(parts.node, index)])
    journal.fire(body, f"{', '.join(node.target for node in nodes)} are one", like.span)
