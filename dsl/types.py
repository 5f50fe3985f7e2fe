"""Tensor types: a dtype and a shape whose axes are numbers, symbolic dimensions or index sets."""

from __future__ import annotations

from enum import Enum

from .dims import Dim
from .record import record


class DType(Enum):
    """Element types by their word in the language; `float` is the dtype chosen at compilation."""

    FLOAT = "float"
    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    COMPLEX = "complex"
    INT = "int"
    INT32 = "int32"
    INT8 = "int8"
    BOOL = "bool"

    __hash__ = object.__hash__  # members are compared by identity, and an enum's own hash is a call of Python

    @property
    def is_float(self) -> bool:
        return self in (DType.FLOAT, DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16)

    @property
    def is_int(self) -> bool:
        return self in (DType.INT, DType.INT32)

    def __str__(self) -> str:
        return self.value


@record
class SetAxis:
    """An index set as a tensor dimension: equal to itself, of size `size`, never equal to another set of that size."""

    name: str
    members: tuple[object, ...]

    @property
    def size(self) -> int:
        return len(self.members)

    def __str__(self) -> str:
        return self.name


Axis = int | Dim | SetAxis


def extent(axis: Axis) -> int | Dim:
    """Return the size of an axis as a number or a dimension."""
    return axis.size if isinstance(axis, SetAxis) else axis


@record
class TensorType:
    """`float[B, S, 64]`."""

    dtype: DType
    shape: tuple[Axis, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"
