"""Helpers for leaf modules: their parameters and what a call of them costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..dsl.dims import Dim
from ..dsl.primitive import Cost, Initialiser, Inputs, ParameterSpec
from ..dsl.types import DType, TensorType
from .costs import moved_bytes, product
from .registry import CostRule, ParameterRule

ZEROS = Initialiser("zeros", {})
ONES = Initialiser("ones", {})


def weight_and_bias(shape: Callable[[Inputs], tuple[int, ...]], width: str) -> ParameterRule:
    """Return a rule for a `weight` of the given shape and a `bias` of the argument `width` when `bias` is true."""

    def rule(inputs: Inputs) -> tuple[ParameterSpec, ...]:
        weight = ParameterSpec("weight", shape(inputs), init=inputs["init"])
        return (weight, ParameterSpec("bias", (inputs[width],), init=inputs["init_bias"])) if inputs["bias"] else (weight,)

    return rule


def leaf_cost(parameters: ParameterRule, flops: Callable[[Inputs, TensorType], int | Dim] = lambda inputs, y: 0) -> CostRule:
    """Return a cost rule that reads the input and all parameters, writes the output, and has the given FLOPs."""

    def rule(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
        owned = sum_of(product(p.shape) * (8 if p.dtype is DType.INT else 4) for p in parameters(inputs))
        return Cost(flops(inputs, outputs[0]), moved_bytes(inputs, outputs) + owned)

    return rule


def sum_of(values: Any) -> int | Dim:
    """Add up sizes."""
    total: int | Dim = 0
    for value in values:
        total = total + value
    return total


def per_axis(value: Any, count: int) -> tuple[int, ...]:
    """Return one number for each axis: a single one stands for all."""
    return (value,) * count if isinstance(value, int) else tuple(value)


def buffers(width: int) -> tuple[ParameterSpec, ...]:
    """Return the running statistics of a batch norm."""
    return (
        ParameterSpec("running_mean", (width,), init=ZEROS, buffer=True),
        ParameterSpec("running_var", (width,), init=ONES, buffer=True),
        ParameterSpec("num_batches_tracked", (), DType.INT, ZEROS, buffer=True),
    )
