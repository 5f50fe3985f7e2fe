"""Values that are `scale x + shift`, channel by channel, of another value: what norms in evaluation and products with parameters make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.record import record
from ...dsl.types import extent
from ..graph import module_at
from .affine import fixed
from .moves import is_move, order
from .writing import Writer


class Vector:
    """A number for each channel, or one for all: a value [channels] or [1] that depends on parameters alone, written when it is first asked for."""

    def __init__(self, write: Callable[[Writer], Ref]) -> None:
        self._write = write
        self._made: Ref | None = None

    def at(self, writer: Writer) -> Ref:
        """Return it in the body that a writer makes, the same one at each call."""
        if self._made is None:
            self._made = self._write(writer)
        return self._made


Factor = Vector | float


@record
class Channelwise:
    """`y = scale x + shift`, x being `base` with its axes in another `order`, if one is given; channels are along `axis` of y, or any where each
    number is for all of them.
    """

    base: Ref
    axis: int | None = None
    scale: Factor = 1.0
    shift: Factor = 0.0
    order: tuple[int, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Tell whether nothing is scaled or shifted."""
        return self.scale == 1.0 and self.shift == 0.0


class Channelwises:
    """Finds such values of a body of which no pass has changed what modules compute; the model only evaluates."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.fixed = fixed(body)
        self.found: dict[Ref, Channelwise] = {}
        self._moves: dict[Ref, Channelwise] = {}
        for number, node in enumerate(body.nodes):
            made = self._made(node) if number not in self.fixed and len(node.outputs) == 1 else None
            if made is not None:
                (self._moves if made.is_plain else self.found)[Ref(number)] = made

    def of(self, ref: Ref) -> Channelwise:
        """Return a value as what it is made of, or as itself."""
        return self.found.get(ref) or self._moves.get(ref) or Channelwise(ref)

    def _made(self, node: Node) -> Channelwise | None:
        if node.kind is NodeKind.LEAF:
            return self._norm(node)
        if is_move(node):
            return self._moved(node)
        if node.kind is NodeKind.OPERATION and node.target in ("add", "sub", "mul", "div"):
            sides = [node.inputs.get(name, node.attributes.get(name)) for name in ("a", "b")]
            return self._computed(node, *sides)
        return None

    def _norm(self, node: Node) -> Channelwise | None:
        """Return a batch norm: `s = gamma / sqrt(v + eps)`, `beta - s m`."""
        norm, x = module_at(self.body, node.target), node.inputs.get("x")
        if norm is None or not norm.kind.startswith("BatchNorm") or not norm.arguments.get("track", True) or not isinstance(x, Ref):
            return None

        def scale(writer: Writer) -> Ref:
            held = writer.weights(node.target, norm, node.span)
            made = writer.operation("rsqrt", node, x=writer.operation("add", node, a=held["running_var"], b=norm.arguments["eps"]))
            return writer.operation("mul", node, a=held["weight"], b=made) if "weight" in held else made

        by = Vector(scale)

        def shift(writer: Writer) -> Ref:
            held = writer.weights(node.target, norm, node.span)
            mean = writer.operation("mul", node, a=held["running_mean"], b=by.at(writer))
            return writer.operation("sub", node, a=held["bias"], b=mean) if "bias" in held else writer.operation("neg", node, x=mean)

        return _shifted(_scaled(self.of(x), by, 1, node), Vector(shift), 1, node)

    def _moved(self, node: Node) -> Channelwise:
        x = node.inputs["x"]
        assert isinstance(x, Ref)
        held, second = self.of(x), order(node)
        axes = tuple(held.order[axis] for axis in second) if held.order else tuple(second)
        axis = second.index(held.axis) if held.axis is not None else None
        return replace(held, order=axes if axes != tuple(range(len(axes))) else (), axis=axis)

    def _computed(self, node: Node, a: Any, b: Any) -> Channelwise | None:
        """Return a sum, difference, product or quotient with what depends on parameters alone, or a sum of two such values of one."""
        one, other, turned = (a, b, False) if isinstance(a, Ref) and a.node not in self.fixed else (b, a, True)
        if not isinstance(one, Ref) or one.node in self.fixed or self.body.type(one) != node.outputs[0]:
            return None
        if isinstance(other, Ref) and other.node not in self.fixed:
            return _sum(node, self.of(one), self.of(other)) if node.target in ("add", "sub") and self.body.type(other) == node.outputs[0] else None
        given = self._vector(other, node)
        if given is None:
            return None
        return _with(self.of(one), *given, node, turned)

    def _vector(self, value: Any, node: Node) -> tuple[Factor, int | None] | None:
        """Return a number, or a parameter that has one for each channel, with the axis of these."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and (node.target != "div" or value):
            return float(value), None
        if not isinstance(value, Ref):
            return None
        sizes, rank = [extent(axis) for axis in self.body.type(value).shape], node.outputs[0].rank
        wide = [place for place, size in enumerate(sizes) if size != 1]
        if len(wide) > 1 or len(sizes) > rank or not all(isinstance(size, int) for size in sizes):
            return None
        count = sizes[wide[0]] if wide else 1
        axis = wide[0] + rank - len(sizes) if wide else None
        return Vector(lambda writer: writer.operation("reshape", node, x=writer.at(value), shape=(count,))), axis


def _sum(node: Node, a: Channelwise, b: Channelwise) -> Channelwise | None:
    """Return the sum or difference of two such values of one value."""
    if a.base != b.base or a.order != b.order or not _agree(a.axis, b.axis):
        return None
    scale, shift = _joined(node.target, a.scale, b.scale, node), _joined(node.target, a.shift, b.shift, node)
    return replace(a, axis=a.axis if a.axis is not None else b.axis, scale=scale, shift=shift)


def _with(held: Channelwise, by: Factor, axis: int | None, node: Node, turned: bool) -> Channelwise | None:
    """Return what a node makes of such a value and a factor, which stands first where they are `turned`."""
    match node.target:
        case "mul":
            return _scaled(held, by, axis, node)
        case "div" if not turned:
            return _scaled(held, _joined("div", 1.0, by, node), axis, node)
        case "add":
            return _shifted(held, by, axis, node)
        case "sub" if turned:
            return _shifted(_scaled(held, -1.0, None, node), by, axis, node)
        case "sub":
            return _shifted(held, _joined("sub", 0.0, by, node), axis, node)
        case _:
            return None


def _agree(one: int | None, other: int | None) -> bool:
    return one is None or other is None or one == other


def _scaled(held: Channelwise, by: Factor, axis: int | None, node: Node) -> Channelwise | None:
    if not _agree(held.axis, axis):
        return None
    scale, shift = _joined("mul", held.scale, by, node), _joined("mul", held.shift, by, node)
    return replace(held, axis=held.axis if axis is None else axis, scale=scale, shift=shift)


def _shifted(held: Channelwise | None, by: Factor, axis: int | None, node: Node) -> Channelwise | None:
    if held is None or not _agree(held.axis, axis):
        return None
    return replace(held, axis=held.axis if axis is None else axis, shift=_joined("add", held.shift, by, node))


def _joined(how: str, a: Factor, b: Factor, node: Node) -> Factor:
    """Return the sum, difference, product or quotient of two factors; what changes nothing is not written."""
    if isinstance(a, float) and isinstance(b, float):
        return {"add": a + b, "sub": a - b, "mul": a * b}[how] if how != "div" else a / b
    if how == "mul" and (a == 0.0 or b == 0.0):
        return 0.0
    if (how == "mul" and a == 1.0) or (how == "add" and a == 0.0):
        return b
    if (how in ("mul", "div") and b == 1.0) or (how in ("add", "sub") and b == 0.0):
        return a
    return Vector(lambda writer: _written(writer, how, a, b, node))


def _written(writer: Writer, how: str, a: Factor, b: Factor, node: Node) -> Ref:
    given = {name: value.at(writer) if isinstance(value, Vector) else value for name, value in (("a", a), ("b", b))}
    return writer.operation(how, node, **given)


def whole(writer: Writer, vector: Vector, width: int, node: Node) -> Ref:
    """Return a vector with an entry for each channel."""
    made = vector.at(writer)
    return made if writer.type(made).shape == (width,) else writer.operation("expand", node, x=made, shape=(width,))


def rests_on(body: Body) -> bool:
    """Tell whether the only result of a body is such a value of one of its inputs."""
    found: bool | None = body.found.get("channelwise")
    if found is None:
        made = Channelwises(body)
        ends = [output.ref for output in body.outputs]
        found = len(ends) == 1 and ends[0] in made.found and body.nodes[made.found[ends[0]].base.node].kind is NodeKind.INPUT
        body.found["channelwise"] = found
    return found
