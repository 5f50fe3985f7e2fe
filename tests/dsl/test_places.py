"""Whole numbers that come in, and the tables and classes that they must have a place in."""

from __future__ import annotations

import pytest

from .elaborating import codes, program, says


def text(statements: str, uses: str = "") -> str:
    return f"{uses}\nmodel M {{ {statements} }}"


RIGHT = [
    "in ids: int[B, S] as tokens(10); emb = Embedding(10, 4); out y = emb(ids)",
    "in ids: int[B, S] in 0..10; emb = Embedding(10, 4); out y = emb(flatten(ids, 0, 1))",
    "in ids: int[B, S] in 0..10; emb = Embedding(11, 4); out y = emb(ids + 1)",
    "in ids: int[B, S]; emb = Embedding(3, 4); out y = emb(ids)",
    "in ids: int[B, S] in 0..10; emb = Embedding(3, 4); out y = emb(clamp(ids, 0, 2))",
    "in x: float[B, 4]; target t: int[B] in 0..5; loss l = cross_entropy(x, t, ignore = 4)",
    "in x: float[B, 4]; target t: int[B] in -1..4; loss l = cross_entropy(x, t, ignore = -1)",
    "in x: float[B, S, 4]; in at: int[B] in 0..S; out y = gather(x, at, dim = 1)",
    "in at: int[B] in 1..=3; out y = one_hot(at, 4)",
    "in x: float[B, 6]; out y = one_hot(argmax(x, dim = 1), 6)",
    "in x: float[B, 6]; in at: int[B] in 0..4; out y = window(x, at, length = 3)",
    "in x: float[B, 6]; emb = Embedding(6, 4); out y = emb(5 - argmax(x, dim = 1))",
    "in x: float[B, S, 5]; in l: int[B, S] in 0..5; in m: bool[B, S]; out y = cross_entropy(x, where(m, l, -100), ignore = -100, dim = 2)",
    "in x: float[B, S, 4]; in l: int[B, S] in 0..5; out y = cross_entropy(x, where(l < 4, l, -100), ignore = -100, dim = 2)",
    "in x: float[B, S, 4]; in l: int[B, S] in 0..5; out y = cross_entropy(x, where(l > 3, -100, l), ignore = -100, dim = 2)",
    "in x: float[B, S]; in to: int[B]; out y = cross_entropy(x, where(to < S, clamp(to, 0), -100), ignore = -100)",
    "in x: float[B, S]; emb = Embedding(1, 4); out y = emb(where(arange(S) < S, 0, 7)) + mean(x)",
    "in x: float[B, 4]; draw q: int[B] ~ permutation(B); out y = take(x, q, dim = 0)",
    "in x: float[B, S, 4]; in m: bool[B, S]; out y = gather(x, clamp(count(m, dim = 1) - 1, 0), dim = 1)",
    "in x: float[B, S, 4]; out y = gather(x, count(x[:, :, 0] > 0.0, dim = 1), dim = 1)",
    "in m: bool[B, S]; emb = Embedding(2, 4); out y = emb(int(m))",
    "in x: float[B]; emb = Embedding(4, 2); out y = emb(arange(10)[:4]); out z = x",
    "in x: float[B, S]; out y = take(x, arange(S + 1)[:S], dim = 1)",
    "in x: float[B]; r = arange(3); emb = Embedding(5, 2); out y = emb(r[:, none] - r + 2); out z = x",
    "in x: float[B]; emb = Embedding(5, 2); out y = emb(arange(30) % 5); out z = x",
]
WRONG = [
    "in ids: int[B, S] as tokens(10); emb = Embedding(9, 4); out y = emb(ids[:, 1:])",
    "in ids: int[B, S] in 0..10; emb = Embedding(10, 4); out y = emb(ids + 1)",
    "in ids: int[B, S] in 0..10; emb = Embedding(10, 4); out y = emb(ids - 1)",
    "in ids: int[B, S] in 0..10; in more: int[B, S]; emb = Embedding(9, 4); out y = emb(concat([more, ids], dim = 1))",
    "in x: float[B, 4]; target t: int[B] in 0..5; loss l = cross_entropy(x, t)",
    "in x: float[B, 4]; target t: int[B] in -1..4; loss l = cross_entropy(x, t)",
    "in x: float[B, S, 4]; in at: int[B] in 0..S + 1; out y = gather(x, at, dim = 1)",
    "in at: int[B] in 1..=4; out y = one_hot(at, 4)",
    "in x: float[B, 6]; in at: int[B] in 0..5; out y = window(x, at, length = 3)",
    "in x: float[B, 6]; out y = take(x, arange(7), dim = 1)",
    "in x: float[B, 6]; out y = take(x, full([2], 6), dim = 1)",
    "in x: float[B, 6]; emb = Embedding(5, 4); out y = emb(argmax(x, dim = 1))",
    "in x: float[2, 6]; emb = Embedding(6, 4); out y = emb(argmin(x))",
    "in x: float[B, 6]; emb = Embedding(6, 4); out y = emb(-argmax(x, dim = 1))",
    "in x: float[B, 6]; emb = Embedding(6, 4); out y = emb(2 * argmax(x, dim = 1))",
    "in ids: int[B, S] in 0..10; emb = Embedding(10, 4); out y = emb(7 - ids)",
    "in x: float[B, S, 4]; in l: int[B, S] in 0..5; in m: bool[B, S]; out y = cross_entropy(x, where(m, l, -100), ignore = -100, dim = 2)",
    "in x: float[B, S, 5]; in l: int[B, S] in 0..5; in m: bool[B, S]; out y = cross_entropy(x, where(m, l, -1), ignore = -100, dim = 2)",
    "in x: float[B, S, 3]; in l: int[B, S] in 0..5; out y = cross_entropy(x, where(l < 4, l, -100), ignore = -100, dim = 2)",
    "in x: float[B, S]; in to: int[B]; out y = cross_entropy(x, where(to <= S, clamp(to, 0), -100), ignore = -100)",
    "in x: float[B, S]; in to: int[B]; out y = cross_entropy(x, where(to > S, clamp(to, 0), -100), ignore = -100)",
    "in x: float[B, S]; in to: int[B]; out y = cross_entropy(x, where(to < S, clamp(to, 0), -100), ignore = -99)",
    "in x: float[B, S, 4]; in m: bool[B, S]; out y = gather(x, count(m, dim = 1) - 1, dim = 1)",
    "in x: float[B, 4]; out y = take(x, randint(0, B + 1, [3]), dim = 0)",
    "in m: bool[B, S]; emb = Embedding(1, 4); out y = emb(int(m))",
    "in x: float[B]; emb = Embedding(4, 2); out y = emb(arange(10)[:5]); out z = x",
    "in x: float[B, S]; out y = take(x, arange(S + 1)[:, none], dim = 1)",
    "in x: float[B]; r = arange(3); emb = Embedding(5, 2); out y = emb(r[:, none] - r + 1); out z = x",
    "in x: float[B]; emb = Embedding(4, 2); out y = emb(constant([[0, 3], [1, 4]])); out z = x",
    "index two = {0, 1}; for t in two { in ids: int[B[t], S] in 0..10 - t }; emb = Embedding(9, 4); out y = emb(ids[0]); out z = emb(ids[1])",
]


@pytest.mark.parametrize("statements", RIGHT)
def test_numbers_with_a_place_pass(statements: str) -> None:
    assert codes(text(statements)) == []


@pytest.mark.parametrize("statements", WRONG)
def test_numbers_without_a_place_are_errors(statements: str) -> None:
    assert codes(text(statements)) == ["A326"]


def test_numbers_with_the_other_sign_have_places_where_there_is_one_alone() -> None:
    made = program(text("in x: float[B, 4]; draw q: int[B] ~ permutation(B); out y = take(x, -q, dim = 0)"))
    assert [c.text for c in made.eval.conditions] == ["B <= 1"]


def test_the_error_names_both_and_stands_at_the_call_in_the_text() -> None:
    assert says(text(WRONG[0])) == (
        "A326 at emb(ids[:, 1:]): `Embedding`: `x` may hold 0..10, and its places are 0..9; declare fewer numbers where they come in, make more places, or `clamp` what is computed"
    )
    inner = "block Words(n: int) { in ids: int[B, S]; emb = Embedding(n, 4); out y = emb(ids) }\n"
    outer = "block Text(n: int) { in ids: int[B, S]; words = Words(n); out y = words(ids) }"
    found = says(text("in ids: int[B, S] as tokens(10); a = Text(9); b = Text(10); out y = a(ids); out z = b(ids)", inner + outer))
    assert found.startswith("A326 at emb(ids): `Embedding`: `x` may hold 0..10, and its places are 0..9")


def test_of_a_library_block_the_user_s_own_call_is_named() -> None:
    found = says("import bert.Embeddings\nmodel M { in ids: int[B, S] as tokens(10); words = Embeddings(9, 4, 16); out y = words(ids) }")
    assert found.startswith("A326 at words(ids): in `Embeddings`: `Embedding`: `x` may hold 0..10, and its places are 0..9")


def test_places_that_sizes_decide_are_conditions() -> None:
    block = "block Places(n: int) { in x: float[B, S, 4]; table = Embedding(n, 4); out y = x + table(arange(S)) }"
    made = program(text("in x: float[B, S, 4]; places = Places(7); out y = places(x)", block))
    assert [c.text for c in made.eval.conditions] == ["S <= 7"]
    known = program(text("in x: float[B, S, 4]; require S <= 5; places = Places(7); out y = places(x)", block))
    assert [c.text for c in known.eval.conditions if not c.given] == []
    assert codes(text("in x: float[B, 8, 4]; places = Places(7); out y = places(x)", block)) == ["A326"]
