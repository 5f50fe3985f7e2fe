"""Splits a question about floors and remainders into classes of sizes, in each of which it is one about a polynomial."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from .bounds import Bounds, never_zero
from .dim_atoms import floor_of, replace_atom
from .dim_terms import Extreme, Floor, Symbol, is_whole_monomial, parts
from .dims import Dim, quotient

_MOST_CHOICES = 32
_MOST_CLASSES = 300
_MOST_RESIDUES = 4096


def cases(value: int | Dim, bounds: Bounds) -> Iterator[tuple[int | Dim, Bounds]]:
    """Yield `value` with each `min` and `max` replaced by each of its arguments, and with sizes split so that floors dissolve.

    At each allowed size `value` is one of what is yielded; where there would be too many, `value` itself is.
    """
    for choice in _choices(value):
        yield from _classes(choice, bounds)


def _choices(value: int | Dim) -> list[int | Dim]:
    found: list[int | Dim] = [value]
    while len(found) <= _MOST_CHOICES:
        place, extreme = next(((i, a) for i, v in enumerate(found) if isinstance(v, Dim) for a in v.atoms if isinstance(a, Extreme)), (0, None))
        chosen = found[place]
        if extreme is None or isinstance(chosen, int):
            return found
        found[place : place + 1] = [replace_atom(chosen, extreme, x) for x in extreme.arguments]
    return [value]


def _classes(value: int | Dim, bounds: Bounds) -> Iterator[tuple[int | Dim, Bounds]]:
    periods: dict[Symbol, int] = {}
    if isinstance(value, Dim):
        _find_periods(value, 1, periods)
    symbols = [s for s, p in periods.items() if p > 1]
    if not isinstance(value, Dim) or not symbols or math.prod(periods[s] for s in symbols) > _MOST_CLASSES:
        yield value, bounds
        return
    low = {s: n for s, n in bounds.low.items() if s not in periods}
    high = {s: n for s, n in bounds.high.items() if s not in periods}
    for residues in product(*(range(periods[s]) for s in symbols)):
        step: dict[Symbol, int | Dim] = {}
        highest = dict(high)
        empty = False
        for symbol, r in zip(symbols, residues, strict=True):
            p = periods[symbol]
            fresh = Symbol(symbol.name, max(0, -((r - bounds.least(symbol)) // p)))
            if symbol in bounds.high:
                highest[fresh] = (bounds.high[symbol] - r) // p
                empty = empty or highest[fresh] < fresh.least
            step[symbol] = Dim.of(fresh) * p + r
        known = [k.substitute(step) for k in bounds.positive]
        if not empty and all(isinstance(k, Dim) or k >= 0 for k in known):
            positive = tuple(k for k in known if isinstance(k, Dim))
            yield value.substitute(step), replace(bounds, low=low, high=highest, positive=positive)


def _find_periods(value: int | Dim, outer: int, periods: dict[Symbol, int]) -> None:
    """Collect for each symbol the period with which all floors that hold it dissolve."""
    if isinstance(value, int):
        return
    for atom in value.atoms:
        if isinstance(atom, Floor) and all(is_whole_monomial(m) for m, _ in atom.argument.terms):
            period = outer * math.lcm(*(c.denominator for _, c in atom.argument.terms))
            for symbol in atom.argument.symbols():
                periods[symbol] = math.lcm(periods.get(symbol, 1), period)
            _find_periods(atom.argument, period, periods)
        else:
            for part in parts(atom):
                _find_periods(part, outer, periods)


def never_divides(divisor: int | Dim, numerator: int | Dim, bounds: Bounds) -> bool:
    """Say whether what is known of sizes, as `H % 4 >= 1`, leaves a remainder at each of them."""
    if not bounds.positive or isinstance(divisor, Dim):
        return False
    remainder = numerator - divisor * floor_of(quotient(numerator, divisor))
    return all(never_zero(piece, limits) for piece, limits in cases(remainder, bounds))


def remainders(value: Dim, divisor: int) -> set[int] | None:
    """Return all remainders that a whole polynomial leaves by `divisor`, over all sizes; None if there are too many to try."""
    symbols = value.symbols()
    if not value.is_polynomial or not value.is_whole or divisor ** len(symbols) > _MOST_RESIDUES:
        return None
    return {int(value.value(dict(zip(symbols, sizes, strict=True)))) % divisor for sizes in product(range(divisor), repeat=len(symbols))}
