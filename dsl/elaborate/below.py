"""What the bodies below a model say, each at every place where it is used: what is frozen for good, what is tied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from ..program import Body
from ..source import Span

T = TypeVar("T")


Own = Callable[[Body, str], list[T]]
"""What one body says by itself, its paths behind a prefix."""


def _visit(at: Body, prefix: str, own: Own[T]) -> Iterator[T]:
    """Yield what bodies say at each place where they are used, the widest first."""
    yield from own(at, prefix)
    for path, declared in at.modules.items():
        for inner in declared.bodies:
            if not _is_quiet(inner, own):
                yield from _visit(inner, f"{prefix}{path}.", own)


def _is_quiet(at: Body, own: Own[T]) -> bool:
    """Tell whether a body that is whole, since another one calls it, and those below it say nothing."""
    key = ("quiet", own)
    found = at.found.get(key)
    if found is None:
        found = at.found[key] = not own(at, "") and all(_is_quiet(inner, own) for declared in at.modules.values() for inner in declared.bodies)
    return found


def _frozen(at: Body, prefix: str) -> list[tuple[str, Span]]:
    return [(f"{prefix}{freeze.path}", freeze.span) for freeze in at.frozen]


def _tied(at: Body, prefix: str) -> list[tuple[str, str]]:
    return [(f"{prefix}{first}", f"{prefix}{second}") for first, second, _ in at.ties]


def frozen_paths(body: Body) -> list[tuple[str, Span]]:
    """Return the paths below a body that are frozen for good, with the place that says so."""
    return list(_visit(body, "", _frozen))


def ties(body: Body) -> list[tuple[str, str]]:
    """Return the pairs of paths below a body that are one parameter."""
    return list(_visit(body, "", _tied))
