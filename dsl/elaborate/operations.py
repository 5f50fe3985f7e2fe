"""Applying a primitive: arguments of the right kind, the shape rule, one node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from ..dims import Dim
from ..primitive import MISSING, Argument, Initialiser, Kind, Primitive, RuleFailure
from ..program import Condition, NodeKind, Operand, Ref
from ..rule import ShapeRule
from ..source import Span
from ..types import Axis, DType, SetAxis, TensorType
from . import statics
from .builder import Builder
from .context import Problem, fail, suggest, too_long
from .scope import Frame
from .values import EmptyState, Family, IndexSet, LiveState, MemberOf, Module, Record, Tensor, TypeWord, Value, describe, is_list


def operation(frame: Frame, name: str, values: tuple[Value, ...], span: Span) -> Value:
    """Apply the primitive `name` to values in the order of its arguments."""
    primitive = frame.builder.context.library.primitive(name)
    if primitive is None:
        fail("A102", f"there is no operation `{name}`", span)
    bound = {argument.name: value for argument, value in zip(primitive.arguments, values, strict=False)}
    return apply(frame, primitive, bound, span)


def apply(frame: Frame, primitive: Primitive, bound: Mapping[str, Value], span: Span, spans: Mapping[str, Span] | None = None) -> Value:
    """Apply an operation to its arguments by name; defaults are filled in."""
    inputs, operands, attributes = collect(primitive.name, primitive.arguments, bound, span, spans or {}, frame)
    types = infer(frame.builder, primitive, inputs, operands, span)
    number = frame.builder.node(NodeKind.OPERATION, primitive.name, operands, attributes, types, span, primitive)
    return results(frame.builder, primitive, number)


def results(builder: Builder, primitive: Primitive, number: int) -> Value:
    """Return the value of a node: a tensor, a record of named results, or a list."""
    node = builder.body.nodes[number]
    tensors = [Tensor(Ref(number, i), type_) for i, type_ in enumerate(node.outputs)]
    if primitive.results:
        return Record(dict(zip(primitive.results, tensors, strict=True)), primitive.name)
    return tensors[0] if len(tensors) == 1 and not getattr(primitive, "several", False) else tensors


def collect(
    name: str, arguments: Iterable[Argument], bound: Mapping[str, Value], span: Span, spans: Mapping[str, Span], frame: Frame
) -> tuple[dict[str, Any], dict[str, Operand], dict[str, Any]]:
    """Return what a rule sees (types and statics), and a node's operands and attributes."""
    inputs: dict[str, Any] = {}
    operands: dict[str, Operand] = {}
    attributes: dict[str, Any] = {}
    for argument in arguments:
        if argument.name not in bound:
            if argument.default is MISSING:
                fail("A202", f"`{name}` needs `{argument.name}`", span, argument.doc or None)
            inputs[argument.name] = attributes[argument.name] = argument.default
            continue
        place = spans.get(argument.name, span)
        value = convert(name, argument, bound[argument.name], place, frame)
        if isinstance(value, Tensor):
            operands[argument.name] = value.ref
            inputs[argument.name] = value.type
        elif argument.kind is Kind.TENSORS and value is not None:
            tensors: tuple[Tensor, ...] = value
            operands[argument.name] = tuple(t.ref for t in tensors)
            inputs[argument.name] = tuple(t.type for t in tensors)
        else:
            inputs[argument.name] = attributes[argument.name] = value
    return inputs, operands, attributes


def infer(
    builder: Builder, primitive: Primitive, inputs: Mapping[str, Any], operands: Mapping[str, Operand], span: Span, module: Module | None = None
) -> tuple[TensorType, ...]:
    """Run the shape rule, of a leaf `module` or an operation; its complaints get their places, its open conditions are kept."""
    rule = ShapeRule(builder.facts)
    try:
        found = primitive.infer(rule, inputs)
        types = tuple(_settled(builder, rule, type_, operands) for type_ in (found if isinstance(found, tuple) else (found,)))
    except RuleFailure as failure:
        labels = trail(builder, operands) + ([(module.span, f"this `{primitive.name}` is made here")] if module is not None else [])
        help = failure.help or ("the labels show where both come from: change one" if labels else None)
        fail(failure.code, f"`{primitive.name}`: {failure.message}", span, help, labels)
    except OverflowError as error:
        raise Problem(too_long(error, span)) from None
    for kind, left, right, reason in rule.conditions:
        builder.condition(Condition(kind, left, right, span, reason))
    for kind, left, right, reason in rule.learning:
        assert module is not None, "what is never in training mode learns nothing"
        builder.condition(Condition(kind, left, right, span, reason, module=module.path))
    return types


def _settled(builder: Builder, rule: ShapeRule, type_: TensorType, operands: Mapping[str, Operand]) -> TensorType:
    """Return a result type in the plainest form that the facts allow; its sizes must be whole numbers, 0 or more."""
    if not any(a.symbol is None if isinstance(a, Dim) else isinstance(a, int) and a < 0 for a in type_.shape):
        return type_
    shape = [builder.facts.simplify(a) if isinstance(a, Dim) else a for a in type_.shape]
    known: set[Axis] = {axis for type_ in _types(builder, operands) for axis in type_.shape}
    for place, size in enumerate(shape):
        if isinstance(size, Dim) and not size.is_whole:
            rule.whole(size, f"axis {place} of the result")
        if isinstance(size, (int, Dim)) and size not in known and not builder.facts.at_least(size, 0).is_true:
            _not_negative(builder, rule, size, f"axis {place} of the result")
    return TensorType(type_.dtype, tuple(shape))


def _not_negative(builder: Builder, rule: ShapeRule, size: int | Dim, what: str) -> None:
    """Require that a size is not negative, unless that follows from what is asked already."""
    facts = builder.facts
    for condition in builder.body.conditions:
        facts = facts.require(condition.kind, condition.left, condition.right) if condition.module is None else facts
    for kind, left, right, _ in rule.conditions:
        facts = facts.require(kind, left, right)
    if not facts.at_least(size, 0).is_true:
        rule.at_least(size, 0, what)


def _types(builder: Builder, operands: Mapping[str, Operand]) -> Iterator[TensorType]:
    for operand in operands.values():
        for ref in (operand,) if isinstance(operand, Ref) else operand or ():
            yield builder.body.nodes[ref.node].outputs[ref.index]


def trail(builder: Builder, operands: Mapping[str, Operand]) -> list[tuple[Span, str]]:
    """Return labels that say where each operand was made, and its type."""
    labels: list[tuple[Span, str]] = []
    for name, operand in operands.items():
        for ref in (operand,) if isinstance(operand, Ref) else operand or ():
            node = builder.body.nodes[ref.node]
            label = (node.span, f"`{name}` is {node.outputs[ref.index]}, made here")
            if label not in labels:
                labels.append(label)
    return labels[:4]


# ---------------------------------------------------------------------------------------------------- conversions


def convert(name: str, argument: Argument, value: Value, span: Span, frame: Frame) -> Any:
    """Return `value` as the kind that an argument takes."""
    if value is None and (argument.optional or argument.default is None):
        return None
    converted = _CONVERTERS[argument.kind](value, argument, frame, span)
    if converted is REFUSED:
        lifted = argument.kind is Kind.TENSOR and isinstance(value, Family)
        help = "no operation lifts over a family: name one member, or write a loop over them" if lifted else argument.doc or None
        fail("A203", f"`{argument.name}` of `{name}` takes {WANTED[argument.kind]}, not {describe(value)}", span, help)
    if argument.choices and converted not in argument.choices:
        fail(
            "A213",
            f"`{argument.name}` of `{name}` can't be {describe(value)}",
            span,
            suggest(str(converted), argument.choices, f"it is one of {statics.listed(argument.choices)}"),
        )
    return converted


REFUSED = object()

WANTED: dict[Kind, str] = {
    Kind.TENSOR: "a tensor", Kind.TENSORS: "a list or a whole family of tensors (`x[*]`)", Kind.INT: "a whole number", Kind.FLOAT: "a number",
    Kind.BOOL: "`true` or `false`", Kind.STR: "a string", Kind.DIM: "a size", Kind.SHAPE: "a list of sizes",
    Kind.AXES: "a dimension number or a list of them", Kind.INTS: "a whole number or a list of them",
    Kind.DTYPE: "a dtype, such as `float32`", Kind.INIT: "an initialiser, such as `normal(std = 0.02)`", Kind.SET: "an index set",
    Kind.ANY: "a static value", Kind.SIZES: "sizes of axes by name",
}  # fmt: skip


def _tensor(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, LiveState):
        return value.tensor
    if isinstance(value, EmptyState):
        fail("A415", f"the state `{value.name}` holds nothing in the plain forward", span, "read it through `append(state, new, dim = 1)`")
    value = statics.number(value)
    if isinstance(value, SetAxis):
        value = value.size
    if isinstance(value, Fraction):
        value = float(value)
    if isinstance(value, (int, float, bool, Dim)):
        if argument.literal:
            return value
        dtype = DType.BOOL if isinstance(value, bool) else DType.FLOAT if isinstance(value, float) else DType.INT
        return frame.builder.constant(value, dtype, span)
    return REFUSED


def _tensors(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    items = list(value.members.values()) if isinstance(value, Family) else value
    if isinstance(items, Tensor):
        items = [items]
    if not is_list(items):
        return REFUSED
    if not items:
        fail("A409", f"`{span.text}` has no members", span, "an empty family can't be joined: it has no type")
    found = [_tensor(item, argument, frame, span) for item in items]
    if any(not isinstance(item, Tensor) for item in found):
        wrong = next(v for v, item in zip(items, found, strict=True) if not isinstance(item, Tensor))
        fail("A203", f"expected tensors in `{span.text}`, not {describe(wrong)}", span)
    return tuple(found)


def _int(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    value = statics.tidy(statics.number(value))
    if isinstance(value, IndexSet):
        return len(value)
    if isinstance(value, SetAxis):
        return value.size
    if isinstance(value, Dim):
        help = "give the model a parameter for it, `H: int = 224`; a size only known at run time can't shape a module"
        fail("A206", f"`{argument.name}` must be a number that is known here, not `{value}`", span, help)
    return value if isinstance(value, int) and not isinstance(value, bool) else REFUSED


def _float(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    value = statics.number(value)
    if isinstance(value, Fraction):
        return float(value)
    return value if statics.is_number(value) else REFUSED


def _dim(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    value = statics.tidy(statics.number(value))
    if isinstance(value, IndexSet):
        return len(value)
    if isinstance(value, SetAxis):
        return value.size
    return value if isinstance(value, (int, Dim)) and not isinstance(value, bool) else REFUSED


def _shape(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    items = value if is_list(value) else [value]
    found = [axis(item) for item in items]
    for item, size in zip(items, found, strict=True):
        if size is REFUSED:
            help = "a size is a whole number, a dimension or an index set"
            fail("A203", f"`{argument.name}` holds sizes, and {describe(item)} is none", span, help)
    return tuple(found)


def axis(value: Value) -> Any:
    """Return one entry of a shape: a number, a dimension, or an index set as an axis of its own."""
    if isinstance(value, IndexSet):
        return SetAxis(value.name, value.members)
    if isinstance(value, SetAxis):
        return value
    value = statics.tidy(statics.number(value))
    return value if isinstance(value, (int, Dim)) and not isinstance(value, bool) else REFUSED


def _ints(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    if is_list(value):
        found = [_int(item, argument, frame, span) for item in value]
        return REFUSED if any(item is REFUSED for item in found) else tuple(found)
    return _int(value, argument, frame, span)


def _dtype(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    if isinstance(value, TypeWord):
        return DType(value.name)
    name = getattr(value, "name", None)  # `float`, `int` and `bool` are conversions too
    return DType(name) if isinstance(name, str) and name in {d.value for d in DType} else REFUSED


def _only(*kinds: type) -> Callable[[Value, Argument, Frame, Span], Any]:
    return lambda value, argument, frame, span: value if isinstance(value, kinds) else REFUSED


def _init(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    if isinstance(value, Initialiser):
        return value
    value = statics.number(value)
    return Initialiser("constant", {"value": float(value)}) if statics.is_number(value) else REFUSED


def _sizes(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    found = {name: _dim(size, argument, frame, span) for name, size in value.items()}
    wrong = next((name for name, size in found.items() if size is REFUSED), None)
    if wrong is not None:
        fail("A203", f"the axis `{wrong}` takes a size, not {describe(value[wrong])}", span)
    return found


def _any(value: Value, argument: Argument, frame: Frame, span: Span) -> Any:
    return value.key if isinstance(value, MemberOf) else value


_CONVERTERS: dict[Kind, Callable[[Value, Argument, Frame, Span], Any]] = {
    Kind.TENSOR: _tensor, Kind.TENSORS: _tensors, Kind.INT: _int, Kind.FLOAT: _float, Kind.BOOL: _only(bool), Kind.STR: _only(str), Kind.DIM: _dim,
    Kind.SHAPE: _shape, Kind.AXES: _ints, Kind.INTS: _ints, Kind.DTYPE: _dtype, Kind.INIT: _init, Kind.SET: _only(IndexSet), Kind.ANY: _any,
    Kind.SIZES: _sizes,
}  # fmt: skip
