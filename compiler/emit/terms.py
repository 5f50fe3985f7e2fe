"""The arithmetic of the text: what a number of the model was written as."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from functools import lru_cache
from typing import Any, cast

from ...dsl import ast
from ...dsl.parser import ParsedFile, parse
from ...dsl.record import entity
from ...dsl.source import Source, Span

OPERATORS = ("+", "-", "*", "/", "//", "%", "**")
FUNCTIONS = ("min", "max")
ARMS = 8
"""How many arms of conditions are looked at."""

DEEPEST = 20
"""How far a name is followed through definitions."""

Definitions = Mapping[str, "ast.Expr | None"]
"""What static names stand for, by name; None where it isn't one expression."""


@entity
class Wording:
    """The terms of one statement, in order, and those that stand behind an argument's name: `(size // patch) ** 2`."""

    terms: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict[str, str])

    def behind(self, name: str) -> str | None:
        """Return the term of an argument, if it isn't a plain number."""
        found = self.named.get(name)
        return found if found is not None and not found.isdecimal() else None


NOTHING = Wording()


@entity
class Text:
    """A parsed file: statements and the items around them."""

    file: ParsedFile
    words: dict[int, Wording]
    definitions: dict[int, Definitions]


@lru_cache(maxsize=64)
def _read(source: Source) -> Text:
    return Text(parse(source), {}, {})


def wording(span: Span) -> Wording:
    """Return the terms of the statement at a place."""
    text = _read(span.source)
    found = text.words.get(span.start)
    if found is None:
        item = _item(text, span)
        place = _innermost(item, span)[-1:] if item is not None else []
        found = text.words[span.start] = _worded(place[0], _definitions(text, item)) if place else NOTHING
    return found


def loop_wording(span: Span) -> tuple[Wording, Wording, Wording]:
    """Return the terms for the number of turns of the innermost loop around a place, for its first member and for one past the last."""
    text = _read(span.source)
    item = _item(text, span)
    loops = [one for one in _innermost(item, span) if isinstance(one, (ast.For, ast.Repeat))] if item is not None else []
    if not loops:
        return NOTHING, NOTHING, NOTHING
    known = _definitions(text, item)
    over = loops[-1].set
    if not isinstance(over, ast.Range) or over.start is None or over.stop is None:
        return Wording(tuple(_terms(over, known))), NOTHING, NOTHING
    start, stop = arithmetic(over.start, known), arithmetic(over.stop, known)
    stop = tuple(f"({last} + 1)" for last in stop) if over.inclusive else stop
    count = tuple(last if first == "0" else f"({last} - {first})" for first in start for last in stop)
    return Wording(count), Wording(start), Wording(stop)


def block_defaults(span: Span) -> dict[str, str]:
    """Return what the parameters of the block at a place are when nothing else is said, where that is arithmetic."""
    item = _item(_read(span.source), span)
    found: dict[str, str] = {}
    for parameter in getattr(item, "parameters", ()):
        texts = arithmetic(parameter.default, {}) if parameter.default is not None else ()
        if len(texts) == 1:
            found[parameter.name] = texts[0]
    return found


def block_inputs(span: Span) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """Yield the inputs of the block at a place with the names of their sizes, where those are bare; nothing behind a `...`."""
    item = _item(_read(span.source), span)
    for statement in _statements(getattr(item, "body", ())):
        if isinstance(statement, ast.In) and isinstance(statement.type, ast.TypeRef):
            sizes = statement.type.arguments or ()
            if not any(isinstance(size, ast.Ellipsis) for size in sizes):
                names = tuple(size.id if isinstance(size, ast.Name) else None for size in sizes)
                yield from ((declared.name, names) for declared in statement.names if not declared.binders)


def _item(text: Text, span: Span) -> Any:
    return next((item.tree for item in text.file.items if item.span.start <= span.start < item.span.end), None)


def _innermost(item: Any, span: Span) -> list[Any]:
    """Return the statements around a place, the outermost first."""
    found: list[Any] = []
    level = getattr(item, "body", ())
    while True:
        inside = next((one for one in level if one.span.start <= span.start < one.span.end), None)
        if inside is None:
            return found
        found.append(inside)
        level = _below(inside)


def _below(statement: Any) -> tuple[Any, ...]:
    if isinstance(statement, ast.If):
        return (*statement.then, *(statement.otherwise or ()))
    return statement.body if isinstance(statement, (ast.For, ast.Repeat, ast.Task, ast.Entry)) else ()


def _statements(level: tuple[Any, ...]) -> Iterator[Any]:
    for statement in level:
        yield statement
        yield from _statements(_below(statement))


# --------------------------------------------------------------------------------------------------------------- terms


def _file_definitions(text: Text) -> Iterator[ast.Definition]:
    trees = (item.tree for item in text.file.items if item.word == "definition")
    return (tree for tree in trees if isinstance(tree, ast.Definition))


def _definitions(text: Text, item: Any) -> Definitions:
    """Return what the static names of an item and of its file stand for."""
    found = text.definitions.get(id(item))
    if found is None:
        known: dict[str, Any] = {one.name: one.value for one in _file_definitions(text)}
        seen: set[str] = set()
        for statement in _statements(getattr(item, "body", ())):
            for goal in statement.goals if isinstance(statement, ast.Assign) else ():
                plain = len(statement.goals) == 1 and not goal.items and goal.name not in seen
                known[goal.name] = statement.value if plain else None
                seen.add(goal.name)
        for parameter in getattr(item, "parameters", ()):
            known.pop(parameter.name, None)
        found = text.definitions[id(item)] = known
    return found


def arithmetic(expr: ast.Expr, known: Definitions, depth: int = 0) -> tuple[str, ...]:
    """Return an expression of numbers and names as Python, with defined names written out; one text for each arm of an `if`.

    Nothing is returned for what isn't arithmetic.
    """
    if isinstance(expr, ast.Number):
        return (repr(expr.value),)
    if isinstance(expr, ast.Name):
        if expr.id not in known:
            return (expr.id,)
        value = known[expr.id]
        return arithmetic(value, known, depth + 1) if value is not None and depth < DEEPEST else ()
    if isinstance(expr, ast.Ternary):
        return (*arithmetic(expr.then, known, depth), *arithmetic(expr.otherwise, known, depth))
    if isinstance(expr, ast.Unary) and expr.op == "-":
        return tuple(f"(-{inner})" for inner in arithmetic(expr.operand, known, depth))
    if isinstance(expr, ast.Binary) and expr.op in OPERATORS:
        left, right = arithmetic(expr.left, known, depth), arithmetic(expr.right, known, depth)
        return tuple(f"({a} {expr.op} {b})" for a in left for b in right)[:ARMS]
    if isinstance(expr, ast.Call) and isinstance(expr.function, ast.Name) and expr.function.id in FUNCTIONS:
        parts = [arithmetic(one.value, known, depth) for one in expr.arguments if one.name is None]
        return (f"{expr.function.id}({', '.join(part[0] for part in parts)})",) if parts and all(parts) else ()
    return ()


def _terms(node: Any, known: Definitions) -> Iterator[str]:
    """Yield the largest terms of an expression or statement, from left to right."""
    if isinstance(node, ast.Node):
        texts = arithmetic(cast("ast.Expr", node), known)
        if texts:
            yield from texts
            return
        children: Any = (getattr(node, one.name) for one in fields(node) if one.name != "span") if is_dataclass(node) else ()
        if isinstance(node, (ast.Assign, ast.Call)):
            children = (node.value,) if isinstance(node, ast.Assign) else node.arguments
    else:
        children = cast("tuple[Any, ...]", node) if isinstance(node, tuple) else ()
    for child in children:
        yield from _terms(child, known)


def _worded(statement: Any, known: Definitions) -> Wording:
    named: dict[str, str | None] = {}
    for argument in _arguments(statement):
        texts = arithmetic(argument.value, known)
        if argument.name is not None and texts:
            named[argument.name] = texts[0] if len(texts) == 1 and named.get(argument.name, texts[0]) == texts[0] else None
    return Wording(tuple(_terms(statement, known)), {name: text for name, text in named.items() if text is not None})


def _arguments(node: Any) -> Iterator[ast.Argument]:
    if isinstance(node, ast.Argument):
        yield node
    parts: Any = (getattr(node, one.name) for one in fields(node) if one.name != "span") if isinstance(node, ast.Node) else node
    for part in parts if isinstance(node, (ast.Node, tuple)) else ():
        yield from _arguments(part)
