"""Activations with parameters, and gated ones."""

from __future__ import annotations

from typing import Any

from ...dsl.primitive import Inputs, ParameterSpec, Rule
from ...dsl.types import TensorType, extent
from ..arguments import axis, init, integer, real, tensor
from ..costs import moved
from ..lowering import Omit, call, module
from ..parameters import leaf_cost
from ..registry import leaf, operation
from ..samples import refused, sample
from .linear import positive


def _slopes(inputs: Inputs) -> tuple[ParameterSpec, ...]:
    return (ParameterSpec("weight", (inputs["count"],), init=inputs["init"]),)


@leaf(
    name="PReLU",
    arguments=(
        integer("count", "how many slopes: 1, or one for each channel", 1),
        real("start", "the slope at first", 0.25),
        init("init", "how the slopes start"),
    ),
    lowering=module("torch.nn.PReLU", num_parameters=Omit("count", 1), init=Omit("start", 0.25)),
    parameters=_slopes,
    cost=leaf_cost(_slopes),
    good=(sample(x="float[B, S]"), sample(x="float[B, 3, S]", count=3), sample(x="float[]", start=0.1)),
    bad=(
        refused("A301", x="float[B, 4, S]", count=3),
        refused("A305", x="int[B]"),
        refused("A322", x="float[3]", count=3),
        refused("A214", x="float[B]", count=0),
    ),
)
def prelu_leaf(rule: Rule, x: TensorType, count: int, start: float, init: Any) -> TensorType:
    """Compute `y = x` above zero, else `w x` with learned slopes w.  x: float[B, C, ...], weight w: [count], y: as x."""
    rule.dtype(x, "float", "`x`")
    positive(rule, count=count)
    if count > 1:
        if x.rank < 2:
            raise rule.fail(f"`x` is {x} and there are {count} slopes", "give it a batch and a channel axis", "A322")
        rule.same(x.shape[1], count, "axis 1 of `x` and `count`")
    return x


@operation(
    arguments=(tensor("x", "values and gates, one after the other"), axis("dim", "the axis that holds both", -1)),
    lowering=call("torch.nn.functional.glu", "x", dim=Omit("dim", -1)),
    cost=moved,
    good=(sample(x="float[B, 6]"), sample(x="float[B, 4, S]", dim=1)),
    bad=(refused("A302", x="float[B, 5]"), refused("A305", x="int[B, 4]"), refused("A304", x="float[4]", dim=1)),
)
def glu(rule: Rule, x: TensorType, dim: int) -> TensorType:
    """Gate one half of an axis by the other: `y = a s(b)`, s the logistic function.  x: float[..., 2 n, ...], y: float[..., n, ...]."""
    rule.dtype(x, "float", "`x`")
    at = rule.axis(dim, x.rank)
    half = rule.divide(extent(x.shape[at]), 2, f"axis {at} of `x` and its two halves")
    return TensorType(x.dtype, (*x.shape[:at], half, *x.shape[at + 1 :]))


@operation(
    arguments=(tensor("x", "the tensor"), real("threshold", "elements up to here are replaced"), real("value", "what replaces them", 0.0)),
    lowering=call("torch.nn.functional.threshold", "x", "threshold", "value"),
    cost=moved,
    good=(sample(x="float[B, 3]", threshold=0.5),),
    bad=(refused("A305", x="bool[B]", threshold=0.5),),
)
def threshold(rule: Rule, x: TensorType, threshold: float, value: float) -> TensorType:
    """Replace what is small: `y = x` above the threshold, else `value`.  x: float[...], y: as x."""
    rule.dtype(x, "float", "`x`")
    return x
