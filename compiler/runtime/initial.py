"""First values: by the initialiser that the text names, or as the leaf's own class does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ...dsl.primitive import Initialiser
from ..lower.names import imported

FILLERS: dict[str, str] = {}


def fill(value: Tensor, initialiser: Initialiser) -> None:
    """Fill a tensor in place."""
    filler = _FILLERS.get(initialiser.name)
    if filler is None:
        raise ValueError(f"there is no initialiser `{initialiser.name}`")
    with torch.no_grad():
        filler(value, **initialiser.arguments)


_FILLERS: dict[str, Callable[..., Any]] = {
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
    "normal": nn.init.normal_,
    "uniform": nn.init.uniform_,
}


__all__ = ["FILLERS", "Iterable", "fill", "imported"]
