"""Numbers of 8 bits: how floats become such, and maps by them.  Passes write these."""

from __future__ import annotations

from typing import Any, cast

from ...dsl.dims import Dim
from ...dsl.primitive import Argument, Cost, Inputs, Rule
from ...dsl.types import DType, TensorType, extent
from ..arguments import integer, ints, real, tensor
from ..convolution import flops, ranked
from ..costs import moved, moved_bytes, product
from ..lowering import Omit, call
from ..registry import operation
from ..samples import refused, sample
from .conv import DILATION, STRIDE, fitting, placed
from .conv import GROUPS as CHANNELS

QUANTIZED = "archloom.compiler.runtime.quantized"


def _rows(rule: Rule, x: TensorType, name: str) -> None:
    rule.dtype(x, "float", "`x`")
    if x.rank < 2:
        raise rule.fail(f"`{name}` takes rows, and `x` is {x}", "give float[n, ...]", "A322")


@operation(
    arguments=(tensor("x", "the rows", flat=True),),
    lowering=call(f"{QUANTIZED}.int8_scale", "x"),
    cost=moved,
    good=(sample(x="float[3, 4]"), sample(x="float[3, 4, 2, 2]")),
    bad=(refused("A322", x="float[3]"), refused("A305", x="int[3, 4]")),
)
def int8_scale(rule: Rule, x: TensorType) -> TensorType:
    """Return the step by which each row's numbers are whole ones of 8 bits: `s_i = max_j |x_ij| / 127`.  x: float[n, ...], s: float32[n]."""
    _rows(rule, x, "int8_scale")
    return TensorType(DType.FLOAT32, x.shape[:1])


@operation(
    arguments=(tensor("x", "the rows", flat=True), tensor("scale", "the step of each row", flat=True)),
    lowering=call(f"{QUANTIZED}.int8_quantize", "x", "scale"),
    cost=moved,
    good=(sample(x="float[3, 4]", scale="float32[3]"), sample(x="float[3, 4, 2, 2]", scale="float32[3]")),
    bad=(refused("A322", x="float[3]", scale="float32[3]"), refused("A301", x="float[3, 4]", scale="float32[4]")),
)
def int8_quantize(rule: Rule, x: TensorType, scale: TensorType) -> TensorType:
    """Round each row to whole numbers of its step: `y_ij = round(x_ij / s_i)`, in -127 .. 127.  x: float[n, ...], s: float32[n], y: int8[n, ...]."""
    _rows(rule, x, "int8_quantize")
    _scales(rule, scale, x)
    return TensorType(DType.INT8, x.shape)


def _scales(rule: Rule, scale: TensorType, rows: TensorType) -> None:
    rule.dtype(scale, "float32", "`scale`")
    if scale.rank != 1:
        raise rule.fail(f"`scale` is {scale}", "give one for each row", "A322")
    rule.same(scale.shape[0], rows.shape[0], "axis 0 of `scale` and the rows")


def _linear_cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    operations: int | Dim = product(outputs[0].shape) * extent(inputs["x"].shape[-1]) * 2
    return Cost(operations, moved_bytes(inputs, outputs))


_GOOD = (
    sample(x="float[B, S, 4]", weight="int8[3, 4]", scale="float32[3]", bias="float[3]"),
    sample(x="float[B, 4]", weight="int8[3, 4]", scale="float32[3]"),
    sample(x="float[4]", weight="int8[3, 4]", scale="float32[3]"),
)
_BAD = (
    refused("A301", x="float[B, 4]", weight="int8[4, 3]", scale="float32[4]"),
    refused("A301", x="float[B, 4]", weight="int8[3, 4]", scale="float32[4]"),
    refused("A301", x="float[B, 4]", weight="int8[3, 4]", scale="float32[3]", bias="float[4]"),
    refused("A305", x="float[B, 4]", weight="float[3, 4]", scale="float32[3]"),
    refused("A305", x="int[B, 4]", weight="int8[3, 4]", scale="float32[3]"),
    refused("A322", x="float[B, 4]", weight="int8[4]", scale="float32[3]"),
)


def _arguments(flat: bool) -> tuple[Argument, ...]:
    """Return those of a linear; no gradient goes to the vectors where they are rounded, too."""
    return (
        tensor("x", "the vectors", flat=flat),
        tensor("weight", "the matrix in whole numbers", flat=True),
        tensor("scale", "the steps of these", flat=True),
        tensor("bias", "what is added", optional=True),
    )


def _linear(rule: Rule, x: TensorType, weight: TensorType, bias: TensorType | None, each: int) -> TensorType:
    """Check a linear whose matrix holds `each` numbers in one of its own."""
    rule.dtype(x, "float", "`x`")
    rule.dtype(weight, "int8", "`weight`")
    if weight.rank != 2 or not x.rank or (bias is not None and bias.rank != 1):
        raise rule.fail(f"`x` is {x} and `weight` is {weight}", "give float[..., din], a weight [dout, din] and a bias [dout]", "A322")
    rule.same(x.shape[-1], extent(weight.shape[1]) * each, "the last axis of `x` and the numbers in a row of `weight`")
    if bias is not None:
        rule.dtype(bias, "float", "`bias`")
        rule.same(weight.shape[0], bias.shape[0], "axis 0 of `weight` and `bias`")
    return TensorType(x.dtype, (*x.shape[:-1], weight.shape[0]))


@operation(
    arguments=_arguments(flat=True),
    lowering=call(f"{QUANTIZED}.int8_linear", "x", "weight", "scale", Omit("bias", None)),
    cost=_linear_cost,
    good=_GOOD,
    bad=_BAD,
)
def int8_linear(rule: Rule, x: TensorType, weight: TensorType, scale: TensorType, bias: TensorType | None) -> TensorType:
    """Map the last axis in 8 bits: `y_i = s_i t (W_i . round(x / t)) + b_i`, where `t` is the step that `x` needs, found at each call.

    x: float[..., din], weight W: int8[dout, din], scale s: float32[dout], bias b: float[dout], y: float[..., dout].
    """
    y = _linear(rule, x, weight, bias, 1)
    _scales(rule, scale, weight)
    return y


@operation(
    arguments=_arguments(flat=False),
    lowering=call(f"{QUANTIZED}.int8_weight_linear", "x", "weight", "scale", Omit("bias", None)),
    cost=_linear_cost,
    good=_GOOD,
    bad=_BAD,
)
def int8_weight_linear(rule: Rule, x: TensorType, weight: TensorType, scale: TensorType, bias: TensorType | None) -> TensorType:
    """Map the last axis by a matrix of 8 bits, in floats: `y_i = s_i (W_i . x) + b_i`.

    x: float[..., din], weight W: int8[dout, din], scale s: float32[dout], bias b: float[dout], y: float[..., dout].
    """
    y = _linear(rule, x, weight, bias, 1)
    _scales(rule, scale, weight)
    return y


GROUPS = (32, 64, 128, 256)
"""How many numbers of 4 bits may share a step."""


@operation(
    arguments=(tensor("x", "the rows", flat=True), integer("group", "how many numbers share a step: 32, 64, 128 or 256")),
    lowering=call(f"{QUANTIZED}.int4_scale", "x", "group"),
    cost=moved,
    good=(sample(x="float[3, 64]", group=32), sample(x="float[3, 64]", group=64)),
    bad=(refused("A322", x="float[3]", group=32), refused("A214", x="float[3, 64]", group=16), refused("A302", x="float[3, 64]", group=128)),
)
def int4_scale(rule: Rule, x: TensorType, group: int) -> TensorType:
    """Return the step by which each group of numbers along a row is whole ones of 4 bits: `s_ig = -x / 8` for the one farthest from zero.

    x: float[n, din], s: bfloat16[n, din / group].
    """
    rule.dtype(x, "float", "`x`")
    if x.rank != 2:
        raise rule.fail(f"`int4_scale` takes rows, and `x` is {x}", "give float[n, din]", "A322")
    if group not in GROUPS:
        raise rule.fail(f"`group` is {group}", f"give one of {', '.join(map(str, GROUPS))}", "A214")
    groups = rule.divide(x.shape[1], group, "the numbers in a row of `x`")
    return TensorType(DType.BFLOAT16, (x.shape[0], groups))


@operation(
    arguments=(tensor("x", "the rows", flat=True), tensor("scale", "the step of each group", flat=True)),
    lowering=call(f"{QUANTIZED}.int4_quantize", "x", "scale"),
    cost=moved,
    good=(sample(x="float[3, 64]", scale="bfloat16[3, 2]"),),
    bad=(
        refused("A322", x="float[3]", scale="bfloat16[3, 2]"),
        refused("A301", x="float[3, 64]", scale="bfloat16[4, 2]"),
        refused("A302", x="float[3, 64]", scale="bfloat16[3, 3]"),
    ),
)
def int4_quantize(rule: Rule, x: TensorType, scale: TensorType) -> TensorType:
    """Round each group of numbers along a row to whole ones of its step, two in a byte: `q_ig = round(x_ig / s_ig)`, in -8 .. 7.

    x: float[n, din], s: bfloat16[n, din / group], y: int8[n, din / 2].
    """
    rule.dtype(x, "float", "`x`")
    if x.rank != 2 or scale.rank != 2:
        raise rule.fail(f"`int4_quantize` takes rows, and `x` is {x}, `scale` {scale}", "give float[n, din] and bfloat16[n, din / group]", "A322")
    _groups(rule, scale, x)
    rule.divide(x.shape[1], scale.shape[1], "the numbers in a row of `x`, by the steps of a row")
    return TensorType(DType.INT8, (x.shape[0], rule.divide(x.shape[1], 2, "the numbers in a row of `x`")))


def _groups(rule: Rule, scale: TensorType, rows: TensorType) -> None:
    rule.dtype(scale, "bfloat16", "`scale`")
    rule.same(scale.shape[0], rows.shape[0], "axis 0 of `scale` and the rows")


@operation(
    arguments=_arguments(flat=True),
    lowering=call(f"{QUANTIZED}.int4_linear", "x", "weight", "scale", Omit("bias", None)),
    cost=_linear_cost,
    good=(
        sample(x="float[B, S, 64]", weight="int8[3, 32]", scale="bfloat16[3, 2]", bias="float[3]"),
        sample(x="float[64]", weight="int8[16, 32]", scale="bfloat16[16, 1]"),
    ),
    bad=(
        refused("A301", x="float[B, 32]", weight="int8[3, 32]", scale="bfloat16[3, 2]"),
        refused("A301", x="float[B, 64]", weight="int8[3, 32]", scale="bfloat16[4, 2]"),
        refused("A305", x="float[B, 64]", weight="int8[3, 32]", scale="float32[3, 2]"),
        refused("A322", x="float[B, 64]", weight="int8[3, 32]", scale="bfloat16[3]"),
    ),
)
def int4_linear(rule: Rule, x: TensorType, weight: TensorType, scale: TensorType, bias: TensorType | None) -> TensorType:
    """Map the last axis by a matrix of 4 bits, in bfloat16: `y_i = sum_g s_ig (W_ig . x_g) + b_i`, a step for each group along a row.

    x: float[..., din], weight W: int8[dout, din / 2], two numbers in a byte, scale s: bfloat16[dout, din / group], bias b: float[dout], y:
    float[..., dout].
    """
    y = _linear(rule, x, weight, bias, 2)
    if scale.rank != 2:
        raise rule.fail(f"`scale` is {scale}", "give bfloat16[dout, din / group]", "A322")
    _groups(rule, scale, weight)
    return y


STATIC = "archloom.compiler.runtime.quantized_static"
_RANGE = (real("low", "the lowest number that `x` is to keep"), real("high", "the highest one"))


def _ranged(rule: Rule, low: float, high: float) -> None:
    if low > high:
        raise rule.fail(f"`low` is {low} and `high` is {high}", "give the lower one first", "A214")


@operation(
    arguments=(*_arguments(flat=True), *_RANGE),
    lowering=call(f"{STATIC}.int8_static_linear", "x", "weight", "scale", "bias", "low", "high"),
    cost=_linear_cost,
    good=tuple(sample(**good.inputs, low=-1.0, high=2.0) for good in _GOOD),
    bad=(
        *(refused(cast(str, bad.code), **bad.inputs, low=-1.0, high=2.0) for bad in _BAD),
        refused("A214", x="float[B, 4]", weight="int8[3, 4]", scale="float32[3]", low=1.0, high=0.0),
    ),
)
def int8_static_linear(
    rule: Rule, x: TensorType, weight: TensorType, scale: TensorType, bias: TensorType | None, low: float, high: float
) -> TensorType:
    """Map the last axis in 8 bits, over a range that is known: `y_i = s_i t (W_i . round(x / t)) + b_i`, `t = (high - low) / 255`.

    x: float[..., din], weight W: int8[dout, din], scale s: float32[dout], bias b: float[dout], y: float[..., dout].
    """
    y = _linear(rule, x, weight, bias, 1)
    _scales(rule, scale, weight)
    _ranged(rule, low, high)
    return y


def _conv_cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    cout, cin, *kernel = (extent(n) for n in inputs["weight"].shape)
    y = outputs[0].shape
    return Cost(flops(extent(y[0]) * product(y[2:]), [k for k in kernel if isinstance(k, int)], cin, cout), moved_bytes(inputs, outputs))


_PLACES: dict[str, Any] = {"x": "float[B, 4, H, W]", "weight": "int8[6, 4, 3, 3]", "scale": "float32[6]", "low": -1.0, "high": 2.0}


@operation(
    arguments=(*_arguments(flat=True), *_RANGE, STRIDE, ints("padding", "places added on both sides", 0), DILATION, CHANNELS),
    lowering=call(
        f"{STATIC}.int8_static_conv2d", "x", "weight", "scale", "bias", "low", "high", stride="stride", padding="padding", dilation="dilation",
        groups=Omit("groups", 1),
    ),
    cost=_conv_cost,
    good=(sample(**_PLACES), sample(**_PLACES, bias="float[6]", stride=2, padding=1), sample(**{**_PLACES, "weight": "int8[6, 2, 3, 3]"}, groups=2)),
    bad=(
        refused("A301", **{**_PLACES, "weight": "int8[6, 5, 3, 3]"}),
        refused("A305", **{**_PLACES, "weight": "float[6, 4, 3, 3]"}),
        refused("A301", **{**_PLACES, "scale": "float32[5]"}),
        refused("A322", **{**_PLACES, "x": "float[B, 4]"}),
    ),
)  # fmt: skip
def int8_static_conv2d(
    rule: Rule, x: TensorType, weight: TensorType, scale: TensorType, bias: TensorType | None, low: float, high: float, stride: Any, padding: Any,
    dilation: Any, groups: int,
) -> TensorType:  # fmt: skip
    """Slide a kernel of 8 bits over places that are rounded over a known range: `y[o, p] = s_o t (sum of W[o, c, k] round(x / t)[c, p + k]) + b_o`.

    x: float[B, cin, h, w], weight W: int8[cout, cin / groups, k, l], scale s: float32[cout], bias b: float[cout], y: float[B, cout, H, W];
    `t = (high - low) / 255`.
    """
    rule.dtype(weight, "int8", "`weight`")
    ranked(rule, "int8_static_conv2d", x, 2)
    kernel = fitting(rule, "int8_static_conv2d", x, weight, bias, groups)
    _scales(rule, scale, weight)
    _ranged(rule, low, high)
    return TensorType(x.dtype, (x.shape[0], weight.shape[0], *placed(rule, "int8_static_conv2d", x, kernel, stride, padding, dilation)))
