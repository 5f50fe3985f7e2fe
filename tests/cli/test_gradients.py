"""`check --gradients`: open claims are printed without torch, and tested with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from archloom.compiler.cli import run

WINDOW = """model Window(kernel: int = 3) {
  in x: float[B, S, 4]
  mix = Conv1d(4, 4, kernel, padding = kernel // 2)
  y = mix(x.mT).mT
  out y
  assert y[:, 0] ignores x[:, 2:]
}
preset wide for Window {
  kernel = 5
  assert y[:, 0] ignores x[:, 3:]
}
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "window.arch").write_text(WINDOW)
    return str(tmp_path / "window.arch")


def test_open_claims_are_printed(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", path]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "    open: y[:, 0] ignores x[:, 2:], line 6: `check --gradients` tests it",
        "    open: y[:, 0] ignores x[:, 3:], line 10: `check --preset wide --gradients` tests it",
    ]


def test_claims_that_hold_are_printed_with_their_sizes(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", path, "--gradients", "--size", "B=1"]) == 0
    assert "    holds: y[:, 0] ignores x[:, 2:], tested at B = 1, S = 3; B = 1, S = 4\n" in capsys.readouterr().out


def test_a_broken_claim_is_an_error(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", path, "--gradients", "--preset", "wide", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert [(d["code"], d["message"]) for d in found["diagnostics"]] == [("A703", "`y[:, 0]` does not ignore `x[:, 2:]` at B = 2, S = 3")]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--size", "S=3"], 2, "--size and --extern belong to --gradients"),
        (["--gradients", "--size", "T=3"], 1, "no input has a size `T`: the sizes are `B`, `S`"),
    ],
)
def test_what_does_not_fit(path: str, arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", path, *arguments]) == code
    assert text in capsys.readouterr().err


def test_torch_is_asked_for(path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(["check", path, "--gradients"]) == 1
    assert 'pip install "archloom[torch]"' in capsys.readouterr().err
