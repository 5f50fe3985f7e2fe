"""What a check leaves behind: its results hold no cycles, so that all of it goes when they do."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from archloom.compiler.check import check

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["minilm_tasks", "unifork"])
def test_a_check_leaves_no_garbage(name: str) -> None:
    path = EXAMPLES / f"{name}.arch"
    check(path)
    while gc.collect():
        pass  # what others have left may take more than one
    gc.disable()
    try:
        assert check(path).ok and not gc.isenabled()
        assert gc.collect() == 0
    finally:
        gc.enable()
    check(path)
    assert gc.isenabled()
