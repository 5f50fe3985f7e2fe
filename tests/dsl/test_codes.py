"""Every code in use has an entry, every entry is used, and its examples do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archloom.compiler.check import check_text
from archloom.dsl.catalogue import Entry, catalogue
from archloom.dsl.diagnostics import Severity
from archloom.dsl.source import Source

ROOT = Path(__file__).parents[2]
OWN = [entry for code, entry in catalogue().items() if code[:2] in ("A1", "A2", "A4", "A9") or "A811" <= code <= "A817"]


@pytest.mark.parametrize("entry", [e for e in OWN if e.wrong], ids=lambda e: e.code)
def test_wrong_text_has_its_code_and_no_other(entry: Entry) -> None:
    assert [d.code for d in check_text(Source("wrong.arch", entry.wrong)).diagnostics] == [entry.code]


@pytest.mark.parametrize("entry", [e for e in OWN if e.right], ids=lambda e: e.code)
def test_right_text_checks(entry: Entry) -> None:
    found = check_text(Source("right.arch", entry.right)).diagnostics
    assert [d.message for d in found if d.severity is Severity.ERROR or entry.code.startswith("A12")] == []


def test_codes_in_use_are_the_codes_listed() -> None:
    used: set[str] = set()
    for folder in ("dsl", "blocks", "compiler"):
        for path in (ROOT / folder).rglob("*.py"):
            if "catalogue" not in path.parts:
                used |= set(re.findall(r'"(A\d{3})"', path.read_text()))
    assert used == set(catalogue())
