"""How many bytes the operations of a call read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ..runtime.quantized import OPS


def traffic(call: Callable[[], object]) -> int:
    """Return the bytes that the operations of one eager call read and write, each operation by itself; views move nothing.

    It is what operations one by one have to move: caches, and kernels that compute several at once, move less.
    """
    with Traffic() as found:
        call()
    return found.bytes


class Traffic(TorchDispatchMode):
    """Adds up what the operations read and write that are called while it is on."""

    PICKING: ClassVar[frozenset[str]] = frozenset(("embedding", "gather", "index", "index_select"))
    """Read no more of their first argument than they return."""
    STILL: ClassVar[frozenset[str]] = frozenset(("_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "lift_fresh"))
    """Move nothing, though they are no views."""

    def __init__(self) -> None:
        plain: Any = super()
        plain.__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run an operation and count it."""
        result = func(*args, **(kwargs or {}))
        name: str = func.overloadpacket.__name__
        if not func.is_view and name not in self.STILL:
            read: Any = (*((result,) if name in self.PICKING else args[:1]), *args[1:], kwargs)
            self.bytes += _moved(pytree.tree_leaves(read)) + _moved(pytree.tree_leaves(result))
        if name == "linear_dynamic":  # whose weight is in an order of its own, and no tensor
            weight: Tensor = OPS.quantized.linear_unpack(args[1])[0]
            self.bytes += weight.numel() * weight.element_size()
        return result


def _moved(values: Iterable[object]) -> int:
    """Return the bytes of tensors; places along an expanded axis are one place."""
    return sum(
        value.element_size() * prod(size for size, stride in zip(value.shape, value.stride(), strict=True) if stride)
        for value in values
        if isinstance(value, Tensor) and value.layout is torch.strided
    )
