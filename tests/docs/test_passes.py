"""The page on passes: its table is what the passes say of themselves, its Python runs, its commands too, and its own pass does what it says."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from archloom.compiler.cli import run
from archloom.compiler.cli._topics import first_sentence, options_of
from archloom.compiler.optimize.interface import Keeps
from archloom.compiler.optimize.pipelines import PIPELINES
from archloom.compiler.optimize.registry import passes

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "passes.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
[COMMANDS] = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
KEPT = {Keeps.TRAINING: "training", Keeps.EVALUATION: "evaluation"}
HEAD = """## Which there are

Written by `pytest tests/docs/test_passes.py --update-golden` from what each pass says of itself. *Keeps* training: numbers and
gradients, in evaluation and training; evaluation: numbers in evaluation alone. `archloom explain NAME` says more.
"""


def tables() -> Iterator[str]:
    """Yield the lines of the generated part."""
    yield from [HEAD, "| pass | what it does | keeps | options | applies in |", "|---|---|---|---|---|"]
    for name, found in passes().items():
        options = ", ".join(f"`{option}`" for option in options_of(found))
        where = ", ".join(f"`{example}`" for example in found.fires)
        yield f"| `{name}` | {first_sentence(found)} | {KEPT[found.keeps]} | {options} | {where} |"
    yield from ["", "| pipeline | passes, in order |", "|---|---|"]
    yield from (f"| `{name}` | {', '.join(names) or 'none'} |" for name, names in PIPELINES.items())


def test_the_tables_are_what_the_passes_say(request: pytest.FixtureRequest) -> None:
    before, _, rest = TEXT.partition("## Which there are\n")
    after = rest[rest.index("## What stays as it is") :]
    text = "\n".join([before + "\n".join(tables()), "", after])
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, "run it with --update-golden and read what it writes"


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    [own] = (block for block in BLOCKS if "class DoubleNegation" in block)
    (tmp_path / "double_negation.py").write_text(own)
    names: dict[str, Any] = {}
    try:
        for block in BLOCKS:
            if block is not own:
                exec(compile(block, str(PAGE), "exec"), names)
    finally:
        sys.modules.pop("double_negation", None)
    shown = capsys.readouterr().out
    assert "q, k, v are one" in shown
    assert shown.endswith("double_negation applied once\n  + <text>:1:55: in `Twice`: two negations cancel\n")


def test_its_own_pass_leaves_alone_what_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import archloom

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "double_negation.py").write_text(next(block for block in BLOCKS if "class DoubleNegation" in block))
    try:
        own: Any = import_module("double_negation").DoubleNegation()
        model = archloom.compile("model M { in x: float[B, 4]; out z = -relu(-x) }", optimize=[own])
    finally:
        sys.modules.pop("double_negation", None)
    assert model.passes.explain() == "double_negation did nothing"


@pytest.mark.parametrize("command", COMMANDS.splitlines())
def test_the_commands_run(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    program, *arguments = command.split()
    assert program == "archloom" and run(arguments) == 0
    shown = capsys.readouterr()
    assert ("passes of" in shown.err) == ("--explain-passes" in arguments)
    assert ("--- after fold_parameters" in shown.err) == ("--print-between" in arguments)
