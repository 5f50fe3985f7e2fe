"""Primitives of the library run at once on tensors: what a weights map does to stored values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...blocks.registry import primitives
from ...dsl.dims import Dim
from ...dsl.primitive import RuleFailure
from ...dsl.types import DType, TensorType
from ..lower.builder import TORCH_DTYPES
from ..lower.names import imported


class Eager:
    """A `LoweringBuilder` that calls torch instead of writing a graph."""

    def call(self, target: str, *args: Any, **kwargs: Any) -> Any:
        """Call the function with a dotted name."""
        return imported(target)(*args, **kwargs)

    def method(self, handle: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of a value."""
        return getattr(handle, name)(*args, **kwargs)

    def item(self, handle: Any, index: int) -> Any:
        """Return one of several results."""
        return handle[index]

    def dim(self, extent: int | Dim) -> int:
        """Return a size, which is a number here."""
        if isinstance(extent, Dim):
            raise TypeError(f"the size `{extent}` isn't known")
        return extent

    def dtype(self, dtype: DType) -> torch.dtype:
        """Return a torch dtype."""
        return TORCH_DTYPES.get(dtype, torch.get_default_dtype())

    def device(self) -> torch.device:
        """Return the CPU."""
        return torch.device("cpu")

    def child(self, target: str, arguments: Mapping[str, Any], *inputs: Any, idle: bool = False) -> Any:
        """Call a module made for this one use."""
        return imported(target)(**arguments)(*inputs)


def rearrange(value: Tensor, pattern: str, sizes: Mapping[str, int]) -> Tensor:
    """Split, reorder and join the axes of a tensor by an einops pattern; ValueError for one that doesn't fit."""
    type_ = TensorType(DType.FLOAT, tuple(value.shape))
    statics = {"pattern": pattern, "axes": dict(sizes)}
    try:
        return primitives()["rearrange"].lower(Eager(), {"x": value, **statics}, {"x": type_, **statics}, (type_,))
    except RuleFailure as failure:
        raise ValueError(failure.message) from failure
