"""Batch norms of several modules as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..graph import STATISTICS

Norm = nn.BatchNorm1d | nn.BatchNorm2d


def batch_norms(x: Tensor, weight: Tensor | None, bias: Tensor | None, norms: Sequence[Norm]) -> Tensor:
    """Normalise each norm's part of the channels, and move its statistics where it trains; one by one if one of them trains and another doesn't.

    x: float[B, k C, ...] for k norms of C channels, weight, bias: float[k C], those of the norms side by side, y: as x.
    """
    first = norms[0]
    if any(norm.training is not first.training for norm in norms):
        return torch.cat([norm(part) for norm, part in zip(norms, x.chunk(len(norms), 1), strict=True)], 1)
    means, variances, counts = (cast("list[Tensor]", [getattr(norm, name) for norm in norms]) for name in STATISTICS)
    mean, variance = torch.cat(means), torch.cat(variances)
    y = functional.batch_norm(x, mean, variance, weight, bias, first.training, first.momentum or 0.0, first.eps)
    if first.training:
        lists: Any = torch
        with torch.no_grad():
            lists._foreach_copy_([*means, *variances], [*mean.chunk(len(norms)), *variance.chunk(len(norms))])
            lists._foreach_add_(counts, 1)
    return y
