"""Selectors: index sets of paths, as data.

`lm.fork[generate].**.{q, v} except lm.fork[generate, 0]` is matched on the tree of what a model owns (`selection.py`).  A module that is
selected selects everything below it.  Selectors that say the same are equal, wherever they stand.
"""

from __future__ import annotations

from dataclasses import field

from .record import record
from .source import Span
from .types import SetAxis

# ------------------------------------------------------------------------------------------------------ index items


@record
class Exactly:
    """One member, or several; `literal` is the word as it is written, which means the member of that name if the family has one.

    A negative number counts from the end.  Without values it is an index set that is empty with these arguments.
    `set` is the index set that the members are of: `**[chains[1..]]` means its members alone.
    """

    values: tuple[object, ...]
    span: Span = field(compare=False)
    literal: str | None = None
    set: SetAxis | None = None


@record
class Between:
    """`a..b` by member; an open end is None.  One that is `fixed`, written with two numbers, can't be meant to be empty."""

    start: object | None
    stop: object | None
    inclusive: bool
    span: Span = field(compare=False)
    fixed: bool = False


@record
class Every:
    """`*` or `..`."""

    span: Span = field(compare=False)


@record
class Variable:
    """An index variable of a weights map: every member in turn."""

    name: str
    span: Span = field(compare=False)


Item = Exactly | Between | Every | Variable

# ------------------------------------------------------------------------------------------------------------ parts


@record
class Word:
    """One name, or any name (`*`, None), with index items."""

    name: str | None
    span: Span = field(compare=False)
    items: tuple[Item, ...] = ()


@record
class Deep:
    """`**`: any path, an empty one too; with items, a path that holds the member at any of its parts."""

    span: Span = field(compare=False)
    items: tuple[Item, ...] = ()


@record
class Anchor:
    """Paths that are known: what a name stands for that is not the first word of a path (`scale = one if shared else ...`)."""

    paths: tuple[str, ...]
    span: Span = field(compare=False)


Part = Word | Deep | Anchor


@record
class Path:
    """Parts from the root; without any, everything (`all`)."""

    parts: tuple[Part, ...]
    span: Span = field(compare=False)


@record
class Either:
    """What any of several selectors matches; each must match something."""

    options: tuple[Selector, ...]
    span: Span = field(compare=False)


@record
class Except:
    """`left except right`."""

    left: Selector
    right: Selector
    span: Span = field(compare=False)


@record
class OfKind:
    """`selector: Linear | Conv2d`: what modules of these kinds hold, at or below what the selector matches."""

    selector: Selector
    kinds: tuple[tuple[str, Span], ...]
    span: Span = field(compare=False)


Selector = Path | Either | Except | OfKind


@record
class Miss:
    """Why nothing is matched: a message, the place, and what to write."""

    message: str
    span: Span
    help: str | None = None
