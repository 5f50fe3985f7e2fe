"""How much static values hold: a list of lists shares its parts, so that a short text can name more than can ever be gone through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from ..source import Span
from .context import Context, fail
from .values import Family, Function, Record, Template, Unborn, Value, is_list, is_map

LARGEST = 1_000_000
"""Values in a static value, those in its parts included."""

T = TypeVar("T")


def bounded(value: T, context: Context, span: Span) -> T:
    """Return a static value, which must not hold too much."""
    if _bulk(value, context) > LARGEST:
        fail("A815", f"`{span.text.splitlines()[0]}` holds more than {LARGEST:,} values", span, "static values are small: use a tensor")
    return value


def _bulk(value: Value, context: Context) -> int:
    parts = _parts(value)
    if parts is None:
        return 1
    found = context.bulks.get(id(value))
    if found is None:
        found = context.bulks[id(value)] = (value, 1 + sum(_bulk(part, context) for part in parts))
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
