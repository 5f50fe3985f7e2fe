"""The arithmetic of the text: what a number of the model was written as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import Any

from ...dsl import ast
from ...dsl.record import entity
from ...dsl.source import Span
from .arithmetic import Arms, Definitions, arithmetic, length
from .definitions import definitions
from .reading import around, children, item_at, nodes, statements
from .reckoning import Value


@entity
class Wording:
    """What a statement says of its numbers: its terms, in order, and those of each argument, `sizes[1]` being the second of a list.

    Where `exact`, what stands at no argument was not written as arithmetic, and no other term is meant.  Where terms are `alike`, all
    say the same, and the first will do.  `variables` are those of the loops around, and their values.
    """

    terms: Arms = ()
    named: Mapping[str, Arms] = field(default_factory=dict[str, Arms])
    exact: bool = False
    alike: bool = False
    variables: Mapping[str, Value] = field(default_factory=dict[str, Value])

    def of(self, argument: str) -> Arms | None:
        """Return the terms of an argument; None where any term of the statement may be meant."""
        found = self.named.get(argument)
        base, bracket, place = argument.partition("[")
        if found is None and bracket and base in self.named:
            found = tuple(one for text in self.named[base] for one in (f"{text}[{place}", text))
        return () if found is None and self.exact and argument else found


NOTHING = Wording()


@lru_cache(maxsize=4096)
def wording(span: Span, function: str = "", names: tuple[str, ...] = ()) -> Wording:
    """Return the terms of the expression at a place, of a whole statement where none has just this place.

    Those of a call of `function` are known by its parameters' `names`, of others by the names that are written.
    """
    inside = around(span)
    if not inside:
        return NOTHING
    known = definitions(span)
    own = next((node for node in nodes(inside[-1]) if node.span == span and not isinstance(node, (ast.Goal, ast.Declared))), inside[-1])
    terms = tuple(_terms(own, known))
    if isinstance(own, ast.Call) and isinstance(own.function, ast.Name) and own.function.id == function:
        return Wording(terms, given(assigned(own, names), known), exact=True)
    written = ((one.name, one.value) for one in nodes(own) if isinstance(one, ast.Argument) and one.name is not None)
    return Wording(terms, given(written, known))


def assigned(call: ast.Call, names: Sequence[str]) -> list[tuple[str, ast.Expr]]:
    """Return the arguments of a call by the names of the parameters, without what is left open."""
    free = iter(names)
    found = [(next(free, "") if one.name is None else one.name, one.value) for one in call.arguments]
    return [(name, value) for name, value in found if name and not isinstance(value, (ast.Open, ast.Ellipsis))]


def given(arguments: Iterable[tuple[str, ast.Expr]], known: Definitions) -> dict[str, Arms]:
    """Return the terms of arguments by their names; those of a list's items too.  Of two that differ under one name there are none."""
    found: dict[str, Arms] = {}
    for name, value in arguments:
        items = value.items if isinstance(value, ast.List) else ()
        for key, one in ((name, value), *((f"{name}[{i}]", item) for i, item in enumerate(items))):
            texts = arithmetic(one, known)
            found[key] = texts if found.get(key, texts) == texts else ()
    return found


def loop_wording(span: Span, depth: int, loops: int) -> tuple[Wording, Wording, Wording]:
    """Return the terms for the number of turns of one of the loops around a place, for its first member and for one past the last.

    It is that at `depth`, of `loops` in all.
    """
    found = sets_around(span)
    if depth >= len(found) or len(found) != loops:
        return NOTHING, NOTHING, NOTHING
    known, over = definitions(span), found[depth][1]
    count = Wording(length(over, known))
    while isinstance(over, ast.Name) and isinstance(meant := known.get(over.id), (ast.Range, ast.Name)):
        over = meant
    if not isinstance(over, ast.Range) or over.start is None or over.stop is None:
        return count, NOTHING, NOTHING
    start, stop = arithmetic(over.start, known), arithmetic(over.stop, known)
    return count, Wording(start), Wording(tuple(f"({last} + 1)" for last in stop) if over.inclusive else stop)


def sets_around(span: Span) -> list[tuple[str, ast.Expr]]:
    """Return the loops around a place, the outermost first, binders of the name there last: the variable, and what it goes through."""
    found: list[tuple[str, ast.Expr]] = []
    for one in around(span):
        if isinstance(one, ast.For):
            found.append((one.names[0] if len(one.names) == 1 else "", one.set))
        elif isinstance(one, ast.Repeat):
            found.append((one.name, one.set))
        elif isinstance(one, ast.Assign):
            goals = [goal for goal in one.goals if goal.span.start <= span.start < goal.span.end]
            found += [(item.name, item.set) for goal in goals for item in goal.items if isinstance(item, ast.Binder)]
    return found


def block_defaults(span: Span) -> dict[str, str]:
    """Return what the parameters of the block at a place are when nothing else is said, where that is arithmetic."""
    found: dict[str, str] = {}
    for parameter in getattr(item_at(span), "parameters", ()):
        texts = arithmetic(parameter.default, Definitions()) if parameter.default is not None else ()
        if len(texts) == 1:
            found[parameter.name] = texts[0]
    return found


def block_inputs(span: Span) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """Yield the inputs of the block at a place with the names of their sizes, where those are bare; nothing behind a `...`."""
    for statement in statements(item_at(span)):
        if isinstance(statement, ast.In) and isinstance(statement.type, ast.TypeRef):
            sizes = statement.type.arguments or ()
            if not any(isinstance(size, ast.Ellipsis) for size in sizes):
                names = tuple(size.id if isinstance(size, ast.Name) else None for size in sizes)
                yield from ((declared.name, names) for declared in statement.names if not declared.binders)


def _terms(node: Any, known: Definitions) -> Iterator[str]:
    """Yield the largest terms of an expression or statement, from left to right; of lists those of the items."""
    texts = arithmetic(node, known) if isinstance(node, ast.Node) and not isinstance(node, ast.List) else ()
    if texts:
        yield from texts
        return
    if isinstance(node, (ast.Assign, ast.Call)):
        node = (node.value,) if isinstance(node, ast.Assign) else node.arguments
    for part in children(node):
        yield from _terms(part, known)
