"""Paths that the text of a model makes, but not with the arguments at hand: in a loop without steps, or an arm that isn't taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .program import Body
from .selectors import Anchor, Deep, Part, Word


def is_unborn(parts: Sequence[Part], bodies: Iterable[Body]) -> bool:
    """Tell whether a path leads to a name of a statement that doesn't run; what lies below such a name is taken on trust."""
    if not parts or isinstance(parts[0], Anchor):
        return False
    first, rest = parts[0], parts[1:]
    if isinstance(first, Deep):
        return is_unborn(rest, _at_or_below(bodies))
    if any(first.name in body.absent for body in bodies):
        return True
    while rest and isinstance(rest[0], Word) and rest[0].name is not None and rest[0].name.isdigit():
        rest = rest[1:]  # a place in a Sequential
    return is_unborn(rest, _inner(bodies, first.name))


def _inner(bodies: Iterable[Body], name: str | None) -> list[Body]:
    """Return the bodies of the modules of one name, or of any."""
    found = (inner for body in bodies for declared in body.modules.values() if name in (None, declared.name) for inner in declared.bodies)
    return list({id(body): body for body in found}.values())


def _at_or_below(bodies: Iterable[Body]) -> list[Body]:
    found: dict[int, Body] = {}
    waiting = list(bodies)
    while waiting:
        body = waiting.pop()
        if id(body) not in found:
            found[id(body)] = body
            waiting += _inner((body,), None)
    return list(found.values())
