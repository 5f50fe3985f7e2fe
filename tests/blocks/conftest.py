"""Running lowerings at once, without a compiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from archloom.blocks.registry import primitives
from archloom.dsl.dims import Dim
from archloom.dsl.facts import Facts
from archloom.dsl.rule import ShapeRule
from archloom.dsl.types import DType, TensorType

TORCH: Mapping[DType, torch.dtype] = {
    DType.FLOAT: torch.float32, DType.FLOAT64: torch.float64, DType.FLOAT32: torch.float32, DType.FLOAT16: torch.float16,
    DType.BFLOAT16: torch.bfloat16, DType.INT: torch.int64, DType.INT32: torch.int32, DType.INT8: torch.int8,
    DType.BOOL: torch.bool, DType.COMPLEX: torch.complex64,
}  # fmt: skip


def named(target: str) -> Any:
    """Import a dotted name."""
    module, _, rest = target.rpartition(".")
    try:
        return getattr(import_module(module), rest)
    except ModuleNotFoundError:
        return getattr(named(module), rest)


class EagerBuilder:
    """Runs a lowering at once; `size` gives the numbers of symbolic sizes."""

    def __init__(self, device: str = "cpu", size: Callable[[Dim], int] | None = None, float_dtype: torch.dtype = torch.float32) -> None:
        self.where = device
        self.size = size
        self.float_dtype = float_dtype
        self.children: list[torch.nn.Module] = []

    def call(self, target: str, *args: Any, **kwargs: Any) -> Any:
        return named(target)(*args, **kwargs)

    def method(self, handle: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(handle, name)(*args, **kwargs)

    def item(self, handle: Any, index: int) -> Any:
        return handle[index]

    def dim(self, extent: int | Dim) -> int:
        if isinstance(extent, int):
            return extent
        assert self.size is not None
        return self.size(extent)

    def dtype(self, dtype: DType) -> torch.dtype:
        return self.float_dtype if dtype is DType.FLOAT else TORCH[dtype]

    def device(self) -> str:
        return self.where

    def child(self, target: str, arguments: Mapping[str, Any], *inputs: Any, idle: bool = False) -> Any:
        module = named(target)(**arguments).to(self.where, self.float_dtype)
        self.children.append(module)
        return module(*inputs)


def type_of(value: Any, float_dtype: torch.dtype) -> Any:
    """Return the type of a tensor, or of each of several; statics as they are."""
    if isinstance(value, Tensor):
        kinds = {v: k for k, v in TORCH.items() if k not in (DType.FLOAT, DType.FLOAT32)} | {torch.float32: DType.FLOAT32, float_dtype: DType.FLOAT}
        return TensorType(kinds[value.dtype], tuple(value.shape))
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return tuple(type_of(v, float_dtype) for v in items) if items and isinstance(items[0], Tensor) else items
    return value


@pytest.fixture
def build() -> type[EagerBuilder]:
    """Return the class of builders that run at once."""
    return EagerBuilder


def run(name: str, *, float_dtype: torch.dtype = torch.float32, **inputs: Any) -> Any:
    """Check a primitive's arguments and run it on tensors."""
    entry = primitives()[name]
    types = {k: type_of(v, float_dtype) for k, v in inputs.items()}
    found = entry.infer(ShapeRule(Facts()), types)
    outputs = found if isinstance(found, tuple) else (found,)
    result = entry.lower(EagerBuilder(float_dtype=float_dtype), inputs, types, outputs)
    tensors = cast("tuple[Tensor, ...]", result) if isinstance(result, tuple) else (cast(Tensor, result),)
    assert [tuple(t.shape) for t in tensors] == [t.shape for t in outputs]
    return cast(Any, result)


@pytest.fixture(scope="session")
def run_primitive() -> Callable[..., Any]:
    """Return a function that checks and runs a primitive: `run_primitive("softmax", x=x, dim=-1)`."""
    return run
