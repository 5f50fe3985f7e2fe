"""Calls: operations, functions, blocks being made, modules being called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import ast
from ..diagnostics import Diagnostic
from ..primitive import Argument, Kind
from ..program import ModuleDecl, NodeKind, Part
from ..source import Span
from . import statics
from .arguments import bind, evaluate_argument, is_tensor_like, of_item, of_primitive, typed_expression
from .births import bear
from .bulk import bounded, spend
from .context import WIDTH, Problem, fail, suggest
from .expressions import SPECIAL, evaluate, evaluate_whole, lookup, register
from .fitting import CALLED, equated, refitted
from .functions import FUNCTIONS
from .literals import clauses
from .operations import apply, collect, infer, operation, results
from .scope import Earlier, Frame
from .values import Chain, Family, Function, Module, ModuleChain, Template, Tensor, Unborn, Value, describe, is_list


def _call(node: ast.Call, frame: Frame) -> Value:
    builder = frame.builder
    slot, builder.slot = builder.slot, None  # a block inside another call's arguments may not take the statement's name
    function = _callee(node.function, frame)
    if isinstance(function, (Unborn, Chain)):
        return _unborn(function, node, frame, slot)
    handler = _HANDLERS.get(function.__class__)
    if handler is None:
        name = node.function.id if isinstance(node.function, ast.Name) else ""
        hidden = builder.context.library.primitive(name) is not None or name in FUNCTIONS
        help = f"`{name}` is bound here and hides the operation of that name: rename it" if hidden else "blocks, modules and operations can"
        fail("A216", f"{describe(function)} can't be called", node.function.span, help)
    try:
        result = handler(function, node, frame)
    except Problem as problem:
        raise equated(problem, node, _taken(function)) from None
    builder.slot = slot
    return result


def _taken(function: Value) -> frozenset[str]:
    """Return the names of what can be given to a function, a block or a module."""
    from .blocks import inputs_of  # which runs statements, and they call

    if isinstance(function, Module):
        template = function.template
        taken = template.primitive.call if template.primitive is not None else inputs_of(template.item) if template.item is not None else ()
    elif isinstance(function, (Function, Template)):
        taken = function.primitive.arguments if function.primitive is not None else function.item.parameters if function.item is not None else ()
    else:
        taken = ()
    return frozenset(each.name for each in taken)


def _callee(node: ast.Expr, frame: Frame) -> Value:
    if isinstance(node, ast.Name):
        try:
            value = lookup(node, frame)
        except Problem as problem:
            raise refitted(problem, node, frame, CALLED) from None
        if isinstance(value, Earlier) or (isinstance(value, Family) and value.loop_born):
            return evaluate(node, frame)  # reports that the family is not one module
        return value
    return evaluate_whole(node, frame)


# ------------------------------------------------------------------------------------------------------- functions


def _function(function: Function, node: ast.Call, frame: Frame) -> Value:
    special = SPECIAL.get(function.name)
    if special is not None and function.item is None:
        return special(node, frame)
    if any(isinstance(a.value, (ast.Ellipsis, ast.Open)) for a in node.arguments):
        return _partial_function(function, node, frame)
    if isinstance(function.item, ast.ExternFn):
        from .externs import call_extern  # as below

        return call_extern(function.item, function, node, frame)
    if function.item is not None:
        from .inline import call_fn  # which runs statements, and they call

        return call_fn(function, node, frame)
    folded = _fold(function, node, frame)
    if folded is not None:
        return folded[0]
    if function.name in FUNCTIONS and all(a.name is None for a in node.arguments) and not function.given:
        return _either(function, node, frame)
    if function.primitive is None:
        return _static(function, node, [], frame)
    primitive = function.primitive
    plain, sizes = _sizes(primitive.arguments, node.arguments, frame)
    slots = frame.builder.context.files.once(of_primitive, primitive.arguments)
    bound = bind(function.name, plain, slots, node.span, frozenset(function.given))
    by_name = {a.name: a for a in primitive.arguments}
    values = dict(function.given) | {key: _value(by_name[key], expr, frame) for key, expr in bound.given.items()} | sizes
    return apply(frame, primitive, values, node.span, {key: expr.span for key, expr in bound.given.items()})


def _sizes(slots: tuple[Argument, ...], arguments: tuple[ast.Argument, ...], frame: Frame) -> tuple[tuple[ast.Argument, ...], dict[str, Value]]:
    """Take out the keywords that name axes of a pattern, `h = heads`; one may have the name of an argument that is given before it."""
    taker = next((a.name for a in slots if a.kind is Kind.SIZES), None)
    if taker is None:
        return arguments, {}
    free = [slot.name for slot in slots]
    plain: list[ast.Argument] = []
    axes: dict[str, Value] = {}
    for argument in arguments:
        if argument.name is not None and argument.name not in free:
            if argument.name in axes:
                fail("A201", f"`{argument.name}` is given twice", argument.span, "keep one of them")
            axes[argument.name] = evaluate(argument.value, frame)
            continue
        plain.append(argument)
        if free:
            free.remove(argument.name or free[0])
    return tuple(plain), {taker: axes}


def _value(argument: Argument, node: ast.Expr, frame: Frame) -> Value:
    if argument.kind is Kind.TENSORS and isinstance(node, ast.Comprehension) and node.where is None:
        return evaluate(node, frame)
    return evaluate_argument(argument, node, frame)


def _partial_function(function: Function, node: ast.Call, frame: Frame) -> Function:
    arguments = tuple(a for a in node.arguments if not isinstance(a.value, (ast.Ellipsis, ast.Open)))
    for argument in arguments:
        if argument.name is None:
            fail("A202", f"a partial `{function.name}` names its arguments", argument.span, f"write `{function.name}(name = value, ...)`")
    given = {a.name or "": evaluate(a.value, frame) for a in arguments}
    if function.primitive is not None:
        unknown = [k for k in given if k not in {a.name for a in function.primitive.arguments}]
        if unknown:
            fail("A201", f"`{function.name}` takes no `{unknown[0]}`", node.span, suggest(unknown[0], [a.name for a in function.primitive.arguments]))
    made = Function(function.name, function.primitive, function.file, function.item, {**function.given, **given})
    return bounded(made, frame.builder.context, node.span)


def _static(function: Function, node: ast.Call, values: list[Value], frame: Frame) -> Value:
    spend(frame.builder.context, node.span, *values)
    if function.name not in FUNCTIONS:
        fail("A216", f"`{function.name}` is an initialiser and can't be called here", node.span, "it stands after `init =`")
    fewest, most, call = FUNCTIONS[function.name]
    for argument in node.arguments:
        if argument.name is not None:
            ours = {"max": "amax", "min": "amin"}.get(function.name)
            help = f"over an axis it is `{ours}(x, dim = 1)`" if ours and argument.name in ("dim", "axis") else "its arguments have no names"
            fail("A201", f"`{function.name}` takes no `{argument.name}`", argument.span, help)
    if not fewest <= len(values) <= most:
        fail("A202", f"`{function.name}` takes {fewest if fewest == most else f'{fewest} or more'} arguments, not {len(values)}", node.span)
    return call(values, node.span)


def _either(function: Function, node: ast.Call, frame: Frame) -> Value:
    """Call what is both a static function and an operation on tensors, by what its arguments are."""
    values = [_plain(a.value, frame) for a in node.arguments]
    primitive = function.primitive
    if primitive is None or not any(is_tensor_like(v) for v in values):
        return _static(function, node, values, frame)
    slots = frame.builder.context.files.once(of_primitive, primitive.arguments)
    if len(values) > len(slots):
        bind(function.name, node.arguments, slots, node.span)  # reports the argument that is too much
    names = [slot.name for slot in slots]
    spans = {name: a.value.span for name, a in zip(names, node.arguments, strict=False)}
    return apply(frame, primitive, dict(zip(names, values, strict=False)), node.span, spans)


def _plain(node: ast.Expr, frame: Frame) -> Value:
    """Evaluate an argument; a family of static values may stand bare, one that a loop has born may not."""
    value = evaluate_whole(node, frame)
    return evaluate(node, frame) if isinstance(value, Family) and value.loop_born else value


# ---------------------------------------------------------------------------------------------- folds over families

FOLDS = {"sum": "add", "mean": "add", "all": "bitwise_and", "any": "bitwise_or"}


def _fold(function: Function, node: ast.Call, frame: Frame) -> tuple[Value] | None:
    """Evaluate `sum(x[e] for e in experts where keep)` and `sum(part[*])`: folds over members, not over axes."""
    if function.name not in FOLDS or len(node.arguments) != 1 or node.arguments[0].name is not None:
        return None
    values = _summands(node.arguments[0].value, function.name, frame)
    if values is None:
        return None
    if any(isinstance(v, Tensor) for v in values):
        return (_tensor_fold(function.name, values, node, frame),)
    if not values and function.name == "mean":
        fail("A409", f"`{node.span.text}` has no members", node.span, "an empty family has no type")
    return _static_fold(function.name, values, node) if all(statics.is_static(v) for v in values) else None


def _summands(node: ast.Expr, name: str, frame: Frame) -> Sequence[Value] | None:
    """Return the values that a fold runs over; None where the argument is one value."""
    if isinstance(node, ast.Comprehension) and node.kind == "bare":
        if node.where is not None and name != "sum":
            help = "sum what is kept and divide by how many are"
            fail("A414", f"`where` stands only in a `sum`, not in a `{name}`", node.where.span, help)
        steps = clauses(node.clauses, frame)
        frame.builder.context.step(node.span, len(steps) * (node.span.end - node.span.start) // WIDTH)
        return [_kept(node, inner) for inner in steps]
    if not _is_family(node):
        return None
    family = evaluate_whole(node, frame)
    values = list(family.members.values()) if isinstance(family, Family) else family
    return values if is_list(values) else None


def _tensor_fold(name: str, values: Sequence[Value], node: ast.Call, frame: Frame) -> Value:
    result = values[0]
    for value in values[1:]:
        result = operation(frame, FOLDS[name], (result, value), node.span)
    return operation(frame, "div", (result, len(values)), node.span) if name == "mean" else result


def _static_fold(name: str, values: Sequence[Value], node: ast.Call) -> tuple[Value]:
    if name == "mean":
        return (statics.binary("/", FUNCTIONS["sum"][2]([values], node.span), len(values), node.span),)
    return (FUNCTIONS[name][2]([values], node.span),)


def _is_family(node: ast.Expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.object
    return isinstance(node, ast.Index) and any(isinstance(i, (ast.Whole, ast.Range)) for i in node.items)


def _kept(node: ast.Comprehension, frame: Frame) -> Value:
    """Return one summand; rows that `where` does not keep add exact zero."""
    value = evaluate(node.element, frame)
    if node.where is None:
        return value
    mask = evaluate(node.where, frame)
    if not isinstance(mask, Tensor) or not isinstance(value, Tensor):
        fail("A414", "`where` needs a tensor of bool, and a tensor to mask", node.where.span, "a static condition is written with `if`")
    for _ in range(value.type.rank - mask.type.rank):
        mask = operation(frame, "unsqueeze", (mask, -1), node.where.span)
    return operation(frame, "where", (mask, value, 0.0), node.span)


# ---------------------------------------------------------------------------------------------------------- blocks


def _made_first(diagnostic: Diagnostic, name: str, node: ast.Call, frame: Frame) -> Diagnostic:
    """Add to wrong arguments, one of which is a tensor, that a block is made before it is called."""
    if not any(isinstance(a.value, ast.Name) and isinstance(frame.find(a.value.id), Tensor) for a in node.arguments):
        return diagnostic
    return replace(diagnostic, help=f"`{name}` is made first, then called: `f = {name}(...)`, then `f(x)`; {diagnostic.help}")


def _template(template: Template, node: ast.Call, frame: Frame) -> Value:
    """Give a block its arguments: the result has no name yet."""
    if template.name == "Sequential":
        return SPECIAL["Sequential"](node, frame)
    once = frame.builder.context.files.once
    made = template.primitive.arguments if template.primitive is not None else ()
    slots = once(of_item, template.item.parameters) if template.item is not None else once(of_primitive, made)
    skip = frozenset(k for k in template.given if template.open is None or k not in template.open)
    try:
        bound = bind(template.name, node.arguments, slots, node.span, skip)
    except Problem as problem:
        raise Problem(_made_first(problem.diagnostic, template.name, node, frame)) from None
    if template.primitive is not None:
        by_name = {a.name: a for a in template.primitive.arguments}
        values = {key: evaluate_argument(by_name[key], expr, frame) for key, expr in bound.given.items()}
    else:
        assert template.item is not None
        types = {p.name: p.type for p in template.item.parameters}
        values = {key: typed_expression(types[key], expr, frame) for key, expr in bound.given.items()}
    given = {**template.given, **values}
    if bound.open is not None:
        partial = Template(template.name, template.file, template.item, template.primitive, given, bound.open)
        return bounded(partial, frame.builder.context, node.span)
    return bounded(Unborn(template, given, node.span), frame.builder.context, node.span)


def _unborn(value: Unborn | Chain, node: ast.Call, frame: Frame, slot: str | None) -> Value:
    """Call a block in the breath that makes it: it takes the statement's name, or none if it has no parameters."""
    if slot is not None:
        _new_name(slot, _kind(value), node, frame)
    name = slot if slot is not None else f"{_kind(value)}_{frame.builder.anonymous}"
    frame.builder.anonymous += slot is None
    module = bear(value, name, frame, node.span)
    result = call_module(module, node.arguments, frame, node.span)
    if slot is None and _has_parameters(module, frame):
        help = f"make it first, `name = {_kind(value)}(...)`, then call `name(...)`: the name is its path in the state dict"
        fail("A108", f"this `{_kind(value)}` has parameters but no name", node.function.span, help)
    return result


def _new_name(name: str, kind: str, node: ast.Call, frame: Frame) -> None:
    """Require that the module of `y = Linear(a, b)(x)` can be called `y`."""
    home = frame.owner(name)
    old = home.names[name] if home is not None else None
    if home is not None and not (isinstance(old, Family) and old.loop_born):
        help = f"make the module first under a name of its own, `f = {kind}(...)`, then write `{name} = f(...)`"
        labels = [(home.spans[name], f"`{name}` is bound here")] if name in home.spans else []
        fail("A108", f"this `{kind}` would be called `{name}`, which is bound already", node.function.span, help, labels)


def _kind(value: Unborn | Chain) -> str:
    return "Sequential" if isinstance(value, Chain) else value.template.name


def _has_parameters(module: Value, frame: Frame) -> bool:
    if isinstance(module, ModuleChain):
        return any(_has_parameters(p, frame) for p in module.parts if isinstance(p, (Module, ModuleChain)))
    declared = frame.builder.body.modules[module.path]
    return owns_parameters(declared)


def owns_parameters(declared: ModuleDecl) -> bool:
    """Say whether a module or what it holds has parameters or buffers."""
    if declared.primitive is not None:
        return bool(declared.primitive.parameters(declared.arguments))
    return declared.extern is not None or any(b.parameters or any(owns_parameters(m) for m in b.modules.values()) for b in declared.bodies)


def _module(module: Module, node: ast.Call, frame: Frame) -> Value:
    return call_module(module, node.arguments, frame, node.span)


def call_module(module: Value, arguments: tuple[ast.Argument, ...], frame: Frame, span: Span) -> Value:
    """Call a named module."""
    frame.builder.used.add(module.path)
    if isinstance(module, ModuleChain):
        if len(arguments) != 1 or arguments[0].name is not None:
            fail("A201", "a Sequential takes one argument", span, "call its parts yourself where more is needed")
        return call_chain(module, evaluate(arguments[0].value, frame), frame, span)
    if module.template.primitive is None:
        from .blocks import call_block  # which runs statements, and they call

        return call_block(module, arguments, frame, span)
    primitive = module.template.primitive
    bound = bind(module.template.name, arguments, frame.builder.context.files.once(of_primitive, primitive.call), span)
    by_name = {a.name: a for a in primitive.call}
    values = {key: evaluate_argument(by_name[key], expr, frame) for key, expr in bound.given.items()}
    return call_leaf(module, values, frame, span, {key: expr.span for key, expr in bound.given.items()})


def call_leaf(module: Module, values: Mapping[str, Value], frame: Frame, span: Span, spans: Mapping[str, Span] | None = None) -> Value:
    """Call a leaf module with values by argument name."""
    primitive = module.template.primitive
    assert primitive is not None
    inputs, operands, attributes = collect(primitive.name, primitive.call, values, span, spans or {}, frame)
    types = infer(frame.builder, primitive, {**module.arguments, **inputs}, operands, span, module)
    number = frame.builder.node(NodeKind.LEAF, module.path, operands, attributes, types, span, primitive)
    return results(frame.builder, primitive, number)


def call_chain(module: ModuleChain, value: Value, frame: Frame, span: Span) -> Value:
    """Call the parts of a Sequential in order."""
    for place, part in enumerate(module.parts):
        first = len(frame.builder.body.nodes)
        value = call_value(part, value, frame, span)
        for node in frame.builder.body.nodes[first:]:
            node.part = Part(module.path, (place, *(node.part.places if node.part is not None else ())))
    return value


def call_value(function: Value, value: Value, frame: Frame, span: Span) -> Value:
    """Call a module or a one-argument operation on a value."""
    if isinstance(function, ModuleChain):
        return call_chain(function, value, frame, span)
    if isinstance(function, Module):
        frame.builder.used.add(function.path)
        if function.template.primitive is not None:
            return call_leaf(function, {function.template.primitive.call[0].name: value}, frame, span)
        from .blocks import call_block_on  # as above

        return call_block_on(function, value, frame, span)
    if isinstance(function, Function) and function.primitive is not None:
        first = next(a.name for a in function.primitive.arguments if a.name not in function.given)
        return apply(frame, function.primitive, {**function.given, first: value}, span)
    fail("A203", f"a part of a Sequential is a block or an operation of one argument, not {describe(function)}", span)


_HANDLERS: dict[type, Callable[[Any, ast.Call, Frame], Value]] = {
    Function: _function, Template: _template, Module: _module, ModuleChain: _module,
}  # fmt: skip
register(ast.Call, _call)
