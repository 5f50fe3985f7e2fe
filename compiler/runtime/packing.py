"""Orders of whole numbers in which torch's operators want them, which are other ones than that in which they are saved.

A weight is a tensor, or a `Whole`, which keeps one order at a time: it is asked by its methods, as an emitted file has tensors alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

PACKED: Any = WeakTensorKeyDictionary()
"""For whole numbers that are computed from floats and kept, those in another order, and of which versions they are."""


class Order(NamedTuple):
    """An order of whole numbers: `pack` puts weights so, with their steps, and `unpack` gives weights of a shape back."""

    pack: Callable[[Tensor, Tensor], Any]
    unpack: Callable[[Any, torch.Size], Tensor]


def numbers(weight: Any) -> Tensor:
    """Return whole numbers in the order in which they are saved."""
    return weight if isinstance(weight, Tensor) else weight.plain()


def packs(weight: Any, device: torch.device) -> bool:
    """Tell whether operators that have orders of their own run: on a CPU, outside of compiled code."""
    return device.type == "cpu" and not torch.compiler.is_compiling() and not weight.is_inference()


def packed(weight: Any, scale: Tensor, order: Order) -> Any:
    """Return whole numbers in an order, made anew where they have changed."""
    if not isinstance(weight, Tensor):
        return weight.packed(scale, order)
    versions = (weight._version, id(scale), scale._version)
    found = PACKED.get(weight)
    if found is None or found[0] != versions:
        found = PACKED[weight] = (versions, scale, order.pack(weight, scale))
    return found[2]
