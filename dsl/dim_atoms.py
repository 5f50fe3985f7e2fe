"""Floors, ceilings, remainders, least and largest of dimensions, and dimensions with symbols or atoms replaced.

Floors are normalised: whole parts move out, `floor((3 * S + c) / 3) = S + floor(c / 3)`; of the two ways to write one,
`floor(n / q) = -floor((q - 1 - n) / q)`, one is chosen; nested ones merge, `floor(floor(x) / n) = floor(x / n)`; `ceil(x)` is
`-floor(-x)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Literal

from .dim_terms import Atom, Coefficient, Extreme, Floor, Monomial, Symbol, extent_key, is_whole_monomial, parts, tidy
from .dims import Dim, power, quotient, summed, term, total

# ---------------------------------------------------------------------------------------------------------------- floors


def floor_of(value: Dim | Coefficient) -> int | Dim:
    """Return the largest whole number not above `value`."""
    if not isinstance(value, Dim):
        return math.floor(value)
    outside: dict[Monomial, Coefficient] = {}
    inside: dict[Monomial, Coefficient] = {}
    whole = True
    for monomial, coefficient in value.terms:
        if is_whole_monomial(monomial):
            integer = math.floor(coefficient)
            if integer:
                outside[monomial] = integer
            coefficient -= integer
        else:
            whole = False
        if coefficient:
            inside[monomial] = coefficient
    if not inside:
        return value
    floor = _floor_of_ratio(inside, outside) if whole else _atom_dim(Floor(Dim(tuple(inside.items()))))
    return summed(outside) + floor


def _atom_dim(atom: Atom) -> Dim:
    return Dim(((((atom, 1),), 1),))


def _floor_of_ratio(terms: Mapping[Monomial, Coefficient], outside: Mapping[Monomial, Coefficient]) -> int | Dim:
    """Return the floor of whole monomials with coefficients in [0, 1), as a numerator over a common denominator.

    `outside` holds the whole parts already taken out: of two forms the one is tried first that cancels them.
    """
    q = math.lcm(*(c.denominator for c in terms.values()))
    n = {m: int(c * q) for m, c in terms.items() if m}
    if not n:
        return 0
    shared = math.gcd(q, *n.values())
    constant = int(terms.get((), 0) * q) // shared
    q //= shared
    n = {m: c // shared for m, c in n.items()}
    other = {m: q - c for m, c in n.items()}
    forms = [(n, constant, 1), (other, q - 1 - constant, -1)]
    if any(outside.get(m) == -1 for m in n if isinstance(m[0][0], Floor)):
        forms.reverse()
    for numerator, added, sign in forms:
        merged = _merge_nested(numerator, added, q)
        if merged is not None:
            return merged if sign > 0 else summed(dict.fromkeys(n, 1)) - merged
    if (*n.values(), constant) <= (*other.values(), q - 1 - constant):
        return _atom_dim(Floor(_ratio(n, constant, q)))
    return summed(dict.fromkeys(n, 1)) - _atom_dim(Floor(_ratio(other, q - 1 - constant, q)))


def _ratio(numerator: Mapping[Monomial, int], constant: int, q: int) -> Dim:
    terms: list[tuple[Monomial, Coefficient]] = [(m, tidy(Fraction(c, q))) for m, c in numerator.items()]
    if constant:
        terms.append(((), tidy(Fraction(constant, q))))
    return Dim(tuple(terms))


def _merge_nested(numerator: Mapping[Monomial, int], constant: int, q: int) -> int | Dim | None:
    """Return `floor((floor(x) + n) / q)` as `floor((x + n) / q)` for whole `n`, or None if no floor stands there alone."""
    for monomial, coefficient in numerator.items():
        if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1 and isinstance(monomial[0][0], Floor):
            rest = {m: c for m, c in numerator.items() if m != monomial}
            rest[()] = constant
            return floor_of(quotient(monomial[0][0].argument + summed(rest), q))
    return None


def ceil_of(value: Dim | Coefficient) -> int | Dim:
    """Return the smallest whole number not below `value`."""
    return -floor_of(-value)


def floor_div(a: Dim | Coefficient, b: Dim | Coefficient) -> int | Dim:
    """Return `floor(a / b)`."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    return floor_of(quotient(a, b))


def ceil_div(a: Dim | Coefficient, b: Dim | Coefficient) -> int | Dim:
    """Return `ceil(a / b)`."""
    if isinstance(a, int) and isinstance(b, int):
        return -(-a // b)
    return ceil_of(quotient(a, b))


def modulo(a: Dim | Coefficient, b: Dim | Coefficient) -> int | Dim:
    """Return `a - b * floor(a / b)`."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    remainder = a - b * floor_div(a, b)
    return quotient(remainder, 1) if isinstance(remainder, Fraction) else remainder


# ------------------------------------------------------------------------------------------------------ least and largest


def minimum(a: int | Dim, b: int | Dim) -> int | Dim:
    """Return the smaller of two dims."""
    return extreme("min", (a, b))


def maximum(a: int | Dim, b: int | Dim) -> int | Dim:
    """Return the larger of two dims."""
    return extreme("max", (a, b))


def extreme(kind: Literal["min", "max"], values: Iterable[int | Dim]) -> int | Dim:
    """Return the least or the largest of several dims; those that can't win at any size are left out."""
    flat: list[int | Dim] = []
    for value in values:
        inner = _alone(value)
        flat.extend(inner.arguments if isinstance(inner, Extreme) and inner.kind == kind else (value,))
    sign = 1 if kind == "min" else -1
    kept: list[int | Dim] = []
    for value in flat:
        if any(_never_negative(sign * (value - k)) for k in kept):
            continue
        kept = [k for k in kept if not _never_negative(sign * (k - value))]
        kept.append(value)
    if len(kept) == 1:
        return kept[0]
    return _atom_dim(Extreme(kind, tuple(sorted(kept, key=extent_key))))


def _alone(value: int | Dim) -> Atom | None:
    if isinstance(value, Dim) and len(value.terms) == 1:
        monomial, coefficient = value.terms[0]
        if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
            return monomial[0][0]
    return None


def _never_negative(value: int | Dim) -> bool:
    """Say whether a dim is at least 0 by its form: a polynomial with no negative coefficient once symbols count from their least."""
    if isinstance(value, int):
        return value >= 0
    if value.terms[0][1] < 0 or not value.is_polynomial:  # the first term is of the highest degree: the shift leaves it as it is
        return False
    shifted = value.substitute({s: Dim.of(s) + s.least for s in value.symbols() if s.least})
    return shifted >= 0 if isinstance(shifted, int) else all(c >= 0 for _, c in shifted.terms)


# ----------------------------------------------------------------------------------------------------------- replacement


def substituted(dim: Dim, mapping: Mapping[Symbol, int | Dim]) -> int | Dim:
    """Return a dim with symbols replaced; those not in `mapping` stay."""
    return total(_product(monomial, coefficient, mapping) for monomial, coefficient in dim.terms)


def _product(monomial: Monomial, coefficient: Coefficient, mapping: Mapping[Symbol, int | Dim]) -> int | Dim:
    """Return one term with symbols replaced."""
    product = quotient(coefficient, 1)
    for atom, exponent in monomial:
        product = product * power(_substituted(atom, mapping), exponent)
    return product


def _substituted(atom: Atom, mapping: Mapping[Symbol, int | Dim]) -> int | Dim:
    if isinstance(atom, Symbol):
        found = mapping.get(atom)
        return Dim.of(atom) if found is None else found
    inner = tuple(p.substitute(mapping) if isinstance(p, Dim) else p for p in parts(atom))
    if isinstance(atom, Extreme):
        return extreme(atom.kind, inner)
    return floor_of(inner[0]) if isinstance(atom, Floor) else inner[0]


def replace_atom(dim: Dim, atom: Atom, by: int | Dim) -> int | Dim:
    """Return `dim` with an atom of its terms replaced; those inside other atoms stay."""
    parts: list[int | Dim] = []
    for monomial, coefficient in dim.terms:
        exponent = dict(monomial).get(atom, 0)
        rest = tuple(p for p in monomial if p[0] != atom) if exponent else monomial
        parts.append(term(rest, coefficient) * power(by, exponent))
    return total(parts)
