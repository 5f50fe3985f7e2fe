"""Operators and functions of two or three operands; numbers of the text may stand for one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...dsl.primitive import Inputs, Rule, ValueRule
from ...dsl.types import DType, TensorType
from ..arguments import flag, is_zero, number, tensor
from ..costs import moved
from ..exact import elementwise
from ..lowering import Given, Handle, Lowering, LoweringBuilder, call, expand, static
from ..operands import broadcast, common_dtype
from ..ranges import keeps, minus, plus, raised, times
from ..registry import operation
from ..samples import Sample, refused, sample

Flat = bool | Callable[[Inputs], bool]

A = number("a", "the left operand, a tensor or a number")
B = number("b", "the right operand, a tensor or a number")

BOTH: tuple[Sample, ...] = (
    sample(a="float[B, 3]", b="float[B, 3]"),
    sample(a="float[B, 3]", b="float[3]"),
    sample(a="float[B, 1, 3]", b="float[S, 1]"),
    sample(a="float[B, 3]", b=2),
    sample(a=0.5, b="float[B]"),
)
INTS: tuple[Sample, ...] = (sample(a="int[B, 3] < 5", b="int[3] < 5"), sample(a="int[B]", b=3))
MIXED: tuple[Sample, ...] = (
    refused("A321", a="float[B]", b="float32[B]"),
    refused("A301", a="float[B, 3]", b="float[B, 4]"),
    refused("A305", a=1, b=2),
)
NUMBERS: tuple[Sample, ...] = (
    *MIXED,
    refused("A321", a="float[B]", b="int[B]"),
    refused("A321", a="int[B]", b=0.5),
    refused("A321", a="float[B]", b=True),
)
FLOATS: tuple[Sample, ...] = (*MIXED, refused("A305", a="float[B]", b="int[B]"), refused("A305", a="int[B]", b=0.5))


def _binary(
    name: str,
    target: str | Lowering,
    equation: str,
    allowed: str = "number",
    samples: tuple[Sample, ...] = (*BOTH, *INTS),
    values: ValueRule | None = None,
    flat: tuple[Flat, Flat] = (False, False),
    exact: Callable[[int, int], int] | None = None,
) -> None:
    def rule(rule: Rule, a: Any, b: Any) -> TensorType:
        operands = {"a": a, "b": b}
        return TensorType(common_dtype(rule, operands, allowed), broadcast(rule, operands))

    operation(
        name=name,
        doc=f"{equation}.  a, b: {allowed}[...] of one dtype or numbers, broadcast from the right; y: the common shape.",
        arguments=(replace(A, flat=flat[0]), replace(B, flat=flat[1])),
        lowering=call(target, "a", "b") if isinstance(target, str) else target,
        values=values,
        exact=elementwise(exact, "a", "b") if exact is not None else None,
        cost=moved,
        good=samples,
        bad=(*(FLOATS if allowed == "float" else NUMBERS), refused("A305", a="bool[B]", b="bool[B]")),
    )(rule)


def _quotient(b: LoweringBuilder, given: Given) -> Any:
    """Floats are divided by what torch can differentiate: `//` can't be."""
    if given.outputs[0].dtype.is_int:
        return b.call("operator.floordiv", static(b, given["a"]), static(b, given["b"]))
    return b.call("torch.div", *_tensor_and_other(b, given), rounding_mode="floor")


def _remainder(b: LoweringBuilder, given: Given) -> Any:
    if given.outputs[0].dtype.is_int:
        return b.call("operator.mod", static(b, given["a"]), static(b, given["b"]))
    return b.call("operator.mod", *_tensor_and_other(b, given))


def _tensor_and_other(b: LoweringBuilder, given: Given) -> tuple[Handle, Handle]:
    """Return both operands, the first as a tensor in any case."""
    a, other = static(b, given["a"]), static(b, given["b"])
    return (a if isinstance(given.types["a"], TensorType) else b.call("torch.full_like", other, a)), other


def _of_tensors(b: LoweringBuilder, given: Given, target: str) -> Any:
    """Call a function that takes no numbers."""
    a, other = _tensor_and_other(b, given)
    return b.call(target, a, other if isinstance(given.types["b"], TensorType) else b.call("torch.full_like", a, other))


_binary("add", "operator.add", "Add: `y = a + b`", values=plus, exact=int.__add__)
_binary("sub", "operator.sub", "Subtract: `y = a - b`", values=minus, exact=int.__sub__)
_binary("mul", "operator.mul", "Multiply: `y = a * b`", values=times, exact=int.__mul__, flat=(is_zero("b"), is_zero("a")))
_binary(
    "floor_divide",
    expand(lambda b, given: _quotient(b, given)),
    "Divide and round down: `y = floor(a / b)`",
    "real",
    (*BOTH, sample(a="int[B, 3]", b=3)),
    flat=(True, True),
    exact=int.__floordiv__,
)
_binary(
    "remainder",
    expand(lambda b, given: _remainder(b, given)),
    "Take what is left of a division, with the sign of b: `y = a - b floor(a / b)`",
    "real",
    (*BOTH, sample(a="int[B]", b=3)),
    exact=int.__mod__,
)
_binary("pow", "operator.pow", "Raise to a power: `y = a^b`", values=raised, samples=(*BOTH, sample(a="int[B]", b=3)))
_binary(
    "logaddexp",
    expand(lambda b, given: _of_tensors(b, given, "torch.logaddexp")),
    "Add in the space of logarithms: `y = ln(e^a + e^b)`",
    "float",
    BOTH,
)
_binary(
    "atan2",
    expand(lambda b, given: _of_tensors(b, given, "torch.atan2")),
    "Take the angle of a point: `y = atan(a / b)` in the right quadrant",
    "float",
    BOTH,
)
_binary("xlogy", "torch.xlogy", "Compute `y = a ln b`, zero where a is zero", "float", BOTH)


@operation(
    name="div",
    arguments=(A, replace(B, flat=is_zero("a"))),
    lowering=call("operator.truediv", "a", "b"),
    cost=moved,
    good=BOTH,
    bad=(*FLOATS, refused("A305", a="int[B]", b="int[B]")),
)
def div(rule: Rule, a: Any, b: Any) -> TensorType:
    """Divide: `y = a / b`.  a, b: float[...] or numbers, broadcast from the right; ints are divided with `//` or after `float(...)`."""
    operands = {"a": a, "b": b}
    for name, value in operands.items():
        if isinstance(value, TensorType) and value.dtype.is_int:
            raise rule.fail(f"`/` divides floats and `{name}` is {value.dtype}", "write `//` to round down, or `float(...)` around it", "A305")
    return TensorType(common_dtype(rule, operands, "float"), broadcast(rule, operands))


def _extreme(b: LoweringBuilder, given: Given, function: str, bound: str) -> Any:
    left, right = given["a"], given["b"]
    for x, limit, name in ((left, right, "b"), (right, left, "a")):
        if not isinstance(given.types[name], TensorType):
            return b.call("torch.clamp", x, **{bound: static(b, limit)})
    return b.call(function, left, right)


for _name, _function, _bound, _equation, _exact in (
    ("minimum", "torch.minimum", "max", "Take the smaller: `y = min(a, b)`", min),
    ("maximum", "torch.maximum", "min", "Take the larger: `y = max(a, b)`", max),
):

    def _rule(rule: Rule, a: Any, b: Any) -> TensorType:
        operands = {"a": a, "b": b}
        return TensorType(common_dtype(rule, operands, "real"), broadcast(rule, operands))

    operation(
        name=_name,
        doc=f"{_equation}.  a, b: real[...] or numbers, broadcast from the right.",
        arguments=(A, B),
        lowering=expand(lambda b, given, f=_function, m=_bound: _extreme(b, given, f, m)),
        exact=elementwise(_exact, "a", "b"),
        cost=moved,
        good=(*BOTH, *INTS),
        bad=NUMBERS,
    )(_rule)


def _comparison(name: str, target: str, equation: str, allowed: str) -> None:
    def rule(rule: Rule, a: Any, b: Any) -> TensorType:
        operands = {"a": a, "b": b}
        bools = [v for v in operands.values() if isinstance(v, TensorType) and v.dtype is DType.BOOL]
        common_dtype(rule, operands, "bool" if bools and allowed == "any" else "number" if allowed == "any" else allowed)
        return TensorType(DType.BOOL, broadcast(rule, operands))

    operation(
        name=name,
        doc=f"Compare: `y = a {equation} b`.  a, b: {allowed}[...] of one dtype or numbers, broadcast from the right; y: bool[...].",
        arguments=(A, B),
        lowering=call(target, "a", "b"),
        cost=moved,
        good=(*BOTH, *INTS, *([sample(a="bool[B]", b="bool[B]")] if allowed == "any" else [])),
        bad=NUMBERS,
    )(rule)


for _name, _operator, _allowed in (
    ("eq", "==", "any"),
    ("ne", "!=", "any"),
    ("lt", "<", "real"),
    ("le", "<=", "real"),
    ("gt", ">", "real"),
    ("ge", ">=", "real"),
):
    _comparison(_name, f"operator.{_name}", _operator, _allowed)


def _logical(name: str, target: str, symbol: str) -> None:
    def rule(rule: Rule, a: Any, b: Any) -> TensorType:
        operands = {"a": a, "b": b}
        tensors = [v for v in operands.values() if isinstance(v, TensorType)]
        whole = bool(tensors) and tensors[0].dtype.is_int
        return TensorType(common_dtype(rule, operands, "int" if whole else "bool"), broadcast(rule, operands))

    operation(
        name=name,
        doc=f"Combine truths, or the bits of ints: `y = a {symbol} b`.  a, b: bool[...] or int[...], broadcast from the right.",
        arguments=(A, B),
        lowering=call(target, "a", "b"),
        cost=moved,
        good=(sample(a="bool[B, 3]", b="bool[3]"), sample(a="int[B]", b="int[B]"), sample(a="bool[B]", b=True)),
        bad=(refused("A305", a="float[B]", b="float[B]"), refused("A305", a="bool[B]", b="int[B]"), refused("A301", a="bool[3]", b="bool[2]")),
    )(rule)


_logical("bitwise_and", "operator.and_", "&")
_logical("bitwise_or", "operator.or_", "|")
_logical("bitwise_xor", "operator.xor", "^")


@operation(
    arguments=(tensor("x", "truths, or ints"),),
    lowering=call("operator.invert", "x"),
    cost=moved,
    good=(sample(x="bool[B, 3]"), sample(x="int[B]")),
    bad=(refused("A305", x="float[B]"),),
)
def bitwise_not(rule: Rule, x: TensorType) -> TensorType:
    """Negate truths, or the bits of ints: `y = ~x`.  x: bool[...] or int[...], y: as x."""
    rule.dtype(x, "int" if x.dtype.is_int else "bool", "`x`")
    return x


@operation(
    arguments=(replace(tensor("condition", "where to take `a`"), chooses=("a", "b")), A, B),
    lowering=expand(lambda b, given: _where(b, given)),
    values=keeps("a", "b"),
    cost=moved,
    good=(
        sample(condition="bool[B, 3]", a="float[B, 3]", b="float[B, 3]"),
        sample(condition="bool[B, 1]", a="float[3]", b=0),
        sample(condition="bool[B]", a=1.5, b="float[B]"),
        sample(condition="bool[B]", a="int[B]", b=-100),
        sample(condition="bool[B]", a="bool[B]", b=False),
        sample(condition="bool[B, 3]", a=1, b=2),
        sample(condition="bool[B, 3]", a=1.5, b=2),
    ),
    bad=(
        refused("A305", condition="float[B]", a="float[B]", b=0),
        refused("A321", condition="bool[B]", a="float[B]", b="int[B]"),
        refused("A301", condition="bool[3]", a="float[4]", b=0),
    ),
)
def where(rule: Rule, condition: TensorType, a: Any, b: Any) -> TensorType:
    """Choose by element: `y = a if condition else b`.  condition: bool[...], a, b: one dtype or numbers, broadcast from the right."""
    rule.dtype(condition, "bool", "`condition`")
    operands = {"a": a, "b": b}
    if not any(isinstance(v, TensorType) for v in operands.values()):
        if isinstance(a, bool) and isinstance(b, bool):
            return TensorType(DType.BOOL, condition.shape)
        whole = all(isinstance(v, int) and not isinstance(v, bool) for v in operands.values())
        return TensorType(DType.INT if whole else DType.FLOAT, condition.shape)
    allowed = "any" if any(isinstance(v, TensorType) and v.dtype is DType.BOOL for v in operands.values()) else "number"
    dtype = common_dtype(rule, operands, "bool" if allowed == "any" else "number")
    return TensorType(dtype, broadcast(rule, {"condition": condition, **operands}))


def _where(b: LoweringBuilder, given: Given) -> Any:
    """Two numbers alone give torch's default dtype: they are brought to that of the model."""
    found = b.call("torch.where", given["condition"], static(b, given["a"]), static(b, given["b"]))
    alone = not any(isinstance(given.types[name], TensorType) for name in ("a", "b"))
    return b.method(found, "to", b.dtype(DType.FLOAT)) if alone and given.outputs[0].dtype is DType.FLOAT else found


@operation(
    arguments=(A, B, flag("equal_nan", "whether two that are not numbers are close")),
    lowering=call("torch.isclose", "a", "b", equal_nan="equal_nan"),
    cost=moved,
    good=(sample(a="float[B, 3]", b="float[3]"),),
    bad=(refused("A305", a="float[B]", b="int[B]"), refused("A305", a="float[B]", b=0.0)),
)
def isclose(rule: Rule, a: Any, b: Any, equal_nan: bool) -> TensorType:
    """Tell where two are close: `y = |a - b| <= 1e-8 + 1e-5 |b|`.  a, b: float[...], y: bool[...]."""
    operands = {"a": a, "b": b}
    common_dtype(rule, operands, "float")
    if not all(isinstance(v, TensorType) for v in operands.values()):
        raise rule.fail("`isclose` compares two tensors", "write `abs(a - b) < tolerance` for a number", "A305")
    return TensorType(DType.BOOL, broadcast(rule, operands))
