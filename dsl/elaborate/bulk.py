"""How much static values hold: a list of lists shares its parts, so that a short text can name more than can ever be gone through."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TypeVar

from ..limits import exceeded
from ..program import Body
from ..source import Span
from .context import Context, Problem
from .values import Family, Function, IndexSet, Record, Template, Unborn, Value, is_list, is_map


def check_parts(body: Body, context: Context, span: Span) -> None:
    """Refuse a body with too many modules and parameters below it: a short text of blocks in blocks can mean any number."""
    most = context.limits.modules
    if _held(body) > most:
        help = "make the index sets smaller, or put fewer blocks in blocks"
        raise Problem(exceeded("modules", f"`{body.name}` holds more than {most:,} modules and parameters", span, help))


def _held(body: Body) -> int:
    """Return how many modules and parameters lie below a body, each instance counted."""
    found = body.found.get("held")
    if found is None:
        below = sum(1 + max(map(_held, declared.bodies), default=0) for declared in body.modules.values())
        found = body.found["held"] = len(body.parameters) + below
    return found


SHARE = 8
"""How many parts of a long value are gone through in one step."""

T = TypeVar("T")


def spend(context: Context, span: Span, *values: Value) -> None:
    """Count the steps that it takes to go through values once."""
    size = 0
    for value in values:
        if value.__class__ not in SIZELESS and (is_list(value) or is_map(value) or isinstance(value, (IndexSet, str))):
            size += len(value)
    if size >= SHARE:
        context.step(span, size // SHARE)


def bounded(value: T, context: Context, span: Span) -> T:
    """Return a static value, which must not hold too much."""
    most = context.limits.values
    if value.__class__ not in PLAIN and _bulk(value, context) > most:
        message = f"`{span.text.splitlines()[0]}` holds more than {most:,} values"
        raise Problem(exceeded("values", message, span, "static values are small: use a tensor"))
    return value


PLAIN = frozenset((bool, int, float, str, type(None), Fraction))
"""Kinds of values without parts."""

SIZELESS = PLAIN - {str}


def _bulk(value: Value, context: Context) -> int:
    parts = _parts(value)
    if parts is None:
        return 1
    found = context.bulks.get(id(value))
    if found is None:
        found = context.bulks[id(value)] = (value, 1 + sum([1 if part.__class__ in PLAIN else _bulk(part, context) for part in parts]))
    return found[1]


def _parts(value: Value) -> Iterable[Value] | None:
    if is_list(value):
        return value
    if is_map(value):
        return value.values()
    if isinstance(value, (Template, Function)):
        return value.given.values()
    if isinstance(value, Unborn):
        return value.arguments.values()
    if isinstance(value, Family):
        return value.members.values()
    return value.fields.values() if isinstance(value, Record) else None
