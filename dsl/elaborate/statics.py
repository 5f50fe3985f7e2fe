"""Arithmetic and functions on static values: ints, exact rationals, floats, strings, lists, maps, index sets and dimensions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, NoReturn

from .. import dim_atoms, dims
from ..dims import Dim
from ..source import Span
from ..types import SetAxis
from .context import Problem, fail, too_long
from .values import Declared, EnumValue, Family, IndexSet, MemberOf, Value, describe, is_list, is_map


def number(value: Value) -> Value:
    """Return what a value counts as in arithmetic: a member is its number, or its position if it is a name."""
    if isinstance(value, MemberOf):
        key = value.key
        return key if isinstance(key, (int, float)) and not isinstance(key, bool) else value.position
    return value


def tidy(value: Value) -> Value:
    """Return an int for a whole rational."""
    return value.numerator if isinstance(value, Fraction) and value.denominator == 1 else value


def is_number(value: Value) -> bool:
    return isinstance(value, (int, float, Fraction)) and not isinstance(value, bool)


def is_static(value: Value) -> bool:
    """Say whether a value is known at elaboration (a number, text, list, set and the like)."""
    return value is None or isinstance(value, (int, float, Fraction, str, bool, list, tuple, dict, Dim, IndexSet, MemberOf, EnumValue))


def _instead(op: str, operand: Value) -> str:
    """Say what to write for an operand that arithmetic does not take."""
    if isinstance(operand, IndexSet):
        return f"its size is `len({operand.name})`"
    if isinstance(operand, str) and op == "%":
        return 'a template of a weights map fills in by itself: `"layers.{i}"`'
    return "give it a name of its own first, `w = Parameter(...)`" if isinstance(operand, Declared) else "both sides must be numbers"


def binary(op: str, left: Value, right: Value, span: Span) -> Value:
    """Apply a binary operator to two static values."""
    if op in ("==", "!="):
        return equal(left, right, span) is (op == "==")
    if op in ("in", "not in"):
        return contains(right, left, span) is (op == "in")
    if isinstance(left, IndexSet) and isinstance(right, IndexSet):
        return _sets(op, left, right, span)
    left, right = _pair(left), _pair(right)
    if op == "+" and left.__class__ in (list, tuple, str):
        joined = _joined(left, right, span)
        if joined is not None:
            return joined
    a, b = number(left), number(right)
    for value, original in ((a, left), (b, right)):
        if not is_number(value) and not isinstance(value, Dim):
            fail("A203", f"`{op}` does not take {describe(original)}", span, _instead(op, original))
    if isinstance(a, Dim) or isinstance(b, Dim):
        try:
            return _bounded(_dimension(op, a, b, span), span)
        except OverflowError as error:
            raise Problem(too_long(error, span)) from None
    return _bounded(tidy(_arithmetic(op, a, b, span)), span)


def _joined(left: Any, right: Value, span: Span) -> Value | None:
    """Return two lists, tuples or strings as one; None for what can't be joined."""
    if left.__class__ is tuple and right.__class__ is list:
        right = tuple(right)  # a tuple's slice is a list
    if right.__class__ is not left.__class__:
        return None
    if len(left) + len(right) > LONGEST:
        fail("A815", f"`{span.text}` has more than {LONGEST:,} entries", span, "static values are small: use a tensor")
    return left + right


def _pair(value: Value) -> Value:
    """Return a member that is a tuple as that tuple."""
    return value.key if isinstance(value, MemberOf) and isinstance(value.key, tuple) else value


LONGEST = 100_000
"""How many entries a list or string that is put together may have."""

BITS = 4096
"""How many bits a number may have: enough for every count, and few enough to print it."""

SMALL = 2**63
"""Numbers below need no counting of bits."""


def _bounded(value: Value, span: Span) -> Value:
    """Return a number that can be worked with: a real one of bounded size."""
    if value.__class__ is int and -SMALL < value < SMALL:
        return value
    numbers = [c for _, c in value.terms] if isinstance(value, Dim) else [value] if isinstance(value, (int, Fraction)) else []
    if any(_bits(c) > BITS for c in numbers):
        fail("A204", f"the number `{span.text}` is too large", span, "check what it is computed from")
    if isinstance(value, complex):
        fail("A204", f"`{span.text}` is no real number", span, "a negative number has no root")
    return value


def _arithmetic(op: str, a: Any, b: Any, span: Span) -> Value:
    try:
        if op == "/":
            return a / b if isinstance(a, float) or isinstance(b, float) else Fraction(a) / Fraction(b)
        if op == "**":
            return _power(a, b, span)
        return _OPERATORS[op](a, b)
    except ZeroDivisionError:
        fail("A204", f"division by zero in `{span.text}`", span, "check the sizes that it is computed from")
    except KeyError:
        fail("A203", f"`{op}` is not for static numbers", span, "write `and`, `or`, `not` for facts")
    except OverflowError:
        fail("A204", f"the number `{span.text}` is too large", span, "check the exponent")


def _power(a: Any, b: Any, span: Span) -> Value:
    if abs(b) > 4096 or (isinstance(a, (int, Fraction)) and _bits(a) * abs(b) > 4 * BITS):
        fail("A204", f"the power `{span.text}` is too large", span, "check the exponent")
    if isinstance(a, int) and isinstance(b, int) and b < 0:
        return Fraction(a) ** b
    if isinstance(b, Fraction):
        return float(a) ** float(b)
    return a**b


def _bits(value: int | Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "//": lambda a, b: a // b, "%": lambda a, b: a % b,
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip

WHOLE = {**{op: _OPERATORS[op] for op in ("+", "-", "*", "<", "<=", ">", ">=")}, "==": operator.eq, "!=": operator.ne}
"""What always goes between whole numbers, which most arithmetic is about."""


def whole(op: str, left: int, right: int, span: Span) -> int | bool:
    """Apply one of these to two whole numbers."""
    found = WHOLE[op](left, right)
    return found if found.__class__ is bool else _bounded(found, span)


def _dimension(op: str, a: Any, b: Any, span: Span) -> Value:
    if isinstance(a, float) or isinstance(b, float):
        fail(
            "A205",
            f"a size can't be mixed with the float in `{span.text}`",
            span,
            "use whole numbers or exact quotients, as in `S // 2` or `ceil(S * 3 / 4)`",
        )
    if op in ("/", "//", "%") and b == 0:
        fail("A204", f"division by zero in `{span.text}`", span, "check the sizes that it is computed from")
    if op == "/":
        return dims.quotient(a, b)
    if op == "//":
        return dim_atoms.floor_div(a, b)
    if op == "%":
        return dim_atoms.modulo(a, b)
    if op == "**" and isinstance(b, int) and 0 <= b <= 16:
        return math.prod([a] * b)
    if op in ("+", "-", "*"):
        return _OPERATORS[op](a, b)
    if op not in _OPERATORS:
        fail("A203", f"`{op}` is not for sizes", span, "write `and`, `or`, `not` for facts")
    _unknown_size(span)


def _sets(op: str, left: IndexSet, right: IndexSet, span: Span) -> IndexSet:
    if op == "+":
        others = set(right.members)
        shared = [m for m in left.members if m in others]
        if shared:
            fail("A413", f"`{shared[0]}` is in both sets", span, "the parts of a sum of index sets must be disjoint: use `except` first")
        parts = {**left.parts, **right.parts, left.name: left.members, right.name: right.members}
        members = left.members + right.members
        return IndexSet(f"{left.name} + {right.name}", members, members, parts)
    if op == "except":
        known, gone = set(left.members), set(right.members)
        unknown = [m for m in right.members if m not in known]
        if unknown:
            fail("A407", f"`{unknown[0]}` is no member of `{left.name}`", span, f"its members are {listed(left.members)}")
        return left.cut(tuple(m for m in left.members if m not in gone), f"{left.name} except {right.name}")
    fail("A203", f"`{op}` does not take index sets", span, "sets have `+`, `except`, `in`, `==`")


def equal(left: Value, right: Value, span: Span) -> bool:
    """Compare two static values; a dimension only equals what it is identical to, or an error says so."""
    if isinstance(left, IndexSet) and isinstance(right, IndexSet):
        return left.members == right.members
    left, right = _word(left), _word(right)
    if is_list(left) and is_list(right):
        return len(left) == len(right) and all(equal(a, b, span) for a, b in zip(left, right, strict=True))
    if is_map(left) and is_map(right):
        return left.keys() == right.keys() and all(equal(value, right[key], span) for key, value in left.items())
    if isinstance(left, Dim) or isinstance(right, Dim):
        return _same_size(left, right, span)
    for value, other in ((left, right), (right, left)):
        if not is_static(value):
            fail("A203", f"`==` does not take {describe(value)} here", span, "compare static values, or two tensors")
        if isinstance(value, bool) and is_number(other):
            fail("A203", f"{describe(value)} is no number, so it never equals one", span, "compare two numbers or two facts")
    return left == right


def _same_size(left: Value, right: Value, span: Span) -> bool:
    if not all(is_number(side) or isinstance(side, Dim) for side in (left, right)):
        return False
    difference = left - right
    if isinstance(difference, Dim):
        _unknown_size(span)
    return difference == 0


def _unknown_size(span: Span) -> NoReturn:
    help = "a static condition needs a size that is a number: make it a parameter, or `require` it"
    fail("A206", f"`{span.text}` depends on a size that isn't known here", span, help)


def _word(value: Value) -> Value:
    """Return what a member or an enum's choice is compared by."""
    if isinstance(value, EnumValue):
        return value.name
    return value.key if isinstance(value, MemberOf) else value


def contains(container: Value, value: Value, span: Span) -> bool:
    """Evaluate `value in container`."""
    key = value.key if isinstance(value, MemberOf) else value
    if isinstance(container, IndexSet):
        return key in container.members
    if is_map(container):
        return key in container
    if is_list(container):
        return any(equal(item, value, span) for item in container)
    if isinstance(container, Family):
        return key in container.members
    fail("A203", f"`in` needs a set, list or map on its right, not {describe(container)}", span)


def truth(value: Value, span: Span) -> bool:
    """Return a static condition as a bool."""
    if isinstance(value, bool):
        return value
    if isinstance(value, IndexSet) or is_list(value) or is_map(value):
        return len(value) > 0
    if value is None:
        return False
    fail("A207", f"a condition must be true or false, not {describe(value)}", span, "compare it with something: `x > 0`")


def listed(names: Iterable[object], most: int = 12) -> str:
    """Return names in backticks, separated by commas."""
    texts = [f"`{n}`" for n in names]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def elements(value: Value, span: Span) -> list[Value]:
    """Return what a `for` of a comprehension runs over."""
    if isinstance(value, IndexSet):
        return list(value)
    if is_list(value):
        return list(value)
    if is_map(value):
        return list(value)
    if isinstance(value, Family):
        return list(value.members.values())
    help = f"write `0..{value}`" if isinstance(value, int) else "a `for` runs over an index set, a list, a range or the keys of a map"
    fail("A208", f"can't run over {describe(value)}", span, help)


def as_set(value: Value, span: Span, name: str = "") -> IndexSet:
    """Return the index set that a value makes: a set, a range, the keys of a map, a list of names or numbers."""
    if isinstance(value, IndexSet):
        return value
    if isinstance(value, Family):
        return value.set
    members: list[Any] = list(value) if is_map(value) else [key_of(v) for v in elements(value, span)]
    seen: set[object] = set()
    for member in members:
        check_member(member, span)
        if member in seen:
            fail("A412", f"`{member}` stands twice in this set", span, "the members of an index set are different")
        seen.add(member)
    return IndexSet.of(name or span.text, tuple(members))


def check_member(value: Value, span: Span) -> None:
    """Require what may stand in an index set."""
    if not _is_member(value):
        help = "without braces it is a set already; two are joined by `+`" if isinstance(value, IndexSet) else None
        fail("A408", f"an index set holds names, numbers or tuples of them, not {describe(value)}", span, help)


def is_key(value: Value) -> bool:
    """Say whether a value may be a key of a map: a member of a set, or a truth."""
    return isinstance(value, bool) or _is_member(value)


def _is_member(value: Value) -> bool:
    return all(map(_is_member, value)) if is_list(value) else isinstance(value, (int, str, float, Fraction)) and not isinstance(value, bool)


def key_of(value: Value) -> Value:
    """Return the member that a value means in a set or between brackets."""
    if isinstance(value, MemberOf):
        return value.key
    if is_list(value):
        return tuple(key_of(v) for v in value)
    return value.name if isinstance(value, EnumValue) else value


def plain(name: str, value: Value, span: Span) -> Any:
    """Return a static value as plain Python has it: index sets become lists, members and words of an enum what they are called."""
    value = tidy(number(value))
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, EnumValue):
        return value.name
    if isinstance(value, MemberOf):
        return value.key
    if isinstance(value, IndexSet):
        return list(value.members)
    if is_list(value):
        return [plain(name, item, span) for item in value]
    if is_map(value):
        return {key: plain(name, item, span) for key, item in value.items()}
    if isinstance(value, (Dim, SetAxis)):
        fail("A206", f"`{name}` must be a number that is known here, not `{value}`", span, "Python code reads sizes off the tensors that it is given")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    fail("A203", f"`{name}` can't be handed to Python: it is {describe(value)}", span, "Python code takes numbers, strings, lists, maps, index sets")
