# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""Static values of the oracle: arithmetic that is exact, sizes that come late, comparisons, and the functions on them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from torch import Tensor

from .values import Choice, Family, Late, Member, Result, Set, Wrong, now, number, plain, tidy, whole

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Fraction)) and not isinstance(value, bool)


def binary(op: str, left: Any, right: Any) -> Any:
    """Apply an operator to static values."""
    if op in ("in", "not in"):
        return contains(right, left) is (op == "in")
    if isinstance(left, Set) and isinstance(right, Set) and op not in ("==", "!="):
        return _sets(op, left, right)
    if op in ("==", "!=") and not isinstance(left, Late) and not isinstance(right, Late):
        return equal(left, right) is (op == "==")
    left, right = (v.key if isinstance(v, Member) and isinstance(v.key, tuple) else v for v in (left, right))
    if op == "+" and isinstance(left, (list, tuple, str)):
        right = tuple(right) if isinstance(left, tuple) and isinstance(right, list) else right
        if type(left) is type(right):
            return left + right
    a, b = number(left), number(right)
    late = isinstance(a, Late) or isinstance(b, Late)
    a, b = (v.value if isinstance(v, Late) else v for v in (a, b))
    if not is_number(a) or not is_number(b):
        raise Wrong(f"{op} of {left!r} and {right!r}")
    if late and (isinstance(a, float) or isinstance(b, float)):
        raise Wrong("a size is mixed with a float", "late")
    found = _number(op, a, b, late)
    return Late(found) if late else tidy(found)


def _number(op: str, a: Any, b: Any, late: bool) -> Any:
    try:
        if op == "/":
            return a / b if isinstance(a, float) or isinstance(b, float) else Fraction(a) / Fraction(b)
        if op == "**":
            if late and not (isinstance(b, int) and 0 <= b <= 16):
                raise Wrong("a power of a size")
            if abs(b) > 4096:
                raise Wrong("a power is too large")
            found = Fraction(a) ** b if isinstance(a, int) and isinstance(b, int) else float(a) ** float(b) if isinstance(b, Fraction) else a**b
            if isinstance(found, complex):
                raise Wrong("no real number")
            return found
        if op not in OPERATORS:
            raise Wrong(f"{op} is not for numbers")
        return OPERATORS[op](a, b)
    except (ZeroDivisionError, OverflowError) as error:
        raise Wrong(str(error), "run" if late else "text") from None


def _sets(op: str, left: Set, right: Set) -> Set:
    if op == "+":
        return Set.of(left.members + right.members)
    if op == "except":
        if not set(right.members) <= set(left.members):
            raise Wrong("what is left out of a set is in it")
        return left.cut(tuple(m for m in left.members if m not in right.members))
    raise Wrong(f"{op} of sets")


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, Set) and isinstance(right, Set):
        return left.members == right.members
    left, right = plain(left), plain(right)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(equal(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(v, right[k]) for k, v in left.items())
    for value, other in ((left, right), (right, left)):
        if not isinstance(value, (int, float, Fraction, str, list, tuple, dict, Set, Late, type(None))):
            raise Wrong(f"{value!r} is compared")
        if isinstance(value, bool) and is_number(other):
            raise Wrong("a truth is compared with a number")
    return left == right


def contains(container: Any, value: Any) -> bool:
    if isinstance(container, Set):
        return plain(value) in container.members
    if isinstance(container, dict):
        return plain(value) in container
    if isinstance(container, (list, tuple)):
        return any(equal(item, value) for item in container)
    if isinstance(container, Family):
        return plain(value) in container.members
    raise Wrong(f"{container!r} holds nothing")


def truth(value: Any) -> bool:
    """Return a static condition."""
    if isinstance(value, Late):
        raise Wrong("a condition depends on a size that comes late", "late")
    if isinstance(value, bool):
        return value
    if isinstance(value, (list, tuple, dict)):
        return bool(value)
    if isinstance(value, Set):
        return bool(value.members)
    if value is None:
        return False
    raise Wrong(f"{value!r} is no condition")


def elements(value: Any) -> list[Any]:
    """Return what a clause runs over."""
    if isinstance(value, Set):
        return [Member(m, value) for m in value.members]
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, Family):
        return list(value.members.values())
    raise Wrong(f"nothing runs over {value!r}")


def as_set(value: Any) -> Set:
    """Return the index set that a value makes."""
    if isinstance(value, Set):
        return value
    if isinstance(value, Family):
        return value.set
    if not isinstance(value, (list, tuple, dict)):
        raise Wrong(f"{value!r} is no set")
    members = tuple(key(v) for v in value)
    return Set.of(members)


def key(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(key, value))
    return tidy(plain(value))


def _flat(arguments: list[Any]) -> list[Any]:
    return [number(v) for v in (elements(arguments[0]) if len(arguments) == 1 else arguments)]


def _extreme(least: bool) -> Callable[[list[Any]], Any]:
    def run(arguments: list[Any]) -> Any:
        values = _flat(arguments)
        late = any(isinstance(v, Late) for v in values)
        bare = [v.value if isinstance(v, Late) else v for v in values]
        if not bare or not all(is_number(v) for v in bare):
            raise Wrong("min or max of no numbers")
        if late and any(isinstance(v, float) for v in bare):
            raise Wrong("a size is compared with a float")
        found = min(bare) if least else max(bare)
        return Late(found) if late else found

    return run


def _sum(arguments: list[Any]) -> Any:
    total: Any = 0
    for value in elements(arguments[0]):
        total = binary("+", total, number(value))
    return total


def length(value: Any) -> int:
    if isinstance(value, Set):
        return len(value.members)
    if isinstance(value, Family):
        return len(value.set.members)
    if isinstance(value, (str, list, tuple, dict)):
        return len(value)
    raise Wrong(f"{value!r} has no length")


def _rounded(how: Callable[[Any], int], late: bool = True) -> Callable[[list[Any]], Any]:
    def run(arguments: list[Any]) -> Any:
        value = number(arguments[0])
        if isinstance(value, Late):
            if not late:
                raise Wrong("a size is rounded", "late")
            return Late(how(value.value))
        if not is_number(value):
            raise Wrong(f"{value!r} is rounded")
        try:
            return how(value)
        except (ValueError, OverflowError) as error:
            raise Wrong(str(error)) from None

    return run


def _real(how: Callable[[float], float]) -> Callable[[list[Any]], Any]:
    def run(arguments: list[Any]) -> Any:
        value = number(arguments[0])
        if isinstance(value, Late) or not is_number(value):
            raise Wrong(f"{value!r} is no number", "late" if isinstance(value, Late) else "text")
        try:
            return how(float(value))
        except (ValueError, OverflowError) as error:
            raise Wrong(str(error)) from None

    return run


def _isqrt(arguments: list[Any]) -> int:
    value = whole(arguments[0], "isqrt")
    if value < 0:
        raise Wrong("isqrt of less than 0")
    return math.isqrt(value)


def _keys(arguments: list[Any]) -> Set:
    value = arguments[0]
    if isinstance(value, Family):
        return value.set
    if not isinstance(value, dict):
        raise Wrong("keys of no map")
    return Set.of(tuple(value))


def _reversed(arguments: list[Any]) -> Any:
    value = arguments[0]
    return value.cut(tuple(reversed(value.members))) if isinstance(value, Set) else list(reversed(elements(value)))


def _absolute(arguments: list[Any]) -> Any:
    value = now(arguments[0], "abs")
    if not is_number(value):
        raise Wrong("abs of no number")
    return abs(value)


FUNCTIONS: dict[str, tuple[int, int, Callable[[list[Any]], Any]]] = {
    "len": (1, 1, lambda a: length(a[0])), "sum": (1, 1, _sum), "min": (1, 99, _extreme(True)), "max": (1, 99, _extreme(False)),
    "ceil": (1, 1, _rounded(math.ceil)), "floor": (1, 1, _rounded(math.floor)), "round": (1, 1, _rounded(round, False)),
    "int": (1, 1, _rounded(int)), "float": (1, 1, _real(float)), "sqrt": (1, 1, _real(math.sqrt)), "log2": (1, 1, _real(math.log2)),
    "log": (1, 1, _real(math.log)), "exp": (1, 1, _real(math.exp)), "cos": (1, 1, _real(math.cos)), "sin": (1, 1, _real(math.sin)),
    "abs": (1, 1, _absolute), "isqrt": (1, 1, _isqrt), "keys": (1, 1, _keys), "reversed": (1, 1, _reversed),
    "all": (1, 1, lambda a: all([truth(v) for v in elements(a[0])])), "any": (1, 1, lambda a: any([truth(v) for v in elements(a[0])])),
    "count": (1, 1, lambda a: sum(truth(v) for v in elements(a[0]))), "index": (1, 1, lambda a: as_set(a[0])),
}  # fmt: skip


def is_tensor_like(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(is_tensor_like(v) for v in value)
    if isinstance(value, Family):
        return any(is_tensor_like(v) for v in value.members.values())
    return isinstance(value, Tensor)


def is_static(value: Any) -> bool:
    return value is None or isinstance(value, (int, float, Fraction, str, list, tuple, dict, Late, Set, Member, Choice))


__all__ = ["FUNCTIONS", "Result", "as_set", "binary", "elements", "equal", "is_number", "is_static", "is_tensor_like", "key", "truth"]
