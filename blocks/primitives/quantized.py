"""Numbers of 8 bits: how floats become such, and maps by them.  Passes write these."""

from __future__ import annotations

from ...dsl.dims import Dim
from ...dsl.primitive import Cost, Inputs, Rule
from ...dsl.types import DType, TensorType, extent
from ..arguments import tensor
from ..costs import moved, moved_bytes, product
from ..lowering import Omit, call
from ..registry import operation
from ..samples import refused, sample

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


@operation(
    arguments=(
        tensor("x", "the vectors", flat=True),
        tensor("weight", "the matrix in whole numbers", flat=True),
        tensor("scale", "the step of each row of it", flat=True),
        tensor("bias", "what is added", optional=True),
    ),
    lowering=call(f"{QUANTIZED}.int8_linear", "x", "weight", "scale", Omit("bias", None)),
    cost=_linear_cost,
    good=(
        sample(x="float[B, S, 4]", weight="int8[3, 4]", scale="float32[3]", bias="float[3]"),
        sample(x="float[B, 4]", weight="int8[3, 4]", scale="float32[3]"),
        sample(x="float[4]", weight="int8[3, 4]", scale="float32[3]"),
    ),
    bad=(
        refused("A301", x="float[B, 4]", weight="int8[4, 3]", scale="float32[4]"),
        refused("A301", x="float[B, 4]", weight="int8[3, 4]", scale="float32[4]"),
        refused("A301", x="float[B, 4]", weight="int8[3, 4]", scale="float32[3]", bias="float[4]"),
        refused("A305", x="float[B, 4]", weight="float[3, 4]", scale="float32[3]"),
        refused("A305", x="int[B, 4]", weight="int8[3, 4]", scale="float32[3]"),
        refused("A322", x="float[B, 4]", weight="int8[4]", scale="float32[3]"),
    ),
)
def int8_linear(rule: Rule, x: TensorType, weight: TensorType, scale: TensorType, bias: TensorType | None) -> TensorType:
    """Map the last axis in 8 bits: `y_i = s_i t (W_i . round(x / t)) + b_i`, where `t` is the step that `x` needs, found at each call.

    x: float[..., din], weight W: int8[dout, din], scale s: float32[dout], bias b: float[dout], y: float[..., dout].
    """
    rule.dtype(x, "float", "`x`")
    rule.dtype(weight, "int8", "`weight`")
    if weight.rank != 2 or not x.rank or (bias is not None and bias.rank != 1):
        raise rule.fail(f"`x` is {x} and `weight` is {weight}", "give float[..., din], a weight [dout, din] and a bias [dout]", "A322")
    _scales(rule, scale, weight)
    rule.same(x.shape[-1], weight.shape[1], "the last axis of `x` and axis 1 of `weight`")
    if bias is not None:
        rule.dtype(bias, "float", "`bias`")
        rule.same(weight.shape[0], bias.shape[0], "axis 0 of `weight` and `bias`")
    return TensorType(x.dtype, (*x.shape[:-1], weight.shape[0]))
