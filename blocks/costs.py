"""Cost rules: FLOPs as `torch.utils.flop_counter` counts them (matrix products, convolutions and attention; nothing else), and bytes.

Products of a matrix and a vector are counted too: torch's counter sees them or not, by the layout of the matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from ..dsl.dims import Dim
from ..dsl.primitive import Cost, Inputs
from ..dsl.types import Axis, DType, TensorType, extent

WIDTH = {
    DType.FLOAT: 4, DType.FLOAT64: 8, DType.FLOAT32: 4, DType.FLOAT16: 2, DType.BFLOAT16: 2,
    DType.COMPLEX: 8, DType.INT: 8, DType.INT32: 4, DType.INT8: 1, DType.BOOL: 1,
}  # fmt: skip
"""Bytes of one element; `float` counts 4."""


def product(shape: Iterable[Axis]) -> int | Dim:
    """Return the number of elements of a shape."""
    total: int | Dim = 1
    for axis in shape:
        total = total * extent(axis)
    return total


def nbytes(type_: TensorType) -> int | Dim:
    """Return the bytes of a tensor."""
    return product(type_.shape) * WIDTH[type_.dtype]


def moved_bytes(inputs: Inputs, outputs: Sequence[TensorType]) -> int | Dim:
    """Return the bytes of all tensors read and written."""
    total: int | Dim = 0
    for type_ in (*_tensors(inputs.values()), *outputs):
        total = total + nbytes(type_)
    return total


def _tensors(values: Iterable[Any]) -> Iterator[TensorType]:
    for value in values:
        if isinstance(value, TensorType):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in cast("tuple[Any, ...]", value) if isinstance(item, TensorType))


def moved(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    """Cost of an operation that reads its inputs and writes its outputs once; its arithmetic isn't counted."""
    return Cost(0, moved_bytes(inputs, outputs))


def view(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    """Cost of an operation that moves nothing."""
    return Cost(0, 0)
