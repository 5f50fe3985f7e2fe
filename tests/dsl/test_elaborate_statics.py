"""Static arithmetic against Python's own, functions, comparison, and the bounds that keep it finite."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archloom.compiler.check import check_text, library
from archloom.dsl.elaborate import functions, statics
from archloom.dsl.elaborate.context import Problem
from archloom.dsl.elaborate.values import IndexSet
from archloom.dsl.source import NOWHERE, Source

from .elaborating import codes, model, program, says

INTS = st.integers(-50, 50)


@st.composite
def arithmetic(draw: st.DrawFn, depth: int = 4) -> str:
    """Draw an expression that the language and Python spell alike, and read alike over exact numbers."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        number = draw(st.integers(0, 30))
        return str(number)
    kind = draw(st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "neg", "paren", "if", "min", "floor"]))
    left, right = draw(arithmetic(depth - 1)), draw(arithmetic(depth - 1))
    match kind:
        case "neg":
            return f"-({left})"
        case "paren":
            return f"({left})"
        case "if":
            return f"({left} if {right} < 5 else {right})"
        case "min":
            return f"{draw(st.sampled_from(['min', 'max']))}({left}, {right})"
        case "floor":
            return f"{draw(st.sampled_from(['floor', 'ceil', 'abs', 'round']))}({left})"
        case "**":
            return f"({left}) ** {draw(st.integers(0, 3))}"
        case _:
            return f"({left}) {kind} ({right})"


def exact(text: str) -> Any:
    """Evaluate with Python, where every whole number is a Fraction."""
    import re

    names = {"floor": math.floor, "ceil": math.ceil, "F": Fraction}
    value = eval(re.sub(r"\b(\d+)\b", r"F(\1)", text), names)  # an expression that this file wrote
    return Fraction(value)


@given(arithmetic())
def test_arithmetic_is_that_of_exact_numbers(text: str) -> None:
    try:
        expected = exact(text)
    except ZeroDivisionError:
        assert codes(f"model M {{ in x: float[B]; n = {text}; out y = x * float(n) }}") == ["A204"]
        return
    if max(expected.numerator.bit_length(), expected.denominator.bit_length()) > statics.BITS:
        return
    low, high = sorted((expected, expected + Fraction(1, 7)))
    exactly = (
        f"({text}) == {expected.numerator} / {expected.denominator}"
        if expected >= 0
        else f"-({text}) == {-expected.numerator} / {expected.denominator}"
    )
    model(f"assert {exactly}; assert not ({text}) != ({text}) and ({text}) <= ({text}); out y = x")
    assert low < high


@given(st.lists(INTS, max_size=6), st.lists(INTS, max_size=6))
def test_lists_are_added_summed_and_found(left: list[int], right: list[int]) -> None:
    both = left + right
    model(
        f"a = {left}; b = {right}; c = a + b; assert len(c) == {len(both)} and sum(c) == {sum(both)}; assert c == {both};"
        f"d = [n * 2 for n in c if n > 0]; assert d == {[n * 2 for n in both if n > 0]}; assert (3 in c) == {str(3 in both).lower()};"
        f"assert all([n > -51 for n in c]) and count([n > 0 for n in c]) == {sum(n > 0 for n in both)}; out y = x"
    )


@given(st.lists(INTS, min_size=1, max_size=8), st.data())
def test_lists_are_cut_by_position(values: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    place = data.draw(st.integers(-len(values), len(values) - 1))
    more = f"assert c[{start}..={stop}] == {values[start : stop + 1]};" if stop < len(values) else ""
    model(
        f"c = {values}; assert c[{start}..{stop}] == {values[start:stop]}; assert c[{place}] == {values[place]}; assert c[{start}..] == {values[start:]}; {more} out y = x"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sqrt(16)", 4.0), ("isqrt(17)", 4), ("log2(8)", 3.0), ("log(1)", 0.0), ("exp(0)", 1.0), ("cos(0)", 1.0), ("int(3.7)", 3), ("round(2.5)", 2),
        ("ceil(7 / 2)", 4), ("floor(-7 / 2)", -4), ("-7 // 2", -4), ("-7 % 3", 2), ("2 ** -1", 0.5), ("1e3", 1000.0), ("1_000", 1000),
        ("min([3, 1, 2])", 1), ("len({a: 1, b: 2})", 2), ("len({a, b, c})", 3), ("sum({a: 1, b: 5}[k] for k in {a, b})", 6), ("abs(-3)", 3),
        ("float(1 / 3) > 0.33", True), ("any([false, true])", True), ("all([])", True), ('"a" + "b" == "ab"', True), ("3 not in [1, 2]", True),
        ("not (1 > 2)", True), ("1 < 2 and 2 < 3 or false", True), ("{a: 1} == {a: 1}", True), ("(1, 2) == (1, 2)", True), ("none == none", True),
        ("2 if len([1]) == 1 else 3", 2), ("-2 ** 2", -4), ("2 ** 3 ** 2", 512),
    ],
)  # fmt: skip
def test_functions_and_operators(text: str, value: object) -> None:
    said = str(value).lower() if isinstance(value, bool) else repr(value)
    model(f"assert ({text}) == ({said}); out y = x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / (2 - 2)", "A204 at 1 / (2 - 2): division by zero in `1 / (2 - 2)`; check the sizes that it is computed from"),
        ("size(x, 0) % 0", "A204 at size(x, 0) % 0: division by zero in `size(x, 0) % 0`; check the sizes that it is computed from"),
        ("5 % 0", "A204 at 5 % 0: division by zero in `5 % 0`; check the sizes that it is computed from"),
        ("9 ** 9 ** 9", "A204 at 9 ** 9 ** 9: the power `9 ** 9 ** 9` is too large; check the exponent"),
        ("(10 ** 900) * 10 ** 900", "A204 at (10 ** 900) * 10 ** 900: the number `(10 ** 900) * 10 ** 900` is too large; check what it is computed from"),
        ("(0 - 8) ** (1 / 3)", "A204 at (0 - 8) ** (1 / 3): `(0 - 8) ** (1 / 3)` is no real number; a negative number has no root"),
        ("Parameter([10 ** 30])", "A204 at Parameter([10 ** 30]): a parameter of 1.0e+30 numbers is too large; check what its sizes are computed from"),
        ("sqrt(-1)", "A204 at sqrt(-1): `sqrt(-1)` has no value at -1; check the numbers"),
        ("ceil(inf)", "A204 at ceil(inf): `ceil(inf)` has no value at inf; only finite numbers can be rounded"),
        ("max([])", "A209 at max([]): `max([])` has nothing to choose from; the list is empty"),
        ('min("a", 1)', 'A203 at min("a", 1): `min` does not take the string "a"; it compares numbers and sizes'),
        ('"a" * 2', 'A203 at "a" * 2: `*` does not take the string "a"; both sides must be numbers'),
        ("true + 1", "A203 at true + 1: `+` does not take `true`; both sides must be numbers"),
        ("true == 1", "A203 at true == 1: `true` is no number, so it never equals one; compare two numbers or two facts"),
        ("3 in 4", "A203 at 3 in 4: `in` needs a set, list or map on its right, not `4`"),
        ("1 & 2", "A203 at 1 & 2: `&` is not for static numbers; write `and`, `or`, `not` for facts"),
        ("[1, 2][5]", "A211 at 5: `5` is 5, outside a list of 2; positions count from 0; -1 is the last"),
        ("1 if 3 else 2", "A207 at 3: a condition must be true or false, not `3`; compare it with something: `x > 0`"),
        ("{a: 1}[b]", "A102 at b: `b` is not defined; bind it above, make it a parameter, or import it"),
        ('{a: 1}["b"]', "A407 at \"b\": the map has no key `b`; its keys are `a`"),
        ("len(4)", "A203 at len(4): `len` does not take `4`; it counts the members of a set, list, map or family; a tensor's size is `size(x, d)`"),
        ("{a: 1, a: 2}", "A412 at a: the key `a` stands twice in this map; keep one of them"),
        ("sum([1, none])", "A203 at sum([1, none]): `+` does not take `none`; both sides must be numbers"),
    ],
)  # fmt: skip
def test_what_has_no_value(text: str, said: str) -> None:
    assert says(f"model M {{ in x: float[B]; n = {text}; out y = x * n }}") == said


def test_a_definition_is_one_static_value_for_the_whole_file() -> None:
    assert codes("a = b + 1\nb = 3\nmodel M { in x: float[B]; assert a == 4; out y = x * a }") == []
    assert says("a = b\nb = a\nmodel M { in x: float[B]; out y = x * a }").startswith("A905 at a = b: `a` is defined by itself")
    assert codes("a = zeros([4])\nmodel M { in x: float[B, 4]; out y = x * a }") == ["A203"]
    doubling = "\n".join(f"a{i} = a{i + 1} + a{i + 1}" for i in range(60)) + "\na60 = 1"
    assert codes(doubling + "\nmodel M { in x: float[B]; assert a0 == 2 ** 60; out y = x }") == []


def test_nothing_grows_without_bound() -> None:
    assert codes("model M { in x: float[B]; n = 3; repeat i in 0..60 carry n { n = n * n }; out y = x * n }") == ["A204"]
    assert codes("model M { in x: float[S]; n = 3 * S; repeat i in 0..60 carry n { n = n * n }; out y = zeros([n]) }") == ["A204"]
    assert codes('model M { in x: float[B]; s = "ab"; repeat i in 0..60 carry s { s = s + s }; out y = x }') == ["A815"]
    assert codes("model M { in x: float[B]; c = [i for i in 0..1000 for j in 0..1000]; out y = x * len(c) }") == ["A815"]
    assert codes("model M { in x: float[B]; index s = 0..1_000_000_000; out y = x * len(s) }") == ["A815"]


# ------------------------------------------------------------------------------------------------------- parameters

TYPED = """model M(
  n: int = 1, f: float = 0.5, b: bool = true, s: str = "q", l: list[int] = [1], ll: list[list[int]] = [[1]], m: map[ts, int] = {a: 1, c: 2},
  k: {u, v} = u, i: index = {p, q}, a: fn = gelu, B: block = Linear, o: int = none
) {
  index ts = m
  in x: float[N, 4]
  g = B(4, 4)
  if b { y = a(g(x)) * n * f } else { y = a(g(x)) * sum(l) }
  z = y if k == u and o == none else -y
  for t in i { h = z * len(s) * len(ll) }
  out w = h[*]
}"""


@pytest.mark.parametrize(
    "given",
    [
        {
            "n": "8",
            "f": "1 / 3",
            "b": "false",
            "s": "hello",
            "l": "[1, 2]",
            "ll": "[[1, 2], []]",
            "m": "{a: 4}",
            "k": "v",
            "i": "{r}",
            "a": "relu",
            "o": "3",
        },
        {"s": '"in quotes"', "B": "Linear(bias = false, ...)", "i": "0..3"},
    ],
)
def test_arguments_as_text(given: dict[str, str]) -> None:
    found = program(TYPED, params=given)
    assert set(given) <= set(found.arguments)
    if "l" in given:
        assert found.arguments["l"] == [1, 2] and found.arguments["f"] == Fraction(1, 3) and found.arguments["m"] == {"a": 4}
        assert str(found.arguments["k"].name) == "v" and found.arguments["s"] == "hello"


def test_arguments_as_python_values() -> None:
    given = {"n": 8, "f": 0.25, "b": False, "s": "x", "l": [1, 2], "ll": ((1,),), "m": {"a": 4, "c": 5}, "k": "v", "i": ["r", "s"], "o": None}
    found = program(TYPED, params=given, text=False)
    assert found.arguments["m"] == {"a": 4, "c": 5} and isinstance(found.arguments["i"], IndexSet) and found.arguments["i"].members == ("r", "s")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": "1.5"}, "A203 at 1.5: `n` takes a whole number, not `1.5`"),
        ({"n": "true"}, "A203 at true: `n` takes a whole number, not `true`"),
        ({"n": "none"}, "A203 at none: `n` takes `int`, not `none`; a parameter that may be absent says so: `n: int = none`"),
        ({"l": "[1, [2]]"}, "A203 at [1, [2]]: `l[1]` takes a whole number, not a list"),
        ({"k": "w"}, "A213 at w: `w` is not one of the choices; they are `u`, `v`"),
        ({"nn": "1"}, "A201 at M: `M` takes no `nn`; did you mean `n`?"),
        ({"n": "3 +"}, "A005 at +: the line ends in `+`; put the expression in parentheses, or finish it on one line"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(given: dict[str, str], said: str) -> None:
    found = check_text(Source("spec.arch", TYPED), params=given).diagnostics
    assert [d.code for d in found] == [said[:4]], [d.message for d in found]
    assert said.split(": ", 1)[1] == found[0].message + (f"; {found[0].help}" if found[0].help else "")


def test_words_of_a_choice_stand_in_both_arms() -> None:
    text = "block G(k: {u, v, w}) { in x: float[B, 2]; out y = x if k == u else -x }\nmodel M(n: int = 1, k: {u, v, w} = v if n > 0 else w if n < 0 else u) { in x: float[B, 2]"
    text += "; g = G(k = ARMS); h = G(k = k); out y = g(h(x)) }"
    found = program(text.replace("ARMS", "v if n > 1 else k"), params={"n": -1})
    assert str(found.arguments["k"].name) == "w"
    assert says(text.replace("ARMS", "u if n > 0 else vv")) == "A102 at vv: `vv` is not defined; did you mean `v`?"
    assert says(text.replace("ARMS", "vv if n > 0 else u")) == "A213 at vv: `vv` is not one of the choices; did you mean `v`?"


def test_presets_are_checked_and_taken() -> None:
    text = "model M(d: int = 4) { in x: float[B, d]; f = Linear(d, d); out y = f(x) }\npreset big for M { d = 8; assert params(f) == 72 }"
    assert program(text, preset="big").arguments["d"] == 8
    assert program(text, preset="big", params={"d": 8}).arguments["d"] == 8
    assert codes(text, preset="bgi") == ["A605"]


def test_a_model_may_be_made_of_another() -> None:
    text = "model Big(d: int = 128, e: int = 2) { in x: float[B, d]; f = Linear(d, e); out y = f(x) }\nmodel Small = Big(d = 64)\nmodel Tiny = Small(d = 2)"
    found = check_text(Source("a.arch", text)).programs
    assert {name: p.arguments["d"] for name, p in found.items()} == {"Big": 128, "Small": 64, "Tiny": 2}
    assert codes(f"{text}\nmodel Loop = Pool\nmodel Pool = Loop") == ["A905", "A905"]
    assert (
        says(text.replace("= Big(d = 64)", "= Big(dd = 64)").replace("\nmodel Tiny = Small(d = 2)", ""))
        == "A201 at dd = 64: `Big` takes no `dd`; did you mean `d`?"
    )


def test_a_map_has_the_keys_of_its_set_wherever_that_is_declared() -> None:
    text = "model M(c: map[tasks, int] = {a: 1, b: 2}) { index tasks = {a, b}; in x: float[B]; out y = x * c[a] }"
    assert codes(text) == []
    assert says(text.replace("{a: 1, b: 2}", "{a: 1}")) == "A407 at {a: 1}: `c` has no value for `b`; a map over `tasks` needs `a`, `b`"
    assert says(text.replace("b: 2", "bb: 3, b: 2")) == "A407 at {a: 1, bb: 3, b: 2}: `bb` in `c` is no member of `tasks`; did you mean `b`?"
    assert says(text.replace("map[tasks", "map[task")) == "A102 at task: there is no index set `task`; did you mean `tasks`?"
    assert codes(text.replace("map[tasks", "map[str")) == []


@pytest.mark.parametrize("name", sorted(functions.FUNCTIONS))
def test_static_functions_refuse_what_they_cannot_take(name: str) -> None:
    fewest, most, call = functions.FUNCTIONS[name]
    values: list[Any] = [None, True, 3, -1, 2.5, float("inf"), Fraction(1, 3), "text", [], [1, None], {"a": 1}, IndexSet.of("s", ("a",)), object()]
    for value in values:
        try:
            call([value] * fewest, NOWHERE)
        except Problem as problem:
            assert problem.diagnostic.code in ("A203", "A204", "A207", "A208", "A209", "A408")
    assert fewest <= most and library().primitive("nothing of the kind") is None
