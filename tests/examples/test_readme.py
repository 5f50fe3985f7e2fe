"""The commands that examples/README.md shows are run, and every file of the folder stands in it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from archloom.compiler.cli import run

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "examples" / "README.md").read_text()
COMMANDS = re.findall(r"`((?:archloom|python) [^`]+)`", TEXT)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("archloom")])
def test_the_commands_run(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert run(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out


def test_every_example_is_named() -> None:
    for path in (ROOT / "examples").glob("*.*"):
        assert path.name == "README.md" or path.name in TEXT
    for command in COMMANDS:
        assert (ROOT / shlex.split(command)[1 if command.startswith("python") else 2]).exists()
