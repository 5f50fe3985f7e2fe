"""Experts that compute the rows alone for which they are kept, in the dtypes and at the sizes for which there are different ways to do it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.runtime import grouping
from archloom.compiler.runtime.grouping import grouped_linear, moe_ffn, routes

from .comparing import ROOT, flat

TEXT = ROOT / "tests" / "passes" / "texts" / "route_experts.arch"


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    """Return a model of few experts kept for each row, without and with the pass, in float32."""
    torch.manual_seed(0)
    plain, routed = (archloom.compile(TEXT, dtype="float32", optimize=asked) for asked in ("none", "route_experts, pack"))
    routed.load_state_dict(plain.state_dict())
    return plain, routed


@pytest.mark.parametrize("rows", [1, 3])
def test_float32_with_gradients_and_without(pair: tuple[Any, Any], rows: int) -> None:
    found: list[dict[str, torch.Tensor]] = []
    x = torch.randn(rows, 16, 64)
    for model in pair:
        model.zero_grad()
        with torch.no_grad():
            still = dict(flat(model.eval()(x=x)))
        results = dict(flat(model.train()(x=x)))
        torch.stack([value.square().sum() for value in results.values()]).sum().backward()
        own = {f"grad {name}": value.grad for name, value in model.named_parameters() if value.grad is not None}
        found.append({**{f"still {name}": value for name, value in still.items()}, **results, **own})
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=0, atol=1e-5 * float(value.detach().abs().max()), msg=name)


GATES = (
    "g = where(keep, softmax(s, dim = -1), 0.0)",
    "m = where(keep, sigmoid(s), 0.0)\n  g = 2.0 * m / sum(m, dim = -1, keepdim = true)",
    "m = where(keep, softmax(s + x[:, 0:5], dim = -1), 0.0)\n  g = exp(m) / sum(m, dim = -1, keepdim = true)",
    "g = softmax(s, dim = -1)",
)


@pytest.mark.parametrize("gates", GATES)
def test_gates_at_what_is_chosen(gates: str) -> None:
    torch.manual_seed(0)
    text = f"""arch 1
model M() {{
  index experts = 0..5
  in x: float[B, 64]
  score = Linear(64, 5)
  for e in experts {{ expert = Linear(64, 512) }}
  s = score(x)
  keep = topk_mask(s, 2)
  {gates}
  out y = sum(g[..., e, none] * expert[e](x) for e in experts where keep[..., e])
}}
"""
    plain, routed = (archloom.compile(text, optimize=asked) for asked in ("none", "route_experts(rows = 64), pack"))
    routed.load_state_dict(plain.state_dict())
    assert len(optimize(load_program(text), "route_experts(rows = 64)").steps[0].fired) == 1
    found: list[list[torch.Tensor]] = []
    for model in (plain, routed):
        x = torch.linspace(-1, 1, 3 * 64).reshape(3, 64).requires_grad_()
        y = model(x=x).y
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, *model.parameters()])])
    for mine, other in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", ["down(silu(gate(x)) * up(x))", "down(up(x) * gelu(gate(x)))", "down(relu(gate(x)))"])
@pytest.mark.parametrize("rows", [1, 64])
def test_feed_forward_experts(value: str, rows: int) -> None:
    torch.manual_seed(0)
    text = f"""arch 1
import moe.SparseMixture
block Expert(dim: int) {{
  in x: float[B, dim]
  gate, up, down = Linear(dim, 32, bias = false), Linear(dim, 32, bias = false), Linear(32, dim, bias = false)
  out y = {value}
}}
model M(dim: int = 64) {{
  index experts = 0..6
  in x: float[B, dim]
  mixture = SparseMixture(dim, experts, 2, Expert)
  out y = mixture(x)
}}
"""
    plain, routed = (archloom.compile(text, dtype="float64", optimize=asked) for asked in ("none", "route_experts(least = 1), pack"))
    routed.load_state_dict(plain.state_dict())
    assert "moe_ffn" in routed.mixture.code
    x = torch.randn(rows, 64, dtype=torch.float64, requires_grad=True)
    found: list[tuple[torch.Tensor, ...]] = []
    for model in (plain, routed):
        y = model(x=x).y
        asked: dict[str, Any] = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
        first = torch.autograd.grad(y.square().sum(), [x, *model.parameters()], **asked)
        squares = torch.stack([each.square().sum() for each in first]).sum()
        found.append((y, *first, *torch.autograd.grad(squares, [x, model.mixture.gate.linear.weight])))
    assert len(found[0]) == len(found[1])
    for mine, other in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_the_grouped_product_of_torch_is_the_same_as_a_product_for_each() -> None:
    torch.manual_seed(0)
    chosen = torch.rand(6, 4).topk(2).indices
    rows, members, places, ends = routes(chosen, 4)
    assert torch.equal(chosen.flatten()[places], members) and torch.equal(places // 2, rows)
    assert torch.equal(members.sort().values, members) and ends.tolist() == [int((members <= e).sum()) for e in range(4)]
    x, weight, bias = torch.randn(12, 8), torch.randn(4, 16, 8), torch.randn(4, 16)
    wanted = torch.stack([weight[e] @ row + bias[e] for row, e in zip(x, members, strict=True)])
    for dtype, most in ((torch.float64, 1e-5), (torch.float32, 1e-5), (torch.bfloat16, 5e-2)):
        for grad in (False, True):
            with torch.set_grad_enabled(grad):
                got = grouped_linear(x.to(dtype), weight.to(dtype), bias.to(dtype), members, ends)
            torch.testing.assert_close(got.float(), wanted, rtol=most, atol=most)
    shuffled = torch.randperm(12)
    torch.testing.assert_close(grouped_linear(x[shuffled], weight, bias, members[shuffled]), wanted[shuffled], rtol=1e-5, atol=1e-5)
    assert grouped_linear(x[:0], weight, bias, members[:0], torch.zeros(4, dtype=torch.int32)).shape == (0, 16)
    inner, outer, few = torch.randn(4 * 6, 8), torch.randn(4, 5, 6), chosen[:0].reshape(0, 3, 2)
    assert moe_ffn(torch.randn(0, 3, 8), few, torch.randn(0, 3, 2), inner, outer, "relu").shape == (0, 3, 5)
    odd = torch.stack([weight[e, :5, :7] @ row for row, e in zip(x[:, :7], members, strict=True)])
    torch.testing.assert_close(grouped_linear(x[:, :7], weight[:, :5, :7], None, members, ends), odd, rtol=1e-5, atol=1e-5)


def test_few_rows_of_packed_members_have_gradients_of_gradients_and_none_in_bulk(pair: tuple[Any, Any]) -> None:
    x = torch.randn(1, 64)
    found: list[tuple[torch.Tensor, ...]] = []
    for model in pair:
        parts = [model.get_parameter(f"mixture.expert.{e}.gate.weight") for e in range(5)]
        base = torch.zeros(1, 16, 64, requires_grad=True)
        y = model.train()(x=base + x).u.square().sum()
        plain = [model.get_parameter(f"plain.{e}.weight") for e in range(5)]
        first = torch.autograd.grad(y, [base, *plain, *parts], create_graph=True, allow_unused=True)
        assert all(each is None for each in first[6:])
        second = torch.autograd.grad(torch.stack([each.square().sum() for each in first[:6]]).sum(), [base, *plain])
        found.append((*first[:6], *second))
        if model is pair[1]:
            assert [each.untyped_storage().nbytes() for each in first[1:6]].count(4) == 4
    for mine, other in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_gradients_that_stand_side_by_side_are_added_to_as_the_engine_would_do_it(pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks for them: passes to all parameters, to some, to none, such as return them, with hooks, and with gradients of gradients."""
    monkeypatch.setattr(grouping, "LARGE", 0)
    x, path = torch.randn(1, 16, 64), "mixture.expert.1.down.weight"
    found: list[list[torch.Tensor]] = []
    for model in pair:
        model.zero_grad()
        own, seen = model.get_parameter(path), list[torch.Tensor]()
        each = [*model.mixture.parameters()]

        def loss(model: Any = model) -> torch.Tensor:
            return model.train()(x=x).y.square().sum()

        def noted(each: list[torch.Tensor] = each, seen: list[torch.Tensor] = seen) -> None:
            seen.extend(value.grad.clone() for value in each if value.grad is not None)

        for _ in range(2):
            loss().backward()
            noted()
        place = own.grad.data_ptr()
        torch.autograd.backward(loss(), inputs=[own])
        noted()
        torch.autograd.backward(loss(), inputs=each)
        noted()
        seen.extend(torch.autograd.grad(loss(), each))
        noted()
        twice = torch.autograd.grad(loss(), own, create_graph=True)[0].square().sum()
        twice.backward()
        noted()
        assert own.grad.data_ptr() == place
        for register in (own.register_hook, own.register_post_accumulate_grad_hook):
            handle = register(lambda value, seen=seen: seen.append(value.detach().clone()))
            loss().backward()
            handle.remove()
            noted()
        own.requires_grad_(False)
        loss().backward()
        own.requires_grad_(True)
        noted()
        own.grad = torch.ones_like(own)
        loss().backward()
        noted()
        with warnings.catch_warnings(action="ignore"):  # of a cycle of references, the first time in a process
            loss().backward(create_graph=True)
        noted()
        assert own.grad.requires_grad
        loss().backward()
        noted()
        model.zero_grad()
        found.append([value.detach() for value in seen])
    assert len(found[0]) == len(found[1])
    for mine, other in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5 * float(other.abs().max()))


@pytest.mark.slow
def test_compiled(pair: tuple[Any, Any]) -> None:
    x = torch.randn(2, 16, 64)
    with torch.no_grad():
        for model in pair:
            model.eval()
        wanted, found = dict(flat(pair[0](x=x))), dict(flat(torch.compile(pair[1], fullgraph=True)(x=x)))
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-5 * float(value.abs().max()), msg=name)
