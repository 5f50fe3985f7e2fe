"""Makes facts about sizes usable: each solves for a symbol where it can, so that dims that it makes equal get one normal form.

`S == 2 * T` puts `2 * T` for `S`; `16 | H` puts `16 * h` for `H`, with a fresh `h`; `S >= 4` raises a least size.  What solves for no
symbol stays as it is (`zeros`, `multiples`, `Bounds.positive`) and is still used by proofs and honoured by searches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from fractions import Fraction

from .bounds import Bounds, never_negative
from .dim_terms import Coefficient, Floor, Monomial, Symbol, divide_polynomials
from .dims import Dim, integrality, quotient, term, total
from .record import record

_MOST_TERMS = 200  # of a dim that is put for a symbol, and of what it makes of others; what would be longer stays a fact


@record
class Solution:
    """The state of knowledge: what stands for which symbol, bounds, and facts that solve for none."""

    values: Mapping[Symbol, int | Dim] = field(default_factory=dict[Symbol, "int | Dim"])
    bounds: Bounds = field(default_factory=Bounds)
    zeros: tuple[Dim, ...] = ()
    multiples: tuple[tuple[int | Dim, Dim], ...] = ()
    contradiction: bool = False

    def reduce(self, value: int | Dim) -> int | Dim:
        """Return `value` with what stands for its symbols put in."""
        return value if isinstance(value, int) or not self.values else value.substitute(self.values)

    # -------------------------------------------------------------------------------------------------- adding facts

    def zero(self, value: int | Dim) -> Solution:
        """Add the fact that `value` is zero."""
        value = self.reduce(value)
        if isinstance(value, int) or not value.symbols():
            return self if value == 0 else replace(self, contradiction=True)
        rounding = _as_rounding(value)
        if rounding is not None:
            return self.whole(rounding)
        cleared = _numerator(value)
        for symbol, coefficient, rest in _linear(cleared):
            solved = quotient(-rest, coefficient)
            if self._is_short(symbol, solved):
                return self.solve(symbol, solved)
        return replace(self, zeros=(*self.zeros, cleared))

    def whole(self, value: int | Dim) -> Solution:
        """Add the fact that an exact quotient is a whole number."""
        needed = integrality(self.reduce(value))
        if len(needed) == 1:
            return self._multiple(*needed[0])
        result = self
        for divisor, numerator in needed:
            result = result.whole(quotient(numerator, divisor))
        return result

    def nonnegative(self, value: int | Dim) -> Solution:
        """Add the fact that `value >= 0`."""
        value = self.reduce(value)
        if isinstance(value, int):
            return self if value >= 0 else replace(self, contradiction=True)
        if never_negative(value, self.bounds):
            return self
        if never_negative(-value, self.bounds):  # `H % 4 <= 0`
            return self.zero(value)
        if not value.symbols():
            return replace(self, contradiction=True)
        found = _single(value)
        if found is None:
            return replace(self, bounds=replace(self.bounds, positive=(*self.bounds.positive, value)))
        symbol, coefficient, constant = found
        edge = Fraction(-constant) / coefficient
        low, high = dict(self.bounds.low), dict(self.bounds.high)
        if coefficient > 0:
            low[symbol] = max(self.bounds.least(symbol), math.ceil(edge))
        else:
            high[symbol] = min(high.get(symbol, math.floor(edge)), math.floor(edge))
        return replace(self, bounds=Bounds(low, high, self.bounds.positive))._narrowed(symbol)

    def nonzero(self, value: int | Dim) -> Solution:
        """Add the fact that `value != 0`, which says something of whole numbers on one side of 0."""
        value = self.reduce(value)
        if isinstance(value, int):
            return self if value else replace(self, contradiction=True)
        for side in (value, -value) if value.is_whole else ():
            if never_negative(side, self.bounds):
                return self.nonnegative(side - 1)
        return self

    def _narrowed(self, symbol: Symbol) -> Solution:
        least, most = self.bounds.least(symbol), self.bounds.high.get(symbol)
        if most is None or least < most:
            return self
        return self.solve(symbol, most) if least == most else replace(self, contradiction=True)

    def _multiple(self, divisor: int | Dim, numerator: int | Dim) -> Solution:
        """Add the fact `divisor | numerator`, both free of solved symbols, the numerator with whole coefficients."""
        if isinstance(divisor, int) and isinstance(numerator, Dim):
            divisor, numerator = _lowest(divisor, numerator)
        if divisor == 1:
            return self
        if isinstance(numerator, int):
            known = isinstance(divisor, Dim) or numerator % divisor == 0
            return self if known else replace(self, contradiction=True)
        for symbol, coefficient, rest in _linear(numerator):
            value = _progression(symbol, coefficient, rest, divisor, self.bounds)
            if value is not None and self._is_short(symbol, value):
                return self.solve(symbol, value)
        return replace(self, multiples=(*self.multiples, (divisor, numerator)))

    def _is_short(self, symbol: Symbol, value: int | Dim) -> bool:
        """Say whether all that is known can still be written with `value` put for `symbol`."""
        if isinstance(value, int):
            return True
        facts = (*self.values.values(), *self.bounds.positive, *self.zeros, *(side for fact in self.multiples for side in fact))
        return value.weight <= _MOST_TERMS and all(_grown(known, symbol, value) <= _MOST_TERMS for known in facts if isinstance(known, Dim))

    def solve(self, symbol: Symbol, value: int | Dim) -> Solution:
        """Put `value` for `symbol` everywhere, with what is known of the symbol kept as facts about the value."""
        step = {symbol: value}
        values = {s: _put(v, step) for s, v in self.values.items()}
        values[symbol] = value
        bounds = self.bounds
        low, high = bounds.least(symbol), bounds.high.get(symbol)
        kept = Bounds({s: n for s, n in bounds.low.items() if s is not symbol}, {s: n for s, n in bounds.high.items() if s is not symbol})
        result = Solution(values, kept, contradiction=self.contradiction)
        result = result.whole(value)
        result = result.nonnegative(value - low)
        if high is not None:
            result = result.nonnegative(high - value)
        for known in bounds.positive:
            result = result.nonnegative(known)
        for zero in self.zeros:
            result = result.zero(zero)
        for divisor, numerator in self.multiples:
            result = result.whole(quotient(numerator, divisor))
        return result


def _grown(known: Dim, symbol: Symbol, value: Dim) -> int:
    """Return a bound on the terms of `known` with `value` put for `symbol`; 0 where it doesn't stand there."""
    if symbol not in known.symbols():
        return 0
    return sum(value.weight ** max(1, abs(dict(m).get(symbol, 0))) for m, _ in known.terms)


def _put(value: int | Dim, step: Mapping[Symbol, int | Dim]) -> int | Dim:
    return value if isinstance(value, int) else value.substitute(step)


def _numerator(value: Dim) -> Dim:
    """Return a dim that is zero where `value` is, with whole coefficients without common factor and no quotients by symbols."""
    divided = {a: min(dict(m).get(a, 0) for m, _ in value.terms) for m, _ in value.terms for a, e in m if e < 0}
    for atom, lowest in divided.items():
        product = value * term(((atom, -lowest),), 1)
        assert isinstance(product, Dim)
        value = product
    scale = Fraction(math.lcm(*(c.denominator for _, c in value.terms)), math.gcd(*(c.numerator for _, c in value.terms)))
    scaled = value * scale
    assert isinstance(scaled, Dim)
    return scaled


def _linear(value: Dim) -> Iterator[tuple[Symbol, int, int | Dim]]:
    """Yield the symbols that stand in one term only, alone: `(s, c, rest)` for `c * s + rest`; the latest, and 1 or -1 for `c`, first."""
    found: list[tuple[bool, Symbol, int]] = []
    for monomial, coefficient in reversed(value.terms):
        if len(monomial) == 1 and monomial[0][1] == 1 and isinstance(monomial[0][0], Symbol) and isinstance(coefficient, int):
            found.append((abs(coefficient) != 1, monomial[0][0], coefficient))
    for _, symbol, coefficient in sorted(found, key=lambda f: f[0]):
        rest = value - Dim.of(symbol) * coefficient
        if isinstance(rest, int) or symbol not in rest.symbols():
            yield symbol, coefficient, rest


def _single(value: Dim) -> tuple[Symbol, Coefficient, Coefficient] | None:
    """Return `(s, c, n)` of `c * s + n`, or None for another form."""
    terms = dict(value.terms)
    constant = terms.pop((), 0)
    if len(terms) != 1:
        return None
    ((monomial, coefficient),) = terms.items()
    if len(monomial) != 1 or monomial[0][1] != 1 or not isinstance(monomial[0][0], Symbol):
        return None
    return monomial[0][0], coefficient, constant


def _as_rounding(value: Dim) -> int | Dim | None:
    """Return `e` if `value == 0` says that `floor(e + f) = e` with a fraction `f`: that `e` is whole.  `H % 16 == 0` and `H % 16 == 5` are such."""
    for monomial, coefficient in value.terms:
        if len(monomial) == 1 and monomial[0][1] == 1 and isinstance(monomial[0][0], Floor):
            argument = monomial[0][0].argument
            rest = quotient(term(monomial, coefficient) - value, coefficient)
            fraction = argument - rest
            known = fraction if isinstance(fraction, int) else dict(fraction.terms).get((), 0) if not fraction.symbols() else None
            if known is not None and 0 <= known < 1:
                return rest
    return None


def _lowest(divisor: int, numerator: Dim) -> tuple[int, int | Dim]:
    """Return an equal divisibility with coefficients below the divisor and no common factor."""
    left: dict[Monomial, int] = {m: int(c) % divisor for m, c in numerator.terms}
    shared = math.gcd(divisor, *left.values())
    return divisor // shared, total(term(monomial, coefficient // shared) for monomial, coefficient in left.items())


def _progression(symbol: Symbol, coefficient: int, rest: int | Dim, divisor: int | Dim, bounds: Bounds) -> int | Dim | None:
    """Return `k * t - r` for `s`, with a fresh `t` and `r` never negative, from `k | c * s + rest`; None if that can't be said so."""
    positive = 1 if bounds.least(symbol) >= 1 else 0
    if isinstance(divisor, Dim):
        alone = rest == 0 and abs(coefficient) == 1 and symbol not in divisor.symbols()
        return divisor * Dim.of(Symbol(symbol.name, positive)) if alone else None
    if math.gcd(coefficient, divisor) != 1:
        return None
    inverse = pow(coefficient, -1, divisor)
    taken: int | Dim = 0
    for monomial, c in rest.terms if isinstance(rest, Dim) else (((), rest),):
        taken = taken + term(monomial, c * inverse % divisor)
    if not never_negative(taken, bounds):
        return None
    least = -(-(bounds.least(symbol) + taken) // divisor) if isinstance(taken, int) else positive
    return divisor * Dim.of(Symbol(symbol.name, max(least, 0))) - taken


def is_multiple(value: Dim, of: Dim) -> bool:
    """Say whether `value` is `of` times a sum of terms, so that it is zero where `of` is."""
    factor = divide_polynomials(value.terms, of.terms)
    return factor is not None and all(e > 0 for m in factor for _, e in m)
