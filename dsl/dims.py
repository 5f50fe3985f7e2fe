"""Symbolic dimensions: polynomials with exact quotients over symbols, and floor, ceil, min and max atoms.

A static dimension is a plain `int`; only what holds a symbol is a `Dim`, and operators that come out static return an int.  (One
exception keeps types simple: a static quotient that is no whole number, `7 / 2`, is a `Dim` without symbols; `integrality` lists it
as a divisibility that cannot be met.)

A `Dim` is kept in a normal form, so that two dims that the rules below make equal compare equal and hash alike: a sum of rational
coefficients times monomials, a monomial being atoms with whole exponents (negative for a quotient by the atom).  Atoms are

- `Symbol`: an unknown size;
- `Floor`: the floor of a dim that is no whole number by its form; `dim_atoms` makes them;
- `Extreme`: the least or the largest of several dims;
- `Sum`: a sum that something is divided by, `x / (S + 1)`; its exponents are negative.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from .dim_terms import (
    Atom,
    Coefficient,
    Extreme,
    Floor,
    Monomial,
    Sum,
    Symbol,
    Terms,
    atom_key,
    bounded,
    divide_polynomials,
    is_whole_monomial,
    monomial_key,
    parts,
    term_key,
    tidy,
    times,
)  # fmt: skip


class Dim:
    """A size that is not a number; see the head of this module.  Immutable and hashable."""

    __slots__ = ("_hash", "_key", "_text", "terms")

    terms: Terms
    _hash: int | None
    _key: tuple[Any, ...] | None
    _text: str | None

    def __init__(self, terms: Terms) -> None:
        """Take terms that are in normal form already; use `Dim.of` and arithmetic to make dims."""
        self.terms = terms
        self._hash = None
        self._key = None
        self._text = None

    @staticmethod
    def of(symbol: Symbol) -> Dim:
        """Return the dimension that is just `symbol`."""
        return Dim(((((symbol, 1),), 1),))

    # ------------------------------------------------------------------------------------------------ identity

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Dim) and self.terms == other.terms)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.terms)
        return self._hash

    def __copy__(self) -> Dim:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Dim:
        return self

    @property
    def key(self) -> tuple[Any, ...]:
        """A key that sorts dims the same way in every run of the same text."""
        if self._key is None:
            self._key = tuple((monomial_key(m), c.numerator, c.denominator) for m, c in self.terms)
        return self._key

    def __str__(self) -> str:
        if self._text is None:
            from .dim_text import text

            self._text = text(self)
        return self._text

    __repr__ = __str__

    # ---------------------------------------------------------------------------------------------- inspection

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """The distinct atoms of the terms, in order; not those inside floors."""
        return tuple(sorted({a for m, _ in self.terms for a, _ in m}, key=atom_key))

    def symbols(self) -> tuple[Symbol, ...]:
        """Return all symbols, also those inside floors, in the order in which they were made."""
        found: set[Symbol] = set()
        _collect(self, found)
        return tuple(sorted(found, key=atom_key))

    @property
    def weight(self) -> int:
        """How many terms it takes to write it, those inside atoms counted each time."""
        return sum(1 + sum(a.weight for a, _ in m) for m, _ in self.terms)

    @property
    def depth(self) -> int:
        """How many atoms stand within atoms."""
        return max((a.depth for m, _ in self.terms for a, _ in m), default=0)

    @property
    def symbol(self) -> Symbol | None:
        """The symbol, if the dim is just that."""
        if len(self.terms) == 1:
            monomial, coefficient = self.terms[0]
            if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1 and isinstance(monomial[0][0], Symbol):
                return monomial[0][0]
        return None

    @property
    def is_whole(self) -> bool:
        """True where the form alone says that every size gives a whole number."""
        return all(isinstance(c, int) and is_whole_monomial(m) for m, c in self.terms)

    @property
    def is_polynomial(self) -> bool:
        """True where there are only symbols, with positive exponents."""
        return all(isinstance(a, Symbol) and e > 0 for m, _ in self.terms for a, e in m)

    # ---------------------------------------------------------------------------------------------- arithmetic

    def __add__(self, other: Dim | Coefficient) -> int | Dim:
        if isinstance(other, Dim):
            sums = dict(self.terms)
            for monomial, coefficient in other.terms:
                sums[monomial] = sums.get(monomial, 0) + coefficient
            return summed(sums)
        return self._plus_constant(other)

    __radd__ = __add__

    def _plus_constant(self, other: Coefficient) -> int | Dim:
        if not other:
            return self
        terms = self.terms
        if terms[-1][0]:
            return Dim((*terms, ((), tidy(other))))
        constant = tidy(terms[-1][1] + other)
        rest = terms[:-1]
        if not rest:
            return constant if isinstance(constant, int) else Dim((((), constant),))
        return Dim((*rest, ((), constant))) if constant else Dim(rest)

    def __neg__(self) -> Dim:
        return Dim(tuple((m, -c) for m, c in self.terms))

    def __sub__(self, other: Dim | Coefficient) -> int | Dim:
        return self + -other

    def __rsub__(self, other: Coefficient) -> int | Dim:
        return -self + other

    def __mul__(self, other: Dim | Coefficient) -> int | Dim:
        if isinstance(other, Dim):
            bounded(len(self.terms) * len(other.terms))
            products: dict[Monomial, Coefficient] = {}
            for left, a in self.terms:
                for right, b in other.terms:
                    monomial = times(left, right)
                    products[monomial] = products.get(monomial, 0) + a * b
            return summed(products)
        if other == 1:
            return self
        if not other:
            return 0
        scaled = tuple((m, tidy(c * other)) for m, c in self.terms)
        if not scaled[0][0] and isinstance(scaled[0][1], int):
            return scaled[0][1]
        return Dim(scaled)

    __rmul__ = __mul__

    def __truediv__(self, other: Dim | Coefficient) -> int | Dim:
        return quotient(self, other)

    def __rtruediv__(self, other: Coefficient) -> int | Dim:
        return quotient(other, self)

    def __floordiv__(self, other: Dim | Coefficient) -> int | Dim:
        from .dim_atoms import floor_div

        return floor_div(self, other)

    def __rfloordiv__(self, other: Coefficient) -> int | Dim:
        from .dim_atoms import floor_div

        return floor_div(other, self)

    def __mod__(self, other: Dim | Coefficient) -> int | Dim:
        from .dim_atoms import modulo

        return modulo(self, other)

    def __rmod__(self, other: Coefficient) -> int | Dim:
        from .dim_atoms import modulo

        return modulo(other, self)

    def __pow__(self, exponent: int) -> int | Dim:
        result: int | Dim = 1
        for _ in range(exponent):
            result = result * self
        return result

    # ---------------------------------------------------------------------------------------- values for symbols

    def substitute(self, mapping: Mapping[Symbol, int | Dim]) -> int | Dim:
        """Return the dim with symbols replaced; those not in `mapping` stay."""
        if not any(s in mapping for s in self.symbols()):
            return self
        from .dim_atoms import substituted

        return substituted(self, mapping)

    def value(self, sizes: Mapping[Symbol, int]) -> Coefficient:
        """Return the number at these sizes, an int where it is whole; ZeroDivisionError where a divisor is zero."""
        total: Coefficient = 0
        for monomial, coefficient in self.terms:
            product: Coefficient = coefficient
            for atom, exponent in monomial:
                base = sizes[atom] if isinstance(atom, Symbol) else _atom_value(atom, sizes)
                product = product * base**exponent if exponent > 0 else Fraction(product) / base**-exponent
            total = total + product
        return tidy(total)

    def evaluate(self, sizes: Mapping[Symbol, int]) -> Fraction:
        """Return the exact value at these sizes."""
        return Fraction(self.value(sizes))


# ------------------------------------------------------------------------------------------------------ normal form


def summed(sums: Mapping[Monomial, Coefficient]) -> int | Dim:
    """Return the sum of the given terms in normal form."""
    kept = [(m, tidy(c)) for m, c in sums.items() if c]
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0] and isinstance(kept[0][1], int):
        return kept[0][1]
    if len(kept) > 1:
        kept.sort(key=term_key)
        for monomial, _ in kept:
            for atom, exponent in monomial:
                if isinstance(atom, Sum) and exponent < 0:
                    cancelled = _cancel(tuple(kept), atom)
                    if cancelled is not None:
                        return cancelled
    return Dim(tuple(kept))


def _cancel(terms: Terms, atom: Sum) -> int | Dim | None:
    """Divide the terms with the lowest power of a `Sum` by it, if that comes out even."""
    lowest = min(dict(m).get(atom, 0) for m, _ in terms)
    below = {m: c for m, c in terms if dict(m).get(atom, 0) == lowest}
    bare = {tuple(p for p in m if p[0] is not atom and p[0] != atom): c for m, c in below.items()}
    divided = divide_polynomials(tuple(bare.items()), atom.argument.terms)
    if divided is None:
        return None
    raised = {times(m, ((atom, lowest + 1),)) if lowest + 1 else m: c for m, c in divided.items()}
    for monomial, coefficient in terms:
        if monomial not in below:
            raised[monomial] = raised.get(monomial, 0) + coefficient
    return summed(raised)


def total(values: Iterable[int | Dim]) -> int | Dim:
    """Return the sum of many dims, built once."""
    sums: dict[Monomial, Coefficient] = {}
    for value in values:
        for monomial, coefficient in value.terms if isinstance(value, Dim) else (((), value),):
            sums[monomial] = sums.get(monomial, 0) + coefficient
        bounded(len(sums))
    return summed(sums)


def is_whole(value: int | Dim) -> bool:
    """Say whether the form alone says that the value is a whole number."""
    return isinstance(value, int) or value.is_whole


def _collect(dim: int | Dim, found: set[Symbol]) -> None:
    if isinstance(dim, Dim):
        for monomial, _ in dim.terms:
            for atom, _ in monomial:
                if isinstance(atom, Symbol):
                    found.add(atom)
                else:
                    for part in parts(atom):
                        _collect(part, found)


def term(monomial: Monomial, coefficient: Coefficient) -> int | Dim:
    """Return a coefficient times a product of atoms."""
    return Dim(((monomial, coefficient),)) if monomial and coefficient else quotient(coefficient, 1)


def _atom_value(atom: Floor | Extreme | Sum, sizes: Mapping[Symbol, int]) -> Coefficient:
    values = [p.value(sizes) if isinstance(p, Dim) else p for p in parts(atom)]
    if isinstance(atom, Extreme):
        return min(values) if atom.kind == "min" else max(values)
    return math.floor(values[0]) if isinstance(atom, Floor) else values[0]


# -------------------------------------------------------------------------------------------------- extent arithmetic


def power(base: int | Dim, exponent: int) -> int | Dim:
    """Return `base` to a whole power; a negative one is an exact quotient."""
    if exponent >= 0:
        return base**exponent
    return quotient(1, base**-exponent)


def quotient(a: Dim | Coefficient, b: Dim | Coefficient) -> int | Dim:
    """Return the exact quotient; where it must be a whole number is the caller's to check (`integrality`).

    Raises ZeroDivisionError for a divisor that is the number zero.
    """
    if not isinstance(b, Dim):
        if not isinstance(a, Dim):
            ratio = tidy(Fraction(a) / b)
            return ratio if isinstance(ratio, int) else Dim((((), ratio),))
        return a * tidy(1 / Fraction(b))
    if len(b.terms) == 1:
        monomial, coefficient = b.terms[0]
        return Dim(((tuple((x, -e) for x, e in monomial), tidy(1 / Fraction(coefficient))),)) * a
    if isinstance(a, Dim):
        exact = divide_polynomials(a.terms, b.terms)
        if exact is not None:
            return summed(exact)
    lead = b.terms[0][1]
    base = b * tidy(1 / Fraction(lead))
    assert isinstance(base, Dim)
    return Dim(((((Sum(base), -1),), tidy(1 / Fraction(lead))),)) * a


def integrality(value: int | Dim) -> list[tuple[int | Dim, int | Dim]]:
    """Return the divisibilities `(k, e)`, meaning `k | e`, under which a dim is a whole number; none if its form says that it is.

    `H / 16` needs `(16, H)`, `(H / 16) * (W / 16)` needs `(256, H * W)`, `B * S / G` needs `(G, B * S)`.  Each whole part is left out.
    """
    if isinstance(value, int) or value.is_whole:
        return []
    open_terms = {m: c for m, c in value.terms if not (isinstance(c, int) and is_whole_monomial(m))}
    powers: dict[Atom, int] = {}
    needed: list[tuple[int | Dim, int | Dim]] = []
    for atom, exponent in (p for monomial in open_terms for p in monomial):
        powers[atom] = max(powers.get(atom, 0), -exponent)
        for part in atom.arguments if isinstance(atom, Extreme) else ():
            needed.extend(n for n in integrality(part) if n not in needed)
    divisor: int | Dim = math.lcm(*(c.denominator for c in open_terms.values()))
    for atom, exponent in powers.items():
        divisor = divisor * power(atom.argument if isinstance(atom, Sum) else term(((atom, 1),), 1), exponent)
    return needed if divisor == 1 else [*needed, (divisor, summed(open_terms) * divisor)]
