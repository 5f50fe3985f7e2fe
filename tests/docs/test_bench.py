"""The page on measuring: it names every field of the document, its Python runs, and its commands are ones that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from archloom.compiler.bench import ceilings
from archloom.compiler.bench.report import Ceilings, Machine, Part, Report, Row
from archloom.compiler.cli.bench import command

PAGE = Path(__file__).parents[2] / "docs" / "bench.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("place", "part"), [("the document", Report), ("`machine`", Machine), ("`ceilings`", Ceilings), ("a row", Row)])
def test_every_field_is_on_the_page(place: str, part: type[Part]) -> None:
    (fields,) = re.findall(rf"^\| {place} \| (.*) \|$", TEXT, re.MULTILINE)
    named = re.findall(r"`(\w+)`", re.sub(r"\([^()]*`median`.*?\)", "", fields))
    assert named == list(part.model_fields)


def test_the_python_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ceilings, "LARGEST", 256)
    monkeypatch.setattr(ceilings, "TRIAD", 1 << 12)
    (python,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exec(compile(python, str(PAGE), "exec"), {})
    assert [line.split(" median")[0] for line in capsys.readouterr().out.splitlines()] == ["none eager float32", "max eager float32"]


def test_the_commands_are_understood() -> None:
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for line in commands.splitlines():
        program, name, *arguments = shlex.split(line)
        assert (program, name) == ("archloom", "bench")
        path = command.make_context(name, [each for each in arguments if each not in ("--plot", "found.svg")]).params["path"]
        assert (PAGE.parents[1] / path).exists()
