"""Models in whole numbers against the same models in floats, in eager mode: time, error of the outputs, size of the state dict and while running.

Run: python tests/bench/quantized.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pairs import compare
from torch import Tensor

import archloom
from archloom.compiler.bench.memory import kept

EXAMPLES = Path(__file__).parents[2] / "examples"
TIME, ERROR, SIZE = 0.40, 0.02, 0.27


@dataclass(frozen=True, slots=True)
class Row:
    """A text, or the file of an example, its parameters, the passes, the inputs, and whether the bars are for it: linears rule."""

    name: str
    text: str | Path
    params: Mapping[str, Any]
    inputs: Callable[[], Mapping[str, Tensor]]
    passes: str = "inference, quantize"
    measured: bool = True
    pairs: int = 30


MLP = """arch 1
model M(dim: int = 512, hidden: int = 2048, depth: int = 4) {
  in x: float[B, dim]
  repeat i in 0..depth carry x {
    up, down = Linear(dim, hidden), Linear(hidden, dim)
    x = down(gelu(up(x)))
  }
  out y = x
}
"""
ENCODER = """arch 1
import bert.Encoder
model M(dim: int = 768, heads: int = 12, ffn: int = 3072, depth: int = 2) {
  in x: float[B, S, dim]
  in mask: bool[B, S]
  encoder = Encoder(dim, depth, heads, ffn)
  h = encoder(x, mask)
  out y = h
}
"""
DECODER = """arch 1
import qwen2.DecoderLayer
model M(dim: int = 512, heads: int = 8, kv_heads: int = 2, ffn: int = 2048, depth: int = 2) {
  in x: float[B, S, dim]
  in mask: bool[B, S]
  repeat i in 0..depth carry x {
    layer = DecoderLayer(dim, heads, kv_heads, ffn, causal = true)
    x = layer(x, mask)
  }
  out h = x
}
"""


def tokens(batch: int, length: int, dim: int) -> Mapping[str, Tensor]:
    """Return what an encoder or decoder reads."""
    return {"x": torch.randn(batch, length, dim), "mask": torch.ones(batch, length, dtype=torch.bool)}


def vectors(batch: int, dim: int) -> Mapping[str, Tensor]:
    """Return what an MLP reads."""
    return {"x": torch.randn(batch, dim)}


ROWS = (
    Row("MLP 512-2048-512, 4 of them, batch 64", MLP, {}, partial(vectors, 64, 512)),
    Row("MLP 512-2048-512, 4 of them, batch 256", MLP, {}, partial(vectors, 256, 512)),
    Row("MLP 256-1024-256, 4 of them, batch 64", MLP, {"dim": 256, "hidden": 1024}, partial(vectors, 64, 256)),
    Row("encoder of BERT's width, 2 layers, batch 64 of 16 tokens", ENCODER, {}, partial(tokens, 64, 16, 768), pairs=10),
    Row(
        "encoder of MiniLM's width, 6 layers, batch 64 of 32 tokens",
        ENCODER,
        {"dim": 384, "ffn": 1536, "depth": 6},
        partial(tokens, 64, 32, 384),
        pairs=10,
    ),
    Row("decoder layers of UniFork, width 512, batch 64 of 16 tokens", DECODER, {}, partial(tokens, 64, 16, 512), pairs=10),
    Row("MLP 512-2048-512, batch 4", MLP, {}, partial(vectors, 4, 512), measured=False),
)


def size(model: Any) -> int:
    """Return the bytes of a state dict."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())


def row(each: Row) -> str:
    """Compile a model with and without its passes, and return its row of the table."""
    torch.manual_seed(0)
    plain, other = (archloom.compile(each.text, each.params, optimize=passes).eval() for passes in ("none", each.passes))
    other.load_state_dict(plain.state_dict())
    other.drop_folded()
    inputs = each.inputs()
    with torch.inference_mode():
        error = max(float((other(**inputs)[n] - v).norm() / v.norm()) for n, v in plain(**inputs).items())
        ratio = compare(each.name, partial(other, **inputs), partial(plain, **inputs), TIME, each.pairs)
    beside = kept(other)
    share, running = (bytes_ / size(plain) for bytes_ in (size(other), size(other) + beside))
    holds = ("yes" if ratio.value <= TIME and error <= ERROR and running <= SIZE else "NO") if each.measured else ""
    return f"| {each.name} | {ratio.value:.3f} | {ratio.low:.3f} to {ratio.high:.3f} | {100 * error:.2f} % | {share:.3f} | {running:.3f} | {holds} |"


def rows(asked: list[str]) -> Iterator[str]:
    """Yield the rows that are asked for, or all."""
    torch.set_num_threads(1)
    head = f"| what | time, at most {TIME:g} | quartiles of the pairs | error, at most {100 * ERROR:g} % "
    yield f"{head}| size, at most {SIZE:g} | the same while running | holds |"
    yield "|---|---|---|---|---|---|---|"
    yield from (row(each) for each in ROWS if not asked or any(word.lower() in each.name.lower() for word in asked))


if __name__ == "__main__":
    for line in rows(sys.argv[1:]):
        print(line, flush=True)
