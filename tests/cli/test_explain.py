"""`archloom explain`: every code of the catalogue, and what is in neither it nor the library."""

from __future__ import annotations

import pytest

from archloom.compiler.cli import run
from archloom.dsl.catalogue import catalogue


def test_the_list_holds_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    assert [line.split("  ", 1) for line in capsys.readouterr().out.splitlines()] == [[e.code, e.title] for e in catalogue().values()]


@pytest.mark.parametrize("written", ["A003", "a003", "[A003]", " A003 "])
def test_one_code(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", written]) == 0
    entry = catalogue()["A003"]
    shown = capsys.readouterr().out
    assert shown.startswith(f"A003: {entry.title}\n\n")
    assert f"\n\nwrong\n\n    {entry.wrong.splitlines()[0]}" in shown
    assert f"\n\nright\n\n    {entry.right.splitlines()[0]}" in shown


def test_every_code_is_shown_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    for entry in catalogue().values():
        assert run(["explain", entry.code]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        for part in (entry.title, entry.meaning, entry.wrong, entry.right):
            assert " ".join(part.split()) in shown


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("A0003", "there is no code or operation `A0003`; did you mean `A003`?"),
        ("X", "there is no code or operation `X`; `archloom explain` lists the codes"),
    ],
)
def test_an_unknown_code(code: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", code]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"error: {message}\n")
