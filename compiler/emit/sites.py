"""Where a module is made in the text: the expression behind each of its arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...blocks.registry import Entry
from ...dsl import ast
from ...dsl.elaborate.values import Template, Unborn
from ...dsl.program import ModuleDecl, ParameterDecl
from ...dsl.source import Span
from .arithmetic import Definitions
from .definitions import definitions
from .reading import around, item_at, meant, nodes
from .reckoning import Value
from .terms import Wording, assigned, given, sets_around, wording

DEEPEST = 20
"""How far a name is followed to the block that it stands for."""


def site(declared: ModuleDecl) -> Wording:
    """Return the terms of each argument that a module is made with; those of the statement where no call is found that makes it.

    What a block is made with that is handed on is known by the names of both: `layer_dim` is the `dim` of the parameter `Layer`.
    """
    known, variables = definitions(declared.span), loop_variables(declared)
    rest = declared.path.split(".")[1 + len(declared.members) :]
    call = _called(_born(declared.span, declared.name), known, declared.kind, rest, variables)
    if call is None or not isinstance(call.function, ast.Name):
        return Wording(wording(declared.span).terms, variables=variables)
    names, word = _parameters(declared), call.function.id
    arguments = assigned(call, names)
    named = given(arguments, known)
    for name, value in arguments:
        if isinstance(block := declared.arguments.get(name), (Unborn, Template)):
            named.update(_handed(name, value, block, known))
    if word in own_parameters(declared.span):  # a block that was handed in: what it brings along has names of its own
        written = {name for name, _ in arguments}
        named.update((name, (handed_name(word, name),)) for name in names if name not in written)
    return Wording((), named, exact=True, variables=variables)


def tensor_site(declared: ParameterDecl) -> Wording:
    """Return the terms of the sizes of a parameter or buffer."""
    known = definitions(declared.span)
    call = _called(_born(declared.span, declared.name), known, "", (), {})
    if call is None or not isinstance(call.function, ast.Name) or call.function.id not in ("Parameter", "Buffer"):
        return wording(declared.span)
    return Wording((), given(assigned(call, ("shape",)), known), exact=True, variables=loop_variables(declared))


def part_site(born: ModuleDecl, places: Sequence[int], operation: Entry) -> Wording:
    """Return the terms of an operation's arguments where it stands as a part of the Sequential that a module belongs to."""
    known = definitions(born.span)
    expr: Any = _born(born.span, born.name)
    for place in places:
        parts = expr.arguments if isinstance(expr, ast.Call) else ()
        expr = parts[place].value if place < len(parts) else None
    if not isinstance(expr, ast.Call) or not isinstance(expr.function, ast.Name) or expr.function.id != operation.name:
        return wording(born.span)
    return Wording((), given(assigned(expr, ()), known), exact=True, variables=loop_variables(born))


def handed_name(parameter: str, name: str) -> str:
    """Return under which name a block knows what one of its parameters, a block, is made with."""
    return f"{re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', parameter).lower()}_{name}"


def bound(block: Unborn | Template) -> Mapping[str, Any]:
    """Return what a block that is handed on is made with."""
    return block.arguments if isinstance(block, Unborn) else block.given


def loop_variables(declared: ModuleDecl | ParameterDecl) -> dict[str, Value]:
    """Return the variables of the loops in which something is born, the outermost first, and their values there."""
    loops = sets_around(declared.span)
    if len(loops) != len(declared.members):
        return {}
    pairs = zip((name for name, _ in loops), declared.members, strict=True)
    return {name: member for name, member in pairs if name and isinstance(member, (int, str))}


def _born(span: Span, name: str) -> ast.Expr | None:
    """Return the expression that gives the name at a place its value, or stands there itself."""
    inside = around(span)
    statement = inside[-1] if inside else None
    if isinstance(statement, ast.Assign):
        for place, goal in enumerate(statement.goals):
            if goal.name == name and goal.span.start <= span.start < goal.span.end:
                return meant(statement, place)
    return next((node for node in nodes(statement) if isinstance(node, ast.Call) and node.span == span), None)


def _called(expr: Any, known: Definitions, kind: str, rest: Sequence[str], variables: Mapping[str, Value]) -> ast.Call | None:
    """Return the call that makes a block of a kind, `rest` telling its place inside of Sequentials."""
    found = [call for call in _made(expr, known, variables, DEEPEST) if _makes(call, kind)] if len(rest) == 0 or expr is None else []
    if rest and isinstance(expr, ast.Call):
        places = [argument.value for argument in expr.arguments]
        inner = places[int(rest[0])] if rest[0].isdecimal() and int(rest[0]) < len(places) else None
        return _called(inner, known, kind, rest[1:], variables)
    return found[0] if len(found) == 1 else None


def _makes(call: ast.Call, kind: str) -> bool:
    """Tell whether a call may make a block of a kind: by its name, or by a name that stands for a block."""
    word = call.function.id if isinstance(call.function, ast.Name) else ""
    return word in ("Parameter", "Buffer") or word == kind.rpartition(".")[2] or word in own_parameters(call.span)


def _made(expr: Any, known: Definitions, variables: Mapping[str, Value], depth: int) -> Iterator[ast.Call]:
    """Yield the calls that may make what an expression gives: `Linear(a, b)` of `Linear(a, b)(x)`."""
    if depth == 0:
        return
    if isinstance(expr, ast.Ternary):
        yield from _made(expr.then, known, variables, depth - 1)
        yield from _made(expr.otherwise, known, variables, depth - 1)
    elif isinstance(expr, ast.Name) and known.get(expr.id) is not None:
        yield from _made(known.get(expr.id), known, variables, depth - 1)
    elif isinstance(expr, ast.Index) and isinstance(expr.object, ast.Name) and len(expr.items) == 1:
        yield from _made(_entry(known.get(expr.object.id), expr.items[0], variables), known, variables, depth - 1)
    elif isinstance(expr, ast.Call) and isinstance(expr.function, ast.Name):
        yield expr
    elif isinstance(expr, ast.Call):
        yield from _made(expr.function, known, variables, depth - 1)


def _entry(table: Any, key: ast.Expr, variables: Mapping[str, Value]) -> Any:
    """Return what a map holds at the member that a loop is at."""
    member = variables.get(key.id, key.id) if isinstance(key, ast.Name) else None
    entries = table.items if isinstance(table, ast.MapLiteral) else ()
    return next((value for name, value in entries if isinstance(name, ast.Name) and name.id == member), None)


def _handed(parameter: str, value: ast.Expr, block: Unborn | Template, known: Definitions) -> dict[str, tuple[str, ...]]:
    """Return the terms of what a block that is handed on is made with."""
    template = block.template if isinstance(block, Unborn) else block
    if isinstance(value, ast.Name) and value.id in own_parameters(value.span):
        return {handed_name(parameter, name): (handed_name(value.id, name),) for name in bound(block)}
    [call] = found if len(found := [*_made(value, known, {}, DEEPEST)]) == 1 else [None]
    if call is None:
        return {}
    names = [one.name for one in (template.primitive.arguments if template.primitive is not None else getattr(template.item, "parameters", ()))]
    return {handed_name(parameter, name): texts for name, texts in given(assigned(call, names), known).items()}


def _parameters(declared: ModuleDecl) -> list[str]:
    """Return the names of what a module may be made with, in order."""
    if isinstance(declared.primitive, Entry):
        return [argument.name for argument in declared.primitive.arguments]
    return own_parameters(declared.bodies[0].span) if declared.bodies else [*declared.arguments]


def own_parameters(span: Span) -> list[str]:
    """Return the names of the parameters of the block at a place."""
    return [parameter.name for parameter in getattr(item_at(span), "parameters", ())]
