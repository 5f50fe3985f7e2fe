"""The gallery: its commands make its pictures, and every finished example has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archloom.compiler.cli import run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_makes_the_picture(
    command: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    program, *arguments, path = command.split()
    assert (program, arguments[-1]) == ("archloom", "-o")
    target = ROOT / path if request.config.getoption("--update-golden") else tmp_path / "figure.svg"
    assert run([*arguments, str(target)]) == 0, capsys.readouterr().err
    assert target.read_text(encoding="utf-8") == (ROOT / path).read_text(encoding="utf-8")


def test_every_finished_example_and_every_picture_is_on_the_page() -> None:
    made = {command.split()[-1].removeprefix("docs/") for command in COMMANDS}
    shown = set(re.findall(r'(?:src|srcset)="([^"]+)"', PAGE))
    assert shown == made == {f"figures/{path.name}" for path in (ROOT / "docs" / "figures").iterdir()}
    examples = {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.arch")}
    examples |= {f"examples/pairs/{path.name}" for path in (ROOT / "examples" / "pairs").glob("*.arch")}
    assert {command.split()[2] for command in COMMANDS} == examples


def test_the_front_page_shows_its_own_example() -> None:
    shown = set(re.findall(r'(?:src|srcset)="([^"]+)"', README))
    assert shown == {"docs/figures/scene-light.svg", "docs/figures/scene-dark.svg"}
