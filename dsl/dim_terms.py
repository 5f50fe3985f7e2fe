"""What a dimension is made of: atoms, monomials, and exact division of sums of them."""

from __future__ import annotations

from dataclasses import field
from fractions import Fraction
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from .record import entity, record

if TYPE_CHECKING:
    from .dims import Dim

Coefficient = int | Fraction
_serial = count()


MOST_TERMS = 10_000
MOST_NESTED = 40
"""Longer dimensions, and floors within more floors, raise OverflowError: they take long to handle, and no one could read them."""


@entity
class Symbol:
    """One unknown size, at least `least`.  Equality is identity: two symbols of the same name in two bodies are two."""

    name: str
    least: int = 1
    key: tuple[Any, ...] = field(init=False, repr=False, default_factory=lambda: (0, next(_serial)))

    @property
    def weight(self) -> int:
        """How many terms it takes to write it."""
        return 1

    @property
    def depth(self) -> int:
        """How many atoms within atoms."""
        return 0

    def __str__(self) -> str:
        return self.name

    def __copy__(self) -> Symbol:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Symbol:
        return self


@record
class Floor:
    """The largest whole number that is not above `argument`."""

    argument: Dim
    key: tuple[Any, ...] = field(init=False, repr=False, compare=False)
    weight: int = field(init=False, repr=False, compare=False)
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _measure(self, (self.argument,))
        object.__setattr__(self, "key", (1, self.argument.key))


@record
class Extreme:
    """The least (`min`) or the largest (`max`) of its arguments."""

    kind: Literal["min", "max"]
    arguments: tuple[int | Dim, ...]
    key: tuple[Any, ...] = field(init=False, repr=False, compare=False)
    weight: int = field(init=False, repr=False, compare=False)
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _measure(self, self.arguments)
        object.__setattr__(self, "key", (2, self.kind, tuple(extent_key(a) for a in self.arguments)))


@record
class Sum:
    """A sum of several terms that stands below a fraction bar, its first coefficient 1."""

    argument: Dim
    key: tuple[Any, ...] = field(init=False, repr=False, compare=False)
    weight: int = field(init=False, repr=False, compare=False)
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _measure(self, (self.argument,))
        object.__setattr__(self, "key", (3, self.argument.key))


Atom = Symbol | Floor | Extreme | Sum
Monomial = tuple[tuple[Atom, int], ...]
Terms = tuple[tuple[Monomial, Coefficient], ...]


def bounded(terms: int) -> int:
    """Return a number of terms; raises OverflowError if there are more than `MOST_TERMS`."""
    if terms > MOST_TERMS:
        raise OverflowError(f"a size of more than {MOST_TERMS:,} terms")
    return terms


def _measure(atom: Floor | Extreme | Sum, inside: tuple[int | Dim, ...]) -> None:
    dims = [d for d in inside if not isinstance(d, int)]
    depth = 1 + max((d.depth for d in dims), default=0)
    if depth > MOST_NESTED:
        raise OverflowError(f"a size of more than {MOST_NESTED} floors, ceilings, minima and maxima within each other")
    object.__setattr__(atom, "weight", bounded(sum(d.weight for d in dims) + len(inside)))
    object.__setattr__(atom, "depth", depth)


def tidy(value: Coefficient) -> Coefficient:
    return value.numerator if isinstance(value, Fraction) and value.denominator == 1 else value


def atom_key(atom: Atom) -> tuple[Any, ...]:
    return atom.key


def extent_key(dim: int | Dim) -> tuple[Any, ...]:
    return (0, dim) if isinstance(dim, int) else (1, dim.key)


def monomial_key(monomial: Monomial) -> tuple[Any, ...]:
    return (not monomial, -sum(e for _, e in monomial), tuple((a.key, -e) for a, e in monomial))


def term_key(term: tuple[Monomial, Coefficient]) -> tuple[Any, ...]:
    return monomial_key(term[0])


def times(left: Monomial, right: Monomial) -> Monomial:
    if not left:
        return right
    if not right:
        return left
    powers = dict(left)
    for atom, exponent in right:
        powers[atom] = powers.get(atom, 0) + exponent
    return tuple(sorted(((a, e) for a, e in powers.items() if e), key=lambda p: p[0].key))


def is_whole_monomial(monomial: Monomial) -> bool:
    """Say whether a product of atoms is a whole number at every size."""
    return all(e > 0 and (not isinstance(a, Extreme) or all(isinstance(x, int) or x.is_whole for x in a.arguments)) for a, e in monomial)


def parts(atom: Atom) -> tuple[int | Dim, ...]:
    """Return the dims inside an atom: none for a symbol."""
    if isinstance(atom, Symbol):
        return ()
    return atom.arguments if isinstance(atom, Extreme) else (atom.argument,)


def divide_polynomials(terms: Terms, divisor: Terms) -> dict[Monomial, Coefficient] | None:
    """Return the exact quotient of two sums of terms, or None if there is none among sums of terms."""
    atoms = sorted({a for part in (terms, divisor) for m, _ in part for a, _ in m}, key=atom_key)
    rest, rest_shift = _vectors(terms, atoms)
    by, by_shift = _vectors(divisor, atoms)
    lead = max(by, key=_graded)
    result: dict[Monomial, Coefficient] = {}
    while rest:
        top = max(rest, key=_graded)
        step = tuple(a - b for a, b in zip(top, lead, strict=True))
        if any(e < 0 for e in step):
            return None
        factor = Fraction(rest[top]) / by[lead]
        exponents = (e + r - b for e, r, b in zip(step, rest_shift, by_shift, strict=True))
        result[tuple((a, e) for a, e in zip(atoms, exponents, strict=True) if e)] = tidy(factor)
        for vector, coefficient in by.items():
            place = tuple(a + b for a, b in zip(vector, step, strict=True))
            left = rest.get(place, 0) - factor * coefficient
            if left:
                rest[place] = left
            else:
                rest.pop(place, None)
    return result


def _vectors(terms: Terms, atoms: list[Atom]) -> tuple[dict[tuple[int, ...], Coefficient], tuple[int, ...]]:
    """Return exponents by atom for each term, and the common powers that were taken out to make the least exponent zero."""
    rows = [(tuple(dict(m).get(a, 0) for a in atoms), c) for m, c in terms]
    shift = tuple(min(column) for column in zip(*(r for r, _ in rows), strict=True))
    return {tuple(e - s for e, s in zip(row, shift, strict=True)): c for row, c in rows}, shift


def _graded(vector: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    return sum(vector), vector
