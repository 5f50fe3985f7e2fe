"""Calling a `fn`: it is elaborated in place, its nodes are the caller's."""

from __future__ import annotations

from collections.abc import Mapping

from .. import ast
from ..source import Span
from . import statics
from .arguments import bind, is_tensor_like, of_item, static_arguments, typed_expression
from .context import Poisoned, fail
from .expressions import evaluate
from .inputs import compare, tensor_type
from .oversights import unread_parameters
from .scope import Frame
from .statements import run
from .values import Function, Record, Tensor, Value


def call_fn(function: Function, node: ast.Call, frame: Frame) -> Value:
    """Elaborate a `fn` in place: its nodes are the caller's."""
    item, file = function.item, function.file
    assert isinstance(item, ast.Fn) and file is not None
    context = frame.builder.context
    if any(i is item for _, i in context.active):
        fail("A905", f"`{item.name}` calls itself", node.span, "recursion is not in the language: use `repeat` over an index set")
    context.step(node.span, 3)
    bound = bind(item.name, node.arguments, of_item(item.parameters), node.span, frozenset(function.given))
    types = {p.name: p.type for p in item.parameters}
    values = dict(function.given) | {key: _fn_argument(types[key], expr, frame) for key, expr in bound.given.items()}
    builder = frame.builder
    inner = Frame("block", builder, file, task=frame.task)
    saved = builder.outs, builder.given, builder.ellipsis, builder.inline, builder.poisoned
    builder.outs, builder.ellipsis, builder.inline, builder.poisoned = {}, None, True, False
    builder.given = {name: None for name, value in values.items() if value is not None}
    context.stack.append((item.name, node.span))
    context.enter(item.name, item)
    try:
        _fn_parameters(item, values, {k: e.span for k, e in bound.given.items()}, inner, node.span)
        run(item.body, inner)
        unread_parameters(item, inner)
        outs, failed = builder.outs, builder.poisoned
    finally:
        builder.outs, builder.given, builder.ellipsis, builder.inline, builder.poisoned = saved
        context.stack.pop()
        context.active.pop()
    if failed:
        raise Poisoned  # its errors are reported
    if not outs:
        fail("A502", f"`{item.name}` has no `out`", item.span, "end it with `out y = ...`")
    return next(iter(outs.values())) if len(outs) == 1 else Record(outs, item.name)


def _fn_argument(type_: ast.Type, node: ast.Expr, frame: Frame) -> Value:
    if isinstance(type_, ast.TypeRef) and type_.arguments is not None:
        return evaluate(node, frame)
    return typed_expression(type_, node, frame)


def _fn_parameters(item: ast.Fn, values: Mapping[str, Value], spans: Mapping[str, Span], inner: Frame, span: Span) -> None:
    for parameter in item.parameters:
        value = values.get(parameter.name)
        tensorial = (
            isinstance(parameter.type, ast.TypeRef) and parameter.type.arguments is not None and parameter.type.name not in ("list", "map", "set")
        )
        if not tensorial:
            given = {parameter.name: values[parameter.name]} if parameter.name in values else {}
            static_arguments([parameter], given, spans, inner)
            continue
        if isinstance(value, Tensor):
            place = spans.get(parameter.name, span)
            type_ = tensor_type(parameter.type, inner, (value.type.dtype, value.type.shape), parameter.name)
            if len(type_.shape) != len(value.type.shape) or type_.dtype is not value.type.dtype:
                fail(
                    "A306",
                    f"`{parameter.name}` of `{item.name}` takes `{parameter.type.span.text}`, not `{value.type}`",
                    place,
                    None,
                    [(parameter.span, "declared here")],
                )
            for axis, (declared, actual) in enumerate(zip(type_.shape, value.type.shape, strict=True)):
                compare(inner.builder, actual, declared, place, f"axis {axis} of `{parameter.name}` of `{item.name}`", parameter.span)
        elif value is None and parameter.default is None:
            fail("A202", f"`{item.name}` needs `{parameter.name}`", span)
        elif not statics.is_static(value) and not is_tensor_like(value):
            fail("A203", f"`{parameter.name}` of `{item.name}` takes a tensor", spans.get(parameter.name, span))
        inner.names[parameter.name] = value
        inner.spans[parameter.name] = parameter.span
