"""Statements cut at what a loop may replace: members, numbers and local values stand between fixed text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...dsl.record import record
from .expressions import KEYED, LOCAL, MARKED, local_mark, plain

Line = tuple[int, str]
"""Levels of indentation, and text with marks."""

NUMBER = r"(?:(?<=[(\[=])-|(?<=[,=] )-|(?<![\w.\ue000-\uf8ff-]))(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])"
TOKEN = re.compile(f'{MARKED.pattern}|{KEYED.pattern}|{LOCAL.pattern}|"[^"]*"|(?P<number>{NUMBER})')
TARGETS = re.compile(rf"(?:for )?((?:{LOCAL.pattern}(?:, )?|_, |_(?= ))+)(?: = | in )")


@record
class Token:
    """One part that may vary: a member (as it is written), the number of a local value, or a number; with its place in the text."""

    kind: str  # member, key, local, number
    value: str
    line: int
    start: int
    end: int


@record
class Enter:
    """A loop whose carried value starts as another value under the same name."""

    carried: str
    start: str


class Unit:
    """A statement with what is indented below it; the first line may be the condition under which it stands."""

    def __init__(self, lines: list[Line], guard: str = "", enters: Sequence[Enter] = (), loop: bool = False) -> None:
        self.guard = guard
        self.lines = lines
        self.enters = list(enters)
        self.loop = loop
        self.number = 0
        self._known: dict[str, Any] = {}

    @property
    def rows(self) -> list[str]:
        """The texts that may vary: the condition, then the lines."""
        return [self.guard, *(text for _, text in self.lines)]

    def change(self, rows: Sequence[str]) -> None:
        """Put other texts in the place of these."""
        self.guard = rows[0]
        self.lines = [(depth, text) for (depth, _), text in zip(self.lines, rows[1:], strict=True)]
        self._known.clear()

    def skeleton(self) -> tuple[Any, ...]:
        """Return the fixed text."""
        if "skeleton" not in self._known:
            depths = tuple(depth for depth, _ in self.lines)
            self._known["skeleton"] = (depths, *(TOKEN.sub(_blank, text) for text in self.rows))
        return self._known["skeleton"]

    def tokens(self) -> list[Token]:
        """Return what may vary, in order."""
        if "tokens" not in self._known:
            self._known["tokens"] = [token for number, text in enumerate(self.rows) for token in _tokens(number, text)]
        return self._known["tokens"]

    def defines(self) -> list[str]:
        """Return the local values that are bound, in order."""
        if "defines" not in self._known:
            found = [key for _, text in self.lines if (match := TARGETS.match(text)) for key in keys_of(match[1])]
            self._known["defines"] = list(dict.fromkeys(found))
        return self._known["defines"]

    def is_of(self, key: str) -> bool:
        """Tell whether one value is all that is bound: not one of several, the rest of which go nowhere."""
        return self.defines() == [key] and not any("," in text.partition(" = ")[0] for _, text in self.lines)

    def reads(self) -> set[str]:
        """Return the local values that are read."""
        if "reads" not in self._known:
            found = {key for text in self.rows for key in keys_of(_value(text))}
            self._known["reads"] = found | {enter.start for enter in self.enters}
        return self._known["reads"]

    def rename(self, old: str, new: str, name: str) -> None:
        """Put another local value in the place of one."""
        if old in self.reads() or old in self.defines() or any(enter.carried == old for enter in self.enters):
            mark = local_mark(new, name)
            self.enters = [Enter(new if e.carried == old else e.carried, new if e.start == old else e.start) for e in self.enters]
            self.change([LOCAL.sub(lambda found: mark if found["key"] == old else found[0], text) for text in self.rows])


def lines_of(units: Sequence[Unit]) -> list[Line]:
    """Return statements under their conditions."""
    found: list[Line] = []
    now = ""
    for unit in units:
        guard = plain(unit.guard)
        if guard and guard != now:
            found.append((0, f"if {unit.guard}:"))
        now = guard
        found += [(depth + bool(guard), text) for depth, text in unit.lines]
    return found


def keys_of(text: str) -> list[str]:
    """Return the local values that a text mentions."""
    return [found["key"] for found in LOCAL.finditer(text)]


def units_of(statements: Sequence[tuple[str, Line]]) -> list[Unit]:
    """Cut lines with their conditions into statements, each with what is indented below it."""
    found: list[Unit] = []
    for guard, line in statements:
        if line[0] == 0 and not line[1].startswith(("else:", "elif ")):
            found.append(Unit([], guard))
        found[-1].lines.append(line)
    return found


def _value(text: str) -> str:
    """Return what stands behind the places that a statement binds."""
    found = TARGETS.match(text)
    return text[found.end() :] if found is not None else text


def _blank(found: re.Match[str]) -> str:
    if found["key"] is not None:
        return "\ue01a"
    if found["number"] is not None:
        return "\ue01b"
    if found["member"] is not None:
        return "\ue01c"
    return found[0] if found["rest"] is None else f"\ue01d{found['before']}\ue01d{found['rest']}\ue01d"


def _tokens(line: int, text: str) -> Iterator[Token]:
    for found in TOKEN.finditer(text):
        where = (line, found.start(), found.end())
        if found["key"] is not None:
            yield Token("local", found["key"], *where)
        elif found["number"] is not None:
            yield Token("number", found["number"], *where)
        elif found["member"] is not None:
            yield Token("member", found["member"], *where)
        elif found["rest"] is not None:
            yield Token("key", found["word"], *where)
