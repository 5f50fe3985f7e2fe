"""Parts of models against the whole, in eager mode: the time, over 1.1 times the part's share of the multiply-adds.

Run: python tests/bench/parts.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from operator import truediv
from pathlib import Path
from typing import Any

import torch
from given import EXAMPLES, Given, same
from pairs import Ratio, compare, show, spent

from archloom.compiler.api import load_program
from archloom.compiler.cost import model_expense
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.runtime.compiling import compile_program
from archloom.compiler.slice import Slicer
from archloom.dsl.program import Body, NodeKind

MOST = 1.1
HEADS = """
block Head(dim: int, classes: int) {
  in x: float[B, S, dim]
  first, last = Linear(dim, dim), Linear(dim, classes)
  out y = last(gelu(first(x)))
}
model M(dim: int = 256, depth: int = 4) {
  index tasks = {a, b, c, d, e}
  in x: float[B, S, dim]
  repeat i in 0..depth carry x { layer = Linear(dim, dim); x = x + gelu(layer(x)) }
  for t in tasks { task t { head = Head(dim, 40); out y = head(x) } }
}
"""
FIVE = {"classes": {"semseg": 21, "human_parts": 7, "sal": 2, "normals": 3, "edge": 1}}
SIZES = {"dim": 2048, "depth": 2, "heads": 32, "kv_heads": 8, "ffn": 8192, "vocab": 8000}


@dataclass(frozen=True, slots=True)
class Row:
    """A part of a model, as the passes make it, and the whole: the texts with their parameters, and the sizes of the inputs."""

    name: str
    text: str | Path
    part: str
    sizes: Mapping[str, int]
    params: Mapping[str, Any] | None = None
    preset: str | None = None
    whole: Mapping[str, Any] | None = None
    """Other parameters of the whole, where it isn't the same model."""
    passes: str = "none"
    pairs: int = 30


def chains(count: int, kept: int, tokens: int, passes: str) -> Row:
    """Return a row on the first chains of a Chain-of-Model, against the model that has one chain of the same width, after the same passes."""
    ratio = [SIZES["heads"] // count] * count
    return Row(
        f"CoLM, {kept} of {count} chains, {tokens} tokens, {passes}",
        EXAMPLES / "colm.arch",
        f"slice(results = ('logits.{kept - 1}',))",
        {"B": 1, "S": tokens},
        {**SIZES, "ratio": ratio},
        whole={**SIZES, "ratio": [SIZES["heads"]]},
        passes=passes,
        pairs=10,
    )


ROWS = (
    Row("one task of five: 4 layers and heads of 2, width 256, 4 x 32 tokens", f"arch 1\n{HEADS}", "slice(tasks = ('c',))", {"B": 4, "S": 32}),
    Row("one task of five: TaskExpert, decoder and heads", EXAMPLES / "taskexpert.arch", "slice(tasks = ('normals',))", {"B": 1}, FIVE, "compared"),
    Row("one task of five: MLoRE, decoder and heads", EXAMPLES / "mlore.arch", "slice(tasks = ('normals',))", {"B": 1}, FIVE, "compared"),
    *(chains(count, kept, 256, passes) for passes in ("default", "inference") for count in (4, 2) for kept in range(1, count + 1)),
)


def measured(row: Row) -> Ratio:
    """Time a part and the whole, after the same passes, by the processor's clock."""
    program = load_program(str(row.text), row.params, row.preset)
    part, whole = optimize(program, row.part).program, program
    if row.whole is not None:
        whole = optimize(load_program(str(row.text), row.whole), "slice(results = ('logits',))").program
    bodies = [Slicer().variant(each.eval, range(len(each.eval.outputs)), False) for each in (part, whole)]
    share = truediv(*(model_expense(headless(body), row.sizes).multiply_adds for body in bodies))
    ours, theirs = (compile_program(each, optimize=row.passes).eval() for each in (part, whole))
    given = ours.example_inputs(**row.sizes)
    inputs = {declared.name: given[declared.name] for declared in bodies[0].inputs}
    with torch.no_grad():
        if "backbone" in dict(ours.named_children()):
            ours.backbone = theirs.backbone = Given(ours.backbone(*inputs.values()))
        if row.whole is None:
            ours.load_state_dict(theirs.state_dict())
            same(ours(**inputs), theirs(**inputs))
        return compare(f"{row.name}: share {share:.3f}", partial(ours, **inputs), partial(theirs, **inputs), MOST * share, row.pairs, clock=spent)


def headless(body: Body) -> Body:
    """Return a body whose backbone costs nothing."""
    return replace(body, nodes=[replace(node, kind=NodeKind.INPUT, body=None) if node.target == "backbone" else node for node in body.nodes])


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield the rows that are asked for, or all."""
    torch.set_num_threads(1)
    for row in ROWS:
        if not asked or any(word.lower() in row.name.lower() for word in asked):
            yield measured(row)


if __name__ == "__main__":
    show(rows(sys.argv[1:]))
