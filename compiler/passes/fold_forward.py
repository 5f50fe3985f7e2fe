"""See `FoldForward`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ...blocks.parameters import per_axis
from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.types import extent
from ..graph import Graph, module_at, operands, results
from ..optimize.channelwise import Channelwise, Channelwises, Vector, rests_on, whole
from ..optimize.inlining import inlined_where
from ..optimize.interface import Journal, Keeps, Pass
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer

MAPS = {"Linear": 0, "Conv1d": 1, "Conv2d": 2}
"""What reads channels, as modules and operations, and over how many axes of places."""


@dataclass(frozen=True, slots=True)
class FoldForward(Pass):
    """Fold what scales and shifts each channel into the linears and convolutions that read it: `W (s x + t) + b = (W diag s) x + (W t + b)`.

    That is a batch norm before a linear, also between moves of axes, and whatever products and sums with parameters make of a value, as PRepBN
    in evaluation, `s = gamma / sqrt(v + eps) + eta`.  All that reads such a value must take it, or it stays for all; a convolution that pads takes
    no shift.  With `bare = False` a convolution without bias takes none either, see `fold_norms`.
    """

    bare: bool = True

    keeps: ClassVar[Keeps] = Keeps.EVALUATION
    fires: ClassVar[Mapping[str, int]] = {"texts/fold_forward": 6}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Fold in each body, and from block to block where one body calls both."""
        return rebuild(graph, lambda body: self._folded(body, journal))

    def _folded(self, body: Body, journal: Journal) -> Body:
        if not _may_fold(body):
            return body
        flat = inlined_where(body, lambda trial: _Folding(trial, self.bare).involved)
        folding = _Folding(flat, self.bare)
        for why, node in folding.against:
            journal.decline(body, why, node.span)
        if not folding.readers:
            return body
        writer = Writer(flat)
        for number, node in enumerate(flat.nodes):
            if number in folding.readers:
                writer.stand_for(number, [_write(writer, node, folding.readers[number])])
                journal.fire(body, f"`{node.target}` takes in what scales and shifts its channels", node.span)
            else:
                writer.copy(number)
        return writer.body()


def _may_fold(body: Body) -> bool:
    """Tell whether there is anything of the kind in a body, or a block that is such a thing."""
    if any(node.body is not None and rests_on(node.body) for node in body.nodes):
        return True
    return bool(Channelwises(body).found)


class _Folding:
    """Which linears and convolutions of a body take in what."""

    def __init__(self, body: Body, bare: bool) -> None:
        self.body, self.bare = body, bare
        self.against: list[tuple[str, Node]] = []
        self.readers: dict[int, Channelwise] = {}
        self._known = Channelwises(body)
        self._read: dict[Ref, list[int]] = {}
        for number, node in enumerate(body.nodes):
            for _, ref in operands(node):
                self._read.setdefault(ref, []).append(number)
        self._ends = frozenset(results(body))
        self._gone: dict[Ref, bool] = {}
        for number in reversed(range(len(body.nodes))):
            self._gone[Ref(number)] = self._goes(Ref(number))
        for ref, made in self._known.found.items():
            taken = [number for number in self._read.get(ref, ()) if self._why_not(number, ref) is None]
            if self._gone[ref]:
                self.readers |= dict.fromkeys(taken, made)
            elif taken:
                self.against.append(
                    (f"`{body.nodes[ref.node].target}` stays before `{body.nodes[taken[0]].target}`: it is read elsewhere, too", body.nodes[taken[0]])
                )

    @property
    def involved(self) -> Iterator[int]:
        """The nodes that are rewritten, with those that are left out."""
        yield from self.readers
        yield from (ref.node for ref in self._known.found if self._gone[ref])

    def _goes(self, ref: Ref) -> bool:
        """Tell whether all that reads a value takes it in, so that it isn't needed any more."""
        if ref not in self._known.found or ref in self._ends:
            return False
        read = self._read.get(ref, [])
        return bool(read) and all(self._gone.get(Ref(number), False) or self._why_not(number, ref) is None for number in read)

    def _why_not(self, number: int, ref: Ref) -> str | None:
        """Return why a node can't take a value in, None if it can."""
        node, made = self.body.nodes[number], self._known.found[ref]
        kind, given = _kind(self.body, node)
        if kind not in MAPS or [name for name, read in operands(node) if read == ref] != ["x"]:
            return "it is no linear or convolution of it"
        count = MAPS[kind]
        axis = 1 if count else self.body.type(ref).rank - 1
        if made.axis not in (None, axis) or not isinstance(extent(self.body.type(ref).shape[axis]), int):
            return "its channels are along another axis"
        if count and (given["groups"] != 1 or given.get("padding_mode", "zeros") != "zeros"):
            return "it has groups, or sees other values than zeros at the border"
        if count and made.shift != 0.0 and (given["padding"] == "same" or any(per_axis(given["padding"], count))):
            return "it pads"
        if count and made.shift != 0.0 and not self.bare and not _has_bias(self.body, node):
            return "it has no bias"
        return None


def _kind(body: Body, node: Node) -> tuple[str, Mapping[str, Any]]:
    """Return the kind of map that a node is, as that of a module, and what it was made with."""
    if node.kind is NodeKind.LEAF:
        declared = module_at(body, node.target)
        return (declared.kind, declared.arguments) if declared is not None else ("", {})
    kinds = {kind.lower(): kind for kind in MAPS}
    return (kinds.get(node.target, "") if node.kind is NodeKind.OPERATION else "", node.attributes)


def _has_bias(body: Body, node: Node) -> bool:
    kind, given = _kind(body, node)
    return bool(given.get("bias", kind == "")) if node.kind is NodeKind.LEAF else node.inputs.get("bias") is not None


def _write(writer: Writer, node: Node, made: Channelwise) -> Ref:
    """Write a map of what its operand is made of."""
    kind, given = _kind(writer.old, node)
    declared = module_at(writer.old, node.target) if node.kind is NodeKind.LEAF else None
    if declared is not None:
        own: dict[str, Ref] = writer.weights(node.target, declared, node.span)
    else:
        own = {name: writer.at(ref) for name in ("weight", "bias") if isinstance(ref := node.inputs.get(name), Ref)}
    weight, bias = _taken_in(writer, node, made, own, MAPS[kind])
    x = writer.at(made.base)
    if made.order:
        x = writer.operation("permute", node, x=x, order=list(made.order))
    statics = {name: given[name] for name in ("stride", "padding", "dilation", "groups") if name in given}
    return writer.operation(kind.lower(), node, node.name, x=x, weight=weight, **statics, **({"bias": bias} if bias is not None else {}))


def _taken_in(writer: Writer, node: Node, made: Channelwise, own: Mapping[str, Ref], count: int) -> tuple[Ref, Ref | None]:
    """Return kernel and bias with the scale and the shift in them."""
    weight, bias = own["weight"], own.get("bias")
    width = extent(writer.type(weight).shape[1])
    assert isinstance(width, int)
    scaled = weight
    if isinstance(made.scale, Vector):
        column = writer.operation("index", node, x=whole(writer, made.scale, width, node), items=(slice(None), *(None,) * count))
        scaled = writer.operation("mul", node, a=weight, b=column if count else whole(writer, made.scale, width, node))
    elif made.scale != 1.0:
        scaled = writer.operation("mul", node, a=weight, b=made.scale)
    if made.shift == 0.0:
        return scaled, bias
    if isinstance(made.shift, Vector):
        places = " ".join(("k", "l")[:count])
        pattern = f"o i {places}, i -> o" if count else "o i, i -> o"
        added = writer.operation("einsum", node, pattern=pattern, tensors=(weight, whole(writer, made.shift, width, node)))
    else:
        added = writer.operation("mul", node, a=writer.operation("sum", node, x=weight, dim=list(range(1, count + 2))), b=made.shift)
    return scaled, added if bias is None else writer.operation("add", node, a=bias, b=added)
