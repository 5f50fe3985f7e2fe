"""The page on quantization: its Python runs, its commands do what they say, and it names every kind that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import archloom
from archloom.compiler.cli import run
from archloom.compiler.passes.quantize import KINDS

TEXT = (Path(__file__).parents[2] / "docs" / "quantization.md").read_text(encoding="utf-8")
[COMMANDS] = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/quantization.md", "exec"), found)
    return found


def test_the_python_runs(names: dict[str, Any]) -> None:
    assert len(names["best"].taken) + len(names["best"].left) == 5
    assert re.findall(r"^\| `(\w+)` ", TEXT, re.MULTILINE)[1:] == list(KINDS)


def test_the_commands_run(names: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.arch").write_text(names["SPEC"])
    save_file({"x": torch.randn(64, 128)}, tmp_path / "samples.safetensors")
    archloom.compile(names["SPEC"]).save_weights(tmp_path / "weights.safetensors")
    for line in COMMANDS.splitlines():
        assert run(line.split()[1:]) == 0, capsys.readouterr().err
