"""The README is true: its example, its error, its table and its Python are what the program says and does."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import archloom
from archloom.compiler.cli import run

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
[SPEC], [ERROR, STAGE], [PYTHON], COMMANDS = (
    re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) for language in ("arch", "text", "python", "sh")
)


def test_it_is_one_screen_and_the_example_twelve_lines() -> None:
    assert len(SPEC.splitlines()) == 12
    assert len(PYTHON.splitlines()) == 5
    assert len(TEXT.splitlines()) <= 100
    assert (ROOT / "examples" / "scene.arch").read_text() == SPEC


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a block of the README with what is really printed; with --update-golden, write that into the README."""

    def compare(block: str, printed: str) -> None:
        if request.config.getoption("--update-golden"):
            README.write_text(README.read_text(encoding="utf-8").replace(f"```text\n{block}```", f"```text\n{printed}```"), encoding="utf-8")
        else:
            assert printed == block

    return compare


def test_the_error_is_what_check_says(shown: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = SPEC.replace("Conv2d(3,", "Conv2d(4,")
    assert sum(a != b for a, b in zip(SPEC, wrong, strict=True)) == 1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(wrong.encode())))
    assert run(["check", "-"]) == 1
    shown(ERROR, capsys.readouterr().out)


def test_the_python_runs_and_the_table_is_what_the_stage_prints(shown: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    batch = archloom.compile("examples/scene.arch").example_inputs(B=2, H=5, W=6)
    names: dict[str, Any] = {"batches": [batch, batch]}
    exec(PYTHON, names)
    shown(STAGE, f"{names['stage']}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_name_what_exists(command: str) -> None:
    assert command.count("\n") == 1
    setup = 'python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e ".[test]" && .venv/bin/'
    assert command.startswith(setup)
    rest = command.removeprefix(setup)
    for path in re.findall(r"examples/[\w./]+", rest):
        assert (ROOT / path).exists()
    for name in re.findall(r"archloom (\w+)", rest):
        assert run([name, "--help"]) == 0


@pytest.mark.slow
def test_the_demonstration_after_its_set_up() -> None:
    demonstration = COMMANDS[0].split("&&", 2)[2]
    folder = Path(sys.executable).parent
    programs = {"python": f"{folder}/python", "archloom": f"{folder}/python -m archloom"}
    script = re.sub(r"\.venv/bin/(\w+)", lambda found: programs[found[1]], demonstration)
    result = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr  # the mistake that it ends with
    ranked = [line.split("  ", 2)[-1] for line in result.stdout.splitlines() if re.match(r"  +-?\d\.\d\d  ", line)]
    assert ranked[0].startswith("Replacing the lubricant of an automobile engine")
    assert "examples/minilm_tasks.arch: ok" in result.stdout
    assert result.stdout.endswith("1 error\n")
    assert "Traceback" not in result.stderr
