"""The counter of FLOPs that stated costs are compared with: torch's own, and what it leaves out."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

ATEN: Any = torch.ops.aten


def _matrix_vector(a: Any, b: Any, *_: Any, **__: Any) -> int:
    return 2 * a[0] * a[1]


def _added_matrix_vector(_added: Any, a: Any, b: Any, *_: Any, **__: Any) -> int:
    return 2 * a[0] * a[1]


def _dot(a: Any, b: Any, *_: Any, **__: Any) -> int:
    return 2 * a[0]


def _whole_numbers(a: Any, b: Any, *_: Any, **__: Any) -> int:
    return 2 * a[0] * a[1] * b[1]


def counter() -> FlopCounterMode:
    """Return a counter that knows products of whole numbers, and with a vector: by the layout of the other factor torch takes these for those of
    matrices, or not."""
    mapping = {ATEN.mv: _matrix_vector, ATEN.addmv: _added_matrix_vector, ATEN.dot: _dot, ATEN._int_mm: _whole_numbers}
    return FlopCounterMode(display=False, custom_mapping=mapping)
