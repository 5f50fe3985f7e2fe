"""Small modules without parameters that generated code calls."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BufferUpdate(nn.Module):
    """Writes a buffer's next value in training, without gradient; in eval mode, as in frozen parts, the buffer stands still."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, buffer: Tensor, value: Tensor) -> None:
        """Copy `value` into `buffer`."""
        if self.training:
            with torch.no_grad():
                buffer.copy_(value)

    def extra_repr(self) -> str:
        """Name the buffer."""
        return self.name


class Anchor(nn.Module):
    """Knows the dtype and device of a block that has neither float inputs nor parameters; saved nowhere."""

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.empty(0, device="meta"), persistent=False)
