"""Values that one stage emits and a later one uses, in the user's own loop."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import archloom
from archloom.compiler.runtime.errors import InputError
from archloom.compiler.runtime.model import Model

TAUGHT = """
model Taught(dim: int = 4, alpha: float = 0.0) {
  in x: float[B, dim]
  in far: float[B, dim]
  big = Linear(dim, dim)
  small = Linear(dim, dim)
  norm = BatchNorm1d(dim)
  task large { target y: int[B]; head = Linear(dim, 3); out logits = head(dropout(norm(big(x)), 0.5)); loss main = cross_entropy(logits, y) }
  task little {
    target y: int[B]
    target soft: float[B, 3] if alpha > 0
    out logits = small(far)[:, :3]
    loss hard = (1 - alpha) * cross_entropy(logits, y)
    if alpha > 0 { loss taught = alpha * mse(logits, soft) }
  }
}
train Taught {
  stage teach { tasks large; tune big, norm, head; emit guess = large.logits; emit hidden = large.logits }
  stage student { tasks little; tune small; set alpha = 0.3; use soft = teach.guess }
}
"""

FAMILY = """
model Fam(dim: int = 4) {
  index langs = {en, de}
  for l in langs {
    in x: float[B, dim]
    part = Linear(dim, dim)
    z = part(x)
  }
  task a { for l in langs { out h = z[l] } }
  task b { for l in langs { target soft: float[B, dim]; out h = 2 * z[l]; loss near = mse(h, soft) } }
}
train Fam {
  stage one { tasks a; tune all; emit soft = a.h }
  stage two { tasks b; tune all; use soft }
}
"""


def taught(**more: Any) -> Model:
    torch.manual_seed(0)
    return archloom.compile(TAUGHT, source=False, **more)


def test_what_one_stage_emits_goes_to_the_next_by_name() -> None:
    model = taught().train()
    batch = model.example_inputs(B=3)
    x, far, y = batch["x"], batch["far"], batch["y"]["little"]
    soft = model.stage("teach").emitted(x=x)
    assert list(soft) == ["guess", "hidden"]
    assert torch.equal(soft.guess, model.eval()(x=x).large.logits)
    model.train()
    model.stage("student")
    found = model(far=far, y={"little": y}, guess=soft.guess)
    assert torch.allclose(found.losses["little.taught"], 0.3 * ((found.little.logits - soft.guess) ** 2).mean())
    by_target = model(far=far, y={"little": y}, soft=soft.guess)
    assert torch.equal(found.loss, by_target.loss)
    found.loss.backward()
    assert model.small.weight.grad is not None and model.big.weight.grad is None


def test_emitting_computes_nothing_else_and_leaves_the_model_as_it_was() -> None:
    model = taught().train()
    model.norm.eval()
    stage = model.stage("teach")
    model.small.register_forward_hook(lambda *_: pytest.fail("another task was computed"))
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = model.example_inputs(B=3)
    soft = stage.emitted(**batch)
    assert not soft.guess.requires_grad
    assert torch.equal(soft.guess, stage.emitted(**batch).guess)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_stage_emits_whatever_stage_is_set() -> None:
    model = taught()
    teach = model.stage("teach")
    x = torch.randn(2, 4)
    first = teach.emitted(x).guess
    model.stage("student")
    assert torch.equal(teach.emitted(x).guess, first)
    assert [name for name, value in model.named_parameters() if value.requires_grad] == ["small.weight", "small.bias"]
    other = copy.deepcopy(teach)
    with torch.no_grad():
        model.big.weight.zero_()
    assert torch.equal(other.emitted(x).guess, first)
    assert not torch.equal(teach.emitted(x).guess, first)


def test_a_value_that_is_not_given_names_the_stage_that_emits_it() -> None:
    model = taught()
    model.stage("student")
    batch = model.example_inputs(B=2)
    assert set(batch) == {"far", "y", "soft"}
    missing = r'^`soft` is missing: the stage `student` uses what the stage `teach` emits, `guess = model.stage\("teach"\).emitted\(\*\*batch\)`$'
    given = {name: value for name, value in batch.items() if name != "soft"}
    with pytest.raises(InputError, match=missing):
        model(**given)
    with pytest.raises(InputError, match=missing):
        model(far=batch["far"])
    with pytest.raises(InputError, match=r"^`soft` is given twice, by its own name and as `guess`$"):
        model(**batch, guess=batch["soft"])
    assert "loss" not in model.eval()(far=batch["far"])
    with pytest.raises(ValueError, match="^the stage `student` emits nothing: write `emit soft = answer.logits` in it$"):
        model.stage("student").emitted(**given)


def test_an_emitted_value_means_nothing_in_other_stages() -> None:
    model = taught()
    model.stage("teach")
    with pytest.raises(InputError, match="there is no input `guess`"):
        model(x=torch.randn(2, 4), guess=torch.zeros(2, 3))


def test_what_a_task_that_was_left_out_emits_cannot_be_had() -> None:
    model = taught(tasks=["little"])
    with pytest.raises(ValueError, match="the stage `teach` emits `large.logits`, and the model was compiled without that task"):
        model.stage("teach").emitted(x=torch.zeros(2, 4))


def test_families_are_dicts() -> None:
    model = archloom.compile(FAMILY)
    batch = model.example_inputs(B=2)
    soft = model.stage("one").emitted(x=batch["x"])
    assert list(soft.soft) == ["en", "de"]
    model.stage("two")
    found = model(x=batch["x"], **soft)
    assert torch.allclose(found.losses["b.near.de"], (soft.soft.de**2).mean())
    with pytest.raises(InputError, match=r"^`soft.de` is missing: the stage `two` uses what the stage `one` emits"):
        model(x=batch["x"], soft={"en": soft.soft.en})


@pytest.mark.parametrize(
    ("emit", "names"),
    [("z", {"0": ["en", "de"], "1": ["en", "de"]}), ("z[1]", ["en", "de"]), ("z[1, de]", None)],
)
def test_a_family_is_emitted_whole_or_by_member(emit: str, names: Any) -> None:
    text = """
    model Grid {
      in x: float[B, 4]
      target y: float[B]
      for i in 0..2 { for l in {en, de} { part = Linear(4, 1); out z = part(x)[:, 0] } }
      loss l = mse(z[0, en], y)
    }
    """
    model = archloom.compile(text + f"train Grid {{ stage s {{ tune all; emit got = {emit} }} }}")
    x = torch.randn(2, 4)
    got = model.stage("s").emitted(x=x).got
    whole = model.eval()(x=x).z
    assert torch.equal(got if names is None else got.de if isinstance(names, list) else got[1].de, whole[1].de)
    assert names is None or list(map(str, got)) == list(names)


def test_the_table_says_what_comes_and_goes() -> None:
    model = taught()
    assert str(model.stage("teach")).splitlines()[-1] == "  emits: guess = large.logits, hidden = large.logits"
    assert str(model.stage("student")).splitlines()[-1] == "  uses: little.soft = teach.guess"


def test_a_model_in_a_stage_that_uses_values_compiles_in_one_graph() -> None:
    model = taught()
    model.stage("student")
    batch = model.example_inputs(B=3)
    guess = batch.pop("soft")
    eager = model(**batch, guess=guess).loss
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(**batch, guess=guess).loss, eager)


def test_a_stage_of_other_arguments_emits_what_it_computes_with_them() -> None:
    text = """
    model M(scale: int = 1) {
      in x: float[B, 4]
      target soft: float[B, 2]
      f = Linear(4, 2)
      y = f(x) * scale
      out y
      out z = y + 1
      loss l = mse(y, soft)
    }
    train M { stage wide { set scale = 3; tune all; emit soft = y }; stage next { tune all; use soft = wide.soft } }
    """
    model = archloom.compile(text)
    wide, following = model.stage("wide"), model.stage("next")
    x = torch.randn(2, 4)
    soft = wide.emitted(x)
    assert torch.equal(soft.soft, 3 * model.f(x))
    assert torch.allclose(model(x, **soft).loss, ((2 * model.f(x)) ** 2).mean())
    assert following.plan.uses == {"soft": "wide.soft"}
