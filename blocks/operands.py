"""Rules shared by operations on numbers: which dtypes go together, what a literal becomes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ..dsl.dims import Dim
from ..dsl.primitive import Rule
from ..dsl.types import Axis, DType, TensorType

Number = int | float | Fraction | Dim
Operand = TensorType | Number

MIXED = "A321"


def is_literal(value: Any) -> bool:
    """Tell whether an operand is a number of the text and not a tensor."""
    return isinstance(value, (int, float, Fraction, Dim))


def is_whole(value: Any) -> bool:
    """Tell whether a literal may stand beside ints."""
    return isinstance(value, (int, Dim)) or (isinstance(value, Fraction) and value.denominator == 1)


def common_dtype(rule: Rule, operands: dict[str, Any], allowed: str = "number") -> DType:
    """Return the one dtype of the operands; literals take the dtype of the tensors beside them.

    Raises through the rule: two dtypes, a bool where numbers are asked, a fraction beside ints, no tensor at all.
    """
    tensors = {name: v for name, v in operands.items() if isinstance(v, TensorType)}
    if not tensors:
        raise rule.fail("an operation on tensors needs a tensor", "numbers alone are computed while the file is read", "A305")
    for name, value in tensors.items():
        rule.dtype(value, allowed, f"`{name}`")
    (first, left), *others = tensors.items()
    for name, right in others:
        if right.dtype is not left.dtype:
            raise rule.fail(
                f"`{first}` is {left.dtype} and `{name}` is {right.dtype}",
                f"nothing is converted by itself: write `{left.dtype}(...)` or `{right.dtype}(...)` around one of them",
                MIXED,
            )
    for name, value in operands.items():
        if is_literal(value):
            _literal(rule, name, value, left.dtype)
    return left.dtype


def _literal(rule: Rule, name: str, value: Any, dtype: DType) -> None:
    if isinstance(value, bool) is not (dtype is DType.BOOL):
        raise rule.fail(
            f"`{name}` is `{str(value).lower()}` beside {dtype} values", "bool is no number: convert with `float(...)` or `int(...)`", MIXED
        )
    if dtype.is_int and not is_whole(value):
        raise rule.fail(f"`{name}` is the fraction `{value}` beside {dtype} values", "convert the tensor with `float(...)`", MIXED)


def broadcast(rule: Rule, operands: dict[str, Any]) -> tuple[Axis, ...]:
    """Return the common shape of the tensors among the operands."""
    names = [f"`{n}`" for n, v in operands.items() if isinstance(v, TensorType)]
    shapes = [v.shape for v in operands.values() if isinstance(v, TensorType)]
    if len(shapes) == 1:
        return shapes[0]
    return rule.broadcast(shapes, " and ".join(names))


def normal_axes(rule: Rule, dim: Any, rank: int) -> tuple[int, ...]:
    """Return axes as non-negative numbers, all of them for `none`; an axis named twice is refused."""
    if dim is None:
        return tuple(range(rank))
    listed: list[int] = [dim] if isinstance(dim, int) else list(dim)
    found = tuple(rule.axis(d, rank) for d in listed)
    if len(set(found)) != len(found):
        raise rule.fail(f"an axis is named twice in {listed}", "name each axis once", "A324")
    return found


def in_range(rule: Rule, name: str, value: Any, low: float, high: float | None = None, *, open_low: bool = False, open_high: bool = False) -> None:
    """Refuse a static number outside its interval."""
    below = value <= low if open_low else value < low
    above = high is not None and (value >= high if open_high else value > high)
    if below or above:
        upper = "" if high is None else f" and {'below' if open_high else 'at most'} {high:g}"
        raise rule.fail(f"`{name}` is `{value}`", f"it must be {'above' if open_low else 'at least'} {low:g}{upper}", "A214")
