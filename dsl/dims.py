"""Symbolic dimensions: polynomials with exact quotients over symbols, and floor, ceil, min and max atoms.

A static dimension is a plain `int`; only what holds a symbol is a `Dim`, and operators that come out static return an int.  (One
exception keeps types simple: a static quotient that is no whole number, `7 / 2`, is a `Dim` without symbols; `integrality` lists it
as a divisibility that cannot be met.)

A `Dim` is kept in a normal form, so that two dims that the rules below make equal compare equal and hash alike: a sum of rational
coefficients times monomials, a monomial being atoms with whole exponents (negative for a quotient by the atom).  Atoms are

- `Symbol`: an unknown size;
- `Floor`: the floor of a dim that is no whole number by its form; `ceil(x)` is `-floor(-x)`;
- `Extreme`: the least or the largest of several dims;
- `Sum`: a sum that something is divided by, `x / (S + 1)`; its exponents are negative.

Floors are normalised: whole parts move out, `floor((3 * S + c) / 3) = S + floor(c / 3)`; of the two ways to write one,
`floor(n / q) = -floor((q - 1 - n) / q)`, one is chosen; nested ones merge, `floor(floor(x) / n) = floor(x / n)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Literal

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
    extent_key,
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
            return _build(sums)
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
            return _build(products)
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
        return floor_div(self, other)

    def __rfloordiv__(self, other: Coefficient) -> int | Dim:
        return floor_div(other, self)

    def __mod__(self, other: Dim | Coefficient) -> int | Dim:
        return modulo(self, other)

    def __rmod__(self, other: Coefficient) -> int | Dim:
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
        return total(_product(monomial, coefficient, mapping) for monomial, coefficient in self.terms)

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


def _build(sums: Mapping[Monomial, Coefficient]) -> int | Dim:
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
    return _build(raised)


def total(values: Iterable[int | Dim]) -> int | Dim:
    """Return the sum of many dims, built once."""
    sums: dict[Monomial, Coefficient] = {}
    for value in values:
        for monomial, coefficient in value.terms if isinstance(value, Dim) else (((), value),):
            sums[monomial] = sums.get(monomial, 0) + coefficient
        bounded(len(sums))
    return _build(sums)


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


def term(monomial: Monomial, coefficient: Coefficient) -> int | Dim:
    """Return a coefficient times a product of atoms."""
    return Dim(((monomial, coefficient),)) if monomial and coefficient else quotient(coefficient, 1)


def replace_atom(dim: Dim, atom: Atom, by: int | Dim) -> int | Dim:
    """Return `dim` with an atom of its terms replaced; those inside other atoms stay."""
    parts: list[int | Dim] = []
    for monomial, coefficient in dim.terms:
        exponent = dict(monomial).get(atom, 0)
        rest = tuple(p for p in monomial if p[0] != atom) if exponent else monomial
        parts.append(term(rest, coefficient) * power(by, exponent))
    return total(parts)


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
            return _build(exact)
    lead = b.terms[0][1]
    base = b * tidy(1 / Fraction(lead))
    assert isinstance(base, Dim)
    return Dim(((((Sum(base), -1),), tidy(1 / Fraction(lead))),)) * a


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
    return _build(outside) + floor


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
            return merged if sign > 0 else _build(dict.fromkeys(n, 1)) - merged
    if (*n.values(), constant) <= (*other.values(), q - 1 - constant):
        return _atom_dim(Floor(_ratio(n, constant, q)))
    return _build(dict.fromkeys(n, 1)) - _atom_dim(Floor(_ratio(other, q - 1 - constant, q)))


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
            return floor_of(quotient(monomial[0][0].argument + _build(rest), q))
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
    return needed if divisor == 1 else [*needed, (divisor, _build(open_terms) * divisor)]
