"""Diagnostics as text for people and as JSON for programs.

error[A301]: `Linear` takes 64 features, but `x` has 32
  --> two.arch:7:9
   |
 3 |   in x: float[B, 32]
   |         ------------ `x` is declared here
...
 7 |     y = head(x)
   |         ^^^^^^^
   |
   = help: write `Linear(32, 10)`
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from .diagnostics import Diagnostic, Severity
from .record import record
from .source import Source, Span

WIDTH = 100
TAB = "    "
ELLIPSIS = "…"


@record
class Palette:
    """The escape codes of each part; all empty for plain text."""

    error: str = ""
    warning: str = ""
    message: str = ""
    gutter: str = ""
    label: str = ""
    help: str = ""
    end: str = ""

    def of(self, severity: Severity) -> str:
        return self.error if severity is Severity.ERROR else self.warning


PLAIN = Palette()
COLOUR = Palette("\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[34m", "\x1b[36m", "\x1b[32m", "\x1b[0m")


def wants_colour(stream: TextIO, environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether `stream` is a terminal that shows colours; `NO_COLOR` says no, `FORCE_COLOR` yes."""
    env = os.environ if environment is None else environment
    if env.get("NO_COLOR"):
        return False
    if env.get("FORCE_COLOR"):
        return True
    return env.get("TERM") != "dumb" and stream.isatty()


@record
class _Mark:
    """A run of display columns on one line, with a few words; `stop` is exclusive and beyond `start`."""

    start: int
    stop: int
    text: str
    primary: bool


@dataclass(slots=True)
class _Excerpt:
    """The lines of one source to be shown, each with its marks."""

    source: Source
    place: Span
    marks: dict[int, list[_Mark]] = field(default_factory=dict[int, list[_Mark]])


def render(diagnostic: Diagnostic, *, colour: bool = False, width: int = WIDTH) -> str:
    """Return one diagnostic as text, without a final newline."""
    palette = COLOUR if colour else PLAIN
    excerpts = _excerpts(diagnostic)
    digits = max((len(str(line)) for excerpt in excerpts for line in excerpt.marks), default=1)
    tint = palette.of(diagnostic.severity)
    word = f"{diagnostic.severity.value}[{diagnostic.code}]"
    lines = [f"{tint}{word}{palette.end}{palette.message}: {printable(diagnostic.message).rstrip()}{palette.end}"]
    for number, excerpt in enumerate(excerpts):
        arrow = "-->" if number == 0 else ":::"
        lines.append(f"{' ' * digits}{palette.gutter}{arrow}{palette.end} {printable(str(excerpt.place))}")
        lines += _excerpt_lines(excerpt, digits, width, tint, palette)
    if diagnostic.help is not None:
        if any(excerpt.marks for excerpt in excerpts):
            lines.append(f"{' ' * (digits + 1)}{palette.gutter}|{palette.end}")
        lines += _help_lines(diagnostic.help, digits, palette)
    return "\n".join(line.rstrip() for line in lines)


def render_all(diagnostics: Iterable[Diagnostic], *, colour: bool = False, width: int = WIDTH) -> str:
    """Return all diagnostics as text, a blank line after each."""
    return "".join(render(diagnostic, colour=colour, width=width) + "\n\n" for diagnostic in diagnostics)


def to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return a diagnostic as JSON values; lines and columns count characters from 1, ends are exclusive."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        **_place(diagnostic.span),
        "labels": [{"text": label.text, **_place(label.span)} for label in diagnostic.labels],
        "help": diagnostic.help,
    }


def tally(diagnostics: Sequence[Diagnostic]) -> str:
    """Return `2 errors, 1 warning`, or an empty string where there is none."""
    parts: list[str] = []
    for severity in Severity:
        count = sum(diagnostic.severity is severity for diagnostic in diagnostics)
        if count:
            parts.append(f"{count} {severity.value}{'s' if count > 1 else ''}")
    return ", ".join(parts)


def printable(text: str) -> str:
    """Return `text` with tabs widened and every character that a terminal would act on replaced."""
    if text.isprintable():
        return text
    return "".join(TAB if char == "\t" else char if char.isprintable() else "\ufffd" for char in text)


def _place(span: Span) -> dict[str, Any]:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(max(span.start, span.end))
    return {"file": span.source.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column}


def _excerpts(diagnostic: Diagnostic) -> list[_Excerpt]:
    """Return one excerpt for each source, that of the primary span first."""
    own = " ".join(label.text for label in diagnostic.labels if label.span == diagnostic.span)
    places = [(diagnostic.span, own, True)]
    places += [(label.span, label.text, False) for label in diagnostic.labels if label.span != diagnostic.span]
    found: dict[int, _Excerpt] = {}
    for span, text, primary in places:
        excerpt = found.setdefault(id(span.source), _Excerpt(span.source, span))
        if span.source.text or text:
            line, mark = _mark(span, text, primary)
            excerpt.marks.setdefault(line, []).append(mark)
    return list(found.values())


def _mark(span: Span, text: str, primary: bool) -> tuple[int, _Mark]:
    """Return the line of a span and its mark there; a span over several lines is marked to the end of its first."""
    line, column = span.source.position(span.start)
    written = _written(span.source, line)
    end_line, end_column = span.source.position(max(span.start, span.end))
    stop = end_column - 1 if end_line == line else len(written.rstrip())
    start = _columns(written[: column - 1]) + max(0, column - 1 - len(written))
    note = printable(text).strip()
    last = end_line - (end_column == 1)
    if last > line:
        note = f"{note} (to line {last})".strip()
    return line, _Mark(start, max(start + 1, _columns(written[:stop])), note, primary)


def _written(source: Source, line: int) -> str:
    return source.line(line).rstrip("\r")


def _columns(text: str) -> int:
    """Return how many terminal columns `text` takes once made printable."""
    shown = printable(text)
    if shown.isascii():
        return len(shown)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in shown)


def _excerpt_lines(excerpt: _Excerpt, digits: int, width: int, tint: str, palette: Palette) -> list[str]:
    if not excerpt.marks:
        return []
    bar = f"{' ' * (digits + 1)}{palette.gutter}|{palette.end}"
    lines = [bar]
    previous: int | None = None
    for number in sorted(excerpt.marks):
        if previous is not None and number - previous == 2:
            lines.append(_numbered(number - 1, _clip(printable(_written(excerpt.source, number - 1)), 0, width - digits - 3), digits, palette))
        elif previous is not None and number - previous > 2:
            lines.append(f"{palette.gutter}...{palette.end}")
        shown = printable(_written(excerpt.source, number))
        first, marks = _window(shown, excerpt.marks[number], width - digits - 3)
        lines.append(_numbered(number, _clip(shown, first, width - digits - 3), digits, palette))
        lines += [f"{bar} {row}" for row in _mark_rows(marks, tint, palette)]
        previous = number
    return lines


def _numbered(number: int, text: str, digits: int, palette: Palette) -> str:
    return f"{palette.gutter}{number:>{digits}} |{palette.end} {text}"


def _window(text: str, marks: list[_Mark], room: int) -> tuple[int, list[_Mark]]:
    """Return the first column to show of a long line, and the marks moved to the columns shown."""
    room = max(room, 20)
    total = _columns(text)
    if total <= room:
        return 0, marks
    leader = next((mark for mark in marks if mark.primary), marks[0])
    first = 0 if leader.stop <= room - 1 else max(0, min(leader.start - room // 3, total - room))
    moved = [
        _Mark(max(mark.start - first, 1 if first else 0), min(mark.stop - first, room - 1), mark.text, mark.primary)
        for mark in marks
        if mark.start - first < room - 1 and mark.stop - first > 1
    ]
    return first, moved


def _clip(text: str, first: int, room: int) -> str:
    """Return the columns of `text` from `first` on that fit in `room`, with an ellipsis where some were cut."""
    room = max(room, 20)
    if not first and _columns(text) <= room:
        return text
    if text.isascii():
        start, stop = first + bool(first), first + room - 1
        return (ELLIPSIS if first else "") + text[start:stop] + (ELLIPSIS if len(text) > stop else "")
    kept: list[str] = []
    column = 0
    for char in text:
        size = _columns(char)
        if first + bool(first) <= column and column + size <= first + room - 1:
            kept.append(char)
        column += size
    tail = ELLIPSIS if column > first + room - 1 else ""
    return (ELLIPSIS if first else "") + "".join(kept) + tail


def _mark_rows(marks: list[_Mark], tint: str, palette: Palette) -> list[str]:
    """Return the rows under a line: the underlining with the last note, then each other note under its own mark."""
    ordered = sorted(marks, key=lambda mark: (mark.start, mark.primary))
    if not ordered:
        return []
    cells: list[tuple[str, str]] = [(" ", "")] * max(mark.stop for mark in ordered)
    for mark in sorted(ordered, key=lambda mark: mark.primary):
        char, paint = ("^", tint) if mark.primary else ("-", palette.label)
        cells[mark.start : mark.stop] = [(char, paint)] * (mark.stop - mark.start)
    last = ordered[-1]
    beside = last.text if all(mark.stop <= last.start for mark in ordered[:-1]) else ""
    paint = tint if last.primary else palette.label
    rows = [_painted(cells, palette) + (f" {paint}{beside}{palette.end}" if beside else "")]
    waiting = [mark for mark in ordered if mark.text and not (beside and mark is last)]
    if waiting:
        rows.append(_bars(waiting, tint, palette))
    while waiting:
        mark = waiting.pop()
        paint = tint if mark.primary else palette.label
        before = [other for other in waiting if other.start < mark.start]
        lead = _bars(before, tint, palette, to=mark.start)
        rows.append(f"{lead}{paint}{mark.text}{palette.end}")
    return rows


def _bars(marks: list[_Mark], tint: str, palette: Palette, to: int = 0) -> str:
    cells: list[tuple[str, str]] = [(" ", "")] * max([to, *(mark.start + 1 for mark in marks)])
    for mark in marks:
        cells[mark.start] = ("|", tint if mark.primary else palette.label)
    return _painted(cells, palette)


def _painted(cells: list[tuple[str, str]], palette: Palette) -> str:
    """Return the characters with one pair of escape codes for each run of one paint."""
    parts: list[str] = []
    current = ""
    for char, paint in cells:
        if paint != current:
            parts.append((palette.end if current else "") + paint)
            current = paint
        parts.append(char)
    return "".join(parts) + (palette.end if current else "")


def _help_lines(text: str, digits: int, palette: Palette) -> list[str]:
    first, *rest = text.split("\n")
    indent = " " * (digits + 1)
    lines = [f"{indent}{palette.gutter}={palette.end} {palette.help}help{palette.end}: {printable(first).rstrip()}"]
    return lines + [f"{indent}        {printable(line)}" for line in rest]
