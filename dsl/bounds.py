"""Proofs that a dimension is never negative, from the least and largest sizes of its symbols and from known inequalities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import field
from fractions import Fraction

from .dim_atoms import replace_atom
from .dim_terms import Atom, Extreme, Floor, Monomial, Sum, Symbol, is_whole_monomial
from .dims import Dim, quotient, term
from .record import record

_DEEPEST = 2  # how many known inequalities one proof may add up
_MOST_CHOICES = 32  # arguments of min and max tried together
_SHORT = 16  # ranges of at most this many sizes are tried one by one
_MOST_WORK = 20_000  # terms that one proof may make, roughly: known inequalities are added up only where that stays below
_MOST_TERMS = 500  # of a dim that a proof is looked for


@record
class Bounds:
    """What is known of sizes: least and largest ones, and dims that are never negative."""

    low: Mapping[Symbol, int] = field(default_factory=dict[Symbol, int])
    high: Mapping[Symbol, int] = field(default_factory=dict[Symbol, int])
    positive: tuple[Dim, ...] = ()

    def least(self, symbol: Symbol) -> int:
        """Return the least size that `symbol` can have."""
        return self.low.get(symbol, symbol.least)


def never_negative(value: int | Dim, bounds: Bounds) -> bool:
    """Say whether it is proved that `value >= 0` at every size; False means no more than that no proof was found."""
    if isinstance(value, int):
        return value >= 0
    if value.weight > _MOST_TERMS:
        return False
    try:
        return _nonnegative(value, bounds, value.is_whole, _affordable(value, bounds))
    except OverflowError:  # with the least sizes put in it takes too many terms to write
        return False


def _affordable(value: Dim, bounds: Bounds) -> int:
    """Return how many known inequalities a proof about `value` may add up."""
    negative = sum(c < 0 for _, c in value.terms)
    ways = negative * sum(c < 0 for known in bounds.positive for _, c in known.terms)
    size = value.weight + sum(known.weight for known in bounds.positive)
    return next((depth for depth in range(_DEEPEST, 0, -1) if size * ways**depth <= _MOST_WORK), 0)


def never_zero(value: int | Dim, bounds: Bounds) -> bool:
    """Say whether it is proved that `value` is zero at no size."""
    if isinstance(value, int):
        return value != 0
    if value.is_whole and (never_negative(value - 1, bounds) or never_negative(-value - 1, bounds)):
        return True
    return _has_no_whole_root(value)


def _has_no_whole_root(value: Dim) -> bool:
    if not value.is_polynomial:
        return False
    scale = math.lcm(*(c.denominator for _, c in value.terms))
    terms = {m: int(c * scale) for m, c in value.terms}
    constant = terms.pop((), 0)
    return bool(terms) and constant % math.gcd(*terms.values()) != 0


def _nonnegative(value: int | Dim, bounds: Bounds, whole: bool, depth: int) -> bool:
    """Prove `value >= 0`, or no more than `value > -1` where `whole` says that only whole numbers matter."""
    if isinstance(value, int):
        return value >= 0
    extremes = [a for a in value.atoms if isinstance(a, Extreme)]
    if math.prod(len(a.arguments) for a in extremes) > _MOST_CHOICES:
        return False
    for extreme in sorted(extremes, key=lambda e: _helps(value, e, bounds))[:1]:  # those all of whose arguments must do, first
        cases = (_nonnegative(replace_atom(value, extreme, x), bounds, whole, depth) for x in extreme.arguments)
        return any(cases) if _helps(value, extreme, bounds) else all(cases)
    if any(isinstance(a, Floor) for a in value.atoms):
        return any(_nonnegative(relaxed, bounds, whole, depth) for relaxed in _without_floors(value, bounds))
    return _polynomial(value, bounds, whole, depth)


def _helps(value: Dim, atom: Extreme, bounds: Bounds) -> bool:
    """Say whether a `max` is only added, or a `min` only taken off, so that any one of its arguments bounds the value from below."""
    sign = 1 if atom.kind == "max" else -1
    return all(sign * c > 0 and _factor(m, atom, bounds) is not None for m, c in value.terms if any(a == atom for a, _ in m))


def _factor(monomial: Monomial, atom: Atom, bounds: Bounds) -> Monomial | None:
    """Return what a monomial multiplies `atom` with if that is never negative and `atom` stands there once."""
    if dict(monomial).get(atom) != 1:
        return None
    rest = tuple(p for p in monomial if p[0] != atom)
    return rest if all(isinstance(a, Symbol) and bounds.least(a) >= 0 for a, _ in rest) else None


def _without_floors(value: Dim, bounds: Bounds) -> Iterator[int | Dim]:
    """Yield dims without the outer floors that are never larger than `value`."""
    for zero in (False, True):
        result: int | Dim = 0
        for monomial, coefficient in value.terms:
            floor = next((a for a, _ in monomial if isinstance(a, Floor)), None)
            if floor is None:
                result = result + term(monomial, coefficient)
                continue
            rest = _factor(monomial, floor, bounds)
            if rest is None:
                return
            bound: int | Dim = floor.argument
            if coefficient > 0 and zero:
                if not never_negative(bound, bounds):
                    return
                continue
            if coefficient > 0:
                bound = bound - _most_lost(floor.argument)
            result = result + bound * term(rest, coefficient)
        yield result


def _most_lost(argument: Dim) -> Fraction:
    """Return the most by which a floor falls short of its argument."""
    if any(not is_whole_monomial(m) for m, _ in argument.terms):
        return Fraction(1)
    q = math.lcm(*(c.denominator for _, c in argument.terms))
    return Fraction(q - 1, q)


def _polynomial(value: Dim, bounds: Bounds, whole: bool, depth: int) -> bool:
    divided = {a: -e for m, _ in value.terms for a, e in m if e < 0}
    if divided:
        for atom in divided:
            divisor = atom.argument if isinstance(atom, Sum) else Dim.of(atom) if isinstance(atom, Symbol) else 0
            if not never_negative(divisor - 1, bounds) or (isinstance(divisor, Dim) and value.weight * divisor.weight > _MOST_WORK):
                return False
            product = _multiplied(value, atom, divisor)
            if isinstance(product, int):
                return product >= 0
            value = product
        whole = False
    if whole:
        value_ = value + (1 - Fraction(1, math.lcm(*(c.denominator for _, c in value.terms))))
        return _from_least(value_, bounds, depth)
    return _from_least(value, bounds, depth)


def _multiplied(value: Dim, atom: Atom, divisor: int | Dim) -> int | Dim:
    """Return `value` times the highest power of `atom`, which is `divisor`, that it is divided by."""
    lowest = min(dict(m).get(atom, 0) for m, _ in value.terms)
    product: int | Dim = 0
    for monomial, coefficient in value.terms:
        part = term(tuple(p for p in monomial if p[0] != atom), coefficient)
        for _ in range(dict(monomial).get(atom, 0) - lowest):
            part = part * divisor
        product = product + part
    return product


def _from_least(value: int | Dim, bounds: Bounds, depth: int) -> bool:
    if isinstance(value, int):
        return value >= 0
    shifted = value.substitute({s: Dim.of(s) + bounds.least(s) for s in value.symbols()})
    if isinstance(shifted, int):
        return shifted >= 0
    if all(c >= 0 for _, c in shifted.terms):
        return True
    bounded = next((s for s in value.symbols() if s in bounds.high), None)
    if bounded is not None:
        ends = _ends(value, bounded, bounds)
        if ends and all(_from_least(value.substitute({bounded: end}), bounds, depth) for end in ends):
            return True
    return depth > 0 and any(_from_least(rest, bounds, depth - 1) for rest in _less_known(value, bounds))


def _ends(value: Dim, symbol: Symbol, bounds: Bounds) -> tuple[int, ...]:
    """Return the sizes of `symbol` that decide: both ends where it stands to the first power, else all of a short range."""
    least, most = bounds.least(symbol), bounds.high[symbol]
    if all(dict(m).get(symbol, 0) <= 1 for m, _ in value.terms):
        return (least, most)
    return tuple(range(least, most + 1)) if most - least < _SHORT else ()


def _less_known(value: Dim, bounds: Bounds) -> Iterator[int | Dim]:
    """Yield `value` less a multiple of a dim known to be never negative, the multiple chosen to cancel one negative term."""
    for known in bounds.positive:
        if not known.is_polynomial:
            continue
        for monomial, coefficient in value.terms:
            for other, c in known.terms:
                if coefficient < 0 and c < 0 and (other or not monomial):
                    ratio = quotient(term(monomial, coefficient), term(other, c))
                    if isinstance(ratio, int) or ratio.is_polynomial:
                        yield value - known * ratio
