"""Code with all in place that it reads: what it gives is what the modules give, whatever is done to them between two calls."""

from __future__ import annotations

import copy
import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vmap
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrize

import archloom
from archloom.compiler.runtime import settled
from archloom.tests.passes.comparing import ROOT

TEXTS = sorted((ROOT / "tests" / "passes" / "texts").glob("*.arch"))
MIXTURE = """arch 1

block Expert(dim: int) {
  in x: float[B, dim]
  first, second = Linear(dim, dim), Linear(dim, dim)
  out y = second(relu(first(x)))
}

block Inner(dim: int) {
  in x: float[B, dim]
  map = Linear(dim, dim, bias = false)
  norm, drop = LayerNorm(dim), Dropout(0.5)
  out y = drop(tanh(norm(map(x))))
}

model M(dim: int = 8, n: int = 8) {
  in x: float[B, dim]
  inner = Inner(dim)
  gate = Linear(dim, n)
  z = inner(x)
  g = softmax(gate(z), dim = 1)
  for e in 0..n {
    expert = Expert(dim)
    f = expert(z)
  }
  out y = sum(g[:, e, none] * f[e] for e in 0..n)
}
"""


def built(text: str | Path = MIXTURE, optimize: str = "default", **options: Any) -> Any:
    """Compile a model for evaluation."""
    return archloom.compile(text, optimize=optimize, **options).eval()


def quiet(model: Any, batch: dict[str, Any]) -> Any:
    """Call a model without gradients, with the same draws each time."""
    seeded: Any = torch
    seeded.manual_seed(0)
    with torch.no_grad():
        return model(**batch)


def source(model: Any) -> str:
    """Return the settled code of the one view that was called."""
    found = [each for each in model._settling._found.values() if each is not None]
    assert len(found) == 1
    return "".join(linecache.getlines(found[0].function.__code__.co_filename))


def pair() -> tuple[Any, Any, dict[str, Any]]:
    """Return a model without passes and one that has settled, with equal values, and a batch."""
    plain, model = built(optimize="none"), built()
    model.load_state_dict(plain.state_dict())
    batch = model.example_inputs(B=3)
    quiet(model, batch)
    assert "self." not in source(model) and "__call__" not in source(model)
    return plain, model, batch


@pytest.mark.parametrize("asked", ["default", pytest.param("inference", marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_it_gives_what_the_modules_give(path: Path, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = built(path, asked)
    targets = {name for name, declared in model._names.by_key.items() if declared.is_target}
    batch = {name: value for name, value in model.example_inputs().items() if name not in targets}
    first, second = quiet(model, batch), quiet(model, batch)
    written = list(model._settling._found.values()) if model._standing is not None else []
    monkeypatch.setattr(settled, "MOST_CHANGES", 0)
    model._bind()
    torch.testing.assert_close(second, quiet(model, batch), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert None not in written


def test_blocks_and_linears_are_written_out() -> None:
    _, model, _ = pair()
    text = source(model)
    assert text.count("nn.linear(") == 2 and "layer_norm" in text and "torch.relu_" in text and "expand(8, -1, -1)" in text
    assert "together" not in text and "unflatten" not in text


def test_of_a_large_model_the_blocks_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "MOST", 3)
    plain, model, batch = built(optimize="none"), built(), built().example_inputs(B=3)
    model.load_state_dict(plain.state_dict())
    torch.testing.assert_close(quiet(model, batch), quiet(plain, batch))
    assert source(model).count(".__call__(x)") == 1 and "linear(" in source(model)


class Doubled(nn.Module):
    """Twice a parametrized tensor."""

    def forward(self, x: Tensor) -> Tensor:
        """Double it."""
        return 2 * x


def replaced(model: Any) -> None:
    """Put another module in place."""
    torch.manual_seed(1)
    model.gate = nn.Linear(8, 8)


def moved(model: Any) -> None:
    """Put other values in place, of which no version tells."""
    model.gate.weight.data = torch.ones(8, 8)
    model.expert[1].second.weight.data = torch.ones(8, 8)


def swapped(model: Any) -> None:
    """Swap values within one storage."""
    one, other = (model.expert[n].first.bias for n in (0, 1))
    one.data, other.data = other.data, one.data


def changed(model: Any) -> None:
    """Change values in place."""
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1)


def overridden(model: Any) -> None:
    """Give a module, and a block, a `forward` of its own."""
    model.gate.forward = lambda x: nn.Linear.forward(model.gate, x) + 1
    inner = type(model.inner).forward
    model.inner.forward = lambda x: inner(model.inner, x) * 2


def compiled(model: Any) -> None:
    """Give a module a compiled call."""
    model.gate._compiled_call_impl = lambda x: 3 * nn.Linear.forward(model.gate, x)  # as `compile` sets it


def hooked(model: Any) -> None:
    """Hook a module."""
    model.inner.norm.register_forward_hook(lambda module, args, result: result + 1)


def parametrized(model: Any) -> None:
    """Compute a weight from another tensor."""
    parametrize.register_parametrization(model.gate, "weight", Doubled())


def reclassed(model: Any) -> None:
    """Make a module one of another class."""
    model.gate.__class__ = type("Wider", (nn.Linear,), {"forward": lambda self, x: nn.Linear.forward(self, x) * 5})


def flattened(model: Any) -> None:
    """Change a number that a norm was made with."""
    model.inner.norm.eps = 10.0


def emptied(model: Any) -> None:
    """Take a bias away."""
    model.gate.bias = None


@pytest.mark.parametrize(
    "change",
    [replaced, moved, swapped, changed, overridden, compiled, hooked, parametrized, reclassed, flattened, emptied],
    ids=lambda change: change.__name__,
)
def test_what_is_done_to_a_model_is_seen(change: Callable[[Any], None]) -> None:
    plain, model, batch = pair()
    before = quiet(model, batch)
    change(plain)
    change(model)
    after = quiet(model, batch)
    torch.testing.assert_close(after, quiet(plain, batch))
    assert not torch.allclose(after.y, before.y)
    torch.testing.assert_close(quiet(model, batch), after)


class Whole(Tensor):
    """A tensor that is multiplied by as a linear alone, as quantized ones are."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Refuse other products."""
        if func in (torch.addmm, torch.mm, Tensor.t):
            raise TypeError(f"this one doesn't know {func}")
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_weight_of_another_class_does_what_it_knows() -> None:
    plain, model, batch = pair()
    for each in (plain, model):
        each.gate._parameters["weight"] = (each.gate.weight.detach() + 1).as_subclass(Whole)
    found, wanted = (quiet(each, batch).y.as_subclass(Tensor) for each in (model, plain))
    torch.testing.assert_close(found, wanted)
    assert "linear(" in source(model)


def test_a_hook_on_all_modules_sees_them() -> None:
    _, model, batch = pair()
    seen: list[nn.Module] = []
    handle = register_module_forward_hook(lambda module, args, result: seen.append(module))
    quiet(model, batch)
    handle.remove()
    assert {model.gate, model.inner, model.inner.map, model.inner.norm, model.inner.drop} <= set(seen)
    seen.clear()
    quiet(model, batch)
    assert not seen


def test_a_block_that_trains_draws() -> None:
    plain, model, batch = pair()
    for each in (plain, model):
        each.inner.train()
    torch.testing.assert_close(quiet(model, batch), quiet(plain, batch))
    assert not torch.allclose(quiet(model, batch).y, quiet(pair()[1], batch).y)
    plain.eval()
    model.eval()
    torch.testing.assert_close(quiet(model, batch), quiet(plain, batch))


def test_other_tensors_and_transforms_and_copies_and_moves() -> None:
    plain, model, batch = pair()
    other = {name: torch.rand_like(value) for name, value in model.state_dict().items()}
    with torch.no_grad():
        for each in (model, plain):
            each.expected = functional_call(each, other, kwargs=batch).y
            each.mapped = vmap(lambda x, each=each: each(x=x[None]).y[0])(batch["x"])
            each.turned = jvp(lambda x, each=each: each(x=x).y, (batch["x"],), (torch.ones_like(batch["x"]),))[1]
    for name in ("expected", "mapped", "turned"):
        torch.testing.assert_close(getattr(model, name), getattr(plain, name))
    twin = copy.deepcopy(model)
    changed(twin)
    torch.testing.assert_close(quiet(model, batch), quiet(plain, batch))
    changed(plain)
    torch.testing.assert_close(quiet(twin, batch), quiet(plain, batch))
    double = {"x": batch["x"].double()}
    torch.testing.assert_close(quiet(twin.double(), double), quiet(plain.double(), double))


def test_where_things_change_all_the_time_modules_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "MOST_CHANGES", 2)
    plain, model, batch = pair()
    for _ in range(4):
        torch.manual_seed(2)
        gate = nn.Linear(8, 8)
        plain.gate = model.gate = gate
        torch.testing.assert_close(quiet(model, batch), quiet(plain, batch))
    assert list(model._settling._found.values()) == [None]


def test_a_mistake_in_it_names_the_line_of_the_text() -> None:
    _, model, batch = pair()
    model.inner.map.weight.data = torch.ones(7, 7)
    with pytest.raises(RuntimeError, match=r"<text>:13:26: in `Inner`: `out y = drop\(tanh\(norm\(map\(x\)\)\)\)` failed: mat1 and mat2 shapes"):
        quiet(model, batch)


def test_what_is_read_twice_is_not_written_over() -> None:
    text = """arch 1
model M(dim: int = 4) {
  in x: float[B, dim]
  a, b, c = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
  h = a(x)
  out y = relu(h) + h + relu(b(x)) + c(x)
}
"""
    plain, model = built(text, "none"), built(text)
    model.load_state_dict(plain.state_dict())
    batch = model.example_inputs()
    torch.testing.assert_close(quiet(model, batch), quiet(plain, batch))
