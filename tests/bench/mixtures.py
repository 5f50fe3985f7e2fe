"""Mixtures that keep a few experts for each token, after passes, against transformers' own block and its expert backends.

Run: python tests/bench/mixtures.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pairs import Ratio, compare, show
from torch import Tensor, nn
from transformers.models.qwen3_moe.configuration_qwen3_moe import Qwen3MoeConfig
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

import archloom

TEXT = """arch 1
import moe.SparseMixture
block Expert(dim: int, width: int = WIDTH) {
  in x: float[B, S, dim]
  gate, up, down = Linear(dim, width, bias = false), Linear(dim, width, bias = false), Linear(width, dim, bias = false)
  out y = down(silu(gate(x)) * up(x))
}
model M(dim: int, n: int, k: int) {
  index experts = 0..n
  in x: float[B, S, dim]
  mixture = SparseMixture(dim, experts, k, Expert, balance = 0.0)
  out y = mixture(x)
}
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How many tokens, how wide they and the experts are, how many experts there are and are kept."""

    tokens: int
    dim: int
    width: int
    experts: int
    kept: int

    def __str__(self) -> str:
        return f"{self.tokens} tokens of {self.dim}, {self.kept} of {self.experts} experts of {self.width}"


SIZES = (Size(4, 64, 64, 8, 2), Size(1, 512, 256, 32, 4), Size(32, 256, 128, 8, 2), Size(128, 512, 256, 16, 2))
BACKENDS = ("grouped_mm", "batched_mm")


def ours(size: Size, passes: str) -> Any:
    """Compile our mixture."""
    parameters = {"dim": size.dim, "n": size.experts, "k": size.kept}
    return archloom.compile(TEXT.replace("WIDTH", str(size.width)), params=parameters, optimize=passes)


def theirs(size: Size, backend: str, model: Any) -> nn.Module:
    """Return transformers' block with our weights."""
    config = Qwen3MoeConfig(
        hidden_size=size.dim, moe_intermediate_size=size.width, num_experts=size.experts, num_experts_per_tok=size.kept, norm_topk_prob=True
    )
    config._experts_implementation = backend  # pyright: ignore[reportPrivateUsage] - as `from_pretrained` sets it
    block: Any = Qwen3MoeSparseMoeBlock(config)
    held = {name.removeprefix("mixture."): value for name, value in model.state_dict().items()}
    with torch.no_grad():
        block.gate.weight.copy_(held["gate.linear.weight"])
        for e in range(size.experts):
            block.experts.gate_up_proj[e] = torch.cat([held[f"expert.{e}.gate.weight"], held[f"expert.{e}.up.weight"]])
            block.experts.down_proj[e] = held[f"expert.{e}.down.weight"]
    return block


def step(call: Callable[[], Tensor]) -> None:
    """Run forward and backward."""
    torch.autograd.backward(call().sum())


def measured(size: Size, backend: str, trains: bool) -> Ratio:
    """Compare results and the gradient of the input, then time both."""
    model = ours(size, "default").train(trains)
    block = theirs(size, backend, model).train(trains)
    x = torch.randn(1, size.tokens, size.dim, requires_grad=trains)
    calls: tuple[Callable[[], Tensor], ...] = (lambda: model(x=x).y, lambda: block(x))
    with torch.set_grad_enabled(trains):
        torch.testing.assert_close(calls[0](), calls[1](), rtol=1e-4, atol=1e-5)
        if trains:
            gradients = [torch.autograd.grad(call().sum(), x)[0] for call in calls]
            torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)
        mine, other = (partial(step, call) if trains else call for call in calls)
        name = f"{size}, over {backend}{', forward and backward' if trains else ''}"
        return compare(name, mine, other, 1.0, 30, calls=max(8, 256 // size.tokens))


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield the rows that are asked for, or all."""
    torch.set_num_threads(1)
    for size in SIZES:
        for backend in BACKENDS:
            for trains in (False, True):
                if not asked or any(word in f"{size}, over {backend}" for word in asked):
                    yield measured(size, backend, trains)


if __name__ == "__main__":
    show(rows(sys.argv[1:]))
