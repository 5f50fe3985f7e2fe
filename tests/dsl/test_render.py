"""How diagnostics look, pinned."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archloom.dsl.diagnostics import Diagnostic, Label, Severity
from archloom.dsl.render import render, render_all, tally, to_json, wants_colour
from archloom.dsl.source import NOWHERE, Source, Span

TEXT = """\
model Two(d: int) {
  in x: float[B, 32]
  # a comment

  trunk = Linear(64, 10)
  y = trunk(x) + other(x)
}
"""
TWO = Source("two.arch", TEXT)


def span(piece: str, source: Source = TWO) -> Span:
    start = source.text.index(piece)
    return Span(source, start, start + len(piece))


MISMATCH = Diagnostic(
    "A301",
    "`trunk` takes 64 features, but `x` has 32",
    span("trunk(x)"),
    (Label(span("float[B, 32]"), "`x` is declared here"), Label(span("Linear(64, 10)"), "made here")),
    "write `Linear(32, 10)`\nor declare `float[B, 64]`",
)


def test_labels_on_other_lines_and_help_of_two_lines() -> None:
    assert (
        render(MISMATCH)
        == """\
error[A301]: `trunk` takes 64 features, but `x` has 32
 --> two.arch:6:7
  |
2 |   in x: float[B, 32]
  |         ------------ `x` is declared here
...
5 |   trunk = Linear(64, 10)
  |           -------------- made here
6 |   y = trunk(x) + other(x)
  |       ^^^^^^^^
  |
  = help: write `Linear(32, 10)`
          or declare `float[B, 64]`"""
    )


def test_several_labels_on_one_line() -> None:
    labels = (Label(span("other(x)"), "this is `int[B]`"), Label(span("y ="), "the sum"), Label(span("trunk(x)"), "this is `float[B]`"))
    assert (
        render(Diagnostic("A302", "no sum of int and float", span("trunk(x)"), labels))
        == """\
error[A302]: no sum of int and float
 --> two.arch:6:7
  |
6 |   y = trunk(x) + other(x)
  |   --- ^^^^^^^^   -------- this is `int[B]`
  |   |   |
  |   |   this is `float[B]`
  |   the sum"""
    )


def test_one_line_between_is_shown() -> None:
    assert render(Diagnostic("A1", "m", span("model"), (Label(span("# a"), "there"),))).splitlines()[3:] == [
        "1 | model Two(d: int) {",
        "  | ^^^^^",
        "2 |   in x: float[B, 32]",
        "3 |   # a comment",
        "  |   --- there",
    ]


def test_a_warning_in_a_second_file() -> None:
    other = Source("lib/norm.arch", "\n" * 9 + "block Norm(dim: int) {\n")
    shown = render(Diagnostic("A110", "unused", span("trunk ="), (Label(span("Norm", other), "from here"),), severity=Severity.WARNING))
    assert (
        shown
        == """\
warning[A110]: unused
  --> two.arch:5:3
   |
 5 |   trunk = Linear(64, 10)
   |   ^^^^^^^
  ::: lib/norm.arch:10:7
   |
10 | block Norm(dim: int) {
   |       ---- from here"""
    )


def test_span_over_lines_is_marked_on_its_first() -> None:
    assert render(Diagnostic("A1", "m", Span(TWO, 0, len(TEXT)))).splitlines()[3:] == [
        "1 | model Two(d: int) {",
        "  | ^^^^^^^^^^^^^^^^^^^ (to line 7)",
    ]


def test_end_of_file_is_a_place() -> None:
    assert render(Diagnostic("A1", "unfinished", Span(TWO, len(TEXT), len(TEXT)))).splitlines()[1:] == [" --> two.arch:8:1", "  |", "8 |", "  | ^"]


@pytest.mark.parametrize("where", [Span(Source("empty.arch", ""), 0, 0), NOWHERE])
def test_an_empty_source_shows_no_lines(where: Span) -> None:
    assert render(Diagnostic("A1", "nothing here", where, help="write a model")) == (
        f"error[A1]: nothing here\n --> {where}\n  = help: write a model"
    )


def test_long_lines_are_clipped_around_the_mark() -> None:
    source = Source("long.arch", "x = " + "a + " * 100 + "bad" + " + c" * 80)
    shown = render(Diagnostic("A1", "m", span("bad", source)), width=60)
    assert shown.splitlines()[3:] == [
        "1 | … a + a + a + a + bad + c + c + c + c + c + c + c + c +…",
        "  |                   ^^^",
    ]
    assert max(map(len, shown.splitlines())) <= 60


def test_wide_characters_and_tabs_keep_marks_in_place() -> None:
    source = Source("wide.arch", 's\t= "日本" + bad')
    assert render(Diagnostic("A1", "m", span("bad", source))).splitlines()[3:] == ['1 | s    = "日本" + bad', "  |                 ^^^"]


def test_control_characters_never_reach_the_terminal() -> None:
    source = Source("evil\x1b[31m.arch", "x = \x1b[2J\x07 bad")
    shown = render(Diagnostic("A1", "no \x1b]0;name\x07", span("bad", source), help="\x1b[0m"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", shown)


def test_colour_only_adds_escapes() -> None:
    coloured = render(MISMATCH, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render(MISMATCH)
    assert coloured.startswith("\x1b[1;31merror[A301]\x1b[0m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "expected"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_wants_colour(stream: io.StringIO, environment: dict[str, str], expected: bool) -> None:
    assert wants_colour(stream, environment) is expected


def test_json_form() -> None:
    document = json.loads(json.dumps(to_json(MISMATCH)))
    assert document == {
        "code": "A301",
        "severity": "error",
        "message": "`trunk` takes 64 features, but `x` has 32",
        "file": "two.arch",
        "line": 6,
        "column": 7,
        "end_line": 6,
        "end_column": 15,
        "labels": [
            {"text": "`x` is declared here", "file": "two.arch", "line": 2, "column": 9, "end_line": 2, "end_column": 21},
            {"text": "made here", "file": "two.arch", "line": 5, "column": 11, "end_line": 5, "end_column": 25},
        ],
        "help": "write `Linear(32, 10)`\nor declare `float[B, 64]`",
    }


def test_tally() -> None:
    warning = Diagnostic("A1", "m", NOWHERE, severity=Severity.WARNING)
    assert [tally([]), tally([MISMATCH]), tally([warning, MISMATCH, warning])] == ["", "1 error", "1 error, 2 warnings"]


@st.composite
def findings(draw: st.DrawFn) -> Diagnostic:
    source = Source("any.arch", draw(st.text(max_size=200)))
    end = len(source.text)
    places = st.integers(0, end).flatmap(lambda start: st.builds(Span, st.just(source), st.just(start), st.integers(start, end)))
    labels = draw(st.lists(st.builds(Label, places, st.text(max_size=30)), max_size=4))
    return Diagnostic("A999", "m" + draw(st.text(max_size=40)), draw(places), tuple(labels), draw(st.none() | st.text(max_size=40).map("h".__add__)))


@given(findings(), st.integers(20, 120))
def test_any_text_renders_with_its_place_and_no_escape(finding: Diagnostic, width: int) -> None:
    shown = render(finding, width=width)
    assert f" --> {finding.span}" in shown
    assert all(line.isprintable() and line == line.rstrip() for line in shown.split("\n"))
    assert re.sub(r"\x1b\[[0-9;]*m", "", render(finding, colour=True, width=width)) == shown
    assert render_all([finding, finding], width=width).startswith(shown)
