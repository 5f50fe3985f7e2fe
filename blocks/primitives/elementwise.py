"""Functions of one tensor, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...dsl.primitive import Rule, ValueRule
from ...dsl.types import DType, TensorType
from ..arguments import number, real, tensor, word
from ..costs import moved, view
from ..exact import elementwise
from ..lowering import Given, LoweringBuilder, Omit, Slot, call, expand, method, static
from ..operands import common_dtype
from ..ranges import limited, negated
from ..registry import ShapeRule, operation
from ..samples import refused, sample

X = tensor("x", "the tensor")
FLAT = tensor("x", "the tensor", flat=True)


def _same(allowed: str, result: DType | None = None) -> ShapeRule:
    def rule(rule: Rule, x: TensorType, **_: Any) -> TensorType:
        rule.dtype(x, allowed, "`x`")
        return TensorType(result or x.dtype, x.shape)

    return rule


def _unary(
    name: str,
    target: str,
    equation: str,
    allowed: str = "float",
    result: DType | None = None,
    flat: bool = False,
    values: ValueRule | None = None,
    exact: Callable[[int], int] | None = None,
) -> None:
    words = {"float": "float[B, 3]", "number": "int[B, 3]", "real": "int[B, 3]"}
    operation(
        name=name,
        doc=f"{equation}.  x: {allowed}[...], y: the same shape{f', {result}' if result else ''}.",
        arguments=(FLAT if flat else X,),
        lowering=call(target, "x"),
        values=values,
        exact=elementwise(exact, "x") if exact is not None else None,
        cost=moved,
        good=(sample(x="float[B, 3]"), sample(x="float[]"), *([sample(x="int[B, 3]")] if allowed != "float" else [])),
        bad=(refused("A305", x="bool[B]"), *([refused("A305", x=words["number"])] if allowed == "float" else [])),
    )(_same(allowed, result))


for _name, _target, _equation in (
    ("exp", "torch.exp", "Raise e to each element: `y = e^x`"),
    ("log", "torch.log", "Take the natural logarithm: `y = ln x`"),
    ("log2", "torch.log2", "Take the logarithm to base 2: `y = log2 x`"),
    ("log1p", "torch.log1p", "Take the logarithm near one: `y = ln(1 + x)`"),
    ("expm1", "torch.expm1", "Take the exponential near zero: `y = e^x - 1`"),
    ("sqrt", "torch.sqrt", "Take the square root: `y = x^(1/2)`"),
    ("rsqrt", "torch.rsqrt", "Take the reciprocal of the square root: `y = x^(-1/2)`"),
    ("reciprocal", "torch.reciprocal", "Take the reciprocal: `y = 1 / x`"),
    ("sin", "torch.sin", "Take the sine: `y = sin x`, x in radians"),
    ("cos", "torch.cos", "Take the cosine: `y = cos x`, x in radians"),
    ("tan", "torch.tan", "Take the tangent: `y = tan x`, x in radians"),
    ("atan", "torch.atan", "Take the inverse tangent: `y = atan x`"),
    ("asin", "torch.asin", "Take the inverse sine: `y = asin x`, x from -1 to 1"),
    ("acos", "torch.acos", "Take the inverse cosine: `y = acos x`, x from -1 to 1"),
    ("sinh", "torch.sinh", "Take the hyperbolic sine: `y = (e^x - e^-x) / 2`"),
    ("cosh", "torch.cosh", "Take the hyperbolic cosine: `y = (e^x + e^-x) / 2`"),
    ("tanh", "torch.tanh", "Take the hyperbolic tangent: `y = (e^x - e^-x) / (e^x + e^-x)`"),
    ("sigmoid", "torch.sigmoid", "Take the logistic function: `y = 1 / (1 + e^-x)`"),
    ("logit", "torch.logit", "Invert the logistic function: `y = ln(x / (1 - x))`"),
    ("erf", "torch.erf", "Take the error function: `y = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x`"),
    ("erfinv", "torch.erfinv", "Invert the error function: `erf y = x`"),
    ("selu", "torch.nn.functional.selu", "Compute `y = 1.0507 x` above zero, else `1.7581 (e^x - 1)`, which keeps mean 0 and variance 1"),
    ("silu", "torch.nn.functional.silu", "Weigh by the logistic function: `y = x / (1 + e^-x)`"),
    ("mish", "torch.nn.functional.mish", "Compute `y = x tanh(ln(1 + e^x))`"),
    ("relu6", "torch.nn.functional.relu6", "Clip to 0 and 6: `y = min(max(x, 0), 6)`"),
    ("hardswish", "torch.nn.functional.hardswish", "Compute `y = x min(max(x + 3, 0), 6) / 6`"),
    ("hardsigmoid", "torch.nn.functional.hardsigmoid", "Compute `y = min(max(x + 3, 0), 6) / 6`"),
    ("softsign", "torch.nn.functional.softsign", "Compute `y = x / (1 + |x|)`"),
    ("log_sigmoid", "torch.nn.functional.logsigmoid", "Take the logarithm of the logistic function: `y = -ln(1 + e^-x)`"),
    ("frac", "torch.frac", "Keep the part after the point: `y = x - trunc x`"),
):  # fmt: skip
    _unary(_name, _target, _equation)

for _name, _target, _equation in (
    ("neg", "operator.neg", "Negate: `y = -x`"),
    ("square", "torch.square", "Square: `y = x^2`"),
):  # fmt: skip
    _unary(_name, _target, _equation, "number", values=negated if _name == "neg" else None, exact=int.__neg__ if _name == "neg" else lambda x: x * x)

for _name, _target, _equation in (
    ("abs", "torch.abs", "Take the absolute value: `y = |x|`"),
    ("relu", "torch.relu", "Clip at zero: `y = max(x, 0)`"),
):  # fmt: skip
    _unary(_name, _target, _equation, "real", exact=abs if _name == "abs" else lambda x: max(x, 0))

for _name, _target, _equation in (
    ("sign", "torch.sign", "Take the sign: `x = y |x|`, y one of -1, 0 and 1"),
    ("round", "torch.round", "Round to the nearest whole number, halves to even: `|y - x| <= 1/2`"),
    ("floor", "torch.floor", "Round down: `y <= x < y + 1`"),
    ("ceil", "torch.ceil", "Round up: `y - 1 < x <= y`"),
    ("trunc", "torch.trunc", "Round towards zero: `y = sign(x) floor(|x|)`"),
):  # fmt: skip
    _unary(_name, _target, _equation, "real", flat=True)

for _name, _target, _equation in (
    ("isnan", "torch.isnan", "Tell where an element is not a number: `y = [x != x]`"),
    ("isinf", "torch.isinf", "Tell where an element is infinite: `y = [|x| = inf]`"),
    ("isfinite", "torch.isfinite", "Tell where an element is finite: `y = [|x| < inf]`"),
):  # fmt: skip
    _unary(_name, _target, _equation, "number", DType.BOOL)


@operation(
    arguments=(X, word("approximate", ("none", "tanh"), "`tanh` for the approximation of GPT-2 and BERT's TensorFlow code", "none")),
    lowering=call("torch.nn.functional.gelu", "x", approximate=Omit("approximate", "none")),
    cost=moved,
    good=(sample(x="float[B, 3]"), sample(x="float[B, 3]", approximate="tanh")),
    bad=(refused("A305", x="int[B]"), refused("A213", x="float[B]", approximate="tan")),
)
def gelu(rule: Rule, x: TensorType, approximate: str) -> TensorType:
    """Weigh by the normal distribution: `y = x P(N(0, 1) <= x)`, or with `tanh` `y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.

    x: float[...], y: as x.
    """
    rule.dtype(x, "float", "`x`")
    return x


def _shaped(name: str, target: str, equation: str, argument: str, default: float, doc: str, *, divides: bool = False) -> None:
    options: dict[str, Slot] = {argument: Omit(argument, default)}

    def rule(rule: Rule, x: TensorType, **given: Any) -> TensorType:
        rule.dtype(x, "float", "`x`")
        if divides and given[argument] == 0:
            raise rule.fail(f"`{argument}` of `{name}` is 0", "x is divided by it: give another number", "A214")
        return x

    operation(
        name=name,
        doc=f"{equation}.  x: float[...], y: as x.",
        arguments=(X, real(argument, doc, default)),
        lowering=call(target, "x", **options),
        cost=moved,
        good=(sample(x="float[B, 3]"), sample(x="float[B, 3]", **{argument: 0.3})),
        bad=(refused("A305", x="int[B]"), *([refused("A214", x="float[B]", **{argument: 0.0})] if divides else [])),
    )(rule)


_shaped("elu", "torch.nn.functional.elu", "Compute `y = x` above zero, else `alpha (e^x - 1)`", "alpha", 1.0, "the limit far below zero, negated")
_shaped(
    "celu", "torch.nn.functional.celu", "Compute `y = max(x, 0) + min(0, alpha (e^(x/alpha) - 1))`", "alpha", 1.0,
    "the limit far below zero, negated", divides=True,
)  # fmt: skip
_shaped(
    "leaky_relu", "torch.nn.functional.leaky_relu", "Compute `y = x` above zero, else `slope * x`", "negative_slope", 0.01, "the slope below zero"
)
_shaped("softplus", "torch.nn.functional.softplus", "Compute `y = ln(1 + e^(beta x)) / beta`", "beta", 1.0, "how sharp the bend is")


@operation(
    arguments=(X, number("min", "the lowest value, or `none`", None), number("max", "the highest value, or `none`", None)),
    lowering=expand(lambda b, given: _clamp(b, given)),
    values=limited,
    cost=moved,
    good=(
        sample(x="float[B, 3]", min=0),
        sample(x="float[B, 3]", min=-1.5, max=1),
        sample(x="int[B]", max=3),
        sample(x="float[B, 3]", min="float[]", max=1),
        sample(x="float[B]", max=0.0),
    ),
    bad=(refused("A305", x="bool[B]", min=0), refused("A321", x="int[B]", min=0.5), refused("A214", x="float[B]")),
)
def clamp(rule: Rule, x: TensorType, min: Any, max: Any) -> TensorType:
    """Limit to an interval: `y = min(max(x, min), max)`.  x: real[...], y: as x."""
    if min is None and max is None:
        raise rule.fail("`clamp` has neither `min` nor `max`", "give one of them", "A214")
    given = {"x": x, "min": min, "max": max}
    dtype = common_dtype(rule, {k: v for k, v in given.items() if v is not None}, "real")
    for name in ("min", "max"):
        bound = given[name]
        if isinstance(bound, TensorType) and bound.rank:
            raise rule.fail(f"`{name}` of `clamp` has axes", "take `minimum` or `maximum` for a bound that differs by element", "A322")
    return TensorType(dtype, x.shape)


def _clamp(b: LoweringBuilder, given: Given) -> Any:
    """Numbers in one call; a tensor as a bound by itself, for torch takes no mixture."""
    bounds = {name: static(b, given[name]) for name in ("min", "max") if given[name] is not None}
    if not any(isinstance(given.types[name], TensorType) for name in bounds):
        return b.call("torch.clamp", given["x"], **bounds)
    found = given["x"]
    for name, bound in bounds.items():
        exact = isinstance(given.types[name], TensorType)
        found = (
            b.call("torch.maximum" if name == "min" else "torch.minimum", found, bound) if exact else b.call("torch.clamp", found, **{name: bound})
        )
    return found


ACTIVATIONS = {
    "relu": "torch.relu", "gelu": "torch.nn.functional.gelu", "gelu_tanh": "torch.nn.functional.gelu", "silu": "torch.nn.functional.silu",
    "swish": "torch.nn.functional.silu", "tanh": "torch.tanh", "sigmoid": "torch.sigmoid", "elu": "torch.nn.functional.elu",
    "leaky_relu": "torch.nn.functional.leaky_relu", "softplus": "torch.nn.functional.softplus", "mish": "torch.nn.functional.mish",
    "relu6": "torch.nn.functional.relu6", "hardswish": "torch.nn.functional.hardswish", "identity": "",
    "gelu_new": "torch.nn.functional.gelu", "gelu_pytorch_tanh": "torch.nn.functional.gelu", "quick_gelu": "torch.sigmoid",
}  # fmt: skip


def _activation(b: LoweringBuilder, given: Given) -> Any:
    name, x = given["name"], given["x"]
    if name == "identity":
        return x
    if name == "quick_gelu":
        return b.call("operator.mul", x, b.call("torch.sigmoid", b.call("operator.mul", x, 1.702)))
    options = {"approximate": "tanh"} if name in ("gelu_tanh", "gelu_new", "gelu_pytorch_tanh") else {}
    return b.call(ACTIVATIONS[name], x, **options)


@operation(
    arguments=(X, word("name", tuple(ACTIVATIONS), "which function")),
    lowering=expand(_activation),
    cost=moved,
    good=tuple(sample(x="float[B, 3]", name=name) for name in ACTIVATIONS),
    bad=(refused("A213", x="float[B]", name="rellu"), refused("A305", x="int[B]", name="relu")),
)
def activation(rule: Rule, x: TensorType, name: str) -> TensorType:
    """Apply an activation chosen by its name: `y = name(x)`, for blocks that take the name as an argument.  x: float[...], y: as x."""
    rule.dtype(x, "float", "`x`")
    return x


@operation(
    arguments=(X, real("value", "the number that takes the place of what is not finite", 0.0)),
    lowering=call("torch.nan_to_num", "x", nan="value", posinf="value", neginf="value"),
    cost=moved,
    good=(sample(x="float[B, 3]"), sample(x="float[B, 3]", value=1.0)),
    bad=(refused("A305", x="int[B]"),),
)
def nan_to_num(rule: Rule, x: TensorType, value: float) -> TensorType:
    """Replace what is not finite: `y = x` where finite, else `value`.  x: float[...], y: as x."""
    rule.dtype(x, "float", "`x`")
    return x


@operation(
    arguments=(FLAT,),
    lowering=method("detach", "x"),
    cost=view,
    good=(sample(x="float[B, 3]"), sample(x="int[B]")),
    bad=(refused("A202"),),
)
def detach(rule: Rule, x: TensorType) -> TensorType:
    """Pass the value on and stop its gradient: `y = x`, `dy/dx = 0`.  x: any[...], y: as x."""
    return x
