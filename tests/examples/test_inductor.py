"""`torch.compile` with its own backend: one graph for each mode, kept when sizes change, with the numbers and gradients of eager mode."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo import config as dynamo

import archloom
from archloom.compiler.runtime.model import Model
from archloom.compiler.runtime.outputs import Outputs, flat

EXAMPLES = Path(archloom.__file__).parent / "examples"
UNIFORK = {
    "vocab": 23, "dim": 16, "depth": 2, "shared": 1, "heads": 2, "kv_heads": 1, "ffn": 20, "size": 8, "patch": 4, "vision": 8, "vision_depth": 2,
    "vision_heads": 2, "vision_ffn": 12, "codes": 11, "code_depth": 2, "head_dim": 8, "head_wide": 12, "head_heads": 2, "head_blocks": 1,
}  # fmt: skip
CASES: dict[str, tuple[dict[str, Any], list[dict[str, int]]]] = {
    "minilm": ({"vocab": 50, "dim": 16, "depth": 2, "heads": 2, "ffn": 24}, [{"B": 3, "S": 7}, {"B": 5, "S": 7}, {"B": 2, "S": 11}]),
    # of a convolution in training torch keeps the height and width of its first batch, in a plain module too
    "scene": ({"dim": 4}, [{"B": 5, "H": 8, "W": 12}, {"B": 3, "H": 8, "W": 12}, {"B": 4, "H": 8, "W": 12}]),
    # lengths stay: what torch generates for the backward pass of attention asserts the strides of the first ones
    "unifork": (
        UNIFORK,
        [
            {"B[understand]": b, "B[generate]": c, "S[understand]": s, "S[generate]": t}
            for b, c, s, t in ((5, 7, 9, 11), (4, 6, 9, 11), (6, 2, 9, 11))
        ],
    ),
}


def still(model: Model) -> Model:
    """Let no part drop anything, so that training repeats itself."""
    for module in model.modules():
        for name in ("p", "drop"):
            if hasattr(module, name):
                setattr(module, name, 0.0)
    return model


def values(outputs: Outputs) -> dict[tuple[Any, ...], Tensor]:
    return dict(flat(outputs))


def same(found: dict[Any, Tensor], wanted: dict[Any, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


def step(call: Callable[..., Outputs], model: Model, batch: dict[str, Any]) -> tuple[dict[Any, Tensor], dict[Any, Tensor]]:
    """Go forward and backward; return the results, and the gradients of all that is trained."""
    model.zero_grad()
    outputs = call(**batch)
    loss = outputs["loss"] if "loss" in outputs else sum(v.sum() for v in values(outputs).values())
    assert isinstance(loss, Tensor)
    loss.backward()
    return values(outputs), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
@pytest.mark.parametrize("name", CASES)
def test_one_graph_serves_every_size(name: str, training: bool) -> None:
    params, sizes = CASES[name]
    torch.manual_seed(0)
    model = still(archloom.compile(EXAMPLES / f"{name}.arch", params)).train(training)
    other = copy.deepcopy(model)
    model(**model.example_inputs(**sizes[0]))  # losses are chosen in eager mode
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    for number, dims in enumerate(sizes):
        batch = other.example_inputs(seed=number, **dims)
        with dynamo.patch(error_on_recompile=number > 0):
            if training:
                (found, gradients), (wanted, expected) = step(compiled, model, batch), step(other, other, batch)
                same(gradients, expected)
            else:
                with torch.no_grad():
                    found, wanted = values(compiled(**batch)), values(other(**batch))
            same(found, wanted)
