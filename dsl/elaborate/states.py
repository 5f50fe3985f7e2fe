"""Caches: `state k: ... = empty` and `append`; what an entry hands in and takes out again."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ast
from ..dims import Dim, Symbol
from ..program import Body, InputDecl, Member, NodeKind, Ref, StateDecl
from ..source import Span
from ..types import Axis, TensorType
from .arguments import Slot, bind
from .builder import Builder
from .context import fail
from .declarations import family_of
from .expressions import SPECIAL, evaluate, evaluate_whole
from .inputs import compare, tensor_type
from .operations import operation
from .scope import Frame
from .statements import RUNNERS
from .values import EmptyState, LiveState, Tensor, Value, describe


def _state(statement: ast.State, frame: Frame) -> None:
    frame.builder.owner("state", statement.span)
    if not (isinstance(statement.initial, ast.Name) and statement.initial.id == "empty"):
        fail(
            "A503",
            f"a state starts `empty`, not `{statement.initial.span.text}`",
            statement.initial.span,
            "write `= empty`; for a number that learns use `Buffer` and `update`",
        )
    declared = statement.name
    value = family_of(declared.binders, (), frame, lambda inner, keys: _one_state(declared, keys, statement, inner), declared)
    frame.bind(declared.name, value, declared.span)


def _one_state(declared: ast.Declared, keys: tuple[Member, ...], statement: ast.State, frame: Frame) -> Value:
    builder = frame.builder
    members = (*frame.members(), *keys)
    builder.body.differs_in_entries = True
    if builder.context.entry is None:
        empties = _new_symbols(statement.type, frame)
        for name in empties:
            _root_names(frame)[name] = 0
        return EmptyState(declared.name, tensor_type(statement.type, frame, None, declared.name))
    for name in _new_symbols(statement.type, frame):
        symbol = builder.body.symbols.setdefault(name, Symbol(name, 0))
        _root_names(frame)[name] = Dim.of(symbol)
    type_ = tensor_type(statement.type, frame, None, declared.name)
    return _open_state(frame, declared.name, members, type_, declared.span)


def _open_state(frame: Frame, name: str, members: tuple[Member, ...], type_: TensorType, span: Span) -> LiveState:
    builder = frame.builder
    key = ".".join([name, *map(str, members)])
    number = builder.node(NodeKind.STATE, key, {}, {}, (type_,), span)
    builder.body.inputs.append(InputDecl(name, members, type_, number, span, is_state=True))
    builder.state(StateDecl(name, members, type_, number, Ref(number), None, span))
    return LiveState(key, builder.tensor(number))


def _root_names(frame: Frame) -> dict[str, Value]:
    while frame.parent is not None:
        frame = frame.parent
    return frame.names


def _new_symbols(node: ast.Type, frame: Frame) -> list[str]:
    if not isinstance(node, ast.TypeRef):
        return []
    return [e.id for e in node.arguments or () if isinstance(e, ast.Name) and e.id[0].isupper() and frame.find(e.id) is None]


def _append(node: ast.Call, frame: Frame) -> Value:
    """`append(k, new, dim = 1)`: what a cache holds after this call."""
    bound = bind("append", node.arguments, [Slot("state", True), Slot("new", True), Slot("dim", True)], node.span).given
    state = evaluate_whole(bound["state"], frame)
    new = evaluate(bound["new"], frame)
    dim = evaluate(bound["dim"], frame)
    if not isinstance(new, Tensor) or not isinstance(dim, int):
        fail("A203", "`append` takes a state, a tensor and a dimension number", node.span, "write `k = append(k, new, dim = 1)`")
    if not isinstance(state, (EmptyState, LiveState)):
        fail("A203", f"`append` needs a state first, not {describe(state)}", bound["state"].span, "declare it: `state k: float[B, P, d] = empty`")
    held = state.type if isinstance(state, EmptyState) else state.tensor.type
    place = _growing(held, dim, node)
    if isinstance(state, EmptyState):
        if len(new.type.shape) != len(held.shape) or new.type.dtype is not held.dtype:
            fail("A306", f"`{new.type}` can't be appended to `{state.name}`, which is `{held}`", bound["new"].span, "append what has its type")
        for i, (given, kept) in enumerate(zip(new.type.shape, held.shape, strict=True)):
            if i != place:
                compare(frame.builder, given, kept, bound["new"].span, f"axis {i} of what is appended to `{state.name}`")
        return new
    result = operation(frame, "concat", ([state.tensor, new], place), node.span)
    assert isinstance(result, Tensor)
    frame.builder.finish_state(state.name, result.ref, place)
    return result


def _growing(held: TensorType, dim: int, node: ast.Call) -> int:
    """Return the axis that `append` lengthens: one whose size the state's own type introduces."""
    rank = len(held.shape)
    size = held.shape[dim % rank] if -rank <= dim < rank else None
    lone = size.symbol if isinstance(size, Dim) else None
    if size != 0 and (lone is None or lone.least != 0):
        help = "the axis that grows has a size of its own, the `P` of `state k: float[B, P, d] = empty`"
        fail("A503", f"axis {dim} of `{held}` does not grow", node.span, help)
    return dim % rank


SPECIAL["append"] = _append


def bind_lengths(builder: Builder, body: Body, binding: dict[Symbol, Axis]) -> None:
    """Add the lengths that the states of a called body introduce to what its sizes are: they are the caller's own of their names."""
    lengths: dict[Symbol, None] | None = body.found.get("lengths")
    if lengths is None:
        sizes = (size for state in body.states for size in state.type.shape if isinstance(size, Dim))
        lengths = body.found["lengths"] = dict.fromkeys(size.symbol for size in sizes if size.symbol is not None)
    for length in lengths:
        if length not in binding:
            binding[length] = Dim.of(builder.body.symbols.setdefault(length.name, Symbol(length.name, 0)))


def lifted_states(builder: Builder, place: str, body: Body, types: Sequence[TensorType], span: Span) -> dict[str, Ref]:
    """Hand caches through: make a state of the caller, under the place of the call, for each of the body that its next node but these calls.

    Returns what comes in, by the body's own keys.
    """
    call, first = len(builder.body.nodes) + len(body.states), len(body.outputs) + len(body.losses)
    operands: dict[str, Ref] = {}
    for i, (state, type_) in enumerate(zip(body.states, types, strict=True)):
        key = f"{place}.{state.key}"
        number = builder.node(NodeKind.STATE, key, {}, {}, (type_,), span)
        builder.body.inputs.append(InputDecl(key, (), type_, number, span, is_state=True))
        builder.state(StateDecl(key, (), type_, number, Ref(call, first + i), state.grows, span))
        operands[state.key] = Ref(number)
    return operands


RUNNERS[ast.State] = _state
