"""See `ResizeLate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, prod
from typing import Any, ClassVar

from ...blocks.costs import product
from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.record import record
from ...dsl.types import TensorType, extent
from ..graph import Graph, operands
from ..optimize.convolving import is_plain, made_with, tensors, weight_of
from ..optimize.inlining import Inlined, can_inline
from ..optimize.interface import Journal, Pass
from ..optimize.readers import readers
from ..optimize.rebuilding import rebuild
from ..optimize.resizing import before, grows, is_exact, is_resize, places
from ..optimize.writing import Writer


@record
class Part:
    """One of the resized maps whose sum a convolution reads; `narrow` is the convolution of one place before the resize, where that reads fewer
    channels than it gives."""

    resize: Node
    narrow: Node | None


@record
class Way:
    """How the convolution of a part is computed: its multiply-adds for each channel of the result, before the resize or behind it."""

    part: Part
    costs: float
    is_before: bool


@dataclass(frozen=True, slots=True)
class ResizeLate(Pass):
    """Compute a convolution of resized places at the places before, where these are fewer: with one place in its kernel, it and the resize change
    places; a larger kernel takes its taps first, `sum_k shift_k(resize(W_k x))`, and the shifts go with the resize.

    The latter pays where `gain` times its multiply-adds are fewer than those of the convolution.  Of a sum of resized maps each is convolved by
    itself, if that costs less; channels that a convolution of one place made more just before the resize are not made, `W * resize(V x + c) =
    [W V, W c] * resize([x, 1])`.
    """

    gain: int = 3

    after: ClassVar[tuple[str, ...]] = ("fold_norms",)
    fires: ClassVar[Mapping[str, int]] = {"taskexpert:compared": 4, "invpt:compared": 4}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Move the resizes of each body behind the convolutions."""
        return rebuild(graph, lambda body: self._moved(body, journal))

    def _moved(self, body: Body, journal: Journal) -> Body:
        sums = _sums(body)
        if not sums:
            return body
        calls = {number for number, node in enumerate(body.nodes) if node.body is not None and self._is_worth_it(body, node, sums)}
        flat = Inlined(body, calls).body if calls else body
        made = self._written(flat, body, journal)
        return body if made is flat else made

    def _is_worth_it(self, body: Body, call: Node, sums: Mapping[Ref, tuple[Part, ...]]) -> bool:
        """Tell whether a call begins with a convolution of resized values for which that pays."""
        handed = [(name, ref) for name, ref in operands(call) if ref in sums]
        callee = call.body
        if callee is None or not handed or call.target not in body.modules or body.modules[call.target].modules or not can_inline(callee):
            return False
        inner = {Ref(declared.node): sums[ref] for declared in callee.inputs for name, ref in handed if declared.key == name}
        pairs = ((node, inner[x]) for node in callee.nodes if isinstance(x := node.inputs.get("x"), Ref) and x in inner)
        return any(weight_of(callee, node) is not None and not isinstance(self._ways(callee, node, body, parts), str) for node, parts in pairs)

    def _written(self, flat: Body, body: Body, journal: Journal) -> Body:
        sums = _sums(flat)
        pays: dict[int, tuple[Way, ...]] = {}
        for number, node in enumerate(flat.nodes):
            x = node.inputs.get("x")
            if not isinstance(x, Ref) or x not in sums or weight_of(flat, node) is None:
                continue
            found = self._ways(flat, node, flat, sums[x])
            if isinstance(found, str):
                journal.decline(body, f"`{node.target}` stays behind the resize: {found}", node.span)
            else:
                pays[number] = found
        if not pays:
            return flat
        writer = Writer(flat)
        for number, node in enumerate(flat.nodes):
            if number in pays:
                writer.stand_for(number, [_write(writer, node, pays[number])])
                journal.fire(body, f"`{node.target}` comes before the resize", node.span)
            else:
                writer.copy(number)
        return writer.body()

    def _ways(self, held: Body, node: Node, above: Body, parts: Sequence[Part]) -> tuple[Way, ...] | str:
        """Return how a convolution of a sum of resized values is computed part by part, or why it stays behind the resizes."""
        weight = weight_of(held, node)
        if weight is None or not is_plain(made_with(held, node)):
            return "it takes steps, has groups, or sees other values than zeros at the border"
        if _kernel(weight)[1:] == (1, 1):
            if len(parts) > 1:
                return "it reads a sum of resized values, and one place of it"
            return (Way(parts[0], 0, True),) if grows(above, parts[0].resize) else "the resize isn't known to make more places"
        new = places(parts[0].resize.outputs[0])
        if new is None or any(places(before(above, part.resize)) is None for part in parts):
            return "its places aren't known"
        ways = tuple(self._way(above, weight, part) for part in parts)
        costs, total = _direct(_kernel(weight), new), sum(way.costs for way in ways)
        if total <= costs:
            return ways
        if total < inf:
            return f"it costs {costs} multiply-adds for each channel, and apart {total:g}, those before a resize counted {self.gain} times"
        if parts[0].resize.attributes["mode"] != "bilinear":
            return f"its kernel can't go before a resize by `{parts[0].resize.attributes['mode']}`, only by `bilinear`"
        return "its places are not as many as the scale says"

    def _way(self, above: Body, weight: TensorType, part: Part) -> Way:
        """Return the cheaper way for one part; a kernel that reads no fewer channels than before has none behind the resize."""
        old, new = places(before(above, part.resize)), places(part.resize.outputs[0])
        cin, rows, columns = _kernel(weight)
        narrow = weight_of(above, part.narrow) if part.narrow is not None else None
        size = (_kernel(narrow)[0] if narrow is not None else cin, rows, columns)
        made = cin * prod(size) if narrow is not None else 0  # the kernel of both
        behind = made + _direct(size, new) if narrow is not None and new is not None else inf
        if old is None or new is None or part.resize.attributes["mode"] != "bilinear" or not is_exact(part.resize, old):
            return Way(part, behind, False)
        (height, width), (tall, wide) = old, new
        taps = made + prod(size) * height * width + rows * height * columns * width * wide + tall * rows * height * wide
        return Way(part, self.gain * taps, True) if self.gain * taps <= behind else Way(part, behind, False)


def _kernel(weight: TensorType) -> tuple[int, ...]:
    return tuple(size if isinstance(size := extent(axis), int) else 1 for axis in weight.shape[1:])


def _direct(kernel: tuple[int, ...], new: tuple[int, int]) -> int:
    return prod(kernel) * prod(new)


def _sums(body: Body) -> dict[Ref, tuple[Part, ...]]:
    """Return the values that are resized maps, or sums of such."""
    found: dict[Ref, tuple[Part, ...]] = {}
    read = readers(body)
    for number, node in enumerate(body.nodes):
        if is_resize(node):
            found[Ref(number)] = (Part(node, _narrow(body, node)),)
        elif node.kind is NodeKind.OPERATION and node.target == "add":
            a, b = node.inputs.get("a"), node.inputs.get("b")
            if isinstance(a, Ref) and isinstance(b, Ref) and a in found and b in found and body.type(a) == body.type(b) and read[a] == read[b] == 1:
                found[Ref(number)] = found[a] + found[b]
    return found


def _narrow(body: Body, resize: Node) -> Node | None:
    """Return the convolution of one place that makes more channels of what is resized."""
    x = resize.inputs["x"]
    node = body.nodes[x.node] if isinstance(x, Ref) else None
    weight = weight_of(body, node) if node is not None else None
    if node is None or weight is None or not is_plain(made_with(body, node)) or made_with(body, node)["padding"] not in (0, [0, 0], (0, 0)):
        return None
    cin, cout = (extent(axis) for axis in weight.shape[:2][::-1])
    return node if _kernel(weight)[1:] == (1, 1) and isinstance(cin, int) and isinstance(cout, int) and cin < cout else None


# ----------------------------------------------------------------------------------------------------------- writing


def _write(writer: Writer, node: Node, ways: tuple[Way, ...]) -> Ref:
    weight = weight_of(writer.old, node)
    assert weight is not None
    if _kernel(weight)[1:] == (1, 1):
        return _swapped(writer, node, ways[0].part.resize)
    own = tensors(writer, node)
    shift = _shift(writer, node, ways)
    least = min(ways, key=lambda way: _count(writer, way.part))
    total: Ref | None = None
    for way in sorted(ways, key=lambda way: way.is_before):  # those before a resize take the sum of the others in
        total = _part(writer, node, way, own["weight"], shift if way is least else None, own.get("bias") if total is None else None, total)
    assert total is not None
    return total


def _count(writer: Writer, part: Part) -> int:
    size = places(before(writer.old, part.resize))
    return prod(size) if size is not None else 0


def _shift(writer: Writer, node: Node, ways: tuple[Way, ...]) -> Ref | None:
    """Return what the convolutions before the resizes add, together: a resize keeps it as it is."""
    total: Ref | None = None
    for way in ways:
        bias = tensors(writer, way.part.narrow).get("bias") if way.part.narrow is not None else None
        if bias is not None:
            total = bias if total is None else writer.operation("add", node, a=total, b=bias)
    return total


def _part(writer: Writer, node: Node, way: Way, kernel: Ref, shift: Ref | None, bias: Ref | None, plus: Ref | None) -> Ref:
    """Write the convolution of one part, added to `plus`; what is added before all resizes goes into it as a channel of ones, which ends at the
    borders as the others do.
    """
    resize, narrow = way.part.resize, way.part.narrow
    source = (narrow or resize).inputs["x"]
    assert isinstance(source, Ref)
    x, weight = writer.at(source), kernel
    if narrow is not None:
        inner = writer.operation("index", node, x=tensors(writer, narrow)["weight"], items=(slice(None), slice(None), 0, 0))
        weight = writer.operation("einsum", node, pattern="o m k l, m i -> o i k l", tensors=(kernel, inner))
    if shift is not None:
        x = writer.operation("pad", node, x=x, amount=[0, 1], dim=1, value=1)
        column = writer.operation("einsum", node, pattern="o m k l, m -> o k l", tensors=(kernel, shift))
        weight = writer.operation("concat", node, tensors=(weight, writer.operation("unsqueeze", node, x=column, dim=1)), dim=1)
    made = made_with(writer.old, node)
    given: dict[str, Any] = {"padding": made["padding"], **({"bias": bias} if bias is not None else {})}
    if not way.is_before:
        y = writer.operation("conv2d", node, node.name, x=_resized(writer, resize, x, resize.name), weight=weight, **given)
        return y if plus is None else writer.operation("add", node, node.name, a=plus, b=y)
    cout, cin, *spans = writer.type(weight).shape
    taps = writer.operation("permute", node, x=weight, order=[1, 2, 3, 0])
    matrix = writer.operation("reshape", node, x=taps, shape=(cin, product((cout, *spans))))
    given |= {"size": resize.outputs[0].shape[2:], "kernel": spans, "align": resize.attributes["align"]}
    given |= {"plus": plus} if plus is not None else {}
    return writer.operation("resized_conv2d", node, node.name, x=x, weight=matrix, **given)


def _resized(writer: Writer, resize: Node, x: Ref, name: str) -> Ref:
    """Write a resize of another map of the same places."""
    old, (output,) = writer.type(x), resize.outputs
    inputs = {name: writer.operand(operand) for name, operand in resize.inputs.items()} | {"x": x}
    return writer.add(replace(resize, inputs=inputs, outputs=(TensorType(output.dtype, (*old.shape[:2], *output.shape[2:])),), name=name))


def _swapped(writer: Writer, node: Node, resize: Node) -> Ref:
    """Write the convolution of what was resized, then the resize."""
    x = resize.inputs["x"]
    assert isinstance(x, Ref)
    small = writer.old.type(x).shape[2:]
    (output,) = node.outputs
    inputs = {name: writer.operand(operand) for name, operand in node.inputs.items()} | {"x": writer.at(x)}
    inner = writer.add(replace(node, inputs=inputs, outputs=(TensorType(output.dtype, (*output.shape[:2], *small)),)))
    return _resized(writer, resize, inner, node.name)
