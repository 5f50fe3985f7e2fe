"""Dimensions against plain arithmetic on fractions: whatever the normal form does, the numbers stay the same."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archloom.dsl import dim_atoms, dims
from archloom.dsl.dim_terms import Symbol
from archloom.dsl.dims import Dim

B, S, H, W, G = (Symbol(name) for name in "BSHWG")
P = Symbol("P", 0)
b, s, h, w, g, p = (Dim.of(symbol) for symbol in (B, S, H, W, G, P))
SYMBOLS = (B, S, H, W, G, P)

Sizes = Mapping[Symbol, int]


@dataclass(frozen=True)
class Case:
    """A dimension and the same expression in plain arithmetic."""

    dim: int | Dim
    plain: Callable[[Sizes], Fraction]

    def agrees(self, sizes: Sizes) -> bool:
        """Compare both at given sizes; where plain arithmetic divides by zero there is nothing to compare."""
        try:
            expected = self.plain(sizes)
        except ZeroDivisionError:
            assume(False)
            raise
        return value(self.dim, sizes) == expected


def value(dim: int | Dim, sizes: Sizes) -> Fraction:
    return Fraction(dim) if isinstance(dim, int) else dim.evaluate(sizes)


def leaf(symbol: Symbol) -> Case:
    return Case(Dim.of(symbol), lambda sizes: Fraction(sizes[symbol]))


def number(n: int) -> Case:
    return Case(n, lambda sizes: Fraction(n))


def combine(op: str, x: Case, y: Case) -> Case:
    dim_op, plain_op = OPERATIONS[op]
    return Case(dim_op(x.dim, y.dim), lambda sizes: plain_op(x.plain(sizes), y.plain(sizes)))


def over(op: str, x: Case, n: int) -> Case:
    return combine(op, x, number(n))


OPERATIONS: dict[str, tuple[Callable[[int | Dim, int | Dim], int | Dim], Callable[[Fraction, Fraction], Fraction]]] = {
    "+": (lambda x, y: x + y, lambda x, y: x + y),
    "-": (lambda x, y: x - y, lambda x, y: x - y),
    "*": (lambda x, y: x * y, lambda x, y: x * y),
    "/": (dims.quotient, lambda x, y: x / y),
    "//": (dim_atoms.floor_div, lambda x, y: Fraction(math.floor(x / y))),
    "ceil": (dim_atoms.ceil_div, lambda x, y: Fraction(math.ceil(x / y))),
    "%": (dim_atoms.modulo, lambda x, y: x - y * math.floor(x / y)),
    "min": (dim_atoms.minimum, min),
    "max": (dim_atoms.maximum, max),
}

leaves = st.one_of(st.sampled_from(SYMBOLS).map(leaf), st.integers(-6, 6).map(number))


def extended(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    any_pair = st.builds(combine, st.sampled_from(["+", "-", "*", "min", "max"]), inner, inner)
    by_number = st.builds(over, st.sampled_from(["/", "//", "ceil", "%"]), inner, st.integers(2, 6))
    by_symbol = st.builds(combine, st.sampled_from(["/", "//", "ceil"]), inner, st.sampled_from([B, S]).map(leaf))
    by_sum = st.builds(combine, st.just("/"), inner, st.sampled_from([Case(s + g, lambda z: Fraction(z[S] + z[G]))]))
    return st.one_of(any_pair, any_pair, by_number, by_number, by_symbol, by_sum)


expressions = st.recursive(leaves, extended, max_leaves=6)
allowed = st.fixed_dictionaries({symbol: st.integers(symbol.least, 20) for symbol in SYMBOLS})


@settings(max_examples=300)
@given(expressions, allowed)
def test_value_is_that_of_plain_arithmetic(case: Case, sizes: Sizes) -> None:
    assert case.agrees(sizes)


@settings(max_examples=200)
@given(expressions, allowed)
def test_text_reads_back_as_the_same_value(case: Case, sizes: Sizes) -> None:
    expected = value(case.dim, sizes) if isinstance(case.dim, int) or not _divides_by_zero(case.dim, sizes) else None
    assume(expected is not None)
    names: dict[str, object] = {symbol.name: Fraction(n) for symbol, n in sizes.items()}
    names |= {"floor": math.floor, "ceil": math.ceil, "min": min, "max": max, "F": Fraction}
    text = re.sub(r"\d+", r"F(\g<0>)", str(case.dim))
    assert eval(text, {"__builtins__": {}}, names) == expected


def _divides_by_zero(dim: Dim, sizes: Sizes) -> bool:
    try:
        dim.evaluate(sizes)
    except ZeroDivisionError:
        return True
    return False


@settings(max_examples=100)
@given(expressions, expressions, allowed)
def test_substitution_commutes_with_evaluation(case: Case, other: Case, sizes: Sizes) -> None:
    assume(isinstance(case.dim, Dim) and not (isinstance(other.dim, Dim) and _divides_by_zero(other.dim, sizes)))
    assert isinstance(case.dim, Dim)
    inner = value(other.dim, sizes)
    assume(inner.denominator == 1 and inner > 0)
    after = {**sizes, H: int(inner)}
    assume(not _divides_by_zero(case.dim, after))
    assert value(case.dim.substitute({H: other.dim}), sizes) == value(case.dim, after)


@settings(max_examples=100)
@given(expressions)
def test_whole_by_form_means_whole_at_every_size(case: Case) -> None:
    assume(isinstance(case.dim, Dim) and case.dim.is_whole)
    for n in range(1, 12):
        sizes = {symbol: 1 + (n * (i + 3)) % 13 for i, symbol in enumerate(SYMBOLS)}
        assert value(case.dim, sizes).denominator == 1


@settings(max_examples=100)
@given(expressions, expressions)
def test_equal_dims_hash_alike_and_difference_is_zero(x: Case, y: Case) -> None:
    assert x.dim - x.dim == 0
    total, turned = x.dim + y.dim, y.dim + x.dim
    assert total == turned
    assert hash(total) == hash(turned)
    assert x.dim * y.dim == y.dim * x.dim


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        ((h / 16) * (w / 16) + 1, "(H / 16) * (W / 16) + 1"),
        (2 * b, "2 * B"),
        (dim_atoms.ceil_div(s, 256), "ceil(S / 256)"),
        (256 * dim_atoms.ceil_div(s, 256), "256 * ceil(S / 256)"),
        (dim_atoms.floor_div(s, 2), "floor(S / 2)"),
        (dim_atoms.ceil_div(s, 2), "ceil(S / 2)"),
        (dim_atoms.floor_div(3 * s, 4), "floor(3 * S / 4)"),
        (dim_atoms.floor_div(h + 2 * 3 - 7, 2) + 1, "ceil(H / 2)"),
        (dim_atoms.floor_div(h - 7, 4) + 1, "floor((H + 1) / 4) - 1"),
        (b * s / g, "B * S / G"),
        (b * h * w / 49, "B * H * W / 49"),
        (s % 4, "S % 4"),
        ((s + 3) % 4, "(S + 3) % 4"),
        (dim_atoms.ceil_div(s, g), "ceil(S / G)"),
        ((s + 1) / 2, "(S + 1) / 2"),
        (s / (g + 1), "S / (G + 1)"),
        (dim_atoms.minimum(s, 512), "min(512, S)"),
        (1 - s, "1 - S"),
        (b * s * s, "B * S ** 2"),
        (h * w - s, "H * W - S"),
    ],
)  # fmt: skip
def test_text(dim: int | Dim, text: str) -> None:
    assert str(dim) == text


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (dim_atoms.floor_div(3 * s + 2, 3), s),
        (dim_atoms.floor_div(3 * s + 7, 3), s + 2),
        (dim_atoms.ceil_div(dim_atoms.ceil_div(s, 2), 2), dim_atoms.ceil_div(s, 4)),
        (dim_atoms.ceil_div(dim_atoms.ceil_div(dim_atoms.ceil_div(s, 2), 2), 2), dim_atoms.ceil_div(s, 8)),
        (dim_atoms.floor_div(dim_atoms.floor_div(s, 3), 5), dim_atoms.floor_div(s, 15)),
        (dim_atoms.floor_div(dim_atoms.floor_div(s, g), 5), dim_atoms.floor_div(s, 5 * g)),
        (dim_atoms.floor_div(s, 2) + dim_atoms.floor_div(s + 1, 2), s),
        (dim_atoms.ceil_div(s, 256), dim_atoms.floor_div(s + 255, 256)),
        (dim_atoms.floor_div(2 * s + 1, 4), dim_atoms.floor_div(s, 2)),
        (dim_atoms.floor_div(s + g, g), dim_atoms.floor_div(s, g) + 1),
        ((s * g + s) / (g + 1), s),
        (b * (s / (g + 1)) * (g + 1), b * s),
        ((s + g) * (s - g) / (s + g), s - g),
        (dim_atoms.maximum(s, 1), s),
        (dim_atoms.minimum(dim_atoms.minimum(s, b), s), dim_atoms.minimum(b, s)),
        (dim_atoms.minimum(s, s + b), s),
    ],
)  # fmt: skip
def test_equal_forms(left: int | Dim, right: int | Dim) -> None:
    assert left == right


@pytest.mark.parametrize(
    ("dim", "needed"),
    [
        (h / 16, [(16, h)]),
        ((h / 16) * (w / 16) + 1, [(256, h * w)]),
        (b * s / g, [(g, b * s)]),
        (s / (g + 1), [(g + 1, s)]),
        (dims.quotient(7, 2), [(2, 7)]),
        (dim_atoms.minimum(h / 16, 4), [(16, h)]),
        (dim_atoms.floor_div(h, 16), []),
        (3 * h + 1, []),
    ],
)  # fmt: skip
def test_integrality(dim: int | Dim, needed: list[tuple[int | Dim, int | Dim]]) -> None:
    assert dims.integrality(dim) == needed


@pytest.mark.parametrize("layers", [1, 2, 5, 60])
def test_halving_convolutions_come_to_one_quotient(layers: int) -> None:
    size: int | Dim = h
    for _ in range(layers):
        size = dim_atoms.floor_div(size + 2 - 3, 2) + 1
    assert size == dim_atoms.ceil_div(h, 2**layers)


def test_sizes_too_long_to_read_are_refused() -> None:
    with pytest.raises(OverflowError, match="10,000 terms"):
        _ = ((b + s + h + w + g + 1) ** 12) * ((b + 2 * s + h + w + g + 1) ** 12)
    size: int | Dim = s
    with pytest.raises(OverflowError, match="within each other"):
        for _ in range(100):
            size = dim_atoms.floor_div(size * size + 1, 3)


def test_static_results_are_ints() -> None:
    for result in (
        s - s,
        s * 0,
        s / s,
        2 + (s - s),
        dim_atoms.floor_div(7, 2),
        dim_atoms.ceil_div(7, 2),
        dim_atoms.modulo(7, 4),
        dims.quotient(6, 3),
        s % 1,
    ):
        assert type(result) is int


def test_symbols_of_one_name_are_different() -> None:
    other = Symbol("S")
    assert Dim.of(other) != s
    assert isinstance(Dim.of(other) - s, Dim)


def test_deep_copies_keep_symbols() -> None:
    dim = dim_atoms.floor_div(s * b, 7) + h / 16
    assert deepcopy({"a": [dim, S]}) == {"a": [dim, S]}
    assert deepcopy(S) is S


def test_symbols_come_in_the_order_in_which_they_were_made() -> None:
    assert isinstance(total := dim_atoms.floor_div(w * s, 2) + b, Dim)
    assert total.symbols() == (B, S, W)


@pytest.mark.parametrize("divide", [lambda: s / 0, lambda: dim_atoms.floor_div(s, 0), lambda: dims.quotient(1, s - s), lambda: s % 0])
def test_division_by_zero_is_refused(divide: Callable[[], object]) -> None:
    with pytest.raises(ZeroDivisionError):
        divide()
