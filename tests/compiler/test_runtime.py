"""What Python sees: inputs by name, families as dicts, outputs by task, losses, examples, entries, errors before anything runs."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

import archloom
from archloom.compiler.runtime.errors import InputError
from archloom.compiler.runtime.model import Model
from archloom.compiler.runtime.outputs import Outputs

TWO = """
block Mlp(dim: int, wide: int) {
  in x: float[..., dim]
  up = Linear(dim, wide); down = Linear(wide, dim)
  out y = x + down(gelu(up(x)))
}
model Two(vocab: int = 11, dim: int = 8, depth: int = 2) {
  in ids: int[B, S] as tokens(vocab)
  embed = Embedding(vocab, dim)
  x = embed(ids)
  repeat i in 0..depth carry x { trunk = Mlp(dim, 2 * dim); x = trunk(x) }
  pooled = mean(x, dim = 1)
  task kind {
    target label: int[B]
    head = Linear(dim, 3)
    out logits = head(pooled)
    loss right = cross_entropy(logits, label)
  }
  task size {
    target value: float[B]
    target scale: float[B]
    reg = Linear(dim, 1)
    out guess = reg(pooled)[:, 0]
    loss off = 0.5 * mean((guess - value) ** 2 * scale)
  }
}
"""

FAMILY = """
model Fam(dim: int = 4) {
  index tasks = {semseg, depth}
  for t in tasks {
    in x: float[B[t], dim]
    part = Linear(dim, dim)
    out y = part(x)
  }
}
"""


def two(**more: Any) -> Model:
    torch.manual_seed(0)
    return archloom.compile(TWO, source=False, **more)


def test_inputs_by_position_and_by_name_are_the_same() -> None:
    model = two().eval()
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(model(ids).kind.logits, model(ids=ids).kind.logits)


def test_outputs_are_read_by_attribute_key_and_number() -> None:
    model = two().eval()
    found = model(**model.example_inputs())
    assert list(found) == ["loss", "kind", "size", "losses"]
    assert found.kind.logits is found["kind"]["logits"]
    assert found[0] is found.loss
    assert set(found.losses) == {"kind.right", "size.off"}
    assert torch.allclose(found.loss, found.losses["kind.right"] + found.losses["size.off"])
    with pytest.raises(AttributeError, match="no `logit` in this result: it has logits"):
        _ = found.kind.logit


def test_outputs_are_a_pytree() -> None:
    model = two().eval()
    found = model(**model.example_inputs())
    doubled = pytree.tree_map(lambda value: value * 2, found)
    assert isinstance(doubled, Outputs)
    assert torch.equal(doubled.kind.logits, found.kind.logits * 2)


def test_losses_follow_the_targets_that_are_given() -> None:
    model = two().eval()
    given = model.example_inputs()
    alone = model(ids=given["ids"])
    assert "loss" not in alone and "losses" not in alone
    one = model(ids=given["ids"], label=given["label"])
    assert set(one.losses) == {"kind.right"}
    assert torch.equal(one.loss, one.losses["kind.right"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": ...}, "`scale` is given without `value`: the losses of `size` need all of them"),
        ({"labels": torch.zeros(2)}, "there is no input `labels`, did you mean `label`: the inputs are `ids`, `label`, `value`, `scale`"),
        ({"ids": ...}, "`ids` is missing: int[B, S]"),
        ({"ids": [[1]]}, "`ids` is declared int[B, S] and is a list, not a tensor"),
        ({"ids": torch.zeros(2, 3)}, "`ids` is declared int[B, S] and is given as float32: convert it, `ids.long()`"),
        ({"ids": torch.zeros(2, dtype=torch.long)}, "`ids` is declared int[B, S] and is given with 1 dimensions: [2]"),
        ({"ids": torch.full((2, 3), 11)}, "`ids` holds 11, and its values must be in 0..11"),
        ({"label": torch.zeros(5, dtype=torch.long)}, "`label` is declared int[B] and is given as [5]: dimension 0 is 5, B = 2 from `ids`"),
        (
            {"value": torch.zeros(2, dtype=torch.double)},
            "`value` is declared float[B], the model computes in float32, and it is given as float64: convert it, `value.to(torch.float32)`",
        ),
    ],
)
def test_a_wrong_input_is_reported_before_anything_runs(change: dict[str, Any], message: str) -> None:
    model = two()
    given = model.example_inputs() | {name: value for name, value in change.items() if value is not ...}
    given = {name: value for name, value in given.items() if change.get(name) is not ...}
    model.embed.register_forward_hook(lambda *_: pytest.fail("an operation ran"))
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        model(**given)


def test_all_wrong_inputs_are_listed() -> None:
    model = two()
    given = model.example_inputs() | {"label": torch.zeros(5, dtype=torch.long), "value": torch.zeros(7)}
    with pytest.raises(InputError) as caught:
        model(**given)
    assert len(str(caught.value).splitlines()) == 2


def test_families_are_dicts_by_member() -> None:
    model = archloom.compile(FAMILY)
    x = {"semseg": torch.randn(2, 4), "depth": torch.randn(3, 4)}
    found = model(x)
    assert torch.equal(found.y.depth, model.part["depth"](x["depth"]))
    assert list(found.y) == ["semseg", "depth"]
    with pytest.raises(InputError, match=r"^`x` has no member `dept`, did you mean `depth`: it has `semseg`, `depth`$"):
        model({"dept": x["depth"]})
    with pytest.raises(InputError, match=r"^`x` is a family: give a dict by member, with `semseg`, `depth`, not a tensor \[3\] of float32$"):
        model(torch.zeros(3))
    with pytest.raises(InputError, match=r"^`x\.depth` is missing: float\[B\[depth\], 4\]$"):
        model({"semseg": x["semseg"]})


def test_tasks_leave_out_what_others_need() -> None:
    model = two(tasks=["kind"])
    assert not any(name.startswith("reg") for name in model.state_dict())
    assert list(inspect.signature(model.forward).parameters) == ["ids", "label"]
    with pytest.raises(ValueError, match="`Two` has no task `kinds`, did you mean `kind`"):
        two(tasks=["kinds"])


def test_examples_are_valid_seeded_and_sized_by_name() -> None:
    model = two()
    first, again, other = model.example_inputs(), model.example_inputs(), model.example_inputs(seed=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["ids"], other["ids"])
    sized = model.example_inputs(B=7, S=2)
    assert sized["ids"].shape == (7, 2)
    assert int(sized["label"].max()) <= 2
    assert torch.isfinite(model(**sized).loss)
    with pytest.raises(ValueError, match="no input has a size `Q`: the sizes are `B`, `S`"):
        model.example_inputs(Q=1)


def test_examples_meet_what_the_model_requires() -> None:
    text = """
    model Patches(patch: int = 16) {
      in image: float[B, 3, H, W] as picture(mean = 0.5, std = 0.5)
      require H % patch == 0; require W % patch == 0; require W >= H + 1
      cut = Conv2d(3, 4, patch, stride = patch)
      out y = cut(image)
    }
    """
    model = archloom.compile(text)
    image = model.example_inputs()["image"]
    assert image.shape[2] % 16 == 0 and image.shape[3] % 16 == 0 and image.shape[3] > image.shape[2]
    assert float(image.min()) >= -1 and float(image.max()) <= 1
    model(image)
    with pytest.raises(InputError, match=r"`H % 16 == 0` must hold"):
        model(torch.zeros(1, 3, 40, 64))


def test_what_training_asks_is_asked_of_modules_in_training_alone() -> None:
    """A batch of one is refused by name where a batch norm would take its variance: not in evaluation, nor where that norm is frozen."""
    text = """
    model M { in x: float[B, 4]; norm = BatchNorm1d(4); head = Linear(4, 2); out y = head(norm(x)); loss size = mean(y) }
    train M { stage all { tune all }; stage head { tune head } }
    """
    model, one = archloom.compile(text), torch.ones(1, 4)
    wrong = r"^`B >= 2 in training` must hold \(each channel of `x` needs more than one value, .*\), .* and B = 1 from `x`$"
    for stage, refused in (("all", True), ("head", False), ("all", True)):
        model.stage(stage)
        model.train()
        if refused:
            with pytest.raises(InputError, match=wrong):
                model(one)
        else:
            model(one)
        model.eval()
        model(one)


def test_open_conditions_are_asked_in_both_modes() -> None:
    model = archloom.compile("model M { in x: float[B, H]; z = reshape(x, [B, H / 4, 4]); out y = 2 * z if training else z }")
    for training in (True, False):
        with pytest.raises(InputError, match="`H % 4 == 0` must hold"):
            model.train(training)(torch.ones(1, 7))


def test_the_meta_device_runs_without_allocating() -> None:
    model = archloom.compile(TWO, {"vocab": 1_000_000_000, "dim": 4096}, device="meta")
    assert all(value.is_meta for value in model.state_dict().values())
    assert model(**model.example_inputs()).loss.is_meta


def test_materialized_models_are_those_compiled_at_once() -> None:
    late, at_once = archloom.compile(TWO, device="meta").materialize("cpu", seed=3), two()
    torch.manual_seed(3)
    at_once = archloom.compile(TWO)
    assert all(torch.equal(a, b) for a, b in zip(late.state_dict().values(), at_once.state_dict().values(), strict=True))


def test_the_four_line_loop_trains() -> None:
    model = two()
    batch = model.example_inputs(B=8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses: list[float] = []
    for _ in range(30):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_an_entry_shares_the_modules_and_hands_its_caches_on() -> None:
    text = """
    block Attention(dim: int) {
      in x: float[B, S, dim]
      state past: float[B, P, dim] = empty
      key = Linear(dim, dim); query = Linear(dim, dim)
      past = append(past, key(x), dim = 1)
      out y = softmax(query(x) @ past.mT, dim = -1) @ past
    }
    model Cached(dim: int = 4) {
      in x: float[B, S, dim]
      repeat i in 0..2 carry x { layer = Attention(dim); x = layer(x) }
      out y = x
      entry step { out z = x }
    }
    """
    model = archloom.compile(text).eval()
    step = model.entry("step")
    x = torch.randn(2, 3, 4)
    first = step(x[:, :1])
    assert torch.allclose(first.z, model(x[:, :1]).y)
    assert {name: tuple(value.shape) for name, value in first.states.items()} == {"layer.0.past": (2, 1, 4), "layer.1.past": (2, 1, 4)}
    second = step(x[:, 1:2], states=first.states)
    assert second.states["layer.1.past"].shape == (2, 2, 4)
    filled = step.example_inputs(B=3, S=1, P=5)
    assert filled["x"].shape == (3, 1, 4) and {value.shape for value in filled["states"].values()} == {(3, 5, 4)}
    assert step(**filled).states["layer.1.past"].shape == (3, 6, 4)
    with pytest.raises(KeyError, match="no entry `steps`, did you mean `step`"):
        model.entry("steps")
    with pytest.raises(InputError, match="`step` has no state `layer.2.past`"):
        step(x, states={"layer.2.past": x})


def test_each_call_has_a_cache_of_its_own_and_an_entry_those_that_it_needs() -> None:
    text = """
    block Sum(dim: int) {
      in x: float[B, S, dim]
      state past: float[B, P, dim] = empty
      past = append(past, x, dim = 1)
      out y = sum(past, dim = 1)
    }
    model Twice {
      in x, z: float[B, S, 4]
      f = Sum(4)
      a, b = f(x), f(z)
      out y = a + b
      entry both { out y = a - b }
      entry first { out y = a }
      entry second { in z: float[B, 1, 4]; out y = b }
    }
    """
    model = archloom.compile(text)
    x, z = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    result = model.entry("both")(x=x, z=z)
    assert torch.equal(result.states["f.past"], x) and torch.equal(result.states["f#2.past"], z)
    again = model.entry("both")(x=x, z=z, states=result.states)
    assert torch.allclose(again.y, 2 * result.y)
    assert list(model.entry("first")(x=x).states) == ["f.past"]
    second = model.entry("second")(z=z[:, :1], states={"f.past": z[:, 1:]})
    assert torch.allclose(second.y, z.sum(1)) and list(second.states) == ["f.past"]
    assert torch.equal(model.entry("second")(z[:, :1]).y, z[:, 0]), "the one input that it takes may come by position"
    with pytest.raises(InputError, match="there is no input `x`: the inputs are `z`"):
        model.entry("second")(z=z[:, :1], x=x)


def test_a_name_of_several_tasks_is_a_family_over_them() -> None:
    text = """
    model Names {
      in x: float[B, 4]
      task a { target label: float[B]; out y = sum(x, dim = 1); loss l = mean(abs(y - label)) }
      task b { target label: float[B]; out y = mean(x, dim = 1); loss l = mean(abs(y - label)) }
    }
    """
    model = archloom.compile(text)
    x = torch.randn(3, 4)
    found = model(x, label={"a": x.sum(1), "b": torch.zeros(3)})
    assert float(found.losses["a.l"]) == pytest.approx(0, abs=1e-6)
    assert set(model(x, label={"b": torch.zeros(3)}).losses) == {"b.l"}


def test_a_draw_is_an_optional_input() -> None:
    text = """
    model Noisy {
      in x: float[B, 4]
      draw eps: float[B, 4] ~ normal(0, 1)
      out y = x + eps
    }
    """
    model = archloom.compile(text)
    x, eps = torch.randn(2, 4), torch.randn(2, 4)
    assert torch.equal(model(x, eps=eps).y, x + eps)
    assert not torch.equal(model(x).y, model(x).y)


def test_the_tree_shows_members_that_are_alike_once() -> None:
    text = repr(two())
    assert text.startswith("Two(\n")
    assert "(0-1): 2 x Mlp(" in text


def test_wrong_arguments_of_compile_are_explained() -> None:
    with pytest.raises(ValueError, match="`float23` is no dtype to compute in, did you mean `float32`"):
        two(dtype="float23")
    with pytest.raises(archloom.Failure, match="can't read `nowhere.arch`"):
        archloom.compile("nowhere.arch")
    with pytest.raises(archloom.Failure, match="there is no model here"):
        archloom.compile("block A { in x: float[B]; out y = x }\n")


STAGED = """
model Staged(taught: bool = false) {
  in x[t in {a, b}]: float[B[t], 4]
  f = Linear(4, 2)
  for t in {a, b} {
    task t {
      target label: int[B[t]]
      out logits = f(x[t])
      ce = cross_entropy(logits, label)
      if t == a and taught {
        target soft: float[B[t], 2]
        loss near = mse(logits, soft)
      }
    }
  }
  loss apart = b.ce - a.ce
}
train Staged {
  stage over_both { tune all; losses apart }
  stage taught { tune all; tasks a; set taught = true }
}
"""


def test_a_stage_has_the_inputs_that_its_settings_declare() -> None:
    model = archloom.compile(STAGED)
    assert "soft" not in model.example_inputs()
    model.stage("taught")
    given = model.example_inputs()
    assert given["soft"]["a"].shape == (given["x"]["a"].shape[0], 2)
    assert set(model(**given).losses) == {"a.near"}


def test_a_loss_over_several_tasks_counts_in_a_stage_of_all_of_them() -> None:
    model = archloom.compile(STAGED)
    model.stage("over_both")
    assert set(model(**model.example_inputs()).losses) == {"apart"}
