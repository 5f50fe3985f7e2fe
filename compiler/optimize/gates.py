"""What mixtures multiply by: one number for each sample, or for all."""

from __future__ import annotations

from collections.abc import Sequence

from ...dsl.program import Body, Node, Ref
from ...dsl.types import Axis, TensorType, extent
from .writing import Writer

Gates = tuple[Ref, ...]
"""The values whose product is one gate."""


def is_gate(by: TensorType, value: TensorType) -> bool:
    """Tell whether a factor is one number for all, or one for each sample."""
    if all(axis == 1 for axis in by.shape):
        return True
    return by.rank == value.rank > 1 and by.shape[0] == value.shape[0] and all(axis == 1 for axis in by.shape[1:])


def rows_of(body: Body, gates: Sequence[Gates]) -> Axis:
    """Return the axis of samples, or 1 where all have the same gates."""
    own = (body.type(each).shape[0] for gate in gates for each in gate if _is_own(body, each))
    return next(own, 1)


def gate_matrix(writer: Writer, gates: Sequence[Gates], like: Node) -> Ref:
    """Write gates side by side: [samples, gates], or [1, gates] where all samples have the same."""
    old, write = writer.old, writer.operation
    whole = _columns_of(writer, gates, like)
    if whole is not None:
        return whole
    rows = rows_of(old, gates)
    columns: list[Ref] = []
    for gate in gates:
        made = writer.at(gate[0])
        for more in gate[1:]:
            made = write("mul", like, a=made, b=writer.at(more))
        own = rows if any(_is_own(old, each) for each in gate) else 1
        column = write("reshape", like, x=made, shape=(own, 1))
        columns.append(column if own == rows else write("expand", like, x=column, shape=(rows, 1)))
    return columns[0] if len(columns) == 1 else write("concat", like, tensors=tuple(columns), dim=1)


def _is_own(body: Body, gate: Ref) -> bool:
    return any(axis != 1 for axis in body.type(gate).shape)


def _columns_of(writer: Writer, gates: Sequence[Gates], like: Node) -> Ref | None:
    """Write the gates as the first columns of one value [samples, columns, 1...], or entries of a vector, if that is what they are."""
    body = writer.old
    found: list[Ref] = []
    for place, gate in enumerate(gates):
        node = body.nodes[gate[0].node]
        source, items = node.inputs.get("x"), tuple(node.attributes.get("items", ()))
        is_column = items[:2] == (slice(None), place) and all(item in (None, 0) for item in items[2:])
        is_entry = items[:1] == (place,) and all(item is None for item in items[1:])
        if len(gate) > 1 or node.target != "index" or not isinstance(source, Ref) or not (is_column or (is_entry and body.type(source).rank == 1)):
            return None
        found.append(source)
    if len(set(found)) > 1:
        return None
    rows, *rest = body.type(found[0]).shape
    if not rest and rows == len(gates):
        return writer.operation("reshape", like, x=writer.at(found[0]), shape=(1, len(gates)))
    if not rest or any(axis != 1 for axis in rest[1:]):
        return None
    made = writer.at(found[0])
    if extent(rest[0]) != len(gates):
        made = writer.operation("index", like, x=made, items=(slice(None), slice(0, len(gates))))
    return writer.operation("reshape", like, x=made, shape=(rows, len(gates))) if rest[1:] else made
