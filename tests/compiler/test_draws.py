"""Draws and masks of dropout, by path: listed, given from outside, kept and repeated."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

import archloom
from archloom.compiler.runtime.errors import InputError
from archloom.compiler.runtime.model import Model
from archloom.compiler.runtime.modes import Attention

TEXT = """
block Noise(dim: int) {
  in x: float[B, dim]
  draw eps: float[B, dim] ~ normal(0, 1)
  lin = Linear(dim, dim)
  out y = dropout(lin(x) + eps, 0.5)
}
block Use(dim: int, inner: module) {
  in x: float[N, dim]
  draw gate: float[N, dim] ~ bernoulli(0.5)
  out y = drop_path(inner(x) * gate, 0.25)
}
model Deep(dim: int = 4) {
  in x: float[B, dim]
  draw start: float[B, dim] ~ uniform(0, 1)
  h = x + start
  repeat i in 0..2 carry h { layer = Noise(dim); h = layer(h) }
  for t in {a, b} { fam = Noise(dim); z = fam(h) }
  twice = Noise(dim)
  h = twice(twice(h))
  mixer = Linear(dim, dim)
  use = Use(dim, inner = mixer)
  draw own: float[B, dim] ~ normal(0, 1)
  quiet = Noise(dim)
  out y = use(h) + z[a] + z[b] + quiet(h, eps = own)
}
train Deep { stage top { tune mixer }; stage still { tune mixer, rest in eval } }
"""


def deep() -> Model:
    torch.manual_seed(0)
    return archloom.compile(TEXT, source=False)


NOISES = ["start", "own", "layer.0.eps", "layer.1.eps", "fam.a.eps", "fam.b.eps", "twice.eps", "use.gate"]
MASKS = ["layer.0.dropout", "layer.1.dropout", "fam.a.dropout", "fam.b.dropout", "twice.dropout", "quiet.dropout", "use.drop_path"]


def test_every_draw_is_listed_by_path_with_its_type() -> None:
    model = deep().train()
    listed = model.draw_names()
    assert set(listed) == {*NOISES, *MASKS}
    assert listed["twice.eps"] == ["float[B, 4]"] * 2
    assert listed["use.drop_path"] == ["bool[N]"]
    assert listed["layer.0.dropout"] == ["bool[B, 4]"]
    assert set(model.eval().draw_names()) == set(NOISES)
    model.stage("still")
    assert set(model.train().draw_names()) == {*NOISES, "use.drop_path"}  # a block without parameters of its own is never frozen


def test_what_was_drawn_is_what_is_listed_and_repeats_the_call() -> None:
    model = deep().train()
    x = torch.randn(3, 4)
    with model.draws() as drawn:
        first = model(x).y
    assert {path: len(values) for path, values in drawn.items()} == {path: len(types) for path, types in model.draw_names().items()}
    assert drawn["use.drop_path"][0].shape == (3,) and drawn["use.drop_path"][0].dtype is torch.bool
    with model.draws(drawn):
        again = model(x).y
    assert torch.equal(first, again)
    assert not torch.equal(model(x).y, first)
    assert not any("forward" in vars(module) for module in model.modules())


def test_values_go_where_their_paths_say() -> None:
    model = deep().train()
    x = torch.randn(2, 4)
    ones, zeros = torch.ones(2, 4, dtype=torch.bool), torch.zeros(2, 4)
    alone: dict[str, Any] = dict.fromkeys(NOISES, zeros) | dict.fromkeys(MASKS, ones)
    alone |= {"twice.eps": [zeros, zeros], "twice.dropout": [ones, ones], "use.drop_path": torch.tensor([True, False])}
    mask, eps = torch.rand(2, 4) > 0.5, torch.randn(2, 4)
    alone |= {"layer.1.dropout": mask, "twice.eps": [zeros, eps], "fam.b.eps": eps, "own": eps, "use.gate": torch.full((2, 4), 0.5)}
    with model.draws(alone):
        y = model(x).y
    lin = {name: module.lin for name, module in model.named_modules() if hasattr(module, "lin")}
    h = 2 * lin["layer.1"](2 * lin["layer.0"](x)) * mask
    z = 2 * lin["fam.a"](h) + 2 * (lin["fam.b"](h) + eps)
    h = 2 * (lin["twice"](2 * lin["twice"](h)) + eps)
    used = model.mixer(h) * 0.5 * torch.tensor([[1 / 0.75], [0.0]])
    assert torch.allclose(y, used + z + 2 * (lin["quiet"](h) + eps), atol=1e-6)


def test_gradients_flow_around_what_is_given() -> None:
    model = deep().train()
    stage = model.stage("top")
    x = torch.randn(3, 4)
    with model.draws() as drawn:
        model(x).y.sum().backward()
    assert any(path.startswith("layer.") for path in drawn)  # the frozen base keeps its dropout
    first = model.mixer.weight.grad.clone()
    model.zero_grad()
    with model.draws(drawn):
        model(x).y.sum().backward()
    assert torch.equal(first, model.mixer.weight.grad) and len(stage.parameters()) == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layer.0.ep": torch.zeros(3, 4)}, "nothing is drawn at `layer.0.ep`: did you mean `layer.0.eps`?"),
        ({"layer.0.eps": torch.zeros(3, 5)}, "`layer.0.eps` needs float32 [3, 4] on cpu here, and is given float32 [3, 5] on cpu"),
        ({"layer.0.dropout": torch.ones(3, 4)}, "`layer.0.dropout` needs bool [3, 4] on cpu here, and is given float32 [3, 4] on cpu"),
        ({"twice.eps": torch.zeros(3, 4)}, "`twice.eps` is drawn more than once in a call: give a list with a value for each"),
        ({"twice.eps": [torch.zeros(3, 4)] * 3}, "`twice.eps` is drawn 2 times in a call and 3 values are given"),
        ({"quiet.eps": torch.zeros(3, 4)}, "`quiet.eps` is drawn never in a call and a value is given"),
    ],
)
def test_a_wrong_value_is_an_error(values: Any, message: str) -> None:
    model = deep().train()
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"), model.draws(values):
        model(torch.randn(3, 4))
    assert not any("forward" in vars(module) for module in model.modules())
    model(torch.randn(3, 4))


def test_a_mask_for_what_stands_in_eval_mode_is_an_error() -> None:
    model = deep().eval()
    kept = torch.ones(3, 4, dtype=torch.bool)
    wrong = r"^`layer.0.dropout` is drawn never in a call and a value is given: it drops nothing in eval mode$"
    with pytest.raises(InputError, match=wrong), model.draws({"layer.0.dropout": kept}):
        model(torch.randn(3, 4))


def test_draws_are_given_once_and_a_copy_waits() -> None:
    model = deep()
    with model.draws():
        with pytest.raises(RuntimeError, match="give all of them at once"), model.draws():
            pass
        with pytest.raises(RuntimeError, match="copy the model before"):
            copy.deepcopy(model)
    assert torch.isfinite(copy.deepcopy(model)(torch.randn(2, 4)).y).all()


@pytest.mark.parametrize("source", [False, True])
def test_a_draw_may_be_of_the_size_of_the_batch(source: bool) -> None:
    text = "model M { in x: float[B, 4]; draw p: int[B] ~ permutation(B); out y = take(x, p, dim = 0); out order = p }"
    model = archloom.compile(text, source=True) if source else archloom.compile(text)
    for rows in (5, 3):
        found = model(x=torch.randn(rows, 4))
        assert sorted(found["order"].tolist()) == list(range(rows))


def test_draws_are_seeded_by_torch() -> None:
    model = deep().train()
    x = torch.randn(3, 4)
    found: list[torch.Tensor] = []
    for _ in range(2):
        torch.manual_seed(7)
        found.append(model(x).y)
    assert torch.equal(*found)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}, {"enable_gqa": True}])
@pytest.mark.parametrize("mask", [None, "bool", "float"])
def test_attention_written_out_is_attention(options: dict[str, Any], mask: str | None) -> None:
    if mask and "is_causal" in options:
        options = {}
    q = torch.randn(2, 4, 5, 8)
    k, v = torch.randn(2, 2, 2 if "enable_gqa" in options else 4, 5, 8)
    given = {None: None, "bool": torch.rand(2, 1, 5, 5) > 0.3, "float": torch.randn(5, 5)}[mask]
    if given is not None and mask == "bool":
        given[..., 0] = True
    from archloom.compiler.runtime.chance import KINDS

    def keep_all(shape: Any, dtype: Any, device: Any, draw: Any) -> torch.Tensor:
        return torch.ones(tuple(shape), dtype=dtype)

    module = Attention(0.25, **options)
    found = KINDS[Attention].forward(module, keep_all, q, k, v, given)
    assert torch.allclose(found, scaled_dot_product_attention(q, k, v, given, **options) / 0.75, atol=1e-5)


def test_masks_of_attention_are_listed_and_given() -> None:
    text = """
    model Attend {
      in x: float[B, S, 8]
      q = rearrange(x, "b s (h d) -> b h s d", h = 2)
      out y = attention(q, q, q, drop = 0.5)
    }
    """
    model = archloom.compile(text).train()
    assert model.draw_names()["attention"] == ["bool[B, 2, S, S]"]
    with model.draws({"attention": torch.zeros(1, 2, 3, 3, dtype=torch.bool)}):
        assert not model(torch.randn(1, 3, 8)).y.any()


def test_draws_in_families_bear_their_members() -> None:
    text = """
    model Many {
      in x: float[B, 4]
      for t in {a, b} { draw eps: float[B, 4] ~ normal(0, 0.1); y = x + eps }
      draw seen[s in {0.5, 2}]: float[B, 4] ~ gumbel
      draw order: int[B, 4] ~ permutation(9)
      out z = y[a] + y[b] + seen[0.5] + seen[2] + float(order)
    }
    """
    model = archloom.compile(text)
    assert set(model.draw_names()) == {"eps.a", "eps.b", "seen.0_5", "seen.2", "order"}
    assert "normal(mean=0, std=0.1)" in repr(model)
    x = torch.arange(8.0).reshape(2, 4)  # whole numbers: sums of them are exact
    values = {path: torch.full((2, 4), 1.0) for path in ("eps.a", "eps.b", "seen.0_5", "seen.2")}
    with model.draws(values | {"order": torch.zeros(2, 4, dtype=torch.long)}):
        assert torch.equal(model(x).z, 2 * x + 4)


def test_the_plain_call_compiles_in_one_graph_and_exports() -> None:
    model = deep().eval()
    x = torch.randn(3, 4)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.manual_seed(1)
    first = model(x).y
    torch.manual_seed(1)
    assert torch.allclose(compiled(x).y, first)
    assert torch.export.export(model, (x,)).module()(x).y.shape == (3, 4)


def test_graphs_read_well() -> None:
    text = deep().layer[0].code
    assert "eps_1 = self.eps(eps, [B, 4], dtype = dtype, device = device_1)" in text


def test_functions_that_draw_are_reached_too() -> None:
    text = """
    block Pick { in x: float[B, 4]; out y = gumbel_softmax(x, tau = 0.5, hard = true) }
    model M {
      in x: float[B, 4]
      w = Parameter([4])
      pick = Pick()
      out y = pick(x * w) + randn_like(x) + randn_like(x)
      out soft = gumbel_softmax(x * w)
    }
    """
    model = archloom.compile(text)
    listed = {"randn_like": ["float[B, 4]"] * 2, "gumbel_softmax": ["float[B, 4]"], "pick.gumbel_softmax": ["float[B, 4]"]}
    assert model.draw_names() == listed
    x = torch.randn(3, 4)
    noise = torch.zeros(3, 4)
    given = {"randn_like": [noise, noise + 1], "gumbel_softmax": noise, "pick.gumbel_softmax": noise}
    with model.draws(given):
        found = model(x)
    assert torch.allclose(found.soft, (x * model.w).softmax(dim=1))
    hard = torch.nn.functional.one_hot((x * model.w).argmax(dim=1), 4)
    assert torch.allclose(found.y, hard + 1.0)
    found.y[:, 0].sum().backward()
    assert bool(model.w.grad.any())


def test_an_entry_and_a_stage_of_other_arguments_take_draws() -> None:
    text = """
    model M(noisy: bool = false) {
      in x: float[B, 4]
      f = Linear(4, 4)
      y = f(x)
      if noisy { draw eps: float[B, 4] ~ normal(0, 1); y = y + eps }
      out y
      target t: float[B, 4]
      loss l = mse(y, t)
      entry other { out z = dropout(y, 0.5) }
    }
    train M { stage s { set noisy = true; tune all } }
    """
    model = archloom.compile(text).train()
    other = model.entry("other")
    x, none = torch.randn(2, 4), torch.zeros(2, 4, dtype=torch.bool)
    other(x)
    with model.draws({"dropout": none}):
        assert not other(x).z.any()
    model.stage("s")
    assert model.draw_names() == {"eps": ["float[B, 4]"]}
    with model.draws({"eps": -model.f(x).detach()}):
        assert torch.allclose(model(x).y, torch.zeros(2, 4), atol=1e-6)


def test_compiled_code_steps_aside_for_draws_from_outside() -> None:
    model = deep().train()
    compiled = torch.compile(model, backend="eager")
    x = torch.randn(3, 4)
    compiled(x)
    with model.draws() as drawn:
        first = model(x).y
    with model.draws(drawn) as again:
        assert torch.equal(compiled(x).y, first)
    assert again.keys() == drawn.keys()
