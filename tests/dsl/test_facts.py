"""Verdicts against brute force over small sizes: TRUE never breaks, FALSE comes with allowed sizes that break it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archloom.dsl import dim_atoms, dims
from archloom.dsl.dim_terms import Extreme, Floor, Symbol
from archloom.dsl.dims import Dim
from archloom.dsl.facts import Fact, Facts, Relation, Truth, Verdict

N, S, T, G, H, W = (Symbol(name) for name in "NSTGHW")
P = Symbol("P", 0)
n, s, t, g, h, w, p = (Dim.of(symbol) for symbol in (N, S, T, G, H, W, P))
BOX = (S, T, P)
TOP = 9

Sizes = Mapping[Symbol, int]


@dataclass(frozen=True)
class Question:
    relation: Relation
    left: int | Dim
    right: int | Dim

    @property
    def fact(self) -> Fact:
        return Fact(self.relation, self.left, self.right)


def allowed_sizes(facts: Facts) -> Iterator[dict[Symbol, int]]:
    for values in product(*(range(symbol.least, TOP) for symbol in BOX)):
        sizes = dict(zip(BOX, values, strict=True))
        if all(fact.holds(sizes) for fact in facts.known):
            yield sizes


def is_rounded(value: int | Dim) -> bool:
    return isinstance(value, Dim) and any(isinstance(atom, (Floor, Extreme)) for atom in value.atoms)


def combined(op: str, x: int | Dim, y: int | Dim) -> int | Dim:
    return {
        "+": lambda: x + y,
        "-": lambda: x - y,
        "*": lambda: x * y,
        "min": lambda: dim_atoms.minimum(x, y),
        "max": lambda: dim_atoms.maximum(x, y),
    }[op]()


def divided(op: str, x: int | Dim, by: int) -> int | Dim:
    return {"/": dims.quotient, "//": dim_atoms.floor_div, "ceil": dim_atoms.ceil_div, "%": dim_atoms.modulo}[op](x, by)


simple = st.one_of(st.sampled_from([s, t, p, 2 * s, s + t, s * t, s - 1, 3 * p, s * s]), st.integers(0, 4))
sides = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.builds(combined, st.sampled_from(["+", "-", "*", "min", "max"]), inner, inner),
        st.builds(divided, st.sampled_from(["/", "//", "//", "ceil", "%"]), inner, st.integers(2, 4)),
    ),
    max_leaves=3,
)
facts_of = st.one_of(
    st.sampled_from(
        [
            Fact("==", s, t), Fact("==", t, 2 * s), Fact("==", p, s - 1), Fact("==", s, 4), Fact("==", s % 2, 0), Fact("==", (s + t) % 3, 0),
            Fact("divides", 4, s), Fact("divides", 3, t), Fact("divides", 2, s + 1), Fact("divides", 4, s * t), Fact("divides", s, t),
            Fact(">=", s, 3), Fact(">=", 6, s), Fact(">=", t, s), Fact(">=", s * t, 10), Fact("==", s * t, 12), Fact("==", t, s // 2 + 1),
            Fact("divides", 2, 3 * s + p), Fact("==", 2 * s, 3 * t), Fact("!=", s, t), Fact("==", s / 2, t / 3),
        ]
    ),
)  # fmt: skip
relations = st.sampled_from(["==", "==", ">=", "!="])
questions = st.builds(Question, relations, sides, sides) | st.builds(Question, st.just("divides"), st.integers(2, 4), sides)


def built(known: list[Fact]) -> Facts:
    facts = Facts()
    for fact in known:
        facts = facts.require(fact.relation, fact.left, fact.right)
    return facts


@settings(max_examples=200)
@given(st.lists(facts_of, max_size=2), questions)
def test_verdicts_agree_with_brute_force(known: list[Fact], question: Question) -> None:
    facts = built(known)
    verdict = facts.decide(question.relation, question.left, question.right)
    outcomes = {question.fact.holds(sizes) for sizes in allowed_sizes(facts)}
    if verdict.is_true:
        assert False not in outcomes
    if verdict.is_false:
        check_refuted(facts, question, verdict, outcomes)


def check_refuted(facts: Facts, question: Question, verdict: Verdict, outcomes: set[bool]) -> None:
    if question.relation != "==" or (is_rounded(question.left - question.right) and not facts.known):
        assert True not in outcomes
    elif True in outcomes:
        assert verdict.counterexample is not None
    if verdict.counterexample:
        assert not question.fact.holds(verdict.counterexample)
        pinned = facts
        for symbol, size in verdict.counterexample.items():
            pinned = pinned.require("==", Dim.of(symbol), size)
        sizes = pinned.sample(BOX)
        assert sizes is not None or not outcomes
        assert sizes is None or all(fact.holds(sizes) for fact in facts.known)


@settings(max_examples=100)
@given(st.lists(facts_of, max_size=3))
def test_a_sample_meets_all_facts(known: list[Fact]) -> None:
    facts = built(known)
    sizes = facts.sample(BOX)
    if sizes is not None:
        assert set(sizes) == set(BOX)
        assert all(fact.holds(sizes) for fact in facts.known)
        assert all(size >= symbol.least for symbol, size in sizes.items())
        assert not facts.contradiction
    if facts.contradiction:
        assert not list(allowed_sizes(facts))


@settings(max_examples=100)
@given(st.lists(facts_of, max_size=2), sides)
def test_simplify_keeps_the_value(known: list[Fact], side: int | Dim) -> None:
    facts = built(known)
    simpler = facts.simplify(side)
    assert isinstance(simpler, int) or set(simpler.symbols()) <= set(BOX)
    for sizes in list(allowed_sizes(facts))[:40]:
        assert Fact("==", side, simpler).holds(sizes)


even = Facts().require("==", h % 16, 0).require("divides", 32, w)


@pytest.mark.parametrize(
    ("facts", "question", "truth"),
    [
        (Facts(), ("==", s, t), Truth.FALSE),
        (Facts(), ("==", s, 64), Truth.FALSE),
        (Facts(), ("==", h / 16, w / 16), Truth.FALSE),
        (Facts(), ("==", dim_atoms.floor_div(h, 16), 14), Truth.UNKNOWN),
        (Facts(), ("==", dim_atoms.floor_div(h, 16), dim_atoms.floor_div(h, 16) + 1), Truth.FALSE),
        (Facts(), ("==", 2 * dim_atoms.floor_div(s, 2), s), Truth.UNKNOWN),
        (Facts(), ("==", 2 * dim_atoms.floor_div(s, 2) + s % 2, s), Truth.TRUE),
        (Facts(), ("==", 2 * dim_atoms.floor_div(s, 2), 2 * dim_atoms.floor_div(t, 2) + 1), Truth.FALSE),
        (Facts(), ("==", dim_atoms.floor_div(s, 4) - dim_atoms.floor_div(s, 8), dim_atoms.floor_div(s + 4, 8)), Truth.TRUE),
        (Facts(), ("==", dim_atoms.maximum(s, t) + dim_atoms.minimum(s, t), s + t), Truth.TRUE),
        (even, ("==", dim_atoms.ceil_div(h, 16), h / 16), Truth.TRUE),
        (even, ("==", dim_atoms.floor_div(h, 16) * dim_atoms.floor_div(w, 16), h * w / 256), Truth.TRUE),
        (even, ("divides", 512, h * w), Truth.TRUE),
        (even, ("divides", 8, h), Truth.TRUE),
        (even, ("divides", 3, h), Truth.UNKNOWN),
        (even, ("divides", 16, h + 1), Truth.FALSE),
        (even, (">=", h, 16), Truth.TRUE),
        (even, (">=", h, 17), Truth.UNKNOWN),
        (even, ("==", h, w), Truth.FALSE),
        (Facts(), ("divides", 2, s * (s + 1)), Truth.TRUE),
        (Facts(), ("divides", 2, 2 * s + 1), Truth.FALSE),
        (Facts(), ("divides", g, s * g), Truth.TRUE),
        (Facts(), ("divides", g, s), Truth.UNKNOWN),
        (Facts(), ("divides", 4 * s + 4, 3), Truth.FALSE),
        (Facts(), ("divides", 2 * s, 9), Truth.FALSE),
        (Facts(), ("divides", 3 * s, 9), Truth.UNKNOWN),
        (Facts(), ("divides", 2 * s * s, 9 * s), Truth.FALSE),
        (Facts(), (">=", dims.quotient(6 * n, s + 1), 0), Truth.TRUE),
        (Facts(), (">=", dims.quotient(6 * n, s + 1), 1), Truth.UNKNOWN),
        (Facts(), (">=", dims.quotient(6 * n, s - 1), 0), Truth.UNKNOWN),
        (Facts().require("divides", g, s), ("==", dim_atoms.floor_div(s, g) * g, s), Truth.TRUE),
        (Facts().require("divides", 49, n * h), ("divides", 49, n * h * w), Truth.TRUE),
        (Facts().require("divides", 49, n * h), ("divides", 7, n * h), Truth.TRUE),
        (Facts().require("==", s, g * t), ("==", s / g, t), Truth.TRUE),
        (Facts().require(">=", 512, s), ("==", dim_atoms.minimum(s, 512), s), Truth.TRUE),
        (Facts().require(">=", 512, s), (">=", s, 513), Truth.FALSE),
        (Facts().require(">=", t, s), (">=", n * t, n * s), Truth.TRUE),
        (Facts(), (">=", s - 1, 0), Truth.TRUE),
        (Facts(), (">=", p - 1, 0), Truth.UNKNOWN),
        (Facts(), (">=", dim_atoms.floor_div(h + 2 * 3 - 7, 2) + 1, 1), Truth.TRUE),
        (Facts(), (">=", dim_atoms.floor_div(h - 7, 4) + 1, 1), Truth.UNKNOWN),
        (Facts(), (">=", 256 * dim_atoms.ceil_div(s, 256), s), Truth.TRUE),
        (Facts(), (">=", s, dim_atoms.minimum(s, t)), Truth.TRUE),
        (Facts(), (">=", 0, s * t), Truth.FALSE),
        (Facts().require("!=", s, t), ("!=", s, t), Truth.TRUE),
        (Facts().require("!=", s, 1), (">=", s, 2), Truth.TRUE),
        (Facts().require("==", h % 4, 2), ("divides", 4, h), Truth.FALSE),
        (Facts().require("==", h % 4, 2), ("divides", 2, h), Truth.TRUE),
        (Facts().require(">=", 0, h % 4), ("divides", 4, h), Truth.TRUE),
        (Facts().require("!=", h % 4, 0), ("divides", 4, h), Truth.FALSE),
        (Facts().require(">=", h % 4, 1), ("==", 4 * dim_atoms.floor_div(h, 4), h), Truth.FALSE),
        (Facts(), ("!=", s, t), Truth.UNKNOWN),
        (Facts(), ("!=", 2 * s, 2 * t + 1), Truth.TRUE),
        (Facts().require("==", s, 3).require("==", s, 4), ("==", s, t), Truth.UNKNOWN),
    ],
)  # fmt: skip
def test_verdict(facts: Facts, question: tuple[Relation, int | Dim, int | Dim], truth: Truth) -> None:
    assert facts.decide(*question).truth is truth


@pytest.mark.parametrize(
    ("facts", "left", "right", "sizes"),
    [
        (Facts(), n * s, t, "N = 2, S = 3, T = 5"),
        (Facts(), s, 64, "S = 2"),
        (Facts(), h / 16, w / 16, "H = 32, W = 48"),
        (even, h, w, "H = 32, W = 96"),
        (Facts().require("==", t, 2 * s), s, t, "S = 2, T = 4"),
        (Facts().require(">=", 1, s), s, t, "S = 1, T = 2"),
    ],
)  # fmt: skip
def test_counterexample(facts: Facts, left: int | Dim, right: int | Dim, sizes: str) -> None:
    assert facts.equal(left, right).sizes == sizes


def test_equations_make_numbers() -> None:
    facts = Facts().require("==", s, 2 * t).require("==", t, 32)
    assert facts.simplify(s) == 64
    assert facts.simplify(s * n) == 64 * n


@pytest.mark.parametrize(
    ("known", "value", "simpler"),
    [
        (("divides", 16, h), dim_atoms.floor_div(h, 16) * dim_atoms.floor_div(w, 16) + 1, (h / 16) * dim_atoms.floor_div(w, 16) + 1),
        (("divides", 16, h), dim_atoms.ceil_div(h, 8), h / 8),
        (("divides", 4, h), dim_atoms.floor_div(dim_atoms.floor_div(h, 4), 2), dim_atoms.floor_div(h, 8)),
        ((">=", 512, s), dim_atoms.minimum(s, 512) * n, n * s),
        ((">=", s, t), dim_atoms.maximum(s, t), s),
        (("==", s, t), s + t, s + t),
    ],
)  # fmt: skip
def test_simplify(known: tuple[Relation, int | Dim, int | Dim], value: int | Dim, simpler: int | Dim) -> None:
    assert Facts().require(*known).simplify(value) == simpler


def test_divisibilities_put_no_new_symbols_into_what_is_shown() -> None:
    assert even.simplify(h / 16 + s) == h / 16 + s


@pytest.mark.parametrize(
    "known",
    [
        [("==", s, 3), ("==", s, 4)],
        [("==", 2 * s, 2 * t + 1)],
        [(">=", s, 5), (">=", 4, s)],
        [("divides", 2, s), ("divides", 2, s + 1)],
        [("==", s, 0)],
    ],
)  # fmt: skip
def test_contradictions_are_found(known: list[tuple[Relation, int | Dim, int | Dim]]) -> None:
    assert built([Fact(*fact) for fact in known]).contradiction


def test_facts_are_immutable() -> None:
    facts = Facts()
    facts.require("==", s, t)
    assert facts.known == ()
    assert facts.equal(s, t).is_false
