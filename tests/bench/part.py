"""A text after some passes against the same without: what the benches of single passes do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import truediv
from typing import Any

import torch
from given import same, step
from pairs import Ratio, compare, spent
from torch import Tensor

import archloom
from archloom.compiler.bench.memory import peak

EXPERT = """
block Expert(dim: int) {
  in x: float[B, dim]
  first, second = Linear(dim, dim), Linear(dim, dim)
  out y = second(relu(first(x)))
}
"""
EXPERTS = (
    EXPERT
    + """model M(dim: int = 64) {
  in x: float[B, dim]
  for e in 0..8 {
    expert = Expert(dim)
    out y = expert(x)
  }
}
"""
)
"""Members of a family that are alike, on one input."""
MIXTURE = (
    EXPERT
    + """model M(dim: int = 64, n: int = 8) {
  in x: float[B, dim]
  gate = Linear(dim, n)
  g = softmax(gate(x), dim = 1)
  for e in 0..n {
    expert = Expert(dim)
    f = expert(x)
  }
  out y = sum(g[:, e, none] * f[e] for e in 0..n)
}
"""
)
"""The same, mixed by the gates of each sample."""
GATES = (
    EXPERT
    + """model M(dim: int = 64, n: int = 8) {
  in x: float[B, dim]
  for e in 0..n {
    expert = Expert(dim)
    f = expert(x)
  }
  for t in {a, b, c} {
    gate, head = Linear(dim, n), Linear(dim, 1)
    g = softmax(gate(x), dim = 1)
    out y = head(sum(g[:, e, none] * f[e] for e in 0..n))
  }
}
"""
)
"""A gate and a head for each task: a multi-gate mixture of experts, https://doi.org/10.1145/3219819.3220007."""


@dataclass(frozen=True, slots=True)
class Part:
    """A text, the sizes of its inputs, passes, and how much of the time may be left: of forward and backward if it `trains`, or of the bytes of the
    state dict if it is `sized`, or of the most that a step holds if it is `held`.
    """

    name: str
    text: str
    sizes: tuple[tuple[int, ...], ...]
    passes: str
    bound: float
    trains: bool = False
    calls: int = 1
    pairs: int = 100
    sized: bool = False
    held: bool = False
    error: float = 1e-5
    """How far the results may lie from those without, relative to the largest entry."""


def part(row: Part) -> Ratio:
    """Compile a text with and without passes, and time or weigh both."""
    text = f"arch 1\n{row.text}"
    plain, other = (archloom.compile(text, optimize=passes).train(row.trains) for passes in ("none", row.passes))
    other.load_state_dict(plain.state_dict())
    inputs = {name: torch.rand(size).requires_grad_(row.trains) for name, size in zip(plain.example_inputs(), row.sizes, strict=True)}
    with torch.set_grad_enabled(row.trains):
        same(seeded(other, inputs), seeded(plain, inputs), row.error)
    if row.sized:
        share = truediv(*(sum(value.nbytes for value in model.state_dict().values()) for model in (other, plain)))
        return Ratio(row.name, share, share, share, row.bound)
    if row.held:
        share = truediv(*(held(step(model, inputs)) for model in (other, plain)))
        return Ratio(row.name, share, share, share, row.bound)
    return timed(row.name, plain, other, inputs, row.bound, row.pairs, row.trains, row.calls)


def held(call: Callable[[], object]) -> int:
    """Return the most bytes that a step holds, gradients being there already."""
    call()
    return peak(call, torch.device("cpu"))


def timed(name: str, plain: Any, other: Any, inputs: Mapping[str, Tensor], bound: float, pairs: int, trains: bool, calls: int = 1) -> Ratio:
    """Time pairs of as many calls of two models each, by the processor: one thread, and others may run beside it."""
    with torch.set_grad_enabled(trains):
        ours, theirs = (step(model, inputs) if trains else partial(model, **inputs) for model in (other, plain))
        return compare(name, ours, theirs, bound, pairs, calls=calls, clock=spent)


def seeded(model: Any, inputs: Mapping[str, Tensor]) -> Mapping[str, Any]:
    """Call a model with the same draws each time."""
    seed: Any = torch
    seed.manual_seed(0)
    return model(**inputs)
