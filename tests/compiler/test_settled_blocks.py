"""Settled code of blocks in blocks: what is done to one of them, and who follows the calls of their modules."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from archloom.tests.compiler.test_settled import built, quiet, source

NESTED = """arch 1

block Pair(dim: int) {
  in x: float[B, dim]
  q, k = Linear(dim, dim), Linear(dim, dim)
  out y = q(x) * k(x)
}

block Counter(dim: int) {
  in x: float[B, dim]
  seen = Buffer([], init = zeros)
  update seen = seen + 1
  map = Linear(dim, dim)
  out y = map(x) + seen
}

model M(dim: int = 8) {
  in held_1: float[B, dim]
  pair, counter, gate = Pair(dim), Counter(dim), Linear(dim, dim)
  out y = gate(counter(pair(held_1)))
}
"""
"""An input has the name of what is handed in."""


def _doubled(module: nn.Module, args: Any, result: Tensor) -> Tensor:
    return result * 2


def hooked_later(model: Any) -> None:
    """Put a module in place, and hook it."""
    model.gate = nn.Linear(8, 8)
    quiet(model, model.example_inputs(B=3))
    model.gate.register_forward_hook(_doubled)


def copied(model: Any) -> None:
    """Put a copy of a block in place that has passes of its own, and give it other values."""
    model.pair = copy.deepcopy(model.pair)
    quiet(model, model.example_inputs(B=3))
    model.pair.q.weight.data = model.pair.q.weight.data * 2


def counting(model: Any) -> None:
    """Let a block train."""
    model.counter.train()
    for _ in range(2):
        quiet(model, model.example_inputs(B=3))


def turned(model: Any) -> None:
    """Read a weight from the same place, in another order."""
    model.gate.weight.data = model.gate.weight.data.t()


def cut(model: Any) -> None:
    """Read a part of a weight from the same place."""
    model.gate.weight.data, model.gate.bias.data = model.gate.weight.data[:4], model.gate.bias.data[:4]


def buffered(model: Any) -> None:
    """Make a weight a buffer, and then another one."""
    weight = model.gate.weight.detach().clone()
    del model.gate.weight
    model.gate.register_buffer("weight", weight)
    quiet(model, model.example_inputs(B=3))
    model.gate.weight.data = torch.ones(8, 8)


def edited(model: Any) -> None:
    """Call a module by keyword, twice."""
    graph = model.counter.graph
    call = next(node for node in graph.nodes if node.op == "call_module")
    call.args, call.kwargs = (), {"input": call.args[0]}
    with graph.inserting_after(call):
        again = graph.call_module(call.target, (), {"input": call})
    call.replace_all_uses_with(again, delete_user_cb=lambda user: user is not again)
    model.counter.recompile()


class Deeper(nn.Module):
    """Gives an axis more than what it stands for."""

    def forward(self, x: Tensor) -> Tensor:
        """Add one."""
        return x.unsqueeze(1)


def deeper(model: Any) -> None:
    """Put a module in place that gives another rank."""
    model.counter = Deeper()


CHANGES = (hooked_later, copied, turned, cut, buffered, edited, deeper)


@pytest.mark.parametrize(
    ("asked", "change"),
    [("default", counting), *((asked, change) for asked in ("default", "inference") for change in CHANGES)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_is_done_to_its_blocks_is_seen(asked: str, change: Callable[[Any], None]) -> None:
    plain, model = built(NESTED, "none"), built(NESTED, asked)
    model.load_state_dict(plain.state_dict())
    batch = model.example_inputs(B=3)
    before = quiet(model, batch)
    assert "held_1" in source(model)
    for each in (plain, model):
        torch.manual_seed(1)
        change(each)
    for _ in range(3):
        after = quiet(model, batch)
        torch.testing.assert_close(after, quiet(plain, batch))
        assert after.y.shape != before.y.shape or not torch.allclose(after.y, before.y)


class Traced(nn.Module):
    """A model as a tracer wants it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Call it by name."""
        return self.model(held_1=x).y


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_who_traces_a_model_or_computes_its_shapes_sees_its_modules() -> None:
    model = built(NESTED)
    batch = model.example_inputs(B=3)
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as fake:
        assert model(held_1=fake.from_tensor(batch["held_1"])).y.shape == (3, 8)
    wanted = quiet(model, batch).y
    assert type(wanted) is Tensor and "addmm" in source(model)
    with torch.no_grad():
        traced: Any = torch.jit.trace(Traced(model), batch["held_1"])
        model.gate.weight.add_(1)
        torch.testing.assert_close(traced(batch["held_1"]), quiet(model, batch).y)
