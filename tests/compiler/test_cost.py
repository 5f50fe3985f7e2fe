"""Costs counted from the text against what torch counts when the model runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from archloom.compiler.api import compile as build
from archloom.compiler.api import load_program
from archloom.compiler.cost import Unsized, model_expense
from archloom.compiler.graph import Graph
from archloom.compiler.summary import summarise

TRUNK = """
block Layer(dim: int) {
  in x: float[B, S, dim]
  up = Linear(dim, 4 * dim)
  down = Linear(4 * dim, dim)
  out y = x + down(gelu(up(x)))
}
"""

TWO_TASKS = (
    TRUNK
    + """
model Two(dim: int = 8, depth: int = 3, vocab: int = 20) {
  in ids: int[B, S] in 0..vocab
  embed = Embedding(vocab, dim)
  h = embed(ids)
  repeat i in 0..depth carry h {
    layer = Layer(dim)
    h = layer(h)
  }
  task words {
    target next: int[B, S] in 0..vocab
    lm_head = Linear(dim, vocab, bias = false)
    out logits = lm_head(h)
    loss text = cross_entropy(logits, next)
  }
  task mood {
    mood_head = Linear(dim, 3)
    out score = mood_head(mean(h, dim = 1))
  }
}
"""
)

PICTURES = """
model Pictures(dim: int = 4) {
  in image: float[B, 3, H, W]
  stem = Conv2d(3, dim, 3, padding = 1)
  deep = Conv2d(dim, 2 * dim, 3, stride = 2, padding = 1)
  out y = deep(relu(stem(image)))
}
"""

SHARED = (
    TRUNK
    + """
model Shared(dim: int = 4) {
  in a: float[B, S, dim]
  in b: float[B, T, dim]
  layer = Layer(dim)
  out y = mean(layer(a), dim = 1) + mean(layer(concat(b, b, dim = 1)), dim = 1)
}
"""
)

ATTENTION = """
model Attention(dim: int = 8, heads: int = 2) {
  in x: float[B, S, dim]
  qkv = Linear(dim, 3 * dim)
  q, k, v = split(rearrange(qkv(x), "b s (n h d) -> b (n h) s d", n = 3, h = heads), 3, dim = 1)
  out y = q @ transpose(k, -1, -2) @ v
}
"""


@pytest.mark.parametrize("text", [TWO_TASKS, PICTURES, SHARED, ATTENTION], ids=["two tasks", "pictures", "shared", "attention"])
@settings(max_examples=8)
@given(data=st.data())
def test_multiply_adds_are_those_that_torch_counts(text: str, data: st.DataObject) -> None:
    program = load_program(text)
    declared = [entry for entry in program.eval.inputs if not entry.is_target]
    names = dict.fromkeys(symbol for entry in declared for axis in entry.type.shape for symbol in getattr(axis, "symbols", tuple)())
    sizes = {symbol.name: data.draw(st.integers(2, 9), label=symbol.name) for symbol in names}
    model: Any = build(text).eval()
    shapes: dict[str, list[Any]] = {entry.name: [sizes.get(str(axis), axis) for axis in entry.type.shape] for entry in declared}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**{entry.name: torch.zeros(shapes[entry.name], dtype=torch.int64 if entry.type.dtype.is_int else torch.float32) for entry in declared})
    summary = summarise(program, sizes)
    assert summary.expense is not None
    assert 2 * summary.expense.multiply_adds == counter.get_total_flops()
    assert summary.expense.activations > 0


def test_activations_are_the_values_made() -> None:
    program = load_program("model M { in x: float[B, 4]; a = Linear(4, 6); out y = reshape(relu(a(x)), [B, 3, 2]) }")
    expense = model_expense(program.eval, {"B": 5})
    assert expense.activations == 4 * (5 * 6 + 5 * 6)  # `a(x)` and `relu`; a view holds nothing
    assert expense.multiply_adds == 5 * 4 * 6


def test_a_missing_size_is_named() -> None:
    with pytest.raises(Unsized, match="no size is given for S") as caught:
        model_expense(load_program(TWO_TASKS).eval, {"B": 2})
    assert caught.value.names == ("S",)


def test_shares_of_tasks() -> None:
    summary = summarise(load_program(TWO_TASKS), {"B": 2, "S": 5})
    trunk = 20 * 8 + 3 * (8 * 32 + 32 + 32 * 8 + 8)
    assert {task.name: (task.parameters, task.alone) for task in summary.tasks} == {"words": (trunk + 160, 160), "mood": (trunk + 27, 27)}
    words, mood = (task.expense for task in summary.tasks)
    assert words is not None and mood is not None and summary.expense is not None
    assert words.multiply_adds - mood.multiply_adds == 10 * 8 * 20 - 2 * 8 * 3
    assert summary.expense.multiply_adds == words.multiply_adds + 2 * 8 * 3


def test_groups_fold_the_steps_of_a_loop() -> None:
    summary = summarise(load_program(TWO_TASKS), {}, depth=2)
    groups = dict(summary.groups)
    assert groups["layer.*"] == groups["layer.*.up"] + groups["layer.*.down"] == 3 * 552
    assert sum(count for name, count in groups.items() if name.replace(".*", "").count(".") == 0) == summary.parameters
    assert summary.expense is None
    assert summary.missing == ("B", "S")


def test_a_thousand_equal_layers_are_counted_once() -> None:
    program = load_program(TWO_TASKS, {"depth": 1000})
    total = model_expense(program.eval, {"B": 1, "S": 1})
    assert [len(body.found["expense"]) for body in Graph(program).bodies] == [1, 1]
    assert total.multiply_adds == 1000 * 2 * 8 * 32 + 8 * 20 + 8 * 3
    assert Graph(program).count().parameters == 20 * 8 + 1000 * 552 + 160 + 27
