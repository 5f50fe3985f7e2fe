"""What is known about sizes, and what follows from it.

`Facts` holds what `require` states: equations, divisibilities, inequalities.  *Allowed sizes* are whole numbers for the declared
symbols, each at least its `least`, that meet all facts.  Three questions are asked, each answered with a `Verdict`:

`equal(a, b)`
    TRUE: proved that a = b at all allowed sizes.
    FALSE: the two are different dimensions.  Either a and b hold no floor, ceil, min or max, are not identical under the facts, and
    an allowed size is at hand at which they differ (two declared symbols are different unless a fact equates them, so `S` and `T`
    are not equal, although some sizes are); or it is proved that they differ at all allowed sizes.
    UNKNOWN: anything else: rounding leaves it open.  It becomes a condition.
`divides(k, a)` (a / k is a whole number) and `at_least(a, b)` (a >= b)
    TRUE: proved for all allowed sizes.  FALSE: proved for none.  UNKNOWN: anything else, a condition.

A FALSE carries allowed sizes that break what was asked where some were found; a fact that no size meets is found by `contradiction`
or by an empty `sample`, and then nothing is FALSE.  A quotient `H / 16` counts as the exact rational; that it is whole is a question of
its own: `whole`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum
from fractions import Fraction
from typing import Literal

from .bounds import never_negative, never_zero
from .dim_atoms import extreme, floor_of, replace_atom
from .dim_terms import Extreme, Floor, Sum, Symbol
from .dims import Dim, integrality, is_whole, quotient, term, total
from .record import record
from .residues import cases, never_divides, remainders
from .sizes import assignments
from .solving import Solution, is_multiple

Relation = Literal["==", "divides", ">=", "!="]


class Truth(Enum):
    """The three answers."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@record
class Verdict:
    """An answer; `counterexample` are sizes that break what was asked, for a FALSE, where some were found."""

    truth: Truth
    counterexample: Mapping[Symbol, int] | None = None

    @property
    def is_true(self) -> bool:
        return self.truth is Truth.TRUE

    @property
    def is_false(self) -> bool:
        return self.truth is Truth.FALSE

    @property
    def is_unknown(self) -> bool:
        return self.truth is Truth.UNKNOWN

    @property
    def sizes(self) -> str:
        """The counterexample as text, `N = 6, dim = 8`; empty if there is none."""
        found = self.counterexample or {}
        return ", ".join(f"{s.name} = {n}" for s, n in sorted(found.items(), key=lambda p: p[0].key))


_MOST_PRODUCTS = 2000
"""Terms of a dim times those of a known multiple that are tried against each other."""

TRUE = Verdict(Truth.TRUE)
UNKNOWN = Verdict(Truth.UNKNOWN)


@record
class Fact:
    """`left == right`, `left divides right`, `left >= right` or `left != right`."""

    relation: Relation
    left: int | Dim
    right: int | Dim

    def holds(self, sizes: Mapping[Symbol, int]) -> bool:
        """Say whether the fact is met at these sizes, which must give a value to each of its symbols."""
        left, right = _value(self.left, sizes), _value(self.right, sizes)
        if left is None or right is None:
            return False
        if self.relation == "divides":
            return left != 0 and (right / left).denominator == 1
        return {"==": left == right, ">=": left >= right, "!=": left != right}[self.relation]

    def symbols(self) -> set[Symbol]:
        """Return the symbols on both sides."""
        return {s for side in (self.left, self.right) if isinstance(side, Dim) for s in side.symbols()}


def _value(dim: int | Dim, sizes: Mapping[Symbol, int]) -> Fraction | None:
    if isinstance(dim, int):
        return Fraction(dim)
    try:
        return dim.evaluate(sizes)
    except ZeroDivisionError:
        return None


def _solved(solution: Solution, relation: Relation, left: int | Dim, right: int | Dim) -> Solution:
    if solution.contradiction:
        return solution
    if relation == "!=":
        return solution.nonzero(left - right)
    if relation == "divides":
        return solution.whole(quotient(right, left))
    if relation == ">=":
        return solution.nonnegative(left - right)
    return solution.zero(left - right).whole(left).whole(right)


class Facts:
    """A set of facts; immutable, `require` returns a larger one."""

    __slots__ = ("_solution", "known")

    def __init__(self) -> None:
        self.known: tuple[Fact, ...] = ()
        self._solution = Solution()

    def require(self, relation: Relation, left: int | Dim, right: int | Dim) -> Facts:
        """Return these facts and one more; `divides` means that `left` divides `right`."""
        result = Facts()
        result.known = (*self.known, Fact(relation, left, right))
        try:
            result._solution = _solved(self._solution, relation, left, right)
        except ZeroDivisionError:  # what is known makes a divisor zero: no size meets that
            result._solution = replace(self._solution, contradiction=True)
        return result

    @property
    def contradiction(self) -> bool:
        """True where it is proved that no size meets the facts."""
        return self._solution.contradiction

    def simplify(self, value: int | Dim) -> int | Dim:
        """Return `value` as the facts let it be written: symbols that are numbers as such, roundings that do nothing left out.

        `floor(H / 16)` becomes `H / 16` where `16 | H` is known, `min(S, 512)` becomes `S` where `S <= 512` is.
        """
        if isinstance(value, int) or not self.known:
            return value
        reduced = self._reduce(value)
        if isinstance(reduced, int):
            return reduced
        numbers = {s: n for s, n in self._solution.values.items() if isinstance(n, int)}
        return self._unrounded(value.substitute(numbers) if numbers else value)

    def _unrounded(self, value: int | Dim) -> int | Dim:
        for atom in value.atoms if isinstance(value, Dim) else ():
            if isinstance(value, Dim) and isinstance(atom, Floor):
                value = replace_atom(value, atom, self._floor(self._unrounded(atom.argument)))
            elif isinstance(value, Dim) and isinstance(atom, Extreme):
                value = replace_atom(value, atom, self._best(atom))
        return value

    def _floor(self, argument: int | Dim) -> int | Dim:
        """Return the floor, without rounding where the facts make all but the constant term a whole number."""
        added = dict(argument.terms).get((), 0) if isinstance(argument, Dim) else 0
        rest = argument - quotient(added, 1)
        return rest + math.floor(added) if self.whole(rest).is_true else floor_of(argument)

    def _best(self, atom: Extreme) -> int | Dim:
        """Return a `min` or `max` without the arguments that are proved never to win."""
        kept: list[int | Dim] = []
        for argument in map(self._unrounded, atom.arguments):
            if not any(self._wins(atom, k, argument) for k in kept):
                kept = [k for k in kept if not self._wins(atom, argument, k)] + [argument]
        return extreme(atom.kind, kept)

    def _wins(self, atom: Extreme, one: int | Dim, other: int | Dim) -> bool:
        return (self.at_least(other, one) if atom.kind == "min" else self.at_least(one, other)).is_true

    # --------------------------------------------------------------------------------------------------- questions

    def decide(self, relation: Relation, left: int | Dim, right: int | Dim) -> Verdict:
        """Answer a relation given by its sign."""
        if relation == "==":
            return self.equal(left, right)
        if relation == "divides":
            return self.divides(left, right)
        return self.at_least(left, right) if relation == ">=" else self.differ(left, right)

    def equal(self, a: int | Dim, b: int | Dim) -> Verdict:
        """Say whether two dims are the same one; see the head of this module."""
        if a == b:
            return TRUE
        if isinstance(a, int) and isinstance(b, int):
            return Verdict(Truth.FALSE, {})
        difference = self._reduce(a - b)
        if difference == 0 or self._is_known_zero(difference):
            return TRUE
        relation = Fact("==", a, b)
        if isinstance(difference, int) or not _is_rounded(difference):
            found = self._break(relation)
            return UNKNOWN if found is None else Verdict(Truth.FALSE, found)
        pieces = list(cases(difference, self._solution.bounds))
        if all(piece == 0 for piece, _ in pieces) or self._is_squeezed(difference):
            return TRUE
        if all(never_zero(piece, bounds) for piece, bounds in pieces):
            return self._never(a, b)
        return UNKNOWN

    def differ(self, a: int | Dim, b: int | Dim) -> Verdict:
        """Say whether two dims differ at all allowed sizes (TRUE), at none (FALSE), or at some."""
        if a == b:
            return self._never(a, b)
        difference = self._reduce(a - b)
        if difference == 0:
            return self._never(a, b)
        if all(never_zero(piece, bounds) for piece, bounds in cases(difference, self._solution.bounds)):
            return TRUE
        stated = any(f.relation == "!=" and {f.left, f.right} == {a, b} for f in self.known)
        return TRUE if stated else UNKNOWN

    def divides(self, k: int | Dim, a: int | Dim) -> Verdict:
        """Say whether `a / k` is a whole number."""
        if isinstance(k, int) and isinstance(a, int):
            return TRUE if k and a % k == 0 else Verdict(Truth.FALSE, {})
        if k == 0:
            return self._never(k, a)
        verdict = self.whole(quotient(a, k))
        return self._never(k, a) if verdict.is_false else verdict

    def _indivisible(self, k: int | Dim, a: int | Dim) -> bool:
        """Say whether `a` lies between 0 and `k`, or a number divides `k` and never `a`."""
        if self.at_least(a, 1).is_true and self.at_least(k, a + 1).is_true:
            return True
        common = math.gcd(*(int(c) for _, c in k.terms)) if isinstance(k, Dim) and k.is_whole else 1
        return common > 1 and self.divides(common, a).is_false

    def whole(self, value: int | Dim) -> Verdict:
        """Say whether an exact quotient is a whole number."""
        reduced = self._reduce(value)
        for divisor, numerator in integrality(reduced):
            if any(numerator == n and divisor == d for d, n in self._solution.multiples):
                continue
            left = self._remainders(divisor, numerator)
            never = 0 not in left if left is not None else self._indivisible(divisor, numerator)
            if (never or never_divides(divisor, numerator, self._solution.bounds)) and is_whole(reduced - quotient(numerator, divisor)):
                return self._never(value)
            if left != {0}:
                return UNKNOWN
        return TRUE

    def at_least(self, a: int | Dim, b: int | Dim) -> Verdict:
        """Say whether `a >= b`."""
        if isinstance(a, int) and isinstance(b, int):
            return TRUE if a >= b else Verdict(Truth.FALSE, {})
        difference = self._reduce(a - b)
        bounds = self._solution.bounds
        if never_negative(difference, bounds):
            return TRUE
        below = -difference
        if isinstance(below, int) or never_negative(below - 1, bounds):
            return self._never(a, b)
        if isinstance(difference, int) or not _is_rounded(difference):
            return UNKNOWN
        return TRUE if all(never_negative(piece, limits) for piece, limits in cases(difference, bounds)) else UNKNOWN

    # ------------------------------------------------------------------------------------------------------ sizes

    def sample(self, symbols: Iterable[Symbol]) -> Mapping[Symbol, int] | None:
        """Return allowed sizes for `symbols`, or None if none were found."""
        return self._search(set(symbols), None)

    def _break(self, relation: Fact) -> Mapping[Symbol, int] | None:
        return self._search(relation.symbols(), relation)

    def _never(self, *asked: int | Dim) -> Verdict:
        """Return FALSE with any allowed sizes, for what is proved to hold at none; where facts contradict each other nothing is FALSE."""
        if self._solution.contradiction:
            return UNKNOWN
        return Verdict(Truth.FALSE, self.sample(s for d in asked if isinstance(d, Dim) for s in d.symbols()))

    def _declared(self, symbols: set[Symbol]) -> set[Symbol]:
        """Return `symbols` and all that facts tie to them."""
        result = set(symbols)
        sets = [f.symbols() for f in self.known]
        grown = True
        while grown:
            grown = False
            for tied in sets:
                if tied & result and not tied <= result:
                    result |= tied
                    grown = True
        return result

    def _search(self, symbols: set[Symbol], broken: Fact | None) -> Mapping[Symbol, int] | None:
        """Return allowed sizes, for a given relation ones that break it and, if possible, leave its quotients whole."""
        if self._solution.contradiction:
            return None
        values = self._solution.values
        declared = sorted(self._declared(symbols), key=lambda s: s.key)
        stand = {s: values.get(s, Dim.of(s)) for s in declared}
        free = sorted({f for v in stand.values() if isinstance(v, Dim) for f in v.symbols()}, key=lambda s: s.key)
        facts = [f for f in self.known if f.symbols() & set(declared)]
        scale = _scale(broken)
        second: Mapping[Symbol, int] | None = None
        for sizes in assignments(free, self._solution.bounds, scale):
            found = _sizes(stand, sizes)
            if found is None or not all(f.holds(found) and _all_whole(f, found) for f in facts) or (broken is not None and broken.holds(found)):
                continue
            answer = {s: n for s, n in found.items() if s in symbols}
            if broken is None or _all_whole(broken, found):
                return answer
            second = second or answer
        return second

    # ----------------------------------------------------------------------------------------------------- helpers

    def _reduce(self, value: int | Dim) -> int | Dim:
        try:
            return self._solution.reduce(value)
        except ZeroDivisionError:  # undefined at all allowed sizes: nothing follows
            return value

    def _is_squeezed(self, difference: Dim) -> bool:
        bounds = self._solution.bounds
        return never_negative(difference, bounds) and never_negative(-difference, bounds)

    def _is_known_zero(self, difference: int | Dim) -> bool:
        return isinstance(difference, Dim) and any(is_multiple(difference, z) for z in self._solution.zeros)

    def _remainders(self, divisor: int | Dim, numerator: int | Dim) -> set[int] | None:
        """Return the remainders that `numerator` can leave; None if that can't be told."""
        if isinstance(divisor, Dim):
            return None
        left = _modulo(numerator, divisor)
        for k, known in self._solution.multiples:
            if isinstance(k, int) and k % divisor == 0:
                left = _less_multiples(left, known, divisor)
        return {left} if isinstance(left, int) else remainders(left, divisor)


def _is_rounded(value: Dim) -> bool:
    return any(isinstance(a, (Floor, Extreme)) or (isinstance(a, Sum) and _is_rounded(a.argument)) for a in value.atoms)


def _modulo(value: int | Dim, divisor: int) -> int | Dim:
    """Return a dim with whole coefficients without its multiples of `divisor`."""
    if isinstance(value, int):
        return value % divisor
    return total(term(monomial, coefficient % divisor) for monomial, coefficient in value.terms)


def _less_multiples(value: int | Dim, known: Dim, divisor: int) -> int | Dim:
    """Return `value` less products with `known`, a multiple of `divisor`, that cancel its terms one by one."""
    lead, factor = known.terms[0]
    if math.gcd(int(factor), divisor) != 1 or (isinstance(value, Dim) and len(value.terms) * len(known.terms) > _MOST_PRODUCTS):
        return value
    inverse = pow(int(factor), -1, divisor)
    for monomial, coefficient in value.terms if isinstance(value, Dim) else ():
        ratio = quotient(term(monomial, int(coefficient) * inverse), term(lead, 1))
        if isinstance(ratio, int) or ratio.is_whole:
            value = _modulo(value - known * ratio, divisor)
    return value


def _scale(relation: Fact | None) -> int:
    if relation is None:
        return 1
    dims = [side for side in (relation.left, relation.right) if isinstance(side, Dim)]
    return math.lcm(1, *(c.denominator for d in dims for _, c in d.terms))


def _sizes(stand: Mapping[Symbol, int | Dim], free: Mapping[Symbol, int]) -> dict[Symbol, int] | None:
    found: dict[Symbol, int] = {}
    for symbol, value in stand.items():
        try:
            number = value if isinstance(value, int) else value.value(free)
        except ZeroDivisionError:
            return None
        if not isinstance(number, int) or number < symbol.least:
            return None
        found[symbol] = number
    return found


def _all_whole(relation: Fact, sizes: Mapping[Symbol, int]) -> bool:
    """Say whether the quotients of an equation come out even."""
    if relation.relation != "==":
        return True
    sides = (_value(relation.left, sizes), _value(relation.right, sizes))
    return all(side is not None and side.denominator == 1 for side in sides)
