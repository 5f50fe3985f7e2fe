"""Trees of items that were parsed before, at another place or in another text: after an edit most items of a file are as they were.

A tree is kept with a text of the item alone, and copied to each place where the same words stand, which takes an eighth of the time of parsing
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ast
from ..source import Source, Span
from .pythonisms import LEAVES

MOST = 64
"""So many items are kept; then all are forgotten."""

LONGEST = 20_000
"""Items of more characters are parsed each time."""

Copier = Callable[[Any, Source, int], Any]

_kept: dict[tuple[str, int], ast.Item] = {}
_copiers: dict[type, Copier] = {}


def recall(span: Span, depth: int) -> ast.Item | None:
    """Return the tree of an item with the words that stand at a place, if one that nests no deeper than `depth` was parsed before."""
    found = _kept.get((span.text, depth))
    return copied(found, span.source, span.start) if found is not None else None


def keep(tree: ast.Item, span: Span, depth: int) -> None:
    """Keep the tree of the item at a place."""
    if span.end - span.start > LONGEST:
        return
    if len(_kept) >= MOST:
        _kept.clear()
    _kept[span.text, depth] = copied(tree, Source("", span.text), -span.start)


def copied(thing: Any, source: Source, by: int) -> Any:
    """Return a copy of a node, or of several, whose places are of another text, moved."""
    kind = thing.__class__
    if kind in LEAVES:
        return thing
    if kind is tuple:
        return tuple([copied(part, source, by) for part in thing])
    if kind is Span:
        return Span(source, thing.start + by, thing.end + by)
    if not issubclass(kind, ast.Node):
        return thing
    copier = _copiers.get(kind)
    if copier is None:
        copier = _copiers[kind] = _copier(kind)
    return copier(thing, source, by)


def _copier(kind: type[ast.Node]) -> Copier:
    """Compile what copies one kind of node: a line for each field."""
    lines = [f" made.{field} = copied(node.{field}, source, by)" for field in kind.__dataclass_fields__]
    scope: dict[str, Any] = {"copied": copied, "kind": kind, "new": object.__new__}
    exec("def copy(node, source, by):\n made = new(kind)\n" + "\n".join(lines) + "\n return made", scope)
    return scope["copy"]
