"""What is extern: calls of functions, with a signature for each kind of call and one node; blocks, which only declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import ast
from ..diagnostics import Diagnostic
from ..extern import ExternFunction
from ..primitive import Argument, Kind
from ..program import InputDecl, NodeKind
from ..source import Span
from ..types import DType
from . import statics
from .arguments import bind, of_item, static_arguments, typed_expression
from .builder import Builder
from .conditions import lift_conditions
from .context import Context
from .expressions import evaluate
from .files import File
from .inputs import Pattern, match, outside, pattern, refuse_new, tensor_type
from .operations import convert
from .scope import Frame
from .statements import FINISHERS
from .values import Function, Tensor, Value, freeze


def call_extern(item: ast.ExternFn, function: Function, node: ast.Call, frame: Frame) -> Tensor:
    """Call an extern function: its types bind the sizes of the call, as a block's inputs do."""
    assert function.file is not None
    bound = bind(item.name, node.arguments, of_item(item.parameters), node.span, frozenset(function.given))
    spans = {name: expression.span for name, expression in bound.given.items()}
    tensors: dict[str, Tensor] = {}
    given: dict[str, Value] = {}
    for parameter in item.parameters:
        name = parameter.name
        if is_tensor(parameter.type):
            value = _tensor(item, parameter, function.given, bound.given, frame, node.span)
            if value is not None:
                tensors[name] = value
        elif name in bound.given:
            given[name] = typed_expression(parameter.type, bound.given[name], frame)
        elif name in function.given:
            given[name] = function.given[name]
    actual = {name: value.type for name, value in tensors.items()}
    primitive, body = _signature(item, given, {name: pattern(type_) for name, type_ in actual.items()}, spans, function.file, frame.builder.context)
    binding = match(frame.builder, primitive.takes, actual, {**spans, "": node.span}, item.name)
    lift_conditions(frame.builder, body, binding, node.span, item.name)
    operands: dict[str, Any] = {name: value.ref for name, value in tensors.items()}
    types = (outside(primitive.gives, binding),)
    number = frame.builder.node(NodeKind.OPERATION, item.name, operands, dict(primitive.statics), types, node.span, primitive)
    return frame.builder.tensor(number)


def is_tensor(type_: ast.Type) -> bool:
    """Tell whether a parameter's type is that of a tensor: a dtype with a shape."""
    return isinstance(type_, ast.TypeRef) and type_.arguments is not None and type_.name in {dtype.value for dtype in DType}


def _tensor(
    item: ast.ExternFn, parameter: ast.Parameter, partial: Mapping[str, Value], bound: Mapping[str, ast.Expr], frame: Frame, span: Span
) -> Tensor | None:
    """Return the tensor that a call gives; None for one that is absent, as its default says."""
    node = bound.get(parameter.name)
    if node is None and parameter.name not in partial:
        node = parameter.default
    value = evaluate(node, frame) if node is not None else partial[parameter.name]
    default = parameter.default
    absent = isinstance(default, ast.Constant) and default.value is None
    argument = Argument(parameter.name, Kind.TENSOR, optional=absent, doc=f"declared `{parameter.span.text}`")
    return convert(item.name, argument, value, node.span if node is not None else span, frame)


def _signature(
    item: ast.ExternFn, given: Mapping[str, Value], patterns: Mapping[str, Pattern], spans: Mapping[str, Span], file: File, context: Context
) -> tuple[ExternFunction, Any]:
    """Return the function with its types for these statics and patterns, and the body that holds its symbols and conditions."""
    key = ("extern fn", id(item), freeze(dict(given)), tuple(patterns.items()))
    found = context.memo.get(key)
    if found is None:
        found = context.memo[key] = _made(item, given, patterns, spans, Frame("block", Builder(context, item.name, item.span), file))
    return found


def _made(
    item: ast.ExternFn, given: Mapping[str, Value], patterns: Mapping[str, Pattern], spans: Mapping[str, Span], inner: Frame
) -> tuple[ExternFunction, Any]:
    builder = inner.builder
    builder.context.files.reached.add(id(item))
    static_arguments([p for p in item.parameters if not is_tensor(p.type)], given, spans, inner)
    plain: dict[str, Any] = {}
    takes: list[InputDecl] = []
    for parameter in item.parameters:
        if not is_tensor(parameter.type):
            plain[parameter.name] = statics.plain(parameter.name, inner.names[parameter.name], spans.get(parameter.name, parameter.span))
        elif parameter.name not in patterns:
            plain[parameter.name] = None
        else:
            type_ = tensor_type(parameter.type, inner, patterns[parameter.name], parameter.name)
            takes.append(InputDecl(parameter.name, (), type_, len(takes), parameter.span))
    refuse_new(item.result, inner)
    gives = tensor_type(item.result, inner, None, item.name)
    arguments = tuple(Argument(p.name, Kind.TENSOR if is_tensor(p.type) else Kind.ANY) for p in item.parameters)
    conditions = tuple(builder.body.conditions)
    return ExternFunction(item.name, item.origin, arguments, tuple(plain.items()), tuple(takes), gives, conditions, item.span), builder.body


def _only_declares(frame: Frame, item: Any) -> None:
    """Report what an extern block would compute itself: its module does all."""
    if not isinstance(item, ast.ExternBlock):
        return
    body = frame.builder.body
    own = [node.span for node in body.nodes if node.kind not in (NodeKind.INPUT, NodeKind.EXTERN)]
    own += [made.span for made in (*body.modules.values(), *body.parameters.values(), *body.losses)]
    if own:
        help = "an extern block says what its module takes, `in x: ...`, and gives, `out y: float[B]`: compute the rest in a block around it"
        message = f"`{item.name}` is extern and computes nothing itself"
        frame.builder.context.report(Diagnostic("A208", message, min(own, key=lambda span: span.start), help=help))


FINISHERS.append(_only_declares)
