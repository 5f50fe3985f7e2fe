"""Inputs of blocks and models: declared types, the symbols they introduce, and matching a call's types against them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .. import ast, dim_atoms, dims
from ..dims import Dim, Symbol
from ..parse.pythonisms import walk
from ..primitive import RuleFailure
from ..program import Condition, InputDecl, Member
from ..record import record
from ..rule import ShapeRule
from ..source import Span
from ..types import Axis, DType, SetAxis, TensorType, extent
from . import statics
from .builder import Builder
from .context import Problem, fail, suggest
from .expressions import evaluate, lookup
from .indexing import member_key
from .operations import REFUSED, axis
from .scope import Frame
from .values import Family, IndexSet, MemberOf, Value, describe, is_list

Pattern = tuple[DType, tuple[Axis | None, ...]]
"""What a body is elaborated for: the dtype and, for each axis of an input, its number, its set, or None for a symbolic size."""


def pattern(type_: TensorType) -> Pattern:
    """Return what of a type a body depends on: all but which symbol a symbolic axis is."""
    return type_.dtype, tuple(a if isinstance(a, (int, SetAxis)) else None for a in type_.shape)


@record
class Wanted:
    """An input that a block names, found without elaborating it."""

    name: str
    family: bool
    optional: bool
    draw: bool


def wanted(body: Sequence[ast.Statement], inside: bool = False) -> Iterator[Wanted]:
    """Yield the inputs of a block in the order of its text (an input under a static `if` or in a loop included)."""
    for statement in body:
        if isinstance(statement, (ast.In, ast.Draw)):
            draw = isinstance(statement, ast.Draw)
            optional = inside or isinstance(statement, ast.Draw) or statement.condition is not None
            for declared in statement.names:
                yield Wanted(declared.name, bool(declared.binders) or inside, optional, draw)
        elif isinstance(statement, ast.If):
            yield from wanted(statement.then, inside=True)
            yield from wanted(statement.otherwise or (), inside=True)
        elif isinstance(statement, ast.For):
            yield from wanted(statement.body, inside=True)


# ------------------------------------------------------------------------------------------------- declared types


def tensor_type(node: ast.Type, frame: Frame, given: Pattern | None, what: str) -> TensorType:
    """Return the type that a declaration means in this body; new capital names become symbols."""
    if isinstance(node, ast.TypeChoice):
        chosen = node.then if statics.truth(evaluate(node.condition, frame), node.condition.span) else node.otherwise
        return tensor_type(chosen, frame, given, what)
    dtype, entries = dtype_of(node)
    if given is not None and dtype is DType.FLOAT and given[0].is_float:
        dtype = given[0]
    sizes: Sequence[Axis | None] | None = given[1] if given is not None else None
    shape: list[Axis] = []
    for place, entry in enumerate(entries):
        if isinstance(entry, ast.Ellipsis):
            shape.extend(_ellipsis(entry, frame, sizes, place, len(entries) - place - 1))
        elif isinstance(entry, (ast.TypeRef, ast.EnumType, ast.TypeChoice)):
            fail("A212", f"`{entry.span.text}` can't be a dimension", entry.span)
        else:
            shape.append(_dimension(entry, frame, _actual(sizes, place, len(shape), len(entries), entries)))
    return TensorType(dtype, tuple(shape))


def dtype_of(node: ast.Type) -> tuple[DType, tuple[ast.Expr | ast.TypeRef, ...]]:
    """Return the dtype of a tensor type and the entries of its shape."""
    names = {d.value: d for d in DType}
    if not isinstance(node, ast.TypeRef) or node.name not in names:
        text = node.span.text
        if text.startswith(("Tensor[", "tensor[")):
            fail("A212", f"`{text}` is no tensor type", node.span, f"say what it holds: `float{text[6:]}`")
        fail(
            "A212",
            f"`{text}` is no tensor type",
            node.span,
            suggest(text.split("[")[0], names, f"a tensor type is {statics.listed(names)} with its shape in brackets"),
        )
    if node.arguments is None:
        help = f"write `{node.name}[B]` for one of each of B, `{node.name}[]` for a single one"
        fail("A212", f"`{node.name}` alone is no tensor type: its shape is missing", node.span, help)
    return names[node.name], node.arguments


class _Border:
    """No call gives a size here: capital names are the model's own symbols."""


BORDER = _Border()


def _actual(sizes: Sequence[Any] | None, place: int, filled: int, total: int, entries: Sequence[Any]) -> Any:
    """Return the given size of a declared axis: counted from the left before `...`, from the right after it."""
    if sizes is None:
        return BORDER
    after = any(isinstance(e, ast.Ellipsis) for e in entries[:place])
    index = len(sizes) - (total - place) if after else place
    return sizes[index] if 0 <= index < len(sizes) else None


def _ellipsis(node: ast.Ellipsis, frame: Frame, sizes: Sequence[Any] | None, before: int, after: int) -> tuple[Axis, ...]:
    builder = frame.builder
    if builder.ellipsis is None:
        if sizes is None:
            fail("A306", "`...` can't stand in a model's own input", node.span, "name each dimension of the border")
        extra = sizes[before : len(sizes) - after] if len(sizes) >= before + after else ()
        builder.ellipsis = tuple(_fresh(builder, f"...{i}") if size is None else size for i, size in enumerate(extra))
    return builder.ellipsis


def _fresh(builder: Builder, name: str, least: int = 1) -> Dim:
    symbol = Symbol(name, least)
    builder.body.symbols[name] = symbol
    return Dim.of(symbol)


def _dimension(node: ast.Expr, frame: Frame, actual: Any) -> Axis:
    """Return one axis of a declared type."""
    if isinstance(node, ast.Name) and _is_new(node.id, frame):
        return _introduce(node, node.id, frame, actual)
    if isinstance(node, ast.Index) and isinstance(node.object, ast.Name) and _is_family_symbol(node.object.id, frame):
        return _member_symbol(node, node.object.id, frame, actual)
    unknown = [n for n in _names(node) if _is_new(n.id, frame)]
    if unknown:
        return _solved(node, unknown, frame, actual)
    if isinstance(node, ast.Name) and frame.find(node.id) is None:
        _known(node, frame)
    value = axis(evaluate(node, frame))
    if value is REFUSED:
        fail("A306", f"`{node.span.text}` can't be a dimension", node.span, "a dimension is a size, an index set, or arithmetic on sizes")
    if isinstance(value, int) and value < 0:
        written = isinstance(node, ast.Unary)
        help = "a size that is not known has a name with a capital: `B`" if written else "check the numbers that it is computed from"
        fail("A303", f"the dimension `{node.span.text}` is {value}", node.span, help)
    if isinstance(value, Dim) and not value.is_whole:
        _require_whole(value, node, frame)
    return value


def _known(node: ast.Name, frame: Frame) -> None:
    """Say of an unknown size how a new one is written."""
    try:
        lookup(node, frame)
    except Problem as problem:
        if problem.diagnostic.code != "A102":
            raise
        near = suggest(node.id, (name for name, value in _root(frame).names.items() if isinstance(value, (int, Dim, IndexSet))))
        help = near or f"a new size begins with a capital: `{node.id.capitalize()}`; a lower-case one is a parameter"
        fail("A102", problem.diagnostic.message, node.span, help)


def refuse_new(node: ast.Type, frame: Frame) -> None:
    """Refuse a size that nothing has introduced, in a type that can't introduce one."""
    for name in walk(node):
        if isinstance(name, ast.Name) and _is_new(name.id, frame):
            help = f"only `in`, `target` and `state` introduce sizes, for instance `in x: float[B, {name.id}]`"
            fail("A102", f"`{name.id}` is not defined", name.span, help)


def _require_whole(value: Dim, node: ast.Expr, frame: Frame) -> None:
    """Require a quotient that stands as a dimension to be whole."""
    rule = ShapeRule(frame.builder.facts)
    try:
        rule.whole(value, f"the dimension `{node.span.text}`")
    except RuleFailure as failure:
        fail(failure.code, failure.message, node.span, failure.help)
    for kind, left, right, reason in rule.conditions:
        frame.builder.condition(Condition(kind, left, right, node.span, reason))


def _is_new(name: str, frame: Frame) -> bool:
    return name[0].isupper() and frame.find(name) is None


def _is_family_symbol(name: str, frame: Frame) -> bool:
    if not name[0].isupper():
        return False
    found = frame.find(name)
    return found is None or (isinstance(found, Family) and found.name == name)


def _names(node: Any) -> Iterator[ast.Name]:
    if isinstance(node, ast.Name):
        yield node
    elif isinstance(node, ast.Binary):
        yield from _names(node.left)
        yield from _names(node.right)
    elif isinstance(node, ast.Unary):
        yield from _names(node.operand)
    elif isinstance(node, ast.Call):
        for argument in node.arguments:
            yield from _names(argument.value)


def _root(frame: Frame) -> Frame:
    while frame.parent is not None:
        frame = frame.parent
    return frame


def _introduce(node: ast.Expr, name: str, frame: Frame, actual: Any) -> Axis:
    value: Axis = _fresh(frame.builder, name) if actual is BORDER or actual is None else actual
    root = _root(frame)
    root.names[name] = value
    root.spans[name] = node.span
    return value


def _member_symbol(node: ast.Index, name: str, frame: Frame, actual: Any) -> Axis:
    """Return `B[t]`: one symbol for each member."""
    if len(node.items) != 1:
        fail("A306", f"`{node.span.text}` can't be a dimension", node.span, "a family of sizes has one index")
    item = node.items[0]
    value = evaluate(item, frame)
    root = _root(frame)
    family = root.names.get(name)
    if family is None:
        if not isinstance(value, MemberOf):
            fail(
                "A306",
                f"`{item.span.text}` must be a member of an index set",
                item.span,
                f"`{name}[t]` in a loop `for t in ...` gives each member its own size",
            )
        whole_set = IndexSet(value.set.name, value.set.declared, value.set.declared)
        family = root.names[name] = Family(whole_set, {}, name)
    if isinstance(value, MemberOf) and value.key not in family.set.declared:
        declared = family.set.declared + tuple(m for m in value.set.declared if m not in family.set.declared)
        family = root.names[name] = Family(IndexSet(family.set.name, declared, declared), family.members, name)
    key = member_key(item, value, family.set, frame)
    if key not in family.members:
        family.members[key] = _fresh(frame.builder, f"{name}[{key}]") if actual is BORDER or actual is None else actual
    return family.members[key]


def _solved(node: ast.Expr, unknown: list[ast.Name], frame: Frame, actual: Any) -> Axis:
    """Introduce the one symbol of an expression such as `2 * N`; what is given for the axis decides it: a number, in a `fn` a size."""
    names = {n.id for n in unknown}
    if len(names) > 1:
        fail("A307", f"`{node.span.text}` has several new sizes", node.span, "give each new size an axis of its own in an earlier input")
    name = unknown[0].id
    root = _root(frame)
    symbol = Symbol(name)
    root.names[name] = Dim.of(symbol)
    root.spans[name] = node.span
    value = axis(evaluate(node, frame))
    if isinstance(actual, (int, Dim)) and isinstance(value, Dim):
        solution = solve(value, symbol, actual)
        if isinstance(solution, Dim) and isinstance(actual, Dim):
            settle(frame.builder, lambda rule: _fits(rule, solution, symbol, f"`{name}` in `{node.span.text}`"), node.span)
        if isinstance(actual, Dim) and solution is not None or (isinstance(solution, int) and solution >= 0):
            root.names[name] = solution
            return actual
    frame.builder.body.symbols[name] = symbol
    return value


def solve(expression: Dim, symbol: Symbol, target: int | Dim) -> int | Dim | None:
    """Solve `expression == target` for a symbol that stands in it linearly; None where it doesn't."""
    zero, one, two = (expression.substitute({symbol: n}) for n in (0, 1, 2))
    slope = one - zero
    if two - one != slope or (isinstance(slope, int) and slope == 0):
        return None
    solution = dims.quotient(target - zero, slope)
    return statics.tidy(solution)


# ----------------------------------------------------------------------------------------------------- matching


def match(
    builder: Builder, declared: Sequence[InputDecl], actual: Mapping[str, TensorType], spans: Mapping[str, Span], name: str
) -> dict[Symbol, Axis]:
    """Bind a body's symbols to the sizes of a call; report every input that does not fit."""
    binding: dict[Symbol, Axis] = {}
    for inp in declared:
        given = actual.get(inp.key)
        if given is None:
            continue
        span = spans.get(inp.name, spans[""])
        if len(given.shape) != len(inp.type.shape):
            message = f"`{inp.key}` of `{name}` has {len(inp.type.shape)} dimensions, not {len(given.shape)}"
            text = shown(inp.type)
            more = ", and `...` stands for the same axes in all inputs of a call" if "..." in text else ""
            fail("A306", message, span, f"it takes `{text}`{more}; given is `{given}`", [(inp.span, "declared here")])
        if given.dtype is not inp.type.dtype:
            message = f"`{inp.key}` of `{name}` takes `{inp.type.dtype}`, not `{given.dtype}`"
            fail("A305", message, span, f"convert it: `{inp.type.dtype}(...)`", [(inp.span, "declared here")])
        for place, (local, size) in enumerate(zip(inp.type.shape, given.shape, strict=True)):
            _match_axis(builder, inp, place, local, size, binding, span, name, given)
    return binding


def _match_axis(
    builder: Builder, inp: InputDecl, place: int, local: Axis, size: Axis, binding: dict[Symbol, Axis], span: Span, name: str, given: TensorType
) -> None:
    if local is size:
        return
    if isinstance(local, Dim):
        lone = local.symbol
        if lone is not None and lone not in binding:
            binding[lone] = size
            return
        unbound = [s for s in local.symbols() if s not in binding]
        if len(unbound) == 1:
            solution = solve(_partly(local, binding), unbound[0], extent(size))
            if solution is not None:
                what = f"`{unbound[0]}`, for axis {place} of `{inp.key}` of `{name}` (`{shown(inp.type)}`, given `{given}`)"
                settle(builder, lambda rule: _fits(rule, solution, unbound[0], what), span, inp.span)
                binding[unbound[0]] = solution
                return
        local = substitute(local, binding)
    if local == size:
        return
    if isinstance(local, SetAxis) and isinstance(size, SetAxis) and local.name == size.name and local.members == size.members:
        return
    compare(builder, size, local, span, f"axis {place} of `{inp.key}` of `{name}` (`{shown(inp.type)}`, given `{given}`)", inp.span)


def _fits(rule: ShapeRule, solution: int | Dim, symbol: Symbol, what: str) -> None:
    rule.whole(solution, what)
    rule.at_least(dim_atoms.ceil_of(solution), symbol.least, what)  # a whole number is its own ceiling, whose sign is easier to see


def compare(builder: Builder, given: Axis, expected: Axis, span: Span, what: str, label: Span | None = None) -> None:
    """Require two axes to be the same, by proof, condition or error."""
    settle(builder, lambda rule: rule.declared(given, expected, what), span, label)


def settle(builder: Builder, ask: Callable[[ShapeRule], object], span: Span, label: Span | None = None) -> None:
    """Require what `ask` asks of a rule: its complaint is an error here, its open conditions are kept."""
    rule = ShapeRule(builder.facts)
    try:
        ask(rule)
    except RuleFailure as failure:
        fail(failure.code, failure.message, span, failure.help, [(label, "declared here")] if label is not None else [])
    for kind, left, right, reason in rule.conditions:
        builder.condition(Condition(kind, left, right, span, reason))


def shown(type_: TensorType) -> str:
    """Return an input's type as its declaration says it: the axes of `...` are `...` again."""
    return re.sub(r"\.\.\.0(, \.\.\.\d+)*", "...", str(type_))


def _partly(local: Dim, binding: Mapping[Symbol, Axis]) -> Dim:
    found = local.substitute({s: extent(a) for s, a in binding.items()})
    return found if isinstance(found, Dim) else local


def substitute(axis_: Axis, binding: Mapping[Symbol, Axis]) -> Axis:
    """Return an axis of a body as its caller sees it."""
    if not isinstance(axis_, Dim):
        return axis_
    lone = axis_.symbol
    if lone is not None:
        return binding.get(lone, axis_)
    return axis_.substitute({s: extent(a) for s, a in binding.items()})


def outside(type_: TensorType, binding: Mapping[Symbol, Axis]) -> TensorType:
    """Return a type of a body as its caller sees it."""
    for entry in type_.shape:
        if isinstance(entry, Dim):
            return TensorType(type_.dtype, tuple(substitute(a, binding) for a in type_.shape))
    return type_


def flat(name: str, value: Value, span: Span) -> Iterator[tuple[str, tuple[Member, ...], Value]]:
    """Yield the members of an input that is a family, with their keys: `x.understand`."""
    if isinstance(value, Family):
        for key, member in value.members.items():
            for deeper, members, found in flat(f"{name}.{key}", member, span):
                yield deeper, (key, *members), found
    elif is_list(value):
        fail("A203", f"`{name.split('.')[0]}` takes a tensor or a family, not {describe(value)}", span, "give a family: `x[*]`")
    else:
        yield name, (), value
