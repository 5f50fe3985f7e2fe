"""Models with passes against the same models without, both under `torch.compile`: one graph each, the same weights, results compared before timing.

Run: python tests/bench/compiled.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import geometric_mean
from typing import Any

import torch
from given import EXAMPLES, give, same
from pairs import Ratio, compare, show, spent

import archloom

BOUND = 0.75


@dataclass(frozen=True, slots=True)
class Row:
    """A model at one size, and the sizes of its inputs; `headless`: the backbone has run, and what it gave is given."""

    name: str
    example: str
    preset: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    headless: bool = False


ROWS = (
    Row(
        "CoLM, 4 chains of 96, 2 layers, batch 1 of 128 tokens",
        "colm",
        None,
        {"ratio": [2, 2, 2, 2], "dim": 384, "depth": 2, "heads": 8, "kv_heads": 4, "ffn": 1536, "vocab": 1024},
        {"B": 1, "S": 128},
    ),
    Row("ScaLearn, 8 sources, 2 layers of width 768, batch 4 of 32 tokens", "scalearn", None, {"depth": 2, "vocab": 1000}, {"B": 4, "N": 32}),
    Row("TaskExpert, decoder and heads", "taskexpert", "compared", headless=True),
    Row("MLoRE, decoder and heads", "mlore", "compared", headless=True),
    Row("TaskPrompter, decoder and heads", "taskprompter", "compared", headless=True),
    Row("InvPT, decoder and heads", "invpt", "compared", headless=True),
)


def measured(row: Row) -> Ratio:
    """Compile a model with and without passes, each in one graph, and time both."""
    path = EXAMPLES / f"{row.example}.arch"
    plain, other = (archloom.compile(path, dict(row.parameters), preset=row.preset, optimize=passes).eval() for passes in ("none", "inference"))
    other.load_state_dict(plain.state_dict())
    inputs = other.example_inputs(**row.sizes)
    if row.headless:
        inputs = {"image": inputs["image"][:1]}
    with torch.no_grad():
        if row.headless:
            give((plain, other), row.example, inputs["image"])
        same(other(**inputs), plain(**inputs))
        ours, theirs = (torch.compile(model, fullgraph=True, dynamic=False) for model in (other, plain))
        same(ours(**inputs), theirs(**inputs))
        return compare(row.name, partial(ours, **inputs), partial(theirs, **inputs), 1.0, 30, clock=spent)


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield the rows that are asked for, or all and their mean."""
    torch.set_num_threads(1)
    found: list[Ratio] = []
    for row in ROWS:
        if not asked or any(word.lower() in row.name.lower() for word in asked):
            torch.compiler.reset()
            found.append(measured(row))
            yield found[-1]
    if len(found) == len(ROWS):
        values = [each.value for each in found]
        yield Ratio("geometric mean", geometric_mean(values), min(values), max(values), BOUND)


if __name__ == "__main__":
    show(rows(sys.argv[1:]))
