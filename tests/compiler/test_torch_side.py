"""A compiled model is a module like any other: copied, moved, saved, compiled, exported, frozen in stages."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import archloom
from archloom.compiler.runtime.model import Model
from archloom.compiler.runtime.outputs import Outputs

TEXT = """
block Layer(dim: int) {
  in x: float[B, S, dim]
  norm = LayerNorm(dim); up = Linear(dim, 2 * dim); down = Linear(2 * dim, dim)
  out y = x + dropout(down(gelu(up(norm(x)))), 0.5)
}
model Tagger(vocab: int = 13, dim: int = 8, depth: int = 2) {
  in ids: int[B, S] as tokens(vocab)
  target labels: int[B, S]
  embed = Embedding(vocab, dim)
  head = Linear(dim, vocab, bias = false)
  tie embed.weight, head.weight
  x = embed(ids)
  repeat i in 0..depth carry x { trunk = Layer(dim); x = trunk(x) }
  out logits = head(x)
  loss right = cross_entropy(logits, labels)
}
"""


def tagger(**more: Any) -> Model:
    torch.manual_seed(0)
    return archloom.compile(TEXT, source=False, **more)


def test_a_copy_is_equal_and_apart() -> None:
    model = tagger().eval()
    other = copy.deepcopy(model)
    batch = model.example_inputs()
    assert torch.equal(model(**batch).loss, other(**batch).loss)
    assert other.embed.weight is other.head.weight
    with torch.no_grad():
        other.embed.weight.add_(1)
    assert not torch.equal(model(**batch).loss, other(**batch).loss)


def test_tied_parameters_stay_one_through_everything() -> None:
    model = tagger()
    assert [name for name in model.state_dict() if name in ("embed.weight", "head.weight")] == ["embed.weight"]
    for change in (
        lambda: model.double(),
        lambda: model.float(),
        lambda: model.to("meta"),
        lambda: model.materialize("cpu"),
        lambda: model.load_state_dict(model.state_dict(), assign=True),
        lambda: model.load_state_dict({**model.state_dict(), "head.weight": model.embed.weight.detach().clone()}),
    ):
        change()
        assert model.embed.weight is model.head.weight
        assert sum(p is model.embed.weight for p in model.parameters()) == 1


def test_either_name_of_a_tied_parameter_loads() -> None:
    model, other = tagger(), tagger()
    state = model.state_dict()
    state["head.weight"] = state.pop("embed.weight") + 1
    other.load_state_dict(state)
    assert torch.equal(other.embed.weight, model.embed.weight + 1)
    wrapped = nn.Sequential(other)
    wrapped.load_state_dict({f"0.{name}": value for name, value in model.state_dict().items()})
    assert torch.equal(other.head.weight, model.embed.weight)


def test_saved_and_read_back(tmp_path: Any) -> None:
    model = tagger().eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    again = archloom.compile(TEXT, weights=tmp_path).eval()
    batch = model.example_inputs()
    assert torch.equal(model(**batch).logits, again(**batch).logits)


@pytest.mark.parametrize("strict", [False, True])
def test_exported_with_sizes_that_stay_open(strict: bool) -> None:
    model = tagger().eval()
    ids = model.example_inputs(B=2, S=5)["ids"]
    sizes = {"ids": {0: torch.export.Dim("B"), 1: torch.export.Dim("S")}}
    program = torch.export.export(model, (ids,), dynamic_shapes=sizes, strict=strict).module()
    other = model.example_inputs(B=4, S=9)["ids"]
    found = program(other)
    assert isinstance(found, Outputs)
    assert torch.allclose(found.logits, model(other).logits, atol=1e-6)


def test_compiled_in_one_graph() -> None:
    model = tagger().eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    batch = model.example_inputs()
    assert torch.allclose(compiled(**batch).loss, model(**batch).loss, atol=1e-6)
    longer = model.example_inputs(B=3, S=7)
    assert torch.allclose(compiled(**longer).loss, model(**longer).loss, atol=1e-6)


def test_the_root_is_an_fx_graph_module_over_the_same_modules() -> None:
    from torch import fx

    model = tagger().eval()
    batch = model.example_inputs()
    graph = model.graph_module(losses=True)
    logits, loss = graph(batch["ids"], batch["labels"])
    found = model(**batch)
    assert torch.equal(logits, found.logits) and torch.equal(loss, found.loss)
    assert torch.equal(fx.Interpreter(graph).run(batch["ids"], batch["labels"])[1], loss)
    assert graph.get_submodule("trunk.0") is model.trunk[0]
    assert "# File: <text>:" in graph.print_readable(print_output=False)
    assert "# File: <text>:" in model.trunk[0].print_readable(print_output=False)


def test_half_precision_and_autocast() -> None:
    model = tagger().eval()
    batch = model.example_inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(**batch).logits.dtype is torch.bfloat16
    assert model.to(torch.bfloat16)(**batch).logits.dtype is torch.bfloat16
    assert archloom.compile(TEXT, dtype="float64")(**batch).logits.dtype is torch.float64


def test_the_signature_bears_the_declared_names() -> None:
    model = tagger()
    assert list(inspect.signature(model.forward).parameters) == ["ids", "labels"]
    assert list(inspect.signature(type(model).forward).parameters) == ["self", "ids", "labels"]


def test_modes_reach_dropout() -> None:
    model = tagger()
    batch = model.example_inputs()
    assert not torch.equal(model(**batch).logits, model(**batch).logits)
    model.eval()
    assert torch.equal(model(**batch).logits, model(**batch).logits)


def test_checkpointing_a_layer_gives_the_same_gradients() -> None:
    from torch.utils.checkpoint import checkpoint

    model = tagger().eval()
    batch = model.example_inputs()
    model(**batch).loss.backward()
    plain = model.trunk[0].up.weight.grad.clone()
    model.zero_grad()
    block = model.trunk[0]
    forward = block.forward
    block.forward = lambda *args: checkpoint(forward, *args, use_reentrant=False)
    model(**batch).loss.backward()
    assert torch.allclose(plain, model.trunk[0].up.weight.grad)


def test_pickling_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="save its `state_dict\\(\\)` as safetensors"):
        copy.copy(tagger()).__reduce__()


# ----------------------------------------------------------------------------------------------------------- stages

STAGED = """
block Tower(dim: int) {
  in x: float[B, dim]
  lin = Linear(dim, dim); bn = BatchNorm1d(dim)
  seen = Buffer([], init = zeros)
  update seen = seen + 1
  out y = dropout(bn(lin(x)), 0.5)
}
model Staged(dim: int = 4) {
  in x: float[B, dim]
  old = Tower(dim); mid = Tower(dim)
  freeze old
  h = mid(old(x))
  task a { target ta: float[B]; head_a = Linear(dim, 1); out y = head_a(h)[:, 0]; loss l = mean((y - ta) ** 2) }
  task b { target tb: float[B]; head_b = Linear(dim, 1); out y = head_b(h)[:, 0]; loss l = mean((y - tb) ** 2) }
}
train Staged {
  stage heads { tune head_a, head_b }
  stage quiet { tune head_a, rest in eval; tasks a }
  stage all_of_it { tune mid, head_a, head_b; losses a.l, b.l; weight a.l = 2 }
}
"""


def staged() -> Model:
    torch.manual_seed(0)
    return archloom.compile(STAGED)


def snapshot(model: Model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def moved(model: Model, before: dict[str, torch.Tensor]) -> set[str]:
    return {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def train_a_little(model: Model, groups: Any, **extra: Any) -> None:
    optimizer = torch.optim.SGD(groups, lr=0.1)
    for _ in range(3):
        model(**model.example_inputs(B=6)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize(("stage", "goes"), [("heads", {"head_a", "head_b"}), ("quiet", {"head_a"}), ("all_of_it", {"mid", "head_a", "head_b"})])
def test_what_a_stage_freezes_does_not_move_by_a_bit(stage: str, goes: set[str]) -> None:
    model = staged()
    groups = model.stage(stage).groups
    model.train()
    for module in model.modules():
        module.train()
    before = snapshot(model)
    train_a_little(model, groups)
    assert moved(model, before) == goes


def test_what_is_frozen_for_good_is_in_eval_mode() -> None:
    model = staged().train()
    assert not any(module.training for module in model.old.modules())
    assert not any(value.requires_grad for value in model.old.parameters())
    before = snapshot(model)
    train_a_little(model, [p for p in model.parameters() if p.requires_grad])
    assert "old" not in moved(model, before)


def test_untuned_parts_keep_their_dropout_unless_the_stage_says_otherwise() -> None:
    model = staged()
    model.stage("heads")
    model.train()
    assert model.mid.dropout.training and not model.mid.bn.training
    model.stage("quiet")
    assert not any(module.training for module in model.mid.modules())


def test_a_stage_says_where_dropout_is_live_in_what_is_frozen() -> None:
    model = staged()
    assert {name: model.stage(name).live for name in ("heads", "quiet", "all_of_it")} == {"heads": ("mid",), "quiet": (), "all_of_it": ()}
    assert "\n  dropout draws in what is frozen: mid\n" in f"{model.stage('heads')}\n"


def test_stages_come_in_any_order() -> None:
    one, two = staged(), staged()
    for name in ("all_of_it", "quiet", "heads"):
        one.stage(name)
    two.stage("heads")
    assert [p.requires_grad for p in one.parameters()] == [p.requires_grad for p in two.parameters()]
    assert [m.training for m in one.modules()] == [m.training for m in two.modules()]


def test_a_stage_weighs_losses_and_narrows_tasks() -> None:
    model = staged()
    batch = model.example_inputs(B=6)
    model.eval()
    model.stage("all_of_it")
    found = model(**batch)
    assert torch.allclose(found.loss, 2 * found.losses["a.l"] + found.losses["b.l"])
    model.stage("quiet")
    found = model(**batch)
    assert list(found) == ["loss", "a", "losses"]
    assert set(model.example_inputs()) == {"x", "ta"}


def test_a_stage_shows_what_it_trains() -> None:
    model = staged()
    stage = model.stage("heads")
    assert str(stage).splitlines()[0] == "stage heads: 10 numbers trained, 56 frozen"
    assert sum(p.numel() for group in stage.groups for p in group["params"]) == 10
    assert copy.deepcopy(model)(**model.example_inputs(B=6)).loss.requires_grad
    with pytest.raises(KeyError, match="no stage `head`, did you mean `heads`"):
        model.stage("head")
