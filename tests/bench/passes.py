"""Models with passes against the same models without, in eager mode: the same weights, the same inputs, results compared before timing.

Run: python tests/bench/passes.py [ROW...], a row by a part of its name.  `each_pass.py` has the rows of single passes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from given import EXAMPLES, give, same
from pairs import Ratio, show
from part import EXPERTS, GATES, MIXTURE, Part, part, seeded, timed

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
PARTS = (
    Part("8 experts of width 64, mixed by gates, batch 4, default", MIXTURE, ((4, 64),), "default", 0.2, calls=200),
    Part("the same, inference", MIXTURE, ((4, 64),), "inference", 0.2, calls=200),
    Part("the same, default, forward and backward", MIXTURE, ((4, 64),), "default", 0.8, trains=True, calls=5),
    Part("8 experts of width 64, gates and heads of 3 tasks, batch 4, default", GATES, ((4, 64),), "default", 0.35, calls=100),
    Part("8 experts of width 64, batch 4, default", EXPERTS, ((4, 64),), "default", 0.2, calls=200),
    Part("8 experts of width 64, batch 4, inference", EXPERTS, ((4, 64),), "inference", 0.2, calls=200),
    Part("8 experts of width 64, batch 4, default, forward and backward", EXPERTS, ((4, 64),), "default", 0.8, trains=True, calls=5),
    Part("the adapters of ScaLearn, 8 sources, 32 samples of 128 tokens, inference", ADAPTERS, ((32, 128, 768),), "inference", 0.35, pairs=15),
    Part("the adapters of ScaLearn, 8 sources, batch 4 of 32 tokens, inference", ADAPTERS, ((4, 32, 768),), "inference", 0.35),
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
    with torch.set_grad_enabled(row.trains):
        same(seeded(other, {"image": image}), seeded(plain, {"image": image}))
    return timed(row.name, plain, other, {"image": image}, row.bound, row.pairs, row.trains)


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield the rows that are asked for, or all."""
    torch.set_num_threads(1)
    for row in (*ROWS, *PARTS):
        if not asked or any(word.lower() in row.name.lower() for word in asked):
            yield measured(row) if isinstance(row, Row) else part(row)


if __name__ == "__main__":
    show(rows(sys.argv[1:]))
