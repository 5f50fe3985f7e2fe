"""Modules without parameters: those that act in training and stand aside in evaluation, and a function as a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class DropPath(nn.Module):
    """Drops whole samples in training and scales the rest: `y[b] = 0` with likelihood `p`, else `x[b] / (1 - p)`."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return x: float[B, ...] with samples dropped."""
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return torch.zeros_like(x)
        kept = x.new_empty(x.shape[:1] + (1,) * (x.ndim - 1)).bernoulli_(1 - self.p)
        return x * kept.div_(1 - self.p)

    def extra_repr(self) -> str:
        """Show the part that is dropped."""
        return f"p={self.p:g}"


class Apply(nn.Module):
    """Calls a function as a part of `nn.Sequential`: `y = function(x, *args, **options)`."""

    def __init__(self, function: Callable[..., Tensor], *args: Any, **options: Any) -> None:
        super().__init__()
        self.function, self.args, self.options = function, args, options

    def forward(self, x: Tensor) -> Tensor:
        """Return what the function makes of x."""
        return self.function(x, *self.args, **self.options)


class Attention(nn.Module):
    """Scaled dot-product attention that drops a part of its weights in training."""

    def __init__(self, drop: float, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> None:
        super().__init__()
        self.drop, self.is_causal, self.scale, self.enable_gqa = drop, is_causal, scale, enable_gqa

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return float[B, heads, S, e] of q: float[B, heads, S, d], k: float[B, kv_heads, T, d], v: float[B, kv_heads, T, e]."""
        drop = self.drop if self.training else 0.0
        return scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=drop, is_causal=self.is_causal, scale=self.scale, enable_gqa=self.enable_gqa
        )

    def extra_repr(self) -> str:
        """Show the options."""
        return f"drop={self.drop:g}, is_causal={self.is_causal}, scale={self.scale}, enable_gqa={self.enable_gqa}"
