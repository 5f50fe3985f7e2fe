"""Whole numbers that are in memory once, in the order that torch's operators want them in."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Self, cast
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from .packing import Order

_NUMBERS = count()
_WHOLE: WeakValueDictionary[int, Whole] = WeakValueDictionary()


class Whole(nn.Module):
    """Whole numbers whose floats are gone.  Once an operator has them in its order, they are there in that one alone, until they are asked for.

    A state dict, `.to`, a copy and the attribute `value` have them in the order in which they are saved, exactly as they were; the next eager call
    lets go of these again.  Code that is compiled reads them so at each call: they stay then.
    """

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)
        self.shape = value.shape
        self.stays = False
        self._packed: tuple[Any, Order] | None = None
        self._of: tuple[Tensor, int, Tensor | None, int] | None = None
        self._gone = False
        self._number = next(_NUMBERS)
        _WHOLE[self._number] = self

    def __call__(self) -> Tensor | Self:
        """Return what operators for whole numbers take as their weight: in compiled code the numbers."""
        if not torch.compiler.is_compiling():
            return self
        _restored(self._number)
        return cast(Tensor, self._buffers["value"])

    @property
    def twice(self) -> bool:
        """Tell whether the numbers are there in both orders."""
        return self._packed is not None and not self._gone

    def is_inference(self) -> bool:
        """Tell whether the numbers may change without anything to tell it by."""
        value = self._buffers["value"]
        return value is not None and value.is_inference()

    def packed(self, scale: Tensor, order: Order) -> Any:
        """Return the numbers in an order, made anew where they or their steps have changed."""
        value = self._buffers["value"]
        if value is not None and self._gone:
            return order.pack(value, scale)  # others stand in their place for this call alone, as `functional_call` puts them there
        if self._of is None or self._of[0] is not scale or self._of[1] != scale._version or (value is not None and not self._same(value)):
            value = self.plain()
            self._packed, self._of = (order.pack(value, scale), order), (scale, scale._version, value, value._version)
        if value is not None and not self.stays:
            self._gone, self._of = True, (*self._of[:2], None, 0)
            self._buffers["value"] = None
        return cast("tuple[Any, Order]", self._packed)[0]

    def _same(self, value: Tensor) -> bool:
        return self._of is not None and self._of[2] is value and self._of[3] == value._version

    def plain(self) -> Tensor:
        """Return the numbers in the order in which they are saved, and have them there until the next eager call."""
        value = self._buffers["value"]
        if value is None and self._packed is not None and self._of is not None:
            with torch.inference_mode(False):
                value = self._packed[1].unpack(self._packed[0], self.shape)
            self._buffers["value"], self._gone, self._of = value, False, (*self._of[:2], value, value._version)
        return cast(Tensor, value)

    def __getattr__(self, name: str) -> Any:
        found: Any = super().__getattr__(name)
        return self.plain() if found is None and name == "value" else found

    def __getstate__(self) -> dict[str, Any]:
        self.plain()
        return {**vars(self), "_packed": None, "_of": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        plain: Any = super()
        plain.__setstate__(state)
        self._number = next(_NUMBERS)
        _WHOLE[self._number] = self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.plain()
        self._packed = self._of = None
        plain: Any = super()
        return plain._apply(fn, recurse)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        value = self.plain()
        destination[f"{prefix}value"] = value if keep_vars else value.detach()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        self.plain()
        plain: Any = super()
        plain._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _restored(number: int) -> int:
    whole = _WHOLE[number]
    whole.plain()
    whole.stays |= not torch.compiler.is_exporting()
    return number


vars(_restored)["_dynamo_marked_constant"] = True
"""Compiling calls it, and code that is compiled doesn't: what `torch.compiler.assume_constant_result` sets, too, once it has imported the compiler,
which takes seconds."""
