"""See `FoldNorms`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from ...dsl.program import Body, ModuleDecl, Node, NodeKind, Ref
from ..graph import Graph, module_at, operands, results
from ..optimize.interface import Journal, Keeps, Pass
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer

AXES = {"Linear": 1, "Conv1d": 2, "Conv2d": 3, "Conv3d": 4}
"""What stands before a norm, and how many axes of its weight follow the one of outputs."""


@dataclass(frozen=True, slots=True)
class FoldNorms(Pass):
    """Fold a batch norm into the convolution or linear before it: `W' = s W`, `b' = s (b - m) + beta`, `s = gamma / sqrt(v + eps)`.

    A convolution without bias gets one, which costs nothing where channels lie innermost, as `lay_channels_last` lays them out.  In channels-first
    layout some processors then convolve slower than the norm takes: with `bare = False` such a convolution is left alone.
    """

    bare: bool = True

    keeps: ClassVar[Keeps] = Keeps.EVALUATION
    fires: ClassVar[Mapping[str, int]] = {"taskexpert:small": 4, "invpt:small": 18}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Fold every norm whose operand nothing else reads."""
        return rebuild(graph, lambda body: _folded(body, self.bare, journal))


def _folded(body: Body, bare: bool, journal: Journal) -> Body:
    pairs = dict(_pairs(body, bare, journal))
    if not pairs:
        return body
    writer = Writer(body)
    inner = set(pairs.values())
    for number in range(len(body.nodes)):
        if number in pairs:
            _fold(writer, body.nodes[pairs[number]], number)
            journal.fire(body, f"`{body.nodes[number].target}` is folded into `{body.nodes[pairs[number]].target}`", body.nodes[number].span)
        elif number not in inner:
            writer.copy(number)
    return writer.body()


def _pairs(body: Body, bare: bool, journal: Journal) -> Iterator[tuple[int, int]]:
    """Yield each norm with the node before it."""
    readers: dict[Ref, int] = {}
    for ref in (*(ref for node in body.nodes for _, ref in operands(node)), *results(body)):
        readers[ref] = readers.get(ref, 0) + 1
    for number, node in enumerate(body.nodes):
        norm = _leaf(body, node)
        read = node.inputs.get("x")
        if norm is None or not norm.kind.startswith("BatchNorm") or not isinstance(read, Ref):
            continue
        before = body.nodes[read.node]
        held = _leaf(body, before)
        if held is None or held.kind not in AXES or before.kind is not NodeKind.LEAF:
            journal.decline(body, f"`{node.target}` follows no convolution or linear", node.span)
        elif readers[read] > 1:
            journal.decline(body, f"the result of `{before.target}` is read elsewhere, too", node.span)
        elif not norm.arguments.get("track", True):
            journal.decline(body, f"`{node.target}` keeps no statistics", node.span)
        elif held.arguments.get("padding_mode", "zeros") != "zeros":
            journal.decline(body, f"`{before.target}` pads by other values than zeros", node.span)
        elif held.kind == "Linear" and body.type(read).rank != 2:
            journal.decline(body, f"`{node.target}` is over another axis than the outputs of `{before.target}`", node.span)
        elif not bare and held.kind != "Linear" and not held.arguments.get("bias", True):
            journal.decline(body, f"`{before.target}` has no bias, and `bare = False` leaves it without", node.span)
        else:
            yield number, read.node


def _leaf(body: Body, node: Node) -> ModuleDecl | None:
    return module_at(body, node.target) if node.kind is NodeKind.LEAF else None


def _fold(writer: Writer, before: Node, number: int) -> None:
    body, node = writer.old, writer.old.nodes[number]
    held, norm = cast(ModuleDecl, _leaf(body, before)), cast(ModuleDecl, _leaf(body, node))
    own = writer.weights(before.target, held, before.span)
    stats = writer.weights(node.target, norm, node.span)
    scale = writer.operation("rsqrt", node, x=writer.operation("add", node, a=stats["running_var"], b=norm.arguments["eps"]))
    if "weight" in stats:
        scale = writer.operation("mul", node, a=stats["weight"], b=scale)
    behind = (slice(None), *(None,) * AXES[held.kind])
    weight = writer.operation("mul", node, a=own["weight"], b=writer.operation("index", node, x=scale, items=behind))
    shift = (
        writer.operation("sub", node, a=own["bias"], b=stats["running_mean"])
        if "bias" in own
        else writer.operation("neg", node, x=stats["running_mean"])
    )
    bias = writer.operation("mul", node, a=shift, b=scale)
    if "bias" in stats:
        bias = writer.operation("add", node, a=bias, b=stats["bias"])
    read = before.inputs["x"]
    assert isinstance(read, Ref)
    writer.stand_for(number, [functional(writer, held, node, writer.at(read), weight, bias)])


def functional(writer: Writer, held: ModuleDecl, like: Node, x: Ref, weight: Ref, bias: Ref | None) -> Ref:
    """Write what a linear or convolution computes, with other weights."""
    given: dict[str, Any] = {"bias": bias} if bias is not None else {}
    if held.kind == "Linear":
        return writer.operation("linear", like, like.name, x=x, weight=weight, **given)
    statics = {name: held.arguments[name] for name in ("stride", "padding", "dilation", "groups")}
    return writer.operation(held.kind.lower(), like, like.name, x=x, weight=weight, **given, **statics)
