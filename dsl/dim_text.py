"""How a dimension is written: `(H / 16) * (W / 16) + 1`, `2 * B`, `ceil(S / 256)`."""

from __future__ import annotations

import math
from fractions import Fraction

from .dim_terms import Atom, Coefficient, Extreme, Floor, Monomial, Symbol, is_whole_monomial, parts
from .dims import Dim


def text(dim: Dim) -> str:
    """Return a dimension as the language would write it."""
    return _sum(_rounded_up(dim))


Piece = tuple[str, Coefficient, Monomial]
"""Something already written (or ""), times a coefficient, times a monomial."""


def _sum(pieces: list[Piece]) -> str:
    constant = next((c for written, c, m in pieces if not m and not written), 0)
    shared = math.lcm(*(c.denominator for _, c, _ in pieces))
    if len(pieces) > 1 and isinstance(constant, Fraction):
        return f"({_sum([(w, _int(c * shared), m) for w, c, m in pieces])}) / {shared}"
    pieces = [(w, c * _sign(m), m) for w, c, m in pieces]
    first = next((i for i, (_, c, _) in enumerate(pieces) if c > 0), 0)
    ordered = [pieces[first], *pieces[:first], *pieces[first + 1 :]]
    result = ""
    for written, coefficient, monomial in ordered:
        if not result:
            result = ("-" if coefficient < 0 else "") + _product(abs(coefficient), monomial, written)
        else:
            result += (" - " if coefficient < 0 else " + ") + _product(abs(coefficient), monomial, written)
    return result


def _int(value: Coefficient) -> int:
    return value.numerator


def _product(coefficient: Coefficient, monomial: Monomial, written: str) -> str:
    p, q = coefficient.numerator, coefficient.denominator
    over = [_power(a, e) for a, e in monomial if e > 0]
    if written:
        over.append(f"({written})" if "%" in written and (p, q) != (1, 1) else written)
    under = [_power(a, -e) for a, e in monomial if e < 0]
    each = _even_share(monomial, q) if p == 1 and not written else None
    if each is not None:
        return " * ".join(f"({part} / {each})" for part in over)
    if p != 1 or not over:
        over.insert(0, str(p))
    if q != 1:
        under.insert(0, str(q))
    top = " * ".join(over)
    if not under:
        return top
    return f"{top} / {under[0] if len(under) == 1 else '(' + ' * '.join(under) + ')'}"


def _even_share(monomial: Monomial, q: int) -> int | None:
    """Return the number by which each of several plain symbols is divided if they share `q` evenly: 16 for `H * W / 256`."""
    if q == 1 or len(monomial) < 2 or any(e != 1 for _, e in monomial):
        return None
    root = round(q ** (1 / len(monomial)))
    return root if root ** len(monomial) == q else None


def _power(atom: Atom, exponent: int) -> str:
    base = _atom(atom)
    return base if exponent == 1 else f"{base} ** {exponent}"


def _atom(atom: Atom) -> str:
    if isinstance(atom, Symbol):
        return atom.name
    if isinstance(atom, Extreme):
        return f"{atom.kind}({', '.join(map(str, atom.arguments))})"
    if isinstance(atom, Floor):
        return _rounding(atom.argument)
    return f"({parts(atom)[0]})"


def _rounding(inner: Dim) -> str:
    """Return the floor of a dim, or the ceil if that is the simpler way to write it: `floor((S + 255) / 256)` is `ceil(S / 256)`."""
    q = math.lcm(*(c.denominator for _, c in inner.terms))
    numerator = {m: _int(c * q) for m, c in inner.terms}
    whole = all(is_whole_monomial(m) for m in numerator)
    constant = numerator.get((), 0)
    if whole and abs(constant - q + 1) < abs(constant):
        numerator[()] = constant - q + 1
        return f"ceil({_ratio(numerator, q)})"
    if _is_negative(inner):
        return f"ceil({_ratio({m: -c for m, c in numerator.items()}, q)})"
    return f"floor({_ratio(numerator, q)})"


def _is_negative(inner: Dim) -> bool:
    """Say whether `floor(inner)` is to be written as `-ceil(-inner)`."""
    return all(c < 0 for _, c in inner.terms)


def _sign(monomial: Monomial) -> int:
    return -1 if sum(e for a, e in monomial if isinstance(a, Floor) and _is_negative(a.argument)) % 2 else 1


def _ratio(numerator: dict[Monomial, int], q: int) -> str:
    pieces: list[Piece] = [("", c, m) for m, c in numerator.items() if c]
    if len(pieces) == 1:
        return _sum([("", Fraction(pieces[0][1], q) if q > 1 else pieces[0][1], pieces[0][2])])
    return _sum(pieces) if q == 1 else f"({_sum(pieces)}) / {q}"


def _rounded_up(dim: Dim) -> list[Piece]:
    """Return the terms to write, with sums that are the normal form of a `ceil` or a `%` written as that again."""
    terms = dict(dim.terms)
    pieces: list[Piece] = []
    for monomial, coefficient in dim.terms:
        inner = monomial[0][0] if len(monomial) == 1 and monomial[0][1] == 1 else None
        if isinstance(coefficient, int) and coefficient < 0 and isinstance(inner, Floor):
            written = _remainder(terms, inner.argument, -coefficient) or _ceiling(terms, inner.argument, -coefficient)
            if written is not None:
                del terms[monomial]
                pieces.append(written)
    return pieces + [("", c, m) for m, c in terms.items() if c]


def _remainder(terms: dict[Monomial, Coefficient], argument: Dim, times: int) -> Piece | None:
    """Take `k * n - k * q * floor(n / q)` out of `terms` as `k * (n % q)`."""
    q = math.lcm(*(c.denominator for _, c in argument.terms))
    k, rest = divmod(times, q)
    numerator = {m: _int(c * q) for m, c in argument.terms}
    if rest or q == 1 or any(m and terms.get(m) != k * c for m, c in numerator.items()):
        return None
    for m, c in numerator.items():
        terms[m] = terms.get(m, 0) - k * c
    return f"{_ratio(numerator, 1) if len(numerator) == 1 else '(' + _ratio(numerator, 1) + ')'} % {q}", k, ()


def _ceiling(terms: dict[Monomial, Coefficient], argument: Dim, times: int) -> Piece | None:
    """Take `k * m - k * floor(n / q)` out of `terms` as `k * ceil((q * m - n) / q)`."""
    found = {m: terms[m] / Fraction(times) - c for m, c in argument.terms if m and m in terms and terms[m] % times == 0}
    if len(found) != sum(1 for m, _ in argument.terms if m) or any(c <= 0 or not is_whole_monomial(m) for m, c in found.items()):
        return None
    q = math.lcm(*(c.denominator for _, c in argument.terms))
    for m in found:
        del terms[m]
    constant = Fraction(q - 1, q) - dict(argument.terms).get((), 0)
    rounded = Dim(tuple(found.items()) + ((((), constant),) if constant else ()))
    return _rounding(rounded), times, ()
