"""Every example of the reference checks, or fails with the code that it is marked with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archloom.compiler.check import check_text
from archloom.dsl.diagnostics import Severity
from archloom.dsl.source import Source

PAGES = [Path(__file__).parents[2] / "docs" / name for name in ("language.md", "verify.md")]
EXAMPLES = [
    pytest.param(match[1].strip(), match[2], id=f"{page.stem}-line{page.read_text()[: match.start()].count(chr(10)) + 1}")
    for page in PAGES
    for match in re.finditer(r"```arch([^\n]*)\n(.*?)```", page.read_text(), re.DOTALL)
]


@pytest.mark.parametrize(("code", "text"), EXAMPLES)
def test_example(code: str, text: str) -> None:
    errors = [d for d in check_text(Source("language.md", text)).diagnostics if d.severity is Severity.ERROR or d.code == code]
    assert [d.code for d in errors] == ([code] if code else []), [d.message for d in errors]


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 19
