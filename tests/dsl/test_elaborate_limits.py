"""Texts that would take for ever: each stops at a limit, with one error that names it."""

from __future__ import annotations

from time import process_time

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


def product(terms: int) -> str:
    return "; ".join(f"require (D{i} * D{(i + 3) % terms} + D{i * 5 % terms}) % {i + 2} == 0" for i in range(terms))


SYMBOLS = "model M { in x: float[" + ", ".join(f"D{i}" for i in range(14)) + "]; "
DOUBLING = "block A0(n: int) { in x: float[B, 4]; f = Linear(4, 4); out y = f(x) * n }\n" + "".join(
    f"block A{i}(n: int) {{ in x: float[B, 4]; a = A{i - 1}(n); b = A{i - 1}(n); out y = b(a(x)) * n }}\n" for i in DEEP
)
NET = (
    "model M { in x: float[B, 4]; repeat i in 0..20 carry x { f = Linear(4, 4); x = f(x) }; out y = x; loss l = mean(x) }\ntrain M { stage a { tune "
)
BLOWING = {
    "conditions over many symbols": (SYMBOLS + product(14) + "; out y = reshape(x, [-1, 7]) }", "makes a size of more than 10,000 terms"),
    "a largest of many products": (SYMBOLS + "n = max(" + ", ".join(f"D{i} * D{i * 7 % 14} + {i}" for i in range(14)) + "); out y = x * n }", ""),
    "blocks that double": (DOUBLING + "model M { in x: float[B, 4]; a = A39(1); out y = a(x) }", "holds more than 200,000 modules and parameters"),
    "braces that multiply": (NET + "f" + ".{a, b}" * 40 + " } }", "stands for more than 10,000 paths"),
    "any path, many times": (NET + "**." * 60 + "zz } }", "matches nothing"),
    "losses of any path": (MODEL + "out y = x; loss l = mean(x); z = losses(" + "**." * 40 + "x) }", "there is no `x`"),
    "a list that is compared": (MODEL + "s = [i for i in 0..100_000]; n = [s == s for i in s]; out y = x }", "more than 200,000 steps"),
    "definitions in a row": ("a0 = 1\n" + "".join(f"a{i + 1} = a{i} + 1\n" for i in range(120)) + MODEL + "out y = x * a120 }", "made of each other"),
    "models of models": ("model M(a: int = 1) { in x: float[B]; out y = x * a }\nmodel M0 = M(a = 1)\n"
    + "".join(f"model M{i + 1} = M{i}(a = 2)\n" for i in range(102)), "more than 100 models are made of each other"),
    "items that are none": ("in in in in\n" * 200, "there are more than 100 errors"),
    "a long line that is broken": (MODEL + "y = x x " + "word " * 20_000 + "; out y = x }", "two statements stand on one line"),
    "models of one name": ((MODEL + "out y = x }\n") * 200, "there are more than 100 errors"),
    "imports that lead nowhere": ("".join(f"import norm.A{i}\n" for i in range(200)), "there are more than 100 errors"),
    "claims of a long model": (MODEL + "".join(f"x{i} = x * {i}.0; assert x{i} uses x\n" for i in range(1200)) + "out y = x }", "200,000 steps"),
    "a map of many members": (NET.replace("20", "4000").replace("train M { stage a { tune ", 'weights w for M from "a" { f[i] <- "f.{i}" }'), ""),
    "losses of many calls": ("block A { in x: float[B]; w = Parameter([1]); out y = x * w; loss l = mean(y) }\n" + MODEL
    + "repeat i in 0..4000 carry x { a = A(); x = a(x) }; out y = x }", ""),
    "tasks": (MODEL + "for t in 0..4000 { task t { w = Parameter([1]); out y = x * w; loss l = mean(y) } } }", ""),
    "errors": ("model M { in x: float[B]; " + "; ".join(f"y{i} = foo{i}(x)" for i in range(120)) + "; out y = x }", "there are more than 100 errors"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BLOWING.values(), ids=BLOWING.keys())
def test_what_multiplies_is_bounded(text: str, message: str) -> None:
    start = process_time()
    found = elaborate(Source("spec.arch", text), library(), GraphInspector(), beside, Request(limits=Limits(steps=200_000, errors=100))).diagnostics
    assert process_time() - start < 10
    errors = [d.message for d in found if d.severity.value == "error"]
    assert any(message in error for error in errors) if message else errors == []


def test_a_legal_loop_of_a_hundred_thousand_steps_fits() -> None:
    assert codes(MODEL + "for i in 0..100_000 { a = x * 2.0; b = a + x }; out y = x }") == []
