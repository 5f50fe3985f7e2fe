"""What the bodies below a model say, each at every place where it is used: what is frozen for good, what is tied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from ..program import Body
from ..source import Span

T = TypeVar("T")


def _collect(body: Body, own: Callable[[Body, str], Iterator[T]]) -> list[T]:
    """Gather what bodies say at each place where they are used; bodies that say nothing are looked at once."""
    return list(_visit(body, "", own, {}))


def _visit(at: Body, prefix: str, own: Callable[[Body, str], Iterator[T]], silent: dict[int, bool]) -> Iterator[T]:
    if not _quiet(at, own, silent):
        yield from own(at, prefix)
        for path, declared in at.modules.items():
            for inner in declared.bodies:
                yield from _visit(inner, f"{prefix}{path}.", own, silent)


def _quiet(at: Body, own: Callable[[Body, str], Iterator[T]], silent: dict[int, bool]) -> bool:
    found = silent.get(id(at))
    if found is None:
        found = next(own(at, ""), None) is None and all(_quiet(b, own, silent) for m in at.modules.values() for b in m.bodies)
        silent[id(at)] = found
    return found


def frozen_paths(body: Body) -> list[tuple[str, Span]]:
    """Return the paths below a body that are frozen for good, with the place that says so."""
    return _collect(body, lambda at, prefix: ((f"{prefix}{freeze.path}", freeze.span) for freeze in at.frozen))


def ties(body: Body) -> list[tuple[str, str]]:
    """Return the pairs of paths below a body that are one parameter."""
    return _collect(body, lambda at, prefix: ((f"{prefix}{first}", f"{prefix}{second}") for first, second, _ in at.ties))
