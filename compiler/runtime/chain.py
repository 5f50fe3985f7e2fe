"""Linear chains of tags, place by place: the sum over all paths and the best one."""

from __future__ import annotations

import torch
from torch import Tensor


def chain_logsumexp(scores: Tensor, move: Tensor, first: Tensor, last: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return float[B], the logarithm of the sum of `e^score` over all paths; scores: float[B, S, K], move: float[K, K], mask: bool[B, S]."""
    total = scores[:, 0] + first
    for place in range(1, scores.shape[1]):
        longer = torch.logsumexp(total[:, :, None] + move, dim=1) + scores[:, place]
        total = longer if mask is None else torch.where(mask[:, place, None], longer, total)
    return torch.logsumexp(total + last, dim=1)


def viterbi(scores: Tensor, move: Tensor, first: Tensor, last: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return int[B, S], the tags of the best path, 0 where the mask is false; scores: float[B, S, K], move: float[K, K], mask: bool[B, S]."""
    best = scores[:, 0] + first
    came: list[Tensor] = []
    stay = torch.arange(scores.shape[2], device=scores.device)
    for place in range(1, scores.shape[1]):
        value, source = (best[:, :, None] + move).max(dim=1)
        value = value + scores[:, place]
        if mask is not None:
            kept = mask[:, place, None]
            value, source = torch.where(kept, value, best), torch.where(kept, source, stay)
        best = value
        came.append(source)
    tag = (best + last).argmax(dim=1, keepdim=True)
    tags = [tag]
    for source in reversed(came):
        tag = source.gather(1, tag)
        tags.append(tag)
    path = torch.cat(tags[::-1], dim=1)
    return path if mask is None else torch.where(mask, path, 0)
