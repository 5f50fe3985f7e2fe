"""See `ResizeLate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Any, ClassVar, cast

from ...blocks.parameters import per_axis
from ...dsl.program import Body, ModuleDecl, Node, NodeKind, Ref
from ...dsl.types import Axis, TensorType, extent
from ..census import leaf_specs
from ..graph import Graph, module_at, operands
from ..optimize.inlining import Inlined, can_inline
from ..optimize.interface import Journal, Pass
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer


@dataclass(frozen=True, slots=True)
class ResizeLate(Pass):
    """Compute a convolution of resized places at the places before, where these are fewer: with one place in its kernel, it and the resize change
    places; a larger kernel takes its taps first, `sum_k shift_k(resize(W_k x))`, and the shifts go with the resize.

    The latter pays where `gain` times its multiply-adds are fewer than those of the convolution.
    """

    gain: int = 3

    after: ClassVar[tuple[str, ...]] = ("fold_norms",)
    fires: ClassVar[Mapping[str, int]] = {"taskexpert:compared": 4}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Move the resizes of each body behind the convolutions."""
        return rebuild(graph, lambda body: self._moved(body, journal))

    def _moved(self, body: Body, journal: Journal) -> Body:
        resized = {Ref(number) for number, node in enumerate(body.nodes) if _is_resize(node)}
        if not resized:
            return body
        calls = {number for number, node in enumerate(body.nodes) if node.body is not None and self._is_worth_it(body, node, resized)}
        flat = Inlined(body, calls).body if calls else body
        made = self._written(flat, body, journal)
        return body if made is flat else made

    def _is_worth_it(self, body: Body, call: Node, resized: set[Ref]) -> bool:
        """Tell whether a call begins with a convolution of a resized value for which that pays."""
        handed = [(name, ref) for name, ref in operands(call) if ref in resized]
        callee = call.body
        if callee is None or not handed or call.target not in body.modules or body.modules[call.target].modules or not can_inline(callee):
            return False
        inner = {Ref(declared.node): body.nodes[ref.node] for declared in callee.inputs for name, ref in handed if declared.key == name}
        pairs = ((node, inner[x]) for node in callee.nodes if isinstance(x := node.inputs.get("x"), Ref) and x in inner)
        return any(_weight(callee, node) is not None and self._against(callee, node, body, resize) is None for node, resize in pairs)

    def _written(self, flat: Body, body: Body, journal: Journal) -> Body:
        pays: dict[int, int] = {}
        for number, resize in _pairs(flat):
            against = self._against(flat, flat.nodes[number], flat, flat.nodes[resize])
            if against is None:
                pays[number] = resize
            else:
                journal.decline(body, f"`{flat.nodes[number].target}` stays behind the resize: {against}", flat.nodes[number].span)
        if not pays:
            return flat
        writer = Writer(flat)
        for number, node in enumerate(flat.nodes):
            if number in pays:
                writer.stand_for(number, [_write(writer, node, flat.nodes[pays[number]])])
                journal.fire(body, f"`{node.target}` comes before the resize", node.span)
            else:
                writer.copy(number)
        return writer.body()

    def _against(self, held: Body, node: Node, above: Body, resize: Node) -> str | None:
        """Return why a convolution of a resized value stays behind the resize, or None if it needn't."""
        before, after = _places(_read(above, resize)), _places(resize.outputs[0])
        weight = _weight(held, node)
        if weight is None or not _is_plain(_made(held, node)):
            return "it takes steps, has groups, or sees other values than zeros at the border"
        cin, rows, columns = (size if isinstance(size := extent(axis), int) else 1 for axis in weight.shape[1:])
        if (rows, columns) == (1, 1):
            grows = _grows(resize) if before is None or after is None else prod(after) > prod(before)
            return None if grows else "the resize isn't known to make more places"
        if before is None or after is None or not _is_exact(resize, before):
            return "its places aren't known, or not as many as the scale says"
        if resize.attributes["mode"] != "bilinear":
            return f"its kernel can't go before a resize by `{resize.attributes['mode']}`, only by `bilinear`"
        (height, width), (tall, wide) = before, after
        taps = cin * rows * columns * height * width + rows * height * columns * width * wide + tall * rows * height * wide
        costs = cin * rows * columns * tall * wide
        return None if self.gain * taps <= costs else f"it costs {costs} multiply-adds for each channel, and before the resize {taps}"


def _is_resize(node: Node) -> bool:
    return node.kind is NodeKind.OPERATION and node.target == "resize" and node.outputs[0].rank == 4 and not node.attributes["antialias"]


def _pairs(body: Body) -> Iterator[tuple[int, int]]:
    """Yield each convolution of a resized value, with the resize."""
    for number, node in enumerate(body.nodes):
        x = node.inputs.get("x")
        if isinstance(x, Ref) and _is_resize(body.nodes[x.node]) and _weight(body, node) is not None:
            yield number, x.node


def _read(body: Body, node: Node) -> TensorType:
    x = node.inputs["x"]
    assert isinstance(x, Ref)
    return body.type(x)


def _places(type_: TensorType) -> tuple[int, int] | None:
    height, width = (extent(axis) for axis in type_.shape[2:])
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _scales(resize: Node) -> tuple[Fraction, ...] | None:
    """Return how much larger each axis gets, where the text says so."""
    scale: Any = resize.attributes["scale"]
    if scale is None:
        return None
    return (Fraction(scale),) * 2 if isinstance(scale, (int, float, Fraction)) else tuple(Fraction(each) for each in scale)


def _grows(resize: Node) -> bool:
    """Tell whether there are more places after than before, whatever their number."""
    scales = _scales(resize)
    return scales is not None and prod(scales) > 1


def _is_exact(resize: Node, before: tuple[int, int]) -> bool:
    """Tell whether the scales give the very sizes of the result, so that nothing was rounded away."""
    scales = _scales(resize)
    return scales is None or all((scale * n).denominator == 1 for scale, n in zip(scales, before, strict=True))


def _made(body: Body, node: Node) -> Mapping[str, Any]:
    """Return what a convolution was made with."""
    declared = module_at(body, node.target) if node.kind is NodeKind.LEAF else None
    return declared.arguments if declared is not None else node.attributes


def _is_plain(made: Mapping[str, Any]) -> bool:
    """Tell whether a kernel slides over zeros at the border, place by place, for all channels."""
    plain = per_axis(made["stride"], 2) == per_axis(made["dilation"], 2) == (1, 1) and made["groups"] == 1
    return plain and made.get("padding_mode", "zeros") == "zeros" and made["padding"] != "same"


def _weight(body: Body, node: Node) -> TensorType | None:
    """Return the type of a convolution's kernel; None for what is no convolution of two axes."""
    if node.kind is NodeKind.OPERATION and node.target == "conv2d":
        weight = node.inputs["weight"]
        return body.type(weight) if isinstance(weight, Ref) else None
    declared = module_at(body, node.target) if node.kind is NodeKind.LEAF else None
    if declared is None or declared.kind != "Conv2d":
        return None
    specs = {spec.name: spec for spec in leaf_specs(declared)}
    return TensorType(specs["weight"].dtype, specs["weight"].shape)


def _write(writer: Writer, node: Node, resize: Node) -> Ref:
    x = resize.inputs["x"]
    assert isinstance(x, Ref)
    weight, made = _weight(writer.old, node), _made(writer.old, node)
    assert weight is not None
    if weight.shape[2:] == (1, 1):
        return _swapped(writer, node, resize, x)
    own = _weights(writer, node)
    size: tuple[Axis, ...] = resize.outputs[0].shape[2:]
    given: dict[str, Any] = {"size": size, "padding": made["padding"], "align": resize.attributes["align"]}
    return writer.operation("resized_conv2d", node, node.name, x=writer.at(x), **own, **given)


def _swapped(writer: Writer, node: Node, resize: Node, x: Ref) -> Ref:
    """Write the convolution of what was resized, then the resize."""
    places = writer.old.type(x).shape[2:]
    (output,) = node.outputs
    inputs = {name: writer.operand(operand) for name, operand in node.inputs.items()} | {"x": writer.at(x)}
    inner = writer.add(replace(node, inputs=inputs, outputs=(TensorType(output.dtype, (*output.shape[:2], *places)),)))
    more = {name: writer.operand(operand) for name, operand in resize.inputs.items()} | {"x": inner}
    return writer.add(replace(resize, inputs=more, outputs=node.outputs, name=node.name))


def _weights(writer: Writer, node: Node) -> dict[str, Ref]:
    """Return kernel and bias of a convolution as values."""
    if node.kind is NodeKind.OPERATION:
        return {name: writer.at(ref) for name in ("weight", "bias") if isinstance(ref := node.inputs.get(name), Ref)}
    return writer.weights(node.target, cast(ModuleDecl, module_at(writer.old, node.target)), node.span)
