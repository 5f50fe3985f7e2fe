"""How deep a syntax tree is, found without recursion, so that everything after the parser may recurse."""

from __future__ import annotations

from typing import cast

from ..ast import Node


def too_deep(root: Node, limit: int) -> Node | None:
    """Return a node that lies deeper than `limit`, or None.

    A level takes at least one character, so a node shorter than what is left of the limit need not be opened: of ordinary files
    only statements are looked at.
    """
    waiting: list[tuple[object, int]] = [(root, 0)]
    while waiting:
        thing, depth = waiting.pop()
        if isinstance(thing, tuple):
            waiting.extend((part, depth) for part in cast("tuple[object, ...]", thing))
        elif isinstance(thing, Node) and depth + thing.span.end - thing.span.start > limit:
            if depth > limit:
                return thing
            waiting.extend((getattr(thing, field), depth + 1) for field in thing.__dataclass_fields__)
    return None
