"""Gradients against differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


def along_directions(total: Callable[[], Tensor], parts: Mapping[str, Sequence[Tensor]]) -> None:
    """Compare the slope of a total along a random direction of each part with what two small steps give."""
    total().backward()
    for name, tensors in ((name, tensors) for name, tensors in parts.items() if tensors):
        ways = [torch.randn_like(value) for value in tensors]
        slope = torch.stack([(way * value.grad).sum() for way, value in zip(ways, tensors, strict=True) if value.grad is not None]).sum()
        moved: list[Tensor] = []
        with torch.no_grad():
            for step in (1e-6, -2e-6, 1e-6):
                for way, value in zip(ways, tensors, strict=True):
                    value += step * way
                moved.append(total())
        torch.testing.assert_close((moved[0] - moved[1]) / 2e-6, slope, rtol=1e-5, atol=1e-7, msg=name)
