"""The concrete context of shape rules: compares sizes under the facts at hand, keeps open conditions, raises readable failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from .dim_atoms import extreme
from .dim_terms import Extreme
from .dims import Dim, integrality, quotient, term
from .facts import Facts, Relation, Verdict
from .primitive import RuleFailure
from .types import Axis, DType, SetAxis, TensorType, extent

DIFFERENT, INDIVISIBLE, TOO_SMALL, NO_AXIS, WRONG_DTYPE = "A301", "A302", "A303", "A304", "A305"

_WORDS: dict[str, str] = {"float": "a float", "int": "an int", "bool": "bool", "number": "a number, float or int", "real": "a float or an int"}

OpenCondition = tuple[Relation, int | Dim, int | Dim, str]
"""Relation, left and right side (`divides`: left divides right), and what needs it."""


class ShapeRule:
    """Implements `primitive.Rule` over a set of facts; `conditions` collects what arithmetic leaves open."""

    __slots__ = ("conditions", "facts", "learning")

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.conditions: list[OpenCondition] = []
        self.learning: list[OpenCondition] = []  # what is asked in training alone, refuted or open

    # ------------------------------------------------------------------------------------------------------ sizes

    def same(self, given: Axis, expected: Axis, what: str) -> Axis:
        """Return the common axis of two that must be the same; raises A301 if they are not.

        An index set is the same as itself, and serves as a number where a number is expected; never as another set, and a plain
        number never serves as a set.
        """
        if given is expected or given == expected:
            return given
        if isinstance(expected, SetAxis):
            if isinstance(given, SetAxis):
                raise self._sets_differ(given, expected, what)
            given, expected = expected, given
        self._equate(extent(given), expected, what, given)
        return given if isinstance(given, SetAxis) or isinstance(expected, Dim) else expected

    def declared(self, given: Axis, expected: Axis, what: str) -> Axis:
        """Return the axis of a declared type that `same` allows; where an index set is declared, no number of its size will do."""
        if isinstance(expected, SetAxis) and not isinstance(given, SetAxis):
            raise self._sets_differ(given, expected, what)
        return self.same(given, expected, what)

    def _equate(self, left: int | Dim, right: int | Dim, what: str, given: Axis) -> None:
        verdict = self.facts.equal(left, right)
        if verdict.is_false:
            left_text = f"{given}" if not isinstance(given, SetAxis) else f"{given} ({given.size})"
            raise RuleFailure(f"{what}: `{left_text}` is not `{right}`{_fails(verdict)}", self._equality_help(left, right), DIFFERENT)
        self._open(verdict, "==", left, right, what)

    def _sets_differ(self, given: Axis, expected: SetAxis, what: str) -> RuleFailure:
        if isinstance(given, SetAxis):
            message = f"{what}: `{given}` and `{expected}` are different index sets"
            return RuleFailure(message, f"`{given}` has {_members(given)}; `{expected}` has {_members(expected)}", DIFFERENT)
        help = f"make the axis over the set where it is born: write `{expected}` for its size there"
        return RuleFailure(f"{what}: `{given}` is not the index set `{expected}`", help, DIFFERENT)

    def _equality_help(self, left: int | Dim, right: int | Dim) -> str | None:
        if isinstance(left, Dim) and isinstance(right, Dim):
            return f"if they are always equal, say so: `require {left} == {right}`"
        if isinstance(left, int) and isinstance(right, int):
            return None
        symbolic, number = (left, right) if isinstance(left, Dim) else (right, left)
        if isinstance(symbolic, Dim) and symbolic.symbol is not None:
            return f"`{symbolic}` may be any size: write {number} for it in the type of the input, or `require {symbolic} == {number}`"
        return f"if it is always {number}, say so: `require {symbolic} == {number}`"

    def compare(self, given: Axis, expected: Axis) -> bool | None:
        """Say whether `same` would hold at all sizes (True), fail (False), or keep a condition (None); reports nothing."""
        if given == expected:
            return True
        if isinstance(given, SetAxis) and isinstance(expected, SetAxis):
            return False
        verdict = self.facts.equal(extent(given), extent(expected))
        return None if verdict.is_unknown else verdict.is_true

    def broadcast(self, shapes: Sequence[tuple[Axis, ...]], what: str = "the operands") -> tuple[Axis, ...]:
        """Return the common shape, aligned from the right: a literal 1 stretches, a symbol or an index set never does; raises A301."""
        if len(shapes) == 1 or all(shape == shapes[0] for shape in shapes[1:]):
            return shapes[0] if shapes else ()
        rank = max(len(shape) for shape in shapes)
        result: list[Axis] = []
        for place in range(-rank, 0):
            common: Axis = 1
            for shape in shapes:
                if len(shape) >= -place:
                    common = self._stretch(common, shape[place], place, shapes, what)
            result.append(common)
        return tuple(result)

    def _stretch(self, common: Axis, axis: Axis, place: int, shapes: Sequence[tuple[Axis, ...]], what: str) -> Axis:
        common, axis = self._known(common), self._known(axis)
        if common == 1 or common == axis:
            return axis
        if axis == 1:
            return common
        listed = " and ".join(_shape(shape) for shape in shapes)
        where = f"axis {place} of {what}, {listed}"
        if isinstance(common, SetAxis) and isinstance(axis, SetAxis):
            raise self._sets_differ(common, axis, where)
        if isinstance(axis, SetAxis):
            common, axis = axis, common
        if isinstance(common, SetAxis) and common.size == 1:
            help = "take its member, and put in an axis of 1 in its place: `x[:, 0, none]`"
            raise RuleFailure(f"{where}: the index set `{common}` is not `{axis}`: it has one member, and never stretches", help, DIFFERENT)
        try:
            return self.same(common, axis, where)
        except RuleFailure as failure:
            if isinstance(common, Dim) or isinstance(axis, Dim) or failure.help is not None:
                raise
            raise RuleFailure(failure.message, "sizes must be equal, or one of them 1; `x[:, none]` puts in an axis of 1", failure.code) from None

    def _known(self, axis: Axis) -> Axis:
        """Return the number that the facts give for a symbolic axis, if they do."""
        if isinstance(axis, Dim) and self.facts.known:
            found = self.facts.simplify(axis)
            return found if isinstance(found, int) else axis
        return axis

    def divide(self, size: Axis, by: Axis, what: str) -> int | Dim:
        """Return the exact quotient; raises A302 if it is never whole, and keeps a condition if that is open."""
        total, divisor = extent(size), extent(by)
        if divisor == 0:
            raise RuleFailure(f"{what}: `{size}` can't be divided by 0", "check the numbers that the divisor is computed from", INDIVISIBLE)
        verdict = self.facts.divides(divisor, total)
        if verdict.is_false:
            raise RuleFailure(f"{what}: `{size}` is not divisible by `{by}`{_fails(verdict)}", _multiples(total, divisor), INDIVISIBLE)
        result = quotient(total, divisor)
        self._open_quotient(verdict, result, what)
        return result

    def whole(self, size: Axis, what: str) -> None:
        """Require an exact quotient to be a whole number; raises A302 if it never is, and keeps conditions if that is open."""
        value = extent(size)
        verdict = self.facts.whole(value)
        if verdict.is_false:
            raise RuleFailure(f"{what}: `{size}` is no whole number{_fails(verdict)}", "round it with `//`, `floor` or `ceil`", INDIVISIBLE)
        self._open_quotient(verdict, value, what)

    def _open_quotient(self, verdict: Verdict, value: int | Dim, what: str) -> None:
        for divisor, numerator in integrality(value) if verdict.is_unknown else ():
            found = self.facts.divides(divisor, numerator)
            if found.is_false:
                raise RuleFailure(f"{what}: `{numerator}` is not divisible by `{divisor}`{_fails(found)}", None, INDIVISIBLE)
            self._open(found, "divides", divisor, numerator, what)

    def reaches(self, size: Axis, least: Axis) -> bool | None:
        """Say whether `at_least` would hold (True), fail (False), or keep a condition (None); reports nothing."""
        verdict = self.facts.at_least(extent(size), extent(least))
        return None if verdict.is_unknown else verdict.is_true

    def at_least(self, size: Axis, least: Axis, what: str) -> None:
        """Require `size >= least`; raises A303 if that never holds, and keeps a condition if it is open."""
        total, needed = extent(size), extent(least)
        verdict = self.facts.at_least(total, needed)
        if verdict.is_false:
            raise RuleFailure(f"{what}: `{size}` is less than `{least}`{_fails(verdict)}", None, TOO_SMALL)
        if verdict.is_unknown:
            left, right = _sides(total - needed)
            left = self._winning(left, "max", lambda one: self.facts.at_least(one, right).is_false)
            right = self._winning(right, "min", lambda one: self.facts.at_least(left, one).is_false)
            self._open(verdict, ">=", left, right, what)

    def _winning(self, side: int | Dim, kind: str, never: Callable[[int | Dim], bool]) -> int | Dim:
        """Return a side that is the least or the largest of several sizes without those by which the condition is never met."""
        atom = next(iter(side.atoms), None) if isinstance(side, Dim) else None
        if not isinstance(atom, Extreme) or atom.kind != kind or side != extreme(atom.kind, atom.arguments):
            return side
        return extreme(atom.kind, [one for one in atom.arguments if not never(one)] or atom.arguments)

    def learns_from(self, size: Axis, least: Axis, what: str) -> None:
        """Require `size >= least` in training alone; where that isn't proved it is kept in `learning`."""
        total, needed = extent(size), extent(least)
        if not self.facts.at_least(total, needed).is_true:
            self.learning.append((">=", total, needed, what))

    def _open(self, verdict: Verdict, relation: Literal["==", "divides", ">="], left: int | Dim, right: int | Dim, reason: str) -> None:
        if verdict.is_unknown and not any(c[:3] == (relation, left, right) for c in self.conditions):
            self.conditions.append((relation, left, right, reason))

    # ------------------------------------------------------------------------------------------------------ others

    def axis(self, index: int, rank: int, what: str = "dim") -> int:
        """Return a dimension number made non-negative; raises A304 for one out of range."""
        if -rank <= index < rank:
            return index % rank
        if rank == 0:
            raise RuleFailure(f"`{what}` is {index}, and the tensor has no axes", "give it an axis first: `x[None]`", NO_AXIS)
        axes = f"the tensor has {rank} axes" if rank > 1 else "the tensor has 1 axis"
        raise RuleFailure(f"`{what}` is {index}, and {axes}", f"axes count from 0 to {rank - 1}, or from the end from -1 to -{rank}", NO_AXIS)

    def fail(self, message: str, help: str | None, code: str) -> RuleFailure:
        """Return the exception to raise: the operation is wrong whatever the sizes."""
        return RuleFailure(message, help, code)

    def dtype(self, value: TensorType, allowed: Sequence[DType] | str, what: str) -> DType:
        """Return the dtype; raises A305 for one outside `allowed`: `float`, `int`, `bool`, `number`, `real` (no complex number), one dtype's own
        word, or a list."""
        dtype = value.dtype
        if _allows(dtype, allowed):
            return dtype
        words = _WORDS.get(allowed, allowed) if isinstance(allowed, str) else " or ".join(map(str, allowed))
        raise RuleFailure(f"{what} is `{dtype}`, and must be {words}", _conversion(dtype, allowed, what), WRONG_DTYPE)


def _allows(dtype: DType, allowed: Sequence[DType] | str) -> bool:
    if not isinstance(allowed, str):
        return dtype in allowed
    if allowed == "any":
        return True
    if allowed == "number":
        return dtype.is_float or dtype.is_int or dtype is DType.COMPLEX
    if allowed == "real":
        return dtype.is_float or dtype.is_int
    if allowed in ("float", "int"):
        return dtype.is_float if allowed == "float" else dtype.is_int
    return dtype.value == allowed


def _conversion(dtype: DType, allowed: Sequence[DType] | str, what: str) -> str:
    name = what.strip("`") if what.startswith("`") and what.count("`") == 2 and what.endswith("`") else "x"
    target = ("float" if allowed in ("number", "real") else allowed) if isinstance(allowed, str) else str(next(iter(allowed), "float"))
    if dtype is DType.COMPLEX:
        return f"take its parts: `real({name})`, `imag({name})`"
    if target == "bool":
        return f"compare it with something: `{name} > 0`"
    return f"convert it: `{target}({name})`"


def _sides(difference: int | Dim) -> tuple[int | Dim, int | Dim]:
    """Return the two sides of `difference >= 0` without negative terms: `S - 2` gives `S` and `2`."""
    left: int | Dim = 0
    right: int | Dim = 0
    for monomial, coefficient in difference.terms if isinstance(difference, Dim) else (((), difference),):
        if coefficient > 0:
            left = left + term(monomial, coefficient)
        else:
            right = right + term(monomial, -coefficient)
    return left, right


def _multiples(total: int | Dim, divisor: int | Dim) -> str:
    if isinstance(total, int) and isinstance(divisor, int):
        below = total // divisor * divisor
        return f"{below + divisor} is" if below <= 0 else f"{below} and {below + divisor} are"
    return f"what stands there must be a multiple of {divisor}"


def _fails(verdict: Verdict) -> str:
    return f", fails at {verdict.sizes}" if verdict.counterexample else ""


def _shape(shape: Sequence[Axis]) -> str:
    return f"`[{', '.join(map(str, shape))}]`"


def _members(axis: SetAxis) -> str:
    shown = ", ".join(map(str, axis.members[:6])) + (", ..." if axis.size > 6 else "")
    return f"{axis.size} members ({shown})" if axis.members else "no members"
