"""Passes one by one, on small texts that have what each looks for, eager: what is not among the rows of `passes.py` and `parts.py`.

Run: python tests/bench/each_pass.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from pairs import Ratio, show
from part import EXPERTS, Part, part

HALVES = """
model M {
  in x: float[B, 64, 64, 64]
  p, q = split(x, [32, 32], dim = 1)
  out y = concat([relu(p), relu(q)], dim = 1)
}
"""
TWICE = """
model M(dim: int = 256) {
  in x: float[B, dim]
  lift = Linear(dim, dim)
  out y = relu(lift(x)) + 2 * relu(lift(x))
}
"""
NORM = """
model M(dim: int = 256) {
  in x: float[B, dim]
  lift, norm = Linear(dim, dim), BatchNorm1d(dim)
  out y = norm(lift(x))
}
"""
LENGTH = """
model M(dim: int = 512) {
  in x: float[B, dim]
  w, g = Parameter([dim, dim]), Parameter([dim, 1])
  out y = x @ (g * w / sqrt(sum(w ** 2, dim = 1, keepdim = true))).mT
}
"""
QKV = """
model M(dim: int = 256) {
  in x: float[B, S, dim]
  q, k, v = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
  out a, b, c = q(x), k(x), v(x)
}
"""
LORA = """
model M(dim: int = 512, rank: int = 8) {
  in x: float[B, dim]
  base = Linear(dim, dim)
  down, up = Linear(dim, rank, bias = false), Linear(rank, dim, bias = false)
  out y = base(x) + 2 * up(down(x))
}
"""
KERNELS = """
block Expert(dim: int, rank: int) {
  in x: float[B, dim, H, W]
  down, up = Conv2d(dim, rank, 3, padding = 1), Conv2d(rank, dim, 1)
  out y = up(down(x))
}
model M(dim: int = 96, n: int = 6) {
  index experts = 0..n
  in x: float[B, dim, 32, 32]
  in g: float[B, n]
  expert[e in experts] = Expert(dim, 16 * (e + 1))
  out y = sum(g[:, e, none, none, none] * expert[e](x) for e in experts)
}
"""
SIDES = """
model M(dim: int = 256) {
  in x: float[B, dim]
  a, b, c = Parameter([dim, dim]), Parameter([dim, dim]), Parameter([dim, dim])
  out y = linear(x, concat([a, b, c], dim = 0))
}
"""
ATTENTION = """
model M {
  in q, k, v: float[B, 8, S, 32]
  out y = softmax(q @ k.mT * 32 ** -0.5, dim = -1) @ v
}
"""
LANES = """
model M(dim: int = 32, heads: int = 2) {
  index lanes = 0..4
  in x: float[lanes, B, S, heads * dim]
  for l in lanes {
    q, k, v = Linear(heads * dim, heads * dim), Linear(heads * dim, heads * dim), Linear(heads * dim, heads * dim)
    query = rope(rearrange(q(x[l]), "b s (h d) -> b h s d", d = dim))
    key = rope(rearrange(k(x[l]), "b s (h d) -> b h s d", d = dim))
    value = rearrange(v(x[l]), "b s (h d) -> b h s d", d = dim)
    out y = rearrange(attention(query, key, value, causal = true), "b h s d -> b s (h d)")
  }
}
"""
PREFIXES = """
import chain.ChainLinear
model M(dim: int = 96) {
  index chains = 0..4
  width = [dim for c in chains]
  in x: float[chains, B, S, dim]
  q, k, v = ChainLinear(chains, width, width), ChainLinear(chains, width, width), ChainLinear(chains, width, width)
  for c in chains { z = x[c] }
  a, b, d = q(z[*]), k(z[*]), v(z[*])
  for c in chains { out y = a[c] + b[c] + d[c] }
}
"""
NOTHING = """
model M {
  in x: float[B, 512]
  out y = dropout(1.0 * x + 0.0, 0.0) * 1.0
}
"""
SUM = """
model M(dim: int = 256, width: int = 32) {
  index sources = 0..8
  in x: float[sources, B, width]
  for s in sources {
    up = Linear(width, dim)
    t = up(x[s])
  }
  out y = sum(t[*])
}
"""
QUERIES = ((2, 8, 256, 32),) * 3
ROWS = (
    Part("batch_families and pack, 8 experts of width 64, batch 4", EXPERTS, ((4, 64),), "batch_families, pack", 0.5, calls=20),
    Part("cancel, what is done to both halves of a map", HALVES, ((4, 64, 64, 64),), "cancel", 0.9),
    Part("cse, a linear of width 256 written twice, batch 64", TWICE, ((64, 256),), "cse", 0.7, calls=10),
    Part("fold_norms and fold_parameters, a norm behind a linear, 784 rows", NORM, ((784, 256),), "fold_norms, fold_parameters", 0.95, calls=5),
    Part("fold_parameters, rows of weights by their lengths, width 512, batch 8", LENGTH, ((8, 512),), "fold_parameters", 0.6, calls=10),
    Part("merge_attentions, 4 of 2 heads of 32, 32 tokens, batch 2", LANES, ((4, 2, 32, 64),), "merge_attentions", 0.9, calls=5),
    Part("merge_attentions, the same, forward and backward", LANES, ((4, 2, 32, 64),), "merge_attentions", 0.95, trains=True, calls=3),
    Part("merge_linears and pack, queries, keys and values of one token", QKV, ((1, 1, 256),), "merge_linears, pack", 0.95, calls=20),
    Part("merge_maps and fold_parameters, a LoRA of rank 8, width 512, batch 32", LORA, ((32, 512),), "merge_maps, fold_parameters", 0.95, calls=10),
    Part("mix_kernels and fold_parameters, 6 low-rank convolutions", KERNELS, ((1, 96, 32, 32), (1, 6)), "mix_kernels, fold_parameters", 0.5),
    Part("pack, three weights of 256 by 256 side by side, batch 4", SIDES, ((4, 256),), "pack", 0.95, calls=20),
    Part(
        "read_prefixes, queries, keys and values of 4 chains of 96, 128 tokens",
        PREFIXES,
        ((4, 1, 128, 96),),
        "simplify, read_prefixes, cse, merge_linears, fold_parameters",
        1.0,
    ),
    Part("sdpa, 256 tokens, 8 heads of 32, batch 2", ATTENTION, QUERIES, "sdpa", 0.95),
    Part("sdpa, the same, forward and backward", ATTENTION, QUERIES, "sdpa", 0.95, trains=True),
    Part("simplify, what changes nothing", NOTHING, ((512, 512),), "simplify", 0.5, calls=10),
    Part("sum_linears and fold_parameters, 8 linears summed", SUM, ((8, 64, 32),), "sum_linears, fold_parameters", 0.8, calls=10),
)


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield the rows that are asked for, or all."""
    torch.set_num_threads(1)
    for row in ROWS:
        if not asked or any(word.lower() in row.name.lower() for word in asked):
            yield part(row)


if __name__ == "__main__":
    show(rows(sys.argv[1:]))
