"""Static functions: `len`, `sum`, `min`, `ceil` and the like, on values that are known while the file is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from .. import dim_atoms
from ..dims import Dim
from ..source import Span
from .context import fail
from .statics import as_set, binary, elements, is_number, number, truth
from .values import Family, IndexSet, Value, describe, is_list, is_map


def _flat(arguments: list[Value], span: Span) -> list[Value]:
    return [number(v) for v in elements(arguments[0], span)] if len(arguments) == 1 else [number(v) for v in arguments]


def _extreme(least: bool) -> Callable[[list[Value], Span], Value]:
    def function(arguments: list[Value], span: Span) -> Value:
        values = _flat(arguments, span)
        if not values:
            fail("A209", f"`{span.text}` has nothing to choose from", span, "the list is empty")
        if any(isinstance(v, Dim) for v in values) and all(isinstance(v, (int, Fraction, Dim)) and not isinstance(v, bool) for v in values):
            return dim_atoms.extreme("min" if least else "max", values)
        for value, original in zip(values, arguments if len(arguments) > 1 else values, strict=True):
            if not is_number(value):
                fail("A203", f"`{'min' if least else 'max'}` does not take {describe(original)}", span, "it compares numbers and sizes")
        return min(values) if least else max(values)

    return function


def _total(arguments: list[Value], span: Span) -> Value:
    result: Value = 0
    for value in _flat([arguments[0]], span):
        result = binary("+", result, value, span)
    return result


def _length(arguments: list[Value], span: Span) -> int:
    value = arguments[0]
    if isinstance(value, (IndexSet, str)) or is_list(value) or is_map(value):
        return len(value)
    if isinstance(value, Family):
        return len(value.set)
    fail(
        "A203", f"`len` does not take {describe(value)}", span, "it counts the members of a set, list, map or family; a tensor's size is `size(x, d)`"
    )


def _rounded(how: Callable[[Any], int], dimension: Callable[[Any], Value]) -> Callable[[list[Value], Span], Value]:
    def function(arguments: list[Value], span: Span) -> Value:
        value = number(arguments[0])
        if isinstance(value, Dim):
            return dimension(value)
        if not is_number(value):
            fail("A203", f"expected a number, not {describe(arguments[0])}", span)
        try:
            return how(value)
        except (ValueError, OverflowError):
            fail("A204", f"`{span.text}` has no value at {value}", span, "only finite numbers can be rounded")

    return function


def _round(arguments: list[Value], span: Span) -> Value:
    if isinstance(arguments[0], Dim):
        fail("A205", f"`{span.text}` would round a size", span, "say which way: `floor(...)` or `ceil(...)`")
    return _rounded(round, dim_atoms.floor_of)(arguments, span)


def _real(how: Callable[[float], float]) -> Callable[[list[Value], Span], Value]:
    def function(arguments: list[Value], span: Span) -> Value:
        value = number(arguments[0])
        if not is_number(value):
            fail("A203", f"expected a number, not {describe(arguments[0])}", span)
        try:
            return how(float(value))
        except (ValueError, OverflowError):
            fail("A204", f"`{span.text}` has no value at {value}", span, "check the numbers")

    return function


def _isqrt(arguments: list[Value], span: Span) -> int:
    value = number(arguments[0])
    if not isinstance(value, int) or value < 0:
        fail("A203", f"`isqrt` needs a whole number of at least 0, not {describe(value)}", span)
    return math.isqrt(value)


def _absolute(arguments: list[Value], span: Span) -> Value:
    value = number(arguments[0])
    if not is_number(value):
        fail("A203", f"`abs` needs a number, not {describe(value)}", span)
    return abs(value)


def _keys(arguments: list[Value], span: Span) -> IndexSet:
    value = arguments[0]
    if is_map(value):
        return IndexSet.of("keys", tuple(value))
    if isinstance(value, Family):
        return value.set
    fail("A203", f"`keys` needs a map, not {describe(value)}", span)


def _reversed(arguments: list[Value], span: Span) -> Value:
    value = arguments[0]
    if isinstance(value, IndexSet):
        return value.cut(tuple(reversed(value.members)), f"reversed({value.name})")
    return list(reversed(elements(value, span)))


def _count(arguments: list[Value], span: Span) -> int:
    return sum(1 for value in elements(arguments[0], span) if truth(value, span))


FUNCTIONS: dict[str, tuple[int, int, Callable[[list[Value], Span], Value]]] = {
    "len": (1, 1, _length), "sum": (1, 1, _total), "min": (1, 99, _extreme(True)), "max": (1, 99, _extreme(False)),
    "ceil": (1, 1, _rounded(math.ceil, dim_atoms.ceil_of)), "floor": (1, 1, _rounded(math.floor, dim_atoms.floor_of)),
    "round": (1, 1, _round), "int": (1, 1, _rounded(int, dim_atoms.floor_of)), "float": (1, 1, _real(float)),
    "sqrt": (1, 1, _real(math.sqrt)), "log2": (1, 1, _real(math.log2)), "log": (1, 1, _real(math.log)), "exp": (1, 1, _real(math.exp)),
    "cos": (1, 1, _real(math.cos)), "sin": (1, 1, _real(math.sin)), "abs": (1, 1, _absolute), "isqrt": (1, 1, _isqrt), "keys": (1, 1, _keys),
    "reversed": (1, 1, _reversed), "all": (1, 1, lambda a, s: all(truth(v, s) for v in elements(a[0], s))),
    "any": (1, 1, lambda a, s: any(truth(v, s) for v in elements(a[0], s))), "count": (1, 1, _count),
    "index": (1, 1, lambda a, s: as_set(a[0], s)),
}  # fmt: skip
"""Static functions: fewest and most arguments, and what they do.  Several share their name with an operation on tensors."""

CONSTANTS: dict[str, Value] = {"pi": math.pi, "inf": math.inf}
