"""Writes the calls of some blocks out where they are called, so that their steps can be seen beside each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from ...dsl.dim_terms import Symbol
from ...dsl.dims import Dim
from ...dsl.program import Body, ModuleDecl, Node, NodeKind, Operand, Ref
from ...dsl.types import TensorType, extent
from ..graph import results
from ..paths import is_handed, join
from ..slice import symbols_in
from .writing import Writer

OWN = (NodeKind.LEAF, NodeKind.PARAMETER)
"""What a node reads or calls that a block owns by name."""


class Inlined:
    """A body with some calls written out.

    `stems` tells of each node that reads a tensor or calls a leaf module which one it is, but for the member of the family that was called:
    nodes of one stem do the same for different members.  `calls` tells of each node that was written out the call that it comes from.
    """

    def __init__(self, body: Body, calls: Collection[int]) -> None:
        self.stems: dict[int, str] = {}
        self.calls: dict[int, int] = {}
        self.body = body
        if calls:
            self._write(body, calls)
        else:
            self.stems = {number: stem_of(body, node) for number, node in enumerate(body.nodes) if node.kind in OWN}

    def _write(self, body: Body, calls: Collection[int]) -> None:
        writer = Writer(body)
        for number, node in enumerate(body.nodes):
            if number in calls and node.body is not None:
                first = len(writer.nodes)
                inputs = {name: writer.operand(operand) for name, operand in node.inputs.items()}
                writer.stand_for(number, self._call(writer, node.body, inputs, node.target, stem_of(body, node)))
                self.calls.update((made, number) for made in range(first, len(writer.nodes)))
            else:
                made = writer.copy(number)
                if node.kind in OWN:
                    self.stems[made.node] = stem_of(body, node)
        self.body = writer.whole()

    def _call(self, writer: Writer, callee: Body, inputs: Mapping[str, Operand], path: str, stem: str) -> list[Ref]:
        """Write the steps of a call, with the sizes that its inputs have here; return its results."""
        values = {Ref(declared.node): given for declared in callee.inputs if isinstance(given := inputs.get(declared.key), Ref)}
        sizes = bound(callee, {name: writer.type(given) for name, given in inputs.items() if isinstance(given, Ref)}) or {}

        def moved(read: Operand) -> Operand:
            if read is None:
                return None
            return values[read] if isinstance(read, Ref) else tuple(values[ref] for ref in read)

        for number, inner in enumerate(callee.nodes):
            if inner.kind is NodeKind.INPUT:
                continue
            read = {name: moved(operand) for name, operand in inner.inputs.items()}
            if inner.body is not None:
                found = self._call(writer, inner.body, read, join(path, inner.target), join(stem, inner.target))
            else:
                made = writer.add(_sized(_below(inner, path, read), sizes))
                if inner.kind in OWN:
                    self.stems[made.node] = join(stem, inner.target)
                found = [Ref(made.node, index) for index in range(len(inner.outputs))]
            for index, value in enumerate(found):
                values[Ref(number, index)] = value
        return [values[ref] for ref in results(callee)]


def inlined_where(body: Body, wanted: Callable[[Body], Iterable[int]], among: Callable[[Body], bool] | None = None) -> Body:
    """Return a body with those calls written out that nodes come from which are `wanted` of the body with all of them written out.

    `among` tells which of them there is a point in looking into.
    """
    called = ((number, node.body) for number, node in enumerate(body.nodes) if node.body is not None and node.target in body.modules)
    calls = {number for number, callee in called if (among is None or among(callee)) and can_inline(callee)}
    flat = Inlined(body, calls)
    return Inlined(body, {flat.calls[number] for number in wanted(flat.body) if number in flat.calls}).body


Sizes = Mapping[Symbol, int | Dim]


def bound(callee: Body, given: Mapping[str, TensorType]) -> Sizes | None:
    """Return the sizes of a callee's symbols in a call, in the caller's; None where the inputs don't tell one."""
    found: dict[Symbol, int | Dim] = {}
    pairs = [
        (axis, extent(other))
        for declared in callee.inputs
        if declared.key in given
        for axis, other in zip(declared.type.shape, given[declared.key].shape, strict=True)
        if isinstance(axis, Dim)
    ]
    for axis, size in pairs:
        if axis.symbol is not None:
            found.setdefault(axis.symbol, size)
    wanted = {symbol for node in callee.nodes for output in node.outputs for symbol in symbols_in(output.shape)}
    wanted |= {symbol for node in callee.nodes for symbol in symbols_in(node.attributes.values())}
    return found if wanted <= found.keys() else None


def _sized(node: Node, sizes: Sizes) -> Node:
    """Return a node with the sizes of its caller."""
    outputs = tuple(TensorType(output.dtype, tuple(_size(axis, sizes) for axis in output.shape)) for output in node.outputs)
    return replace(node, outputs=outputs, attributes={name: _size(value, sizes) for name, value in node.attributes.items()})


def _size(value: Any, sizes: Sizes) -> Any:
    """Replace symbols in a static value, however nested."""
    if isinstance(value, Dim):
        return value.substitute(sizes)
    if isinstance(value, slice):
        bounds = cast("slice[Any, Any, Any]", value)
        return slice(_size(bounds.start, sizes), _size(bounds.stop, sizes), _size(bounds.step, sizes))
    if isinstance(value, dict):
        return {name: _size(inner, sizes) for name, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_size(inner, sizes) for inner in cast("list[Any]", value)]
    if isinstance(value, tuple):
        return tuple(_size(inner, sizes) for inner in cast("tuple[Any, ...]", value))
    return value


def _below(node: Node, path: str, inputs: dict[str, Operand]) -> Node:
    """Return a node of a callee with its paths relative to the caller."""
    if node.kind in OWN:
        return replace(node, target=join(path, node.target), inputs=inputs)
    return replace(node, inputs=inputs)


def stem_of(body: Body, node: Node) -> str:
    """Return the path of a module or parameter of a body without its members: what a family has in common."""
    declared = body.modules.get(node.target) or body.parameters.get(node.target)
    return f"{declared.name}/{len(declared.members)}" if declared is not None and declared.members else node.target


def can_inline(body: Body) -> bool:
    """Tell whether a call of a body may be written out: it computes values alone, from modules of its own."""
    plain = (NodeKind.INPUT, NodeKind.PARAMETER, NodeKind.CONSTANT, NodeKind.OPERATION, NodeKind.LEAF, NodeKind.CALL)
    if body.updates or body.states or body.losses or any(is_handed(node.target) for node in body.nodes):
        return False
    tells = bound(body, {declared.key: declared.type for declared in body.inputs if not declared.optional})
    return tells is not None and all(node.kind in plain and _is_plain(body, node) for node in body.nodes)


def _is_plain(body: Body, node: Node) -> bool:
    if node.kind is NodeKind.LEAF:
        declared: ModuleDecl | None = body.modules.get(node.target)
        return declared is not None and declared.extern is None
    if node.kind is NodeKind.CALL:
        made = body.modules.get(node.target)
        return node.body is not None and made is not None and not made.modules and can_inline(node.body)
    return True
