"""`torch.compile` and `torch.export` of models after passes: one graph, the numbers and gradients of eager mode, and never stale values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import archloom
from archloom.compiler.runtime.outputs import flat

from .comparing import ROOT

pytestmark = pytest.mark.slow
EXAMPLES: dict[str, dict[str, Any]] = {
    "minilm": {"vocab": 50, "dim": 16, "depth": 1, "heads": 2, "ffn": 24},
    "scalearn": {"vocab": 50, "dim": 16, "depth": 1, "heads": 2, "ffn": 24, "sources": ["rte", "mnli"]},
    "scene": {"dim": 4},
}
SPEC = """
block Mix(dim: int) {
  in x: float[B, dim]
  q, k, v = Linear(dim, dim), Linear(dim, dim), Linear(dim, dim)
  out y = q(x) * sigmoid(k(x)) + v(x)
}
model M(dim: int = 8) {
  in x: float[B, dim]
  mix, norm = Mix(dim), BatchNorm1d(dim)
  lift = Linear(dim, dim)
  out y = norm(lift(mix(x)))
}
"""


def found(call: Any, given: dict[str, Any]) -> dict[Any, Tensor]:
    return dict(flat(call(**given)))


def same(left: dict[Any, Tensor], right: dict[Any, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, rtol=1e-4, atol=1e-5, msg=str(name))


@pytest.mark.parametrize("asked", ["default", "inference"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_inductor_and_export(name: str, asked: str) -> None:
    torch.manual_seed(0)
    plain = archloom.compile(ROOT / "examples" / f"{name}.arch", EXAMPLES[name]).eval()
    model = archloom.compile(ROOT / "examples" / f"{name}.arch", EXAMPLES[name], optimize=asked).eval()
    model.load_state_dict(plain.state_dict())
    given = model.example_inputs(seed=1)
    wanted = found(plain, given)
    same(wanted, found(model, given))
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        same(wanted, found(compiled, given))
    exported = torch.export.export(model, (), given).module()
    same(wanted, found(exported, given))
    if asked == "default":
        gradients: list[dict[Any, Tensor]] = []
        for call, owner in ((plain, plain), (compiled, model)):
            owner.zero_grad()
            torch.stack([v.sin().sum() for v in found(call, given).values() if v.requires_grad]).sum().backward()
            gradients.append({n: v.grad for n, v in owner.named_parameters() if v.grad is not None})
        same(*gradients)


@pytest.mark.parametrize("asked", ["default", "inference"])
def test_compiled_code_sees_what_changes(asked: str) -> None:
    torch.manual_seed(0)
    plain, model = archloom.compile(SPEC).eval(), archloom.compile(SPEC, optimize=asked).eval()
    model.load_state_dict(plain.state_dict())
    given: dict[str, Any] = {"x": torch.randn(4, 8)}
    torch.compiler.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        for call in (model, compiled, compiled):
            same(found(plain, given), found(call, given))
            for each in (plain, model):
                for path in ("mix.k.weight", "norm.weight", "lift.bias"):
                    each.get_parameter(path).mul_(1.5)
        other = {name: 2 * value for name, value in plain.named_parameters()}

        def swapped(parameters: dict[str, Tensor]) -> Tensor:
            return functional_call(model, parameters, (), given).y

        called = torch.compile(swapped, backend="eager", fullgraph=True)
        torch.testing.assert_close(called(other), functional_call(plain, other, (), given).y)
        for each in (plain, model):
            each.load_state_dict(other, strict=False)
        same(found(plain, given), found(compiled, given))


def test_compiled_code_computes_folded_values_once() -> None:
    """The only one of their operations in the graph is the one that asks; it is right where the same code changes parameters before."""
    torch.manual_seed(0)
    plain, model = archloom.compile(SPEC).eval(), archloom.compile(SPEC, optimize="inference").eval()
    model.load_state_dict(plain.state_dict())
    given: dict[str, Any] = {"x": torch.randn(4, 8)}
    names: list[str] = []

    def look(module: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        names.extend(str(node.target) for node in module.graph.nodes if node.op == "call_function")
        return module

    def stepped() -> dict[Any, Tensor]:
        model.get_parameter("norm.weight").mul_(1.5)
        return found(model, given)

    torch.compiler.reset()
    with torch.no_grad():
        same(found(plain, given), found(torch.compile(model, backend=look, fullgraph=True), given))
        assert any("refresh" in name for name in names)
        assert not any("rsqrt" in name for name in names)
        for backend in ("eager", "inductor"):
            torch.compiler.reset()
            compiled, step = (torch.compile(call, backend=backend, fullgraph=True) for call in (model, stepped))
            for _ in range(3):
                plain.get_parameter("norm.weight").mul_(1.5)
                same(found(plain, given), step())
                same(found(plain, given), found(compiled, given))
            other = copy.deepcopy(model)
            other.get_parameter("lift.bias").mul_(1.5)
            same(found(other, given), found(torch.compile(other, backend=backend, fullgraph=True), given))
            same(found(plain, given), found(compiled, given))
    assert "rsqrt" in str(torch.export.export(model, (), given).graph)


def test_compiled_derivatives_outlive_other_calls() -> None:
    """What is saved for a derivative is not what the next call brings up to date."""
    model = archloom.compile(SPEC, optimize="inference").eval().requires_grad_(False)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    points = [torch.randn(4, 8, requires_grad=True) for _ in range(2)]
    results = [compiled(x=point).y.sum() for point in points]
    for result, point in zip(results, points, strict=True):
        result.backward()
        torch.testing.assert_close(point.grad, torch.autograd.grad(model(x=point).y.sum(), point)[0])
