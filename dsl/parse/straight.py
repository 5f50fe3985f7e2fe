"""Runs the tables straight through a text that has no fault, as Lark does, but without what only Lark's own errors and trees need: half
of the time.  What it can't go on with is left to Lark, which says why."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

STUCK = object()
"""What comes of a text with a fault."""


class Word(str):
    """A token: its text, its kind and its place."""

    __slots__ = ("end_pos", "start_pos", "type", "value")

    type: str
    value: str
    start_pos: int
    end_pos: int


@dataclass(slots=True, eq=False)
class Row:
    """One state: how its next token is read, and what is done with each kind of token."""

    match: Callable[[str, int, int], re.Match[str] | None]
    ignored: frozenset[str]
    unless: Mapping[str, Callable[[str], str | None]]  # names that are words of the grammar, by the kind that also matches them
    shifts: Mapping[str, int]  # the next state, by terminals and by what was reduced
    reductions: Mapping[str, tuple[int, Callable[[list[Any]], Any], str]]  # how many values, what makes one of them, and its name


class Straight:
    """The tables of a parser that Lark loaded."""

    def __init__(self, lark: Any, newlines: Callable[[Iterator[Any]], Iterator[Any]]) -> None:
        inner: Any = lark.parser.parser.parser
        self._table: Any = inner.parse_table
        self._makers: Any = inner.callbacks
        self._lexers: Any = lark.parser.lexer.lexer.lexers
        self._newlines = newlines
        self._rows: dict[int, Row] = {}

    def parse(self, text: str, start: int, end: int, rule: str) -> Any:
        """Return the node that `rule` makes of text[start:end], or STUCK."""
        states: list[int] = [self._table.start_states[rule]]
        values: list[Any] = []
        for token in self._newlines(self._read(text, start, end, states)):
            if not self._take(token, token.type, states, values):
                return STUCK
        last: int = self._table.end_states[rule]
        return values[-1] if self._take(None, "$END", states, values, last) else STUCK

    def _read(self, text: str, at: int, end: int, states: list[int]) -> Iterator[Word]:
        """Yield the tokens, each read as the state of that moment allows; one of no kind where none fits."""
        rows = self._rows
        while at < end:
            row = rows.get(states[-1]) or self._row(states[-1])
            found = row.match(text, at, end)
            read, kind = ("", "") if found is None else (found[0], cast(str, found.lastgroup))
            after = at + len(read)
            if kind not in row.ignored:
                if kind in row.unless:
                    kind = row.unless[kind](read) or kind
                word = Word(read)
                word.type, word.value, word.start_pos, word.end_pos = kind, read, at, after
                yield word
            at = after

    def _take(self, token: Word | None, kind: str, states: list[int], values: list[Any], last: int = -1) -> bool:
        """Reduce as long as the token asks for it, then shift it, or end in the state `last`; return whether it fits."""
        rows = self._rows
        row = rows.get(states[-1]) or self._row(states[-1])
        while kind not in row.shifts:
            if kind not in row.reductions:
                return False
            size, make, name = row.reductions[kind]
            parts = values[-size:] if size else []
            if size:
                del states[-size:], values[-size:]
            values.append(make(parts))
            state = rows[states[-1]].shifts[name]
            states.append(state)
            if state == last:
                return True
            row = rows.get(state) or self._row(state)
        states.append(row.shifts[kind])
        values.append(token)
        return True

    def _row(self, state: int) -> Row:
        lexer: Any = self._lexers[state]
        (pattern,) = lexer.scanner._mres
        unless = {kind: callback.scanner.fullmatch for kind, callback in lexer.callback.items()}
        shifts: dict[str, int] = {}
        reductions: dict[str, tuple[int, Callable[[list[Any]], Any], str]] = {}
        for name, (action, argument) in self._table.states[state].items():
            if action.name == "Shift":
                shifts[name] = argument
            else:
                reductions[name] = (len(argument.expansion), self._makers[argument], argument.origin.name)
        row = self._rows[state] = Row(pattern.match, lexer.ignore_types, unless, shifts, reductions)
        return row
