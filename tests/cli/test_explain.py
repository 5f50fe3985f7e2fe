"""`archloom explain`: every code of the catalogue, and what is in neither it nor the library."""

from __future__ import annotations

import pytest

from archloom.compiler.cli import run
from archloom.compiler.cli._topics import PASSES, topic, topics
from archloom.compiler.optimize.registry import passes
from archloom.dsl.catalogue import catalogue


def test_the_list_holds_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    codes, listed = capsys.readouterr().out.split("\n\n")
    assert [line.split("  ", 1) for line in codes.splitlines()] == [[e.code, e.title] for e in catalogue().values()]
    assert [line.split()[0] for line in listed.splitlines()] == list(passes())


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


def test_every_operation_and_block_is_shown_with_an_example() -> None:
    for name in (name for name in topics() if name not in (PASSES, *passes())):
        text = topic(name)
        assert text is not None
        module, _, block = name.rpartition(".")
        assert (f"\n  import {module}." if module else "\n  float[B, S, 3][:, 0]\n" if block == "index" else f"\n  {block}(") in text.partition(
            "\nexample"
        )[2], name


def test_an_example_is_written_as_it_would_stand_in_a_file() -> None:
    assert topic("linear.LowRankLinear") == (
        "import linear.LowRankLinear\n\n"
        "block LowRankLinear(din: int, dout: int, rank: int, bias: bool = false)\n\n"
        "Map through a narrow middle: `y = W_up W_down x + b`, `rank * (din + dout)` numbers for\n`din * dout`.\n\n"
        "x: float[..., din], W_down: [rank, din], W_up: [dout, rank], y: float[..., dout].  Sainath et al.,\nICASSP 2013\n\n"
        "example\n\n  arch 1\n  import linear.LowRankLinear\n  model Example {\n    in x: float[B, S, 8]\n"
        "    part = LowRankLinear(8, 6, rank = 2)\n    out y = part(x)\n  }\n"
    )
    shown = topic("rearrange")
    assert shown is not None
    assert '\n  rearrange(float[B, S, 6], pattern = "b s (h d) -> b h s d", h = 2)\n' in shown
