"""The page on auditing: its module is audited by its command, which prints what the page shows, and its Python runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from archloom.compiler.cli import run

from ..audit.defects import DEFECTS

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
TEXT = PAGE.read_text(encoding="utf-8")
[MODULE, PYTHON], [COMMAND], [SHOWN] = (
    re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) for language in ("python", "sh", "text")
)


def test_the_command_prints_what_the_page_shows(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "train", raising=False)
    (tmp_path / "train.py").write_text(MODULE)
    program, *arguments = COMMAND.split()
    assert program == "archloom" and run(arguments) == 1
    monkeypatch.delitem(sys.modules, "train")
    shown = capsys.readouterr().out
    if request.config.getoption("--update-golden"):
        PAGE.write_text(TEXT.replace(f"```text\n{SHOWN}```", f"```text\n{shown}```"), encoding="utf-8")
    else:
        assert shown == SHOWN


def test_the_python_runs() -> None:
    names: dict[str, Any] = {}
    for block in (MODULE, PYTHON):
        exec(compile(block, str(PAGE), "exec"), names)
    assert not names["found"].ok  # of the page's last audit, behind the assertions of its own


def test_every_code_is_on_the_page() -> None:
    listed = {code for row in re.findall(r"^\| (A\d.*?) \|", TEXT, re.MULTILINE) for code in row.split(", ")}
    assert listed == {code for _, code, *_ in DEFECTS.values()}
