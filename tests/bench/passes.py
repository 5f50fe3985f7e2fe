"""Models with passes against the same models without, in eager mode: the same weights, the same inputs, results compared before timing.

Run: python tests/bench/passes.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pairs import Ratio, compare, show
from torch import Tensor, nn

import archloom

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True, slots=True)
class Row:
    """A model, the passes, and how much of the time may be left."""

    name: str
    example: str
    preset: str
    passes: str
    bound: float
    pairs: int = 30


ROWS = (
    Row("MLoRE, decoder and heads, inference", "mlore", "compared", "inference", 0.35),
    Row("TaskExpert, decoder and heads, inference", "taskexpert", "compared", "inference", 0.80),
)


class Given(nn.Module):
    """Stands for a backbone that has run: what it gave is given again."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found

    def forward(self, *_: Any, **__: Any) -> Any:
        """Return what was found."""
        return self.found


def measured(row: Row) -> Ratio:
    """Compile a model with and without passes, put the backbone's results in the place of the backbone, and time both."""
    path = EXAMPLES / f"{row.example}.arch"
    plain, other = (archloom.compile(path, preset=row.preset, optimize=passes).eval() for passes in ("none", row.passes))
    other.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        image = other.example_inputs()["image"][:1]
        plain.backbone = other.backbone = Given(plain.backbone(image))
        same(other(image=image), plain(image=image))
        return compare(row.name, lambda: other(image=image), lambda: plain(image=image), row.bound, row.pairs)


def same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Compare nested results, those that ours gives."""
    for name, value in ours.items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-5 * float(value.abs().max()))
        else:
            same(value, theirs[name])


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield the rows that are asked for, or all."""
    torch.set_num_threads(1)
    for row in ROWS:
        if not asked or any(word.lower() in row.name.lower() for word in asked):
            yield measured(row)


if __name__ == "__main__":
    show(rows(sys.argv[1:]))
