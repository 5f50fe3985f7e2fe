"""Joins what is left of a broken item to it, so that one missing brace is one error and not one for each line below."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from .scan import ITEM_START, Piece

BRACED: Final = re.compile(
    r"(?:(?:block|fn|train|golden|preset)[ \t]+\w+|model[ \t]+\w+(?![\w \t]*=)|extern[ \t]+block)[^{}()\n]*(?:\([^()\n]*\)[^{}()\n]*)?$", re.M
)
"""The first line of an item that needs braces and has none."""

PYTHON: Final = re.compile(r"\w[^\n]*:[ \t]*$", re.M)
"""A line that opens a body as Python does."""

KEY: Final = re.compile(r"\w+[ \t]*:(?![^\n]*=)[^\n]*$", re.M)
"""A line of YAML: a key and its value."""

BARE: Final = re.compile(r"^[ \t]*(?:if|for|repeat|else|task|entry|stage)\b[^{}()\[\]\n#]*(?:\{[^{}\n]*\}[^{}\n#]*)*$", re.M)
"""A line in a body that needs a `{` and has none."""


def continued(text: str, pieces: list[Piece]) -> tuple[Piece, ...]:
    """Return the pieces of a file, those below a broken one that are no items of their own joined to it."""
    out: list[Piece] = []
    for piece in pieces:
        if out and (stands_below(text, piece) and is_broken(text, out[-1]) or is_key(text, out[-1]) and is_key(text, piece)):
            out[-1] = replace(out[-1], end=piece.end)
        elif piece.fault is not None and text[piece.start : piece.end] == "}" and (opened := unopened(text, out)) >= 0:
            out[opened:] = [Piece(out[opened].start, piece.end)]
        else:
            out.append(piece)
    return tuple(out)


def is_broken(text: str, piece: Piece) -> bool:
    return piece.fault is not None or any(line.match(text, piece.start, piece.end) for line in (BRACED, PYTHON, KEY))


def is_key(text: str, piece: Piece) -> bool:
    return KEY.match(text, piece.start) is not None


def stands_below(text: str, piece: Piece) -> bool:
    """Return whether a piece is further in than an item, or begins with a brace."""
    margin = text.rfind("\n", 0, piece.start) + 1 == piece.start
    return (not margin or text[piece.start] in "{}") and not ITEM_START.match(text, piece.start)


def unopened(text: str, pieces: list[Piece]) -> int:
    """Return which piece lacks a `{`, where a `}` at the margin closes nothing; -1 if none shows it."""
    at = len(pieces) - 1
    while at > 0 and stands_below(text, pieces[at]):
        at -= 1
    return at if at >= 0 and (BRACED.match(text, pieces[at].start) or BARE.search(text, pieces[at].start, pieces[at].end)) else -1
