"""What is unrecorded or computed again in training: how much is held, what the rest of torch makes of it, what is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.bench.memory import peak
from archloom.compiler.graph import Graph
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.optimize.pipelines import pipeline
from archloom.compiler.runtime.recording import Recorded
from archloom.dsl.diagnostics import Failure

from .comparing import same

TEXTS = Path(__file__).parent / "texts"
AGAIN, UNRECORDED = TEXTS / "checkpoint.arch", TEXTS / "unrecord.arch"
LAYERS = """arch 1
block Layer(dim: int) {
  in x: float[B, dim]
  up, down = Linear(dim, 4 * dim), Linear(4 * dim, dim)
  out y = x + down(gelu(up(x)))
}
model M(dim: int = 16, depth: int = 16) {
  in x: float[B, dim]
  h = x
  repeat i in 0..depth carry h {
    layer = Layer(dim)
    h = layer(h)
  }
  out y = h
  out side = gelu(gelu(gelu(gelu(h * 2.0) + 1.0) * 3.0) + 2.0) * 5.0 + relu(h) * 7.0
  loss size = mean(h ** 2)
}
"""
Models = tuple[Any, Any]


def models(text: str | Path, asked: str) -> Models:
    """Return a model and the same after passes, in training, with equal values."""
    plain, other = (archloom.compile(text, dtype="float64", optimize=passes).train() for passes in ("none", asked))
    other.load_state_dict(plain.state_dict())
    return plain, other


def step(model: Any, inputs: Any, call: Callable[..., Any] | None = None) -> dict[str, Tensor]:
    """Return gradients and moved buffers after a step."""
    torch.manual_seed(0)
    found = (call or model)(**inputs)
    torch.stack([value.square().sum() for value in found.values() if isinstance(value, Tensor) and value.requires_grad]).sum().backward()
    grads = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    return grads | {name: value.clone() for name, value in model.named_buffers()}


@pytest.mark.parametrize(("path", "asked"), [(AGAIN, "checkpoint(keep = 0.2)"), (UNRECORDED, "unrecord")])
class TestEither:
    @pytest.mark.slow
    def test_training_goes_on_in_compiled_code_and_copies(self, path: Path, asked: str) -> None:
        plain, other = models(path, asked)
        inputs = plain.example_inputs()
        twin = copy.deepcopy(other)
        expected = step(plain, inputs)
        compiled: Any = torch.compile(lambda **given: other(**given), backend="aot_eager")
        same(expected, step(other, inputs, compiled))
        same(expected, step(twin, inputs))
        regions = [module for module in twin.modules() if isinstance(module, Recorded)]
        assert regions

    def test_tensors_in_the_places_of_parameters_get_their_gradients(self, path: Path, asked: str) -> None:
        plain, other = models(path, asked)
        inputs = plain.example_inputs()
        found: list[dict[str, Tensor]] = []
        for model in (plain, other):
            given = {name: (1.1 * value).detach().requires_grad_() for name, value in plain.named_parameters()}
            torch.manual_seed(0)
            functional_call(model, given, (), inputs)["y"].square().sum().backward()
            found.append({name: value.grad for name, value in given.items() if value.grad is not None})
        same(found[0], found[1])

    def test_draws_are_listed_and_taken_once(self, path: Path, asked: str) -> None:
        plain, other = models(path, asked)
        inputs = plain.example_inputs()
        assert other.draw_names() == plain.draw_names()
        with plain.draws() as drawn:
            expected = step(plain, inputs)
        with other.draws(drawn):
            same(expected, step(other, inputs))

    def test_an_exported_program_has_no_trace_of_it(self, path: Path, asked: str) -> None:
        steps = [[str(node.target) for node in torch.export.export(m, (), m.example_inputs()).graph.nodes] for m in models(path, asked)]
        assert steps[0] == steps[1]


def most(model: Any, inputs: Any) -> int:
    """Return the most bytes that a step holds, gradients left out."""
    step(model, inputs)
    return peak(lambda: model(**inputs)["loss"].backward(), torch.device("cpu")) - sum(value.nbytes for value in model.parameters())


def test_less_is_held_where_more_is_computed_again() -> None:
    inputs = {"x": torch.randn(512, 16, dtype=torch.float64)}
    held: list[int] = []
    for asked in ("none", "checkpoint(keep = 0.6)", "checkpoint(keep = 0.3)"):
        torch.manual_seed(0)
        held.append(most(archloom.compile(LAYERS, dtype="float64", optimize=asked).train(), inputs))
    assert held[1] < 0.75 * held[0]
    assert held[2] < 0.75 * held[1]


def test_neighbours_are_computed_again_as_one_where_single_calls_hold_too_much(tmp_path: Path) -> None:
    path = tmp_path / "m.arch"
    path.write_text(LAYERS.replace("4 * dim", "dim"))
    found = optimize(load_program(path), "checkpoint(keep = 0.25)").steps[-1]
    assert any(", " in event.what for event in found.fired)
    plain, other = models(path, "checkpoint(keep = 0.25)")
    same(step(plain, plain.example_inputs()), step(other, plain.example_inputs()))


def test_where_losses_are_all_outputs_have_no_gradient() -> None:
    _, other = models(LAYERS, "unrecord(losses = True)")
    inputs = {"x": torch.randn(4, 16, dtype=torch.float64)}
    found = other(**inputs)
    assert found["loss"].requires_grad
    assert not found["side"].requires_grad


def test_only_selected_calls_are_computed_again() -> None:
    found = optimize(load_program(AGAIN), "checkpoint(keep = 0.1, where = 'layer[2..4].**')").steps[-1]
    assert [event.what for event in found.fired] == ["`layer.2` computed again", "`layer.3` computed again"]
    assert "of the bytes stay at least" in found.declined[-1].what


def test_steps_are_marked_behind_all_that_rewrites_them() -> None:
    assert [each.name() for each in pipeline("checkpoint, cse, pack")] == ["cse", "pack", "checkpoint"]


def test_what_only_evaluates_is_left_alone() -> None:
    found = optimize(load_program(AGAIN), "inference, unrecord, checkpoint").steps[-2:]
    assert [(step.fired, step.declined[0].what.partition(":")[0]) for step in found] == [((), "the model only evaluates")] * 2


def test_regions_are_told_in_the_text_of_the_graph() -> None:
    text = str(Graph(optimize(load_program(AGAIN), "checkpoint(keep = 0.1)").program))
    assert "call layer.0(x = %0)  [recomputed 0]" in text


def test_emitted_source_refuses_what_is_computed_again() -> None:
    with pytest.raises(Failure, match="what is computed again in the backward pass has no text here"):
        archloom.compile(AGAIN, optimize="checkpoint", source=True)
    plain, other = models(UNRECORDED, "unrecord")
    emitted: Any = archloom.compile(UNRECORDED, optimize="unrecord", source=True, dtype="float64").train()
    emitted.load_state_dict(plain.state_dict())
    inputs = plain.example_inputs()
    torch.manual_seed(0)
    expected = other(**inputs)["y"]
    torch.manual_seed(0)
    torch.testing.assert_close(emitted(**inputs)["y"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("checkpoint, unrecord", "the pass `checkpoint` must come after `unrecord`"),
        ("checkpoint(keep = 1)", "`keep` of the pass `checkpoint` is a share above 0 and below 1, not 1"),
        ("checkpoint(sizes = (('N', 8), ('M', 8)))", "no input has a size `M`: the sizes are B, N"),
    ],
)
def test_what_can_not_be_done_is_said(asked: str, says: str) -> None:
    with pytest.raises(ValueError, match="^" + says.replace("(", r"\(")):
        optimize(load_program(AGAIN), pipeline(asked))
