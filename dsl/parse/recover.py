"""Goes on after a syntax error: the statement that holds it is blanked, and the rest of its item is read for errors of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..source import Span
from .scan import PIECE

MOST: Final = 20
"""Syntax errors that are looked for in one item."""

READ: Final = 1 << 19
"""Characters that are read for them: a large item is not read twenty times."""

OPERAND: Final = re.compile(r"(?:[\w)\]}\"*])[ \t]*$")
LITERAL: Final = re.compile(r"\b(?:and|or|not|if|in|for|where|except)[ \t]*$")
HEADER: Final = re.compile(r"\s*(?:block|model|fn)\b")
SUITE: Final = re.compile(r"[ \t]*(?:def|class|while|with|try|async|stage)\b[^\n]*:[ \t]*$")
ONE_LINE: Final = re.compile(r"\s*(?:out|outputs?|return|loss|in|inputs?|target|print)\b")
"""What holds no statements in its braces."""
STAND_IN: Final = "if a"
"""A header in place of a faulty one."""


def opens_body(text: str, at: int) -> bool:
    """Return whether the `{` at a place opens the braces of a block: after an operand, as the lexer sees it."""
    before = text[max(0, at - 40) : at]
    return OPERAND.search(before) is not None and LITERAL.search(before) is None


def brackets(span: Span) -> Iterator[tuple[int, str]]:
    """Yield the places of brackets and of what ends statements, and `(` for every bracket that opens no body."""
    text = span.source.text
    for match in PIECE.finditer(text, span.start, span.end):
        char = text[match.start()]
        if char in "([" or (char == "{" and not opens_body(text, match.start())):
            yield match.start(), "("
        elif char in "\n;{)]}":
            yield match.start(), char


def are_balanced(span: Span) -> bool:
    """Return whether all brackets of an item close in it; where not, what follows an error can't be told from its consequences."""
    depth = 0
    for _, char in brackets(span):
        depth += (char in "({") - (char in ")]}")
        if depth < 0:
            return False
    return depth == 0


def without(span: Span, at: int) -> tuple[str, Span] | None:
    """Return the whole text with the statement at a place blanked, of a header only itself, and where that was; None in no body.

    The brackets of the span are balanced.
    """
    found = list(brackets(span))
    begins = opened(found, at, span.start)
    level = max(k for k, begin in enumerate(begins) if begin is not None)
    begin = begins[level]
    if level == 0 or begin is None:
        return None
    brace, stop = ended([event for event in found if event[0] >= at], len(begins) - 1 - level, span.end)
    return blanked(span, begin, brace, suite(span.source.text, begin, stop, span.end))


def opened(found: list[tuple[int, str]], at: int, start: int) -> list[int | None]:
    """Return where the statement at hand begins, for the item and each bracket that is open at a place; None in those that hold none."""
    begins: list[int | None] = [start]
    for place, char in found:
        if place >= at:
            break
        if char in "({":
            begins.append(place + 1 if char == "{" else None)
        elif char in ")]}":
            begins.pop()
        elif begins[-1] is not None:
            begins[-1] = place + 1
    return begins


def ended(after: list[tuple[int, str]], depth: int, end: int) -> tuple[int, int]:
    """Return where a statement has its first brace, or -1, and where it ends, `depth` brackets of it being open."""
    brace = -1
    for place, char in after:
        if char in "({":
            brace = place if char == "{" and depth == 0 and brace < 0 else brace
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return brace, place
        elif depth == 0:
            return brace, place
    return brace, end


def suite(text: str, begin: int, stop: int, end: int) -> int:
    """Return where a statement of Python ends whose body stands below it, further in; else `stop`."""
    if not SUITE.fullmatch(text[begin:stop].strip("\n")):
        return stop
    first = text[begin:stop]
    margin = len(first) - len(first.lstrip())
    lines = re.compile(rf"(?:\n(?:[ \t]{{{margin + 1},}}[^\n{{}}]*|[ \t]*))+").match(text, stop, end)
    return lines.end() if lines else stop


def blanked(span: Span, begin: int, brace: int, stop: int) -> tuple[str, Span] | None:
    """Return the text with a statement, or its header before the brace, made blank, and where; line ends stay."""
    text = span.source.text
    stand_in = ""
    if brace >= 0 and not ONE_LINE.match(text, begin) and HEADER.match(text, span.start):
        stop, stand_in = brace, STAND_IN
    gone = re.sub(r"[^\n]", " ", text[begin:stop])
    if len(gone) < len(stand_in) or not text[begin:stop].strip():
        return None
    rest = text[:begin] + gone[: len(gone) - len(stand_in)] + stand_in + text[stop:]
    return rest, Span(span.source, stop - len(text[begin:stop].lstrip()), stop)
