"""Texts that would take for ever: each stops at a limit, with one error that names it."""

from __future__ import annotations

import pytest

from archloom.compiler.check import library
from archloom.compiler.inspector import GraphInspector
from archloom.compiler.sources import beside
from archloom.dsl.elaborate.model import Request, elaborate
from archloom.dsl.limits import Limits
from archloom.dsl.source import Source

from .elaborating import codes, says

DEEP = range(1, 40)
MODEL = "model M { in x: float[B]; "
EXPLODING = {
    "functions in functions": "fn f0(x: float[B]) { out y = x }\n"
    + "".join(f"fn f{i}(x: float[B]) {{ a = f{i - 1}(x); b = f{i - 1}(x); out y = a + b }}\n" for i in DEEP)
    + MODEL
    + "out y = f39(x) }",
    "blocks in blocks": "block A0(n: int) { in x: float[B]; out y = x * n }\n"
    + "".join(f"block A{i}(n: int) {{ in x: float[B]; a = A{i - 1}(n * 2); b = A{i - 1}(n * 2 + 1); out y = b(a(x)) }}\n" for i in DEEP)
    + MODEL
    + "a = A39(1); out y = a(x) }",
    "loops in loops": MODEL + "repeat a in 0..9999 { for b in 0..9999 { for c in 0..9999 { y = a * b + c } } }; out z = x }",
    "carried values": MODEL + "h = x; repeat i in 0..99999 carry h { h = h * i }; repeat i in 0..99999 carry h { h = h + i }; out z = h }",
}


@pytest.mark.parametrize("text", EXPLODING.values(), ids=EXPLODING.keys())
def test_elaboration_ends_at_once_where_a_limit_is_reached(text: str) -> None:
    request = Request(limits=Limits(steps=5000))
    found = elaborate(Source("spec.arch", text), library(), GraphInspector(), beside, request).diagnostics
    assert [(d.code, d.message) for d in found if d.severity.value == "error"] == [("A815", "this program takes more than 5,000 steps to elaborate")]


SHARED = {
    "lists": ("a0 = [1, 2]\n", "a{i} = [a{j}, a{j}]\n"),
    "maps": ("a0 = {p: 1}\n", "a{i} = {{p: a{j}, q: a{j}}}\n"),
    "sums": ("a0 = [[k] for k in 0..1000]\n", "a{i} = [a{j}] + [a{j}]\n"),
    "blocks": ("a0 = Linear\n", "a{i} = A(c = a{j}, d = a{j}, ...)\n"),
}


@pytest.mark.parametrize(("first", "next"), SHARED.values(), ids=SHARED.keys())
def test_values_that_share_their_parts_hold_no_more_than_can_be_gone_through(first: str, next: str) -> None:
    block = "block A(c: block, d: block) { in x: float[B]; out y = x }\n"
    text = block + first + "".join(next.format(i=i, j=i - 1) for i in DEEP) + MODEL + "y = a39; out z = x }"
    found = says(text)
    assert (
        found.startswith("A815")
        and found.endswith("static values are small: use a tensor; `--limit values=N` allows more")
        and "more than 1,000,000 values" in found
    )


def test_what_is_large_and_plain_is_no_error() -> None:
    assert codes(MODEL + "index s = 0..100_000; c = [i * 2 for i in s]; out y = x * sum(c) * len(s) }") == []
