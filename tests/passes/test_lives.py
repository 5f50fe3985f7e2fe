"""What people do to a model after passes: copying, converting, loading, saving, training, freezing, hooks, surgery, transforms of `torch.func`."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.utils import parametrize

import archloom
from archloom.compiler.optimize.bypass import bypassed
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.optimize.pipelines import PIPELINES

from .comparing import ROOT, spec

TEXTS = ROOT / "tests" / "passes" / "texts"

SPEC = """arch 1

block Mix(dim: int) {
  in x: float[B, dim]
  q, k, v = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
  out y = q(x) * sigmoid(k(x)) + v(x)
}

model M(dim: int = 8) {
  in x: float[B, dim]
  mix = Mix(dim)
  task kind {
    head = Linear(dim, 3)
    target label: int[B] in 0..3
    out logits = head(mix(x))
    loss error = cross_entropy(logits, label)
  }
}

train M {
  stage heads { tune head }
}
"""
MERGED = ("mix.q", "mix.k", "mix.v")
Pair = tuple[Any, Any, dict[str, Any]]


@pytest.fixture
def pair() -> Pair:
    """Return a model as it is and after `default`, with equal values, and a batch."""
    torch.manual_seed(0)
    plain, packed = (archloom.compile(SPEC, dtype="float64", optimize=asked) for asked in ("none", "default"))
    packed.load_state_dict(plain.state_dict())
    return plain, packed, plain.example_inputs(B=5)


def is_packed(model: Any) -> bool:
    """Tell whether the three linears live in one storage still, and a call computes with it."""
    weights = [model.get_parameter(f"{path}.weight") for path in MERGED]
    return len({weight.untyped_storage().data_ptr() for weight in weights}) == 1


def same(left: Any, right: Any, batch: dict[str, Any], most: float = 1e-12) -> None:
    """Compare losses and gradients."""
    for model in (left, right):
        model.zero_grad()
        model(**batch).loss.backward()
    torch.testing.assert_close(right(**batch).loss, left(**batch).loss, rtol=most, atol=most)
    theirs = dict(left.named_parameters())
    for name, value in right.named_parameters():
        assert (value.grad is None) == (theirs[name].grad is None), name
        if value.grad is not None:
            torch.testing.assert_close(value.grad, theirs[name].grad, rtol=most, atol=most, msg=name)


def test_what_is_watched(pair: Pair) -> None:
    assert bypassed(optimize(archloom.load_program(SPEC), "default").program) == tuple(sorted(MERGED))
    assert bypassed(archloom.load_program(SPEC)) == ()
    assert is_packed(pair[1]) and not is_packed(pair[0])
    same(*pair)


def called(model: Any, given: dict[str, Any]) -> set[str]:
    """Return the modules that a call of a model calls."""
    found: set[str] = set()
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *args, name=name: found.add(name))
    model._bypassed = None
    model._bind()
    with torch.no_grad():
        model(**given)
    return found


def compare_calls(path: Path, preset: str | None, asked: str) -> None:
    """Hold what is watched against the modules that are called without passes, and not with them."""
    model: Any = archloom.compile(path, preset=preset, optimize=asked).eval()
    given, watched = model.example_inputs(), set(bypassed(optimize(archloom.load_program(path, preset=preset), asked).program))
    lost = called(archloom.compile(path, preset=preset).eval(), given) - called(model, given)
    assert lost and lost & {name for name, _ in model.named_modules()} <= watched  # an operation's own module is gone with it


@pytest.mark.parametrize("name", ["batch_families", "merge_linears", "fold_norms", "cse"])
def test_every_module_that_is_not_called_any_more_is_watched(name: str) -> None:
    if name != "cse":
        compare_calls(TEXTS / f"{name}.arch", None, name)
    else:  # which lets a module be called less often, and none be left out
        assert bypassed(optimize(archloom.load_program(TEXTS / f"{name}.arch"), name).program) == ()


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["default", "inference"])
@pytest.mark.parametrize("name", ["unifork", "mlore", "taskexpert", "taskprompter", "invpt", "scalearn"])
def test_every_module_of_an_example_that_is_not_called_any_more_is_watched(name: str, asked: str) -> None:
    compare_calls(*spec(f"{name}:small"), asked)


def test_a_model_knows_its_passes(pair: Pair) -> None:
    plain, packed, _ = pair
    assert str(plain.passes) == plain.passes.explain() == "no passes" and len(plain.passes) == 0
    assert tuple(step.name for step in packed.passes) == PIPELINES["default"]
    assert "q, k, v are one" in packed.passes.explain() and re.search(r"\nmerge_linears +1 +0 ", str(packed.passes))
    assert copy.deepcopy(packed).passes is packed.passes


CHANGES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "float and back": lambda m: m.to(torch.float32).to(torch.float64),
    "assigned": lambda m: (m.load_state_dict({n: v.clone() for n, v in m.state_dict().items()}, assign=True), m)[1],
    "assigned below": lambda m: (m.mix.load_state_dict({n: v.clone() for n, v in m.mix.state_dict().items()}, assign=True), m)[1],
    "another parameter": lambda m: (setattr(m.mix.k, "weight", nn.Parameter(m.mix.k.weight.detach().clone())), m)[1],
    "other data": lambda m: (setattr(m.mix.k.weight, "data", m.mix.k.weight.detach().clone()), m)[1],
    "parametrized": lambda m: (parametrize.register_parametrization(m.mix.k, "weight", nn.Identity()), m)[1],
    "parametrized and moved": lambda m: (parametrize.register_parametrization(m.mix.k, "weight", nn.Identity()), m)[1].to("cpu"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_the_tensors_changes_what_is_computed(pair: Pair, change: Callable[[Any], Any]) -> None:
    plain, packed, batch = pair
    same(plain, packed, batch)  # so that what is kept has been kept before
    plain, packed = change(plain), change(packed)
    same(plain, packed, batch)
    for model in (plain, packed):
        with torch.no_grad():
            model.mix.k.bias.mul_(2)
            for value in model.mix.k.parameters():  # a parametrized weight goes by another name
                value.add_(0.5)
    same(plain, packed, batch)


ON_THE_WAY: dict[str, Callable[[Any], Any]] = {
    "in place": lambda k: k.weight.mul_(1.5),
    "other data": lambda k: setattr(k.weight, "data", 1.5 * k.weight),
    "another parameter": lambda k: setattr(k, "weight", nn.Parameter(1.5 * k.weight)),
}


@pytest.mark.parametrize("asked", ["default", "inference"])
@pytest.mark.parametrize("change", ON_THE_WAY.values(), ids=ON_THE_WAY)
def test_parameters_that_change_between_calls_and_during_one(pair: Pair, change: Callable[[Any], Any], asked: str) -> None:
    plain, x = pair[0].eval(), pair[2]["x"]
    other = archloom.compile(SPEC, dtype="float64", optimize=asked).eval()
    other.load_state_dict(plain.state_dict())

    def compare(times: int) -> None:
        for _ in range(times):
            torch.testing.assert_close(other(x=x).kind.logits, plain(x=x).kind.logits, rtol=1e-12, atol=1e-12)

    with torch.no_grad():
        compare(3)
        for model in (plain, other):
            change(model.mix.k)
        compare(3)
        handles = [model.mix.register_forward_pre_hook(lambda mix, args: change(mix.k)) for model in (plain, other)]
        compare(3)
        for handle in handles:
            handle.remove()
        compare(2)
    compare(2)


@pytest.mark.parametrize("asked", ["default", "inference"])
@pytest.mark.parametrize("change", ON_THE_WAY.values(), ids=ON_THE_WAY)
def test_parameters_that_change_in_the_middle_of_a_block(change: Callable[[Any], Any], asked: str) -> None:
    text = """arch 1
model M(dim: int = 4) {
  in x: float[B, dim]
  a, b, mid, c, d = Linear(dim, dim), Linear(dim, dim), LayerNorm(dim), Linear(dim, dim), Linear(dim, dim)
  h = mid(a(x) * b(x))
  out y = c(h) * d(h)
}
"""
    plain, other = (archloom.compile(text, dtype="float64", optimize=passes).eval() for passes in ("none", asked))
    other.load_state_dict(plain.state_dict())
    x = torch.randn(3, 4, dtype=torch.float64)
    for model in (plain, other):
        model.mid.register_forward_pre_hook(lambda mid, args, model=model: change(model.c))
    for _ in range(3):
        with torch.no_grad():
            torch.testing.assert_close(other(x=x).y, plain(x=x).y, rtol=1e-12, atol=1e-12)


def test_a_copied_block_computes_with_its_own(pair: Pair) -> None:
    found: list[Tensor] = []
    with torch.no_grad():
        for model in pair[:2]:
            model(**pair[2])
            copied = copy.deepcopy(model.mix)
            for value in copied.parameters():
                value.mul_(2)
            model(**pair[2])
            model.register_forward_pre_hook(lambda model, args, kwargs, copied=copied: found.append(copied(pair[2]["x"])), with_kwargs=True)
            model.mix.register_forward_pre_hook(lambda mix, args, copied=copied: found.append(copied(pair[2]["x"])))
            model(**pair[2])
    for value in found[1:]:
        torch.testing.assert_close(value, found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("change", ON_THE_WAY.values(), ids=ON_THE_WAY)
def test_what_is_folded_follows(change: Callable[[Any], Any]) -> None:
    text = "arch 1\nmodel M() {\n  in x: float[B, 3]\n  k, norm = Linear(3, 4), BatchNorm1d(4)\n  out y = norm(k(x))\n}\n"
    plain, folded = (archloom.compile(text, optimize=asked).eval() for asked in ("none", "inference"))
    folded.load_state_dict(plain.state_dict())
    x = torch.randn(5, 3)
    with torch.no_grad():
        for _ in range(3):
            torch.testing.assert_close(folded(x=x).y, plain(x=x).y)
            torch.testing.assert_close(folded(x=x).y, plain(x=x).y)
            for model in (plain, folded):
                change(model.k)


def test_freezing_between_calls(pair: Pair) -> None:
    plain, packed, batch = pair
    for still in (True, False):
        for model in (plain, packed):
            for value in model.mix.parameters():
                value.requires_grad_(not still)
        same(plain, packed, batch)


def test_a_copy_is_its_own(pair: Pair) -> None:
    plain, packed, batch = pair
    copied = copy.deepcopy(packed)
    assert is_packed(copied)
    with torch.no_grad():
        copied.mix.q.weight.zero_()
    same(plain, packed, batch)


def test_packed_weights_are_saved_and_loaded(pair: Pair, tmp_path: Path) -> None:
    plain, packed, batch = pair
    save_file(packed.state_dict(), tmp_path / "a.safetensors")
    torch.save(packed.state_dict(), tmp_path / "b.pt")
    packed.save_weights(tmp_path / "c.safetensors")
    for state in (load_file(tmp_path / "a.safetensors"), torch.load(tmp_path / "b.pt"), load_file(tmp_path / "c.safetensors")):
        assert state.keys() == plain.state_dict().keys()
        fresh = archloom.compile(SPEC, dtype="float64", optimize="default")
        fresh.load_state_dict(state)
        assert is_packed(fresh)
        same(plain, fresh, batch)


@pytest.mark.parametrize("still", [(), ("mix.k.weight",), ("mix.q.weight", "mix.k.weight", "mix.v.weight", "mix.q.bias")])
def test_ten_steps_of_adam(pair: Pair, still: tuple[str, ...]) -> None:
    plain, packed, batch = pair
    before = {name: packed.get_parameter(name).clone() for name in still}
    for model in (plain, packed):
        for name in still:
            model.get_parameter(name).requires_grad_(False)
        optimizer = torch.optim.Adam([value for value in model.parameters() if value.requires_grad], lr=0.05)
        for _ in range(10):
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
    assert is_packed(packed)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(packed.state_dict()[name], value, rtol=1e-9, atol=1e-9, msg=name)
        assert torch.equal(packed.state_dict()[name], before.get(name, packed.state_dict()[name]))


def test_large_gradients_are_parted_as_soon_as_they_are_there() -> None:
    """What is kept from an earlier call would be reached at the end of the backward pass, and hold the gradients of all layers until then."""
    model: Any = archloom.compile(SPEC, {"dim": 160}, optimize="default")
    x = torch.randn(2, 160, requires_grad=True)
    order: list[str] = []
    x.register_hook(lambda _: order.append("x"))
    for name in MERGED:
        model.get_submodule(name).weight.register_post_accumulate_grad_hook(lambda _, name=name: order.append(name))
    for _ in range(2):
        order.clear()
        model(x=2 * x, label=torch.zeros(2, dtype=torch.long)).loss.backward()
        assert {*order} == {*MERGED, "x"}
        assert order[-1] == "x"


def test_a_stage_after_passes(pair: Pair) -> None:
    plain, packed, batch = pair
    assert str(packed.stage("heads")) == str(plain.stage("heads"))
    same(plain, packed, batch)


def test_transforms_follow_packed_parameters(pair: Pair) -> None:
    plain, packed, batch = pair
    x = torch.randn(3, 5, 8, dtype=torch.float64)

    def found(model: Any) -> list[Tensor]:
        def logits(x: Tensor) -> Tensor:
            return model(x=x).kind.logits

        parameters = {name: 2 * value.detach() for name, value in model.named_parameters()}

        def loss(parameters: dict[str, Tensor]) -> Tensor:
            return functional_call(model, parameters, (), batch).loss

        first = torch.autograd.grad(model(**batch).loss, list(model.parameters()), create_graph=True)
        second = torch.autograd.grad(torch.stack([value.square().sum() for value in first]).sum(), model.mix.q.weight)
        return [vmap(logits)(x), grad(lambda x: logits(x).sum())(x[0]), jvp(logits, (x[0],), (x[1],))[1], *grad(loss)(parameters).values(), *second]

    for left, right in zip(found(plain), found(packed), strict=True):
        torch.testing.assert_close(right, left, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("hook", ["forward", "forward_pre", "full_backward"])
@pytest.mark.parametrize("copied", [False, True])
def test_a_hook_that_would_never_run_is_an_error(pair: Pair, hook: str, copied: bool) -> None:
    model, batch = copy.deepcopy(pair[1]) if copied else pair[1], pair[2]
    kept = getattr(model.mix, f"register_{hook}_hook")(lambda *args: None)
    assert model(**batch).loss  # the block is called as ever
    kept.remove()
    handle = getattr(model.mix.k, f"register_{hook}_hook")(lambda *args: None)
    with pytest.raises(RuntimeError, match=r"^`mix\.k` has a hook that would never run, as passes compute it without a call: .*optimize=\"none\""):
        model(**batch)
    handle.remove()
    assert model(**batch).loss


def test_another_forward_is_an_error_too(pair: Pair) -> None:
    pair[1].mix.q.forward = lambda x: x
    with pytest.raises(RuntimeError, match=r"^`mix\.q` has a hook"):
        pair[1](**pair[2])


def test_another_module_is_an_error_and_elsewhere_none(pair: Pair) -> None:
    plain, packed, batch = pair
    torch.manual_seed(1)
    plain.head = packed.head = nn.Linear(8, 3, dtype=torch.float64)
    torch.testing.assert_close(packed(**batch).loss, plain(**batch).loss)
    packed.mix.v = nn.Linear(8, 8, dtype=torch.float64)
    for model in (packed, copy.deepcopy(packed), packed.to("cpu")):
        with pytest.raises(RuntimeError, match=r"^`mix\.v` was replaced, and passes compute the first one, from its parameters: compile "):
            model(**batch)
    with pytest.raises(RuntimeError, match="`v` was replaced"):
        pair[1].mix(batch["x"])


@pytest.mark.slow
def test_lora_on_what_passes_merge(pair: Pair) -> None:
    """It takes the place of the linear; on what is called as ever it works."""
    import peft

    plain, packed, batch = pair
    with pytest.raises(RuntimeError, match=r"^`mix\.q` was replaced"):
        peft.inject_adapter_in_model(peft.LoraConfig(target_modules=["q"]), copy.deepcopy(packed))(**batch)
    torch.manual_seed(0)
    config = peft.LoraConfig(target_modules=["head"], init_lora_weights=False)
    adapted = [peft.inject_adapter_in_model(config, model) for model in (plain, packed)]
    adapted[1].load_state_dict(adapted[0].state_dict())
    same(adapted[0], adapted[1], batch, 1e-7)
    assert not torch.allclose(adapted[0](**batch).loss, archloom.compile(SPEC, dtype="float64")(**batch).loss)


def test_a_model_that_only_evaluates_says_so() -> None:
    torch.manual_seed(0)
    plain = archloom.compile(SPEC).eval()
    batch = plain.example_inputs(B=2)
    model = archloom.compile(SPEC, optimize="inference")
    model.load_state_dict(plain.state_dict())
    assert not model.training
    torch.testing.assert_close(model(x=batch["x"]).kind.logits, plain(x=batch["x"]).kind.logits)
    why = "only evaluates, without losses and stages: passes have folded what training needs; optimize it by `none` or `default`$"
    with pytest.raises(archloom.InputError, match=f"^`label` is a target, and this model {why}"):
        model(**batch)
    for call in (model.train, lambda: model.stage("heads")):
        with pytest.raises(ValueError, match=f"^this `M` {why}"):
            call()
    model.losses_in_eval = True
    with pytest.raises(ValueError, match=f"^this `M` {why}"):
        model(x=batch["x"])


def test_the_emitted_file_takes_passes_too(pair: Pair) -> None:
    plain, _, batch = pair
    for asked in ("default", "inference"):
        emitted = archloom.compile(SPEC, dtype="float64", optimize=asked, source=True)
        emitted.load_state_dict(plain.state_dict())
        assert emitted.training == (asked == "default")
        torch.testing.assert_close(emitted(x=batch["x"])["kind"]["logits"], plain(**batch).kind.logits, rtol=1e-12, atol=1e-12)
