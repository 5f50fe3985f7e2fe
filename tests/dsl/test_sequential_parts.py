"""What a Sequential is made of, also where a list holds its parts."""

from __future__ import annotations

import pytest

from archloom.compiler.check import check_text
from archloom.dsl.source import Source

TEXT = "arch 1\nmodel M {{\n  in x: float[B, 4]\n  m = Sequential({}, silu, Linear(4, 4))\n  out y = m(x)\n}}\n"
PART = "a part of a Sequential is a block or an operation of one argument, not"


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("[1, 2]", f"{PART} `1`"),
        ("[silu, [relu]]", f"{PART} a list"),
        ("[Linear]", "`Linear` lacks its arguments"),
        ("x", f"{PART} a tensor `float[B, 4]`"),
    ],
)
def test_a_part_that_is_no_module_is_refused(part: str, says: str) -> None:
    assert [(d.code, d.message) for d in check_text(Source("<text>", TEXT.format(part))).diagnostics] == [("A203", says)]


def test_lists_of_parts_stand_for_their_parts() -> None:
    assert check_text(Source("<text>", TEXT.format("[relu, Linear(4, 4)]"))).ok
