"""UniFork against its authors' numbers: the decoder alone, a training batch, a sampled picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import archloom

ROOT = Path(archloom.__file__).parent
EXAMPLE = ROOT / "examples" / "unifork.arch"
GOLDEN = ROOT / "tests" / "golden" / "UniFork"
CASES = {"a": "decoder", "b": "training", "c": "painting"}


@pytest.mark.parametrize("source", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_the_example_computes_what_the_authors_do(case: str, dtype: str, source: bool) -> None:
    report = archloom.verify(EXAMPLE, GOLDEN / case, dtype=dtype, source=source)
    assert report.ok, [row for row in report.rows if not row.holds]
    assert (report.golden, report.share) == (CASES[case], 1)


@pytest.mark.parametrize("case", CASES)
def test_two_swapped_tensors_are_caught(case: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / case, tmp_path / case))
    path = folder / "weights.safetensors"
    path.chmod(0o644)
    weights = load_file(path)
    one, other = (f"model.gen_fork_layers.{i}.mlp.up_proj.weight" for i in (0, 1))
    weights[one], weights[other] = weights[other], weights[one]
    save_file(weights, path)
    assert not archloom.verify(EXAMPLE, folder).ok
