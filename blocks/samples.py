"""Samples of calls: small good ones and ones that must be refused, written as short strings and read when a test asks.

`sample(x="float[B, S, 4]", dim=-1)`: a tensor is its type; `int[B] < 5` bounds the values of an index.  Names in a shape are symbols.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, cast

from ..dsl.dims import Dim, Symbol
from ..dsl.primitive import Argument, Kind
from ..dsl.record import record
from ..dsl.types import Axis, DType, TensorType


@record
class Sample:
    """Arguments by name as text or statics; `code` is the diagnostic of a bad one."""

    inputs: Mapping[str, Any]
    code: str | None = None


def sample(**inputs: Any) -> Sample:
    """Write a call that must work."""
    return Sample(inputs)


def refused(code: str, **inputs: Any) -> Sample:
    """Write a call that must be refused with `code`."""
    return Sample(inputs, code)


@record
class TensorSample:
    """A tensor of a sample: its type and, for indices, one past the highest value."""

    type: TensorType
    below: int | None


_TENSOR = re.compile(r"(\w+)\[([^\]]*)\](?:\s*<\s*(\d+))?")

SymbolTable = Mapping[str, "int | Dim"]


def read_extent(text: str, symbols: SymbolTable) -> int | Dim:
    """Read a size such as `4`, `S` or `2 * S + 1`."""
    terms = [[_factor(f.strip(), symbols) for f in term.split("*")] for term in text.split("+")]
    products = [reduce(lambda a, b: a * b, factors) for factors in terms]
    return reduce(lambda a, b: a + b, products)


def _factor(text: str, symbols: SymbolTable) -> int | Dim:
    return int(text) if text.lstrip("-").isdigit() else symbols[text]


def read_tensor(text: str, symbols: SymbolTable) -> TensorSample:
    """Read `int[B, S] < 5`."""
    match = _TENSOR.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is no tensor type")
    word, inside, below = match.groups()
    shape: tuple[Axis, ...] = tuple(read_extent(part, symbols) for part in inside.split(",") if part.strip())
    return TensorSample(TensorType(DType(word), shape), int(below) if below else None)


def read(argument: Argument, value: Any, symbols: SymbolTable) -> Any:
    """Turn one argument of a sample into what `infer` takes, with TensorSample for tensors."""
    if argument.kind is Kind.TENSOR:
        return read_tensor(value, symbols) if isinstance(value, str) else value
    if argument.kind is Kind.TENSORS:
        return tuple(read_tensor(item, symbols) for item in value)
    if argument.kind in (Kind.DIM, Kind.SHAPE):
        return _sizes(value, symbols)
    if argument.kind is Kind.SIZES:
        return {k: _sizes(v, symbols) for k, v in value.items()}
    if argument.kind is Kind.DTYPE:
        return DType(value) if isinstance(value, str) else value
    return value


def _sizes(value: Any, symbols: SymbolTable) -> Any:
    if isinstance(value, str):
        return read_extent(value, symbols)
    if isinstance(value, (list, tuple)):
        return [_sizes(item, symbols) for item in cast("Sequence[Any]", value)]
    return value


def symbols_for(sizes: Mapping[str, int]) -> dict[str, int | Dim]:
    """Return a symbolic dimension for each name."""
    return {name: Dim.of(Symbol(name)) for name in sizes}
