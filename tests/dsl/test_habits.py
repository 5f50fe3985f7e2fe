"""Mistakes by example: each text of the table has one error, and its row is what explains it."""

from __future__ import annotations

import re

import pytest

from archloom.dsl.catalogue import catalogue
from archloom.dsl.diagnostics import Diagnostic
from archloom.dsl.parse.habits import FIRST, ITEMS, LAST, Habit
from archloom.dsl.parser import parse
from archloom.dsl.source import Source

from .elaborating import findings

SOUND = "\nblock Sound { in x: float[B]; out y = x }"


def errors(habit: Habit) -> tuple[Diagnostic, ...]:
    text = habit.written if habit in ITEMS else f"model M {{\n{habit.written}\n}}"
    return parse(Source("t", text + SOUND)).diagnostics


def says(written: str, said: str) -> bool:
    """Tell whether a row's text, in which groups are open, says this."""
    return re.fullmatch(re.sub(r"\\\d", ".+", re.escape(written).replace(r"\\", "\\")), said) is not None


@pytest.mark.parametrize("habit", [*FIRST, *LAST], ids=lambda habit: habit.written)
def test_each_mistake_is_recognised(habit: Habit) -> None:
    [found] = errors(habit)
    assert found.code == habit.code and habit.code in catalogue()
    assert says(habit.message, found.message), found.message
    assert found.help is not None and says(habit.help, found.help), found.help
    for sentence in (found.message, found.help):
        assert not sentence.endswith(".") and (sentence[0].islower() or sentence[0] == "`") and "\\" not in sentence


def test_the_table_is_long_and_says_nothing_twice() -> None:
    assert len(FIRST) + len(LAST) > 100
    assert len({habit.written for habit in (*FIRST, *LAST)}) == len(FIRST) + len(LAST)


@pytest.mark.parametrize(
    ("line", "code", "help"),
    [
        ("h == relu(x)", "A112", "`h = ...`; a claim is `assert h == relu(x)`"),
        ("pass", "A112", "leave the braces empty"),
        ("break", "A112", "leave members out with"),
        ("return", "A112", "write `out y = e`"),
        ("end", "A112", "a block stands in braces"),
        ("out (x)", "A102", "write `out y = e`, without parentheses"),
        ("h = null", "A102", "write `none`"),
        ("h = 1,000", "A015", "`1_000`"),
        ("(h, g) = relu(x)", "A010", "`a, b = ...`"),
        ("h = x·x", "A007", "write `*`"),
        ("h\u200b = x", "A007", "delete it"),
        ("h =\u2003x", "A007", "write a plain space"),
    ],
)
def test_what_parses_or_has_a_rule_of_its_own(line: str, code: str, help: str) -> None:
    found = [d for d in findings(f"model M {{\n  in x: float[B, 4]\n  {line}\n  out y = x\n}}") if d.severity.value == "error"]
    assert [d.code for d in found] == [code] and help in (found[0].help or ""), [(d.message, d.help) for d in found]
