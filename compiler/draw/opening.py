"""Which blocks a picture opens: as many as leave it easy to read, or all to a depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...dsl.program import Body, NodeKind
from .figure import Figure, Group, Kind, outer
from .layout import Layout, lay_out
from .owned import Ownership
from .reading import Opens, Wanted, read_figure

LEVELS = 3
ENOUGH = 26
"""Blocks are opened while the picture has at most so many boxes,"""
WIDE, HIGH = 800.0, 1000.0
"""and is no larger than a page; one that is larger with all blocks closed may not grow."""

FORKED, BARE = 1.3, 1.8
"""How much larger it may be where that shows a fork, and where it would show no more than one module."""


MOST = 1000
"""Boxes that are laid out at most: nobody reads more, and placing them takes a time that grows with their square."""


def opened(wanted: Wanted, depth: int | None) -> tuple[Figure, Layout]:
    """Return the figure of a program and its layout; without a depth a block is opened where it is made of blocks, and drawn once.

    Raises ValueError for a picture of more than `MOST` boxes.
    """
    owned = Ownership(wanted.program, wanted.stage)
    if depth is not None:
        figure = read_figure(wanted, owned, lambda _, level: level < depth)
        return figure, _laid_out(figure)
    names: set[str] = set()
    figure = read_figure(wanted, owned, lambda _body, _level: False)
    layout = _laid_out(figure)
    for _ in range(LEVELS if len(figure.cells) <= ENOUGH else 0):
        for body in _met(wanted, owned, names):
            deeper = read_figure(wanted, owned, _opens({*names, body.name}))
            if len(deeper.cells) > ENOUGH or _is_repeated(deeper, body.name):
                continue
            found = _laid_out(deeper)
            more = BARE if _is_bare(figure) else FORKED if _forks(body, wanted.program.tasks) else 1.0
            if found.width <= max(more * WIDE, layout.width) and found.height <= max(more * HIGH, layout.height):
                names.add(body.name)
                figure, layout = deeper, found
    return figure, layout


def _laid_out(figure: Figure) -> Layout:
    if len(figure.cells) > MOST:
        has = f"this picture has {len(figure.cells):,} boxes, and at most {MOST:,} are drawn"
        raise ValueError(f"{has}: leave tasks out with `task`, or close blocks with a smaller `depth`")
    return lay_out(figure)


def _met(wanted: Wanted, owned: Ownership, names: set[str]) -> Iterator[Body]:
    """Yield the closed blocks that are made of blocks, those with parts of tasks first."""
    met: dict[str, Body] = {}

    def opens(body: Body, _level: int) -> bool:
        met.setdefault(body.name, body)
        return body.name in names

    read_figure(wanted, owned, opens)
    closed = [body for name, body in met.items() if name not in names and any(node.kind is NodeKind.CALL for node in body.nodes)]
    yield from sorted(closed, key=lambda body: not _forks(body, wanted.program.tasks))


def _opens(names: set[str]) -> Opens:
    return lambda body, _level: body.name in names


def _is_bare(figure: Figure) -> bool:
    return sum(cell.kind is Kind.MODULE for cell in figure.cells) <= 1


def _is_repeated(figure: Figure, name: str) -> bool:
    """Tell whether a block is drawn in several places: then it is better closed."""
    groups: dict[int, Group] = {id(group): group for cell in figure.cells for group in outer(cell.group)}
    return Counter(group.kind for group in groups.values())[name] > 1


def _forks(body: Body, tasks: tuple[str, ...]) -> bool:
    """Tell whether a block has parts that belong to tasks."""
    return any(member in tasks for declared in body.modules.values() for member in declared.members)
