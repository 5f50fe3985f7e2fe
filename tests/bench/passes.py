"""Models with passes against the same models without, in eager mode: the same weights, the same inputs, results compared before timing.

Run: python tests/bench/passes.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from given import EXAMPLES, give
from pairs import Ratio, show
from part import EXPERTS, Part, part, timed

import archloom


@dataclass(frozen=True, slots=True)
class Row:
    """A model, the passes, and how much of the time may be left; `trains`: forward and backward."""

    name: str
    example: str
    preset: str
    passes: str
    bound: float
    pairs: int = 30
    trains: bool = False


ADAPTERS = """
import adapter.Bottlenecks
import scalearn.Scales
model M(dim: int = 768, width: int = 48) {
  index sources = {a, b, c, d, e, f, g, h}
  in x: float[B, S, dim]
  adapters = Bottlenecks(sources, dim, width)
  mix = Scales(sources, dim)
  u = adapters(x)
  out y = mix(u[*])
}
"""
MATMUL = """
model M(n: int = 5) {
  index experts = 0..n
  in x: float[n, B, 192, 14, 18]
  in g: float[4, B, n]
  for e in experts { f = x[e] }
  for t in 0..4 { out y = sum(g[t][:, e, none, none, none] * f[e] for e in experts) }
}
"""
PAIRS = """
model M(din: int = 256, dout: int = 256, k: int = 6, rank: int = 16) {
  index loras = 0..k
  in x: float[B, N, din]
  base, router = Linear(din, dout), Linear(din, k, bias = false)
  for e in loras { a, b = Parameter([rank, din]), Parameter([dout, rank]) }
  g = softmax(router(x[:, 0]), dim = -1)
  out y = base(x) + 2 * sum(g[:, e, none, none] * (x @ a[e].mT @ b[e].mT) for e in loras)
}
"""
HEAD = """
model M(dim: int = 192) {
  in x: float[B, dim, 14, 18]
  conv = Conv2d(dim, dim, 3, padding = 1)
  out y = conv(resize(x, scale = 4))
}
"""
SUM = """
model M(dim: int = 192) {
  in a: float[B, dim, 8, 8]
  in b: float[B, 96, 16, 16]
  in c: float[B, 48, 32, 32]
  wide_b, wide_c, conv = Conv2d(96, dim, 1), Conv2d(48, dim, 1), Conv2d(dim, dim, 3, padding = 1)
  out y = conv(resize(a, scale = 8) + resize(wide_b(b), scale = 4) + resize(wide_c(c), scale = 2))
}
"""
MAPS = """
block Step(dim: int) {
  in x: float[B, dim, H, W]
  conv, norm = Conv2d(dim, dim, 3, padding = 1, bias = false), BatchNorm2d(dim)
  out y = relu(norm(conv(x)))
}
model M(dim: int = 96) {
  in x: float[B, dim, 32, 32]
  first, second, last = Step(dim), Step(dim), Conv2d(dim, 40, 1)
  out y = resize(last(second(first(x))), scale = 4)
}
"""
REPBN = """
block RepBN(dim: int) {
  in x: float[B, N, dim]
  norm, eta = BatchNorm1d(dim), Parameter([1], init = ones)
  out y = mT(norm(x.mT)) + eta * x
}
model M(dim: int = 256) {
  in x: float[B, N, dim]
  norm, q, k, v = RepBN(dim), Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
  h = norm(x)
  out q = q(h)
  out k = k(h)
  out v = v(h)
}
"""
FUSED = """
model M(cin: int = 384, dim: int = 192) {
  in x: float[B, cin, 14, 18]
  spa, chan, fuse = Conv2d(cin, dim, 1), Conv2d(cin, dim, 1), Conv2d(2 * dim, dim, 1)
  out y = fuse(concat([spa(x), chan(x * x)], dim = 1))
}
"""
FOLDED = "lay_channels_last, fold_parameters"
PARTS = (
    Part("8 experts of width 64, batch 4, default", EXPERTS, ((4, 64),), "default", 0.2, calls=20),
    Part("8 experts of width 64, batch 4, inference", EXPERTS, ((4, 64),), "inference", 0.2, calls=20),
    Part("8 experts of width 64, batch 4, default, forward and backward", EXPERTS, ((4, 64),), "default", 0.8, trains=True, calls=5),
    Part("the adapters of ScaLearn, 8 sources, batch 4 of 32 tokens, inference", ADAPTERS, ((4, 32, 768),), "inference", 0.35),
    Part("mix_matmul, 4 mixtures of 5 maps, batch 2", MATMUL, ((5, 2, 192, 14, 18), (4, 2, 5)), "mix_matmul", 0.8),
    Part("mix_matmul, the same, batch 8, forward and backward", MATMUL, ((5, 8, 192, 14, 18), (4, 8, 5)), "mix_matmul", 0.9, trains=True),
    Part(
        "mix_pairs, 6 low-rank updates of a linear, width 256, batch 4 of 32 tokens", PAIRS, ((4, 32, 256),), "mix_pairs, pack, fold_parameters", 0.9
    ),
    Part("resize_late, a 3x3 convolution behind a resize by 4", HEAD, ((1, 192, 14, 18),), "resize_late", 0.5),
    Part("resize_late, the same, forward and backward", HEAD, ((1, 192, 14, 18),), "resize_late", 0.6, trains=True),
    Part("resize_late, a sum of three resized maps", SUM, ((1, 192, 8, 8), (1, 96, 16, 16), (1, 48, 32, 32)), "resize_late, fold_parameters", 0.5),
    Part("lay_channels_last, two convolutions, norms and a resize by 4", MAPS, ((1, 96, 32, 32),), FOLDED, 0.9),
    Part("compose_maps, a map of two maps side by side", FUSED, ((1, 384, 14, 18),), "compose_maps, fold_parameters", 0.9, calls=5),
    Part("fold_forward, a norm of PRepBN before three linears", REPBN, ((1, 196, 256),), "fold_forward, fold_parameters", 0.95, calls=5),
    Part("lay_channels_last with fold_norms, the same", MAPS, ((1, 96, 32, 32),), f"fold_norms, {FOLDED}", 0.9),
)
ROWS = (
    Row("MLoRE, decoder and heads, inference", "mlore", "compared", "inference", 0.35),
    Row("TaskExpert, decoder and heads, inference", "taskexpert", "compared", "inference", 0.80),
    Row("TaskPrompter, decoder and heads, inference", "taskprompter", "compared", "inference", 0.85),
    Row("InvPT, decoder and heads, inference", "invpt", "compared", "inference", 0.75),
    Row("MLoRE, decoder and heads, batch 2, forward and backward", "mlore", "compared", "default", 0.80, pairs=10, trains=True),
    Row("TaskPrompter, decoder and heads, batch 2, forward and backward", "taskprompter", "compared", "default", 0.90, pairs=10, trains=True),
    Row("InvPT, decoder and heads, batch 2, forward and backward", "invpt", "compared", "default", 0.90, pairs=10, trains=True),
    Row("TaskExpert, decoder and heads, batch 2, forward and backward", "taskexpert", "compared", "default", 0.80, pairs=10, trains=True),
)


def measured(row: Row) -> Ratio:
    """Compile a model with and without passes, put what comes before the timed part in its own place, and time both."""
    path = EXAMPLES / f"{row.example}.arch"
    plain, other = (archloom.compile(path, preset=row.preset, optimize=passes).train(row.trains) for passes in ("none", row.passes))
    other.load_state_dict(plain.state_dict())
    image = other.example_inputs()["image"][: 2 if row.trains else 1]
    give((plain, other), row.example, image)
    return timed(row.name, plain, other, {"image": image}, row.bound, row.pairs, row.trains)


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield the rows that are asked for, or all."""
    torch.set_num_threads(1)
    for row in (*ROWS, *PARTS):
        if not asked or any(word.lower() in row.name.lower() for word in asked):
            yield measured(row) if isinstance(row, Row) else part(row)


if __name__ == "__main__":
    show(rows(sys.argv[1:]))
