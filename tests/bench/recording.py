"""What passes that say how steps are recorded save of a training step's memory, and what of its time that costs.

Run: python tests/bench/recording.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from given import EXAMPLES, step
from pairs import Ratio, compare, show, spent
from part import held
from texts import TWINS

import archloom

DECODER = """arch 1
import llama.DecoderLayer
model M(dim: int = 256, heads: int = 8, kv_heads: int = 2, ffn: int = 1024, depth: int = 4) {
  in x: float[B, S, dim]
  in mask: bool[B, S]
  repeat i in 0..depth carry x {
    layer = DecoderLayer(dim, heads, kv_heads, ffn, causal = true)
    x = layer(x, mask)
  }
  out h = x
}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A model at some sizes, the passes, and how much of the memory and of the time may be left."""

    name: str
    text: str | Path
    params: Mapping[str, Any]
    sizes: Mapping[str, int]
    passes: str
    memory: float
    time: float


MINILM, COLM = EXAMPLES / "minilm.arch", EXAMPLES / "colm.arch"
BOTH = "default, checkpoint(keep = 0.5)"
WIDE = {"ratio": [2, 2, 2, 2], "dim": 384, "depth": 4, "heads": 8, "kv_heads": 4, "ffn": 1536, "vocab": 1024}
ROWS = (
    Row("unrecord, a detached encoder of 4 layers of 256, batch 512", f"arch 1\n{TWINS}", {}, {"B": 512}, "unrecord", 0.65, 1.0),
    Row("checkpoint(keep = 0.5), MiniLM, batch 8 of 128 tokens", MINILM, {}, {"B": 8, "S": 128}, "checkpoint(keep = 0.5)", 0.6, 1.4),
    Row("checkpoint(keep = 0.25), MiniLM, batch 8 of 128 tokens", MINILM, {}, {"B": 8, "S": 128}, "checkpoint(keep = 0.25)", 0.4, 1.5),
    Row(
        "default, checkpoint(keep = 0.5), 4 decoder layers of 256, batch 4 of 128 tokens",
        DECODER,
        {},
        {"B": 4, "S": 128},
        BOTH,
        0.6,
        1.4,
    ),
    Row("default, checkpoint(keep = 0.5), CoLM, 4 chains of 96, batch 4 of 128 tokens", COLM, WIDE, {"B": 4, "S": 128}, BOTH, 0.65, 1.4),
)


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield two lines for each row that is asked for, or all: the most bytes that a step holds besides its results, and its time."""
    torch.set_num_threads(1)
    for row in ROWS:
        if not asked or any(word.lower() in row.name.lower() for word in asked):
            yield from measured(row)


def measured(row: Row) -> Iterator[Ratio]:
    """Compile a model with and without passes, of which those that rewrite run in both, and compare a step of each."""
    before = "default" if "default" in row.passes else "none"
    plain, other = (archloom.compile(row.text, row.params, optimize=passes).train() for passes in (before, row.passes))
    other.load_state_dict(plain.state_dict())
    inputs = plain.example_inputs(**row.sizes)
    ours, theirs = (partial(seeded, step(model, inputs)) for model in (other, plain))
    held_ours, held_theirs = held(ours), held(theirs)
    for (name, left), (_, right) in zip(other.named_parameters(), plain.named_parameters(), strict=True):
        assert (left.grad is None) == (right.grad is None), name
        if left.grad is not None:
            torch.testing.assert_close(left.grad, right.grad, rtol=1e-5, atol=1e-6)
    share = held_ours / held_theirs
    yield Ratio(f"{row.name}: memory", share, share, share, row.memory)
    yield compare(f"{row.name}: time", ours, theirs, row.time, 10, clock=spent)


def seeded(call: Any) -> None:
    """Make a call with the same draws each time."""
    seed: Any = torch
    seed.manual_seed(0)
    call()


if __name__ == "__main__":
    show(rows(sys.argv[1:]))
