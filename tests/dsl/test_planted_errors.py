"""Several mistakes in one text: each is found in one run, none twice, and nothing that is only a consequence.

A body is elaborated once its syntax is right, and what the whole graph shows (selectors, gradients) is judged once the graph is there.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from _pytest.mark import ParameterSet

from .elaborating import findings

SYNTAX = {
    "equals": ("h1 := relu(x)", "A006"),
    "lambda": ("h2 = lambda a: a", "A024"),
    "python": ("def g(a):\n    return a", "A023"),
    "quotes": ("h3 = 'a'", "A007"),
    "is": ("h4 = x is x", "A006"),
    "colon": ("if n > 3:\n    h5 = x", "A009"),
    "loop": ("for i = 0..3 { h6 = x }", "A018"),
    "input": ("input k: float[B]", "A023"),
    "comma": ("h7 = concat([x x], dim = 1)", "A018"),
    "number": ("h8 = 0x1F", "A015"),
    "assign": ("relu(x) = h9", "A010"),
    "step": ("h10 += 1", "A029"),
    "end": ("h11 = x +", "A005"),
    "target": ("target t1", "A018"),
    "module": ("h12 = nn.relu(x)", "A021"),
    "method": ("h13 = x.view(2, 2)", "A026"),
}
"""Statements with a syntax error or a habit from PyTorch, and its code: what they stand in is not elaborated."""

MEANING = {
    "name": ("m1 = relu(xx)", "A102"),
    "operation": ("m2 = softmx(x, dim = 1)", "A102"),
    "width": ("f1 = Linear(5, 4); m3 = f1(x)", "A301"),
    "missing": ("f2 = Linear(4); m4 = f2(x)", "A202"),
    "argument": ("m5 = softmax(x, dmi = 1)", "A201"),
    "idle": ("relu(x)", "A112"),
    "loss": ("loss l1 = x", "A505"),
    "member": ("for t in {p, q} { m7 = relu(yy) }", "A102"),
    "type": ("in k1: flot[B, 4]", "A212"),
    "zero": ("m8 = x * (1 / 0)", "A204"),
}
"""Statements that parse, and the code of what is wrong with them."""

TOP = {
    "brace": ("model Q\n  in x: float[B]\n  out y = x\n}", "A009"),
    "header": ("block R(dim = 8) { in x: float[B, dim]; out y = x }", "A018"),
    "paren": ("block T { in x: float[B]\n  h = relu(x}\n  out y = x\n}", "A003"),
    "loop": ("block U { in x: float[B]\n  for t in {a, b}\n    h = x\n  }\n  out y = x\n}", "A009"),
    "class": ("class Net(nn.Module):\n  def forward(self, x):\n    return x", "A023"),
    "python": ("import torch", "A020"),
    "yaml": ("name: M", "A018"),
    "stage": ("train M { stage a { lr = 3 } }", "A018"),
    "twice": ("block S { in x: float[B]; out y = x }", "A101"),
}
"""Items with one error."""


def found(statements: list[str], items: list[str]) -> Counter[str]:
    body = "\n  ".join(["in x: float[B, 4]", *statements, "out y = x"])
    text = "\n".join(["block S { in x: float[B]; out y = x }", *items, f"model M(n: int = 4) {{\n  {body}\n}}"])
    return Counter(d.code for d in findings(text) if d.severity.value == "error")


def pairs(table: dict[str, tuple[str, str]]) -> list[ParameterSet]:
    """Return each mistake alone and with each other, most of these slow."""
    alone = [pytest.param((name, name), id=name) for name in table]
    both = [pytest.param(pair, id="-".join(pair), marks=[pytest.mark.slow] if place % 5 else []) for place, pair in enumerate(combinations(table, 2))]
    return alone + both


def planted(table: dict[str, tuple[str, str]], names: tuple[str, str]) -> tuple[list[str], Counter[str]]:
    chosen = [table[name] for name in dict.fromkeys(names)]
    return [text for text, _ in chosen], Counter(code for _, code in chosen)


@pytest.mark.parametrize("names", pairs(SYNTAX))
def test_two_syntax_errors_in_one_body(names: tuple[str, str]) -> None:
    texts, codes = planted(SYNTAX, names)
    assert found(texts, []) == codes


@pytest.mark.parametrize("names", pairs(MEANING))
def test_two_errors_of_meaning_in_one_body(names: tuple[str, str]) -> None:
    texts, codes = planted(MEANING, names)
    assert found(texts, []) == codes


@pytest.mark.parametrize("names", pairs(TOP))
def test_two_broken_items(names: tuple[str, str]) -> None:
    texts, codes = planted(TOP, names)
    assert found([], texts) == codes


@pytest.mark.slow
@pytest.mark.parametrize("item", TOP)
@pytest.mark.parametrize("statement", MEANING)
def test_a_broken_item_hides_no_error_of_another(item: str, statement: str) -> None:
    assert found([MEANING[statement][0]], [TOP[item][0]]) == Counter([MEANING[statement][1], TOP[item][1]])


def test_all_at_once() -> None:
    assert found([text for text, _ in SYNTAX.values()], [text for text, _ in TOP.values()]) == Counter(
        code for table in (SYNTAX, TOP) for _, code in table.values()
    )
    assert found([text for text, _ in MEANING.values()], []) == Counter(code for _, code in MEANING.values())
