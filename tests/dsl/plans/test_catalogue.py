"""The catalogue of A5xx, A6xx and A7xx: each example of what is wrong gives its code, each of what is right checks, each code in use is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import archloom
from archloom.compiler.check import check_text
from archloom.dsl.catalogue import Entry, contracts, training, weights
from archloom.dsl.source import Source

ROOT = Path(archloom.__file__).parent
ENTRIES = (*training.ENTRIES, *weights.ENTRIES, *contracts.ENTRIES)
OUTSIDE = {"A605", "A650", "A652", "A653", "A654", "A655", "A656", "A660", "A661", "A662", "A663", "A664"}
"""Codes that no text alone can cause: a preset is asked for, a file is read."""


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.code not in OUTSIDE], ids=lambda entry: entry.code)
def test_wrong_and_right(entry: Entry) -> None:
    assert [diagnostic.code for diagnostic in check_text(Source("wrong.arch", entry.wrong)).diagnostics] == [entry.code]
    assert check_text(Source("right.arch", entry.right)).diagnostics == ()


def test_every_code_in_use_is_listed_and_every_listed_one_used() -> None:
    sources = [path for folder in ("dsl", "blocks", "compiler") for path in (ROOT / folder).rglob("*.py") if "catalogue" not in path.parts]
    used = {code for path in sources for code in re.findall(r'"(A(?:5[0-4]|6\d|7\d)\d)"', path.read_text("utf-8"))}
    assert used == {entry.code for entry in ENTRIES}
