"""Whole numbers are there once while a quantized model runs, in the order of torch's operators, and come back exactly when they are asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import archloom
from archloom.compiler.passes.quantize import KINDS
from archloom.compiler.quantizing.batches import ranges
from archloom.compiler.runtime import quantized
from archloom.compiler.runtime.whole import Whole

SPEC = """arch 1
model M(c: int = 33) {
  in x: float[B, 4, H, W]
  conv = Conv2d(4, 2 * c, 3, stride = 2, padding = 1, groups = 2)
  up, down = Linear(2 * c, 64), Linear(64, c)
  h = relu(conv(x))
  out y = down(relu(up(mean(h, dim = [2, 3]))))
}
"""
TAKEN = {"int8_dynamic": ["up", "down"], "int8_static": ["conv", "up", "down"], "int4_weight": ["down"], "int8_weight": []}
"""Of each kind, whose whole numbers an operator wants in an order of its own."""
PACKING = [kind for kind in KINDS if TAKEN[kind]]


def made(to: str) -> tuple[Any, dict[str, Tensor], Mapping[str, Tensor]]:
    """Return a quantized model without floats that was called once, the numbers that it had before the call, and a batch."""
    torch.manual_seed(0)
    plain: Any = archloom.compile(SPEC).eval()
    batch = {"x": torch.randn(4, 4, 8, 8)}
    known = f", ranges = {tuple((path, *both) for path, both in ranges(plain, [batch]).items())}" if to == "int8_static" else ""
    model: Any = archloom.compile(SPEC, optimize=f"quantize(to = '{to}', least = 1{known})")
    model.load_state_dict(plain.state_dict())
    model.drop_folded()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result(model, batch)
    return model, before, batch


def result(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    with torch.inference_mode():
        return model(**batch).y


def wholes(model: Any) -> dict[str, Whole]:
    return {path: module for path, module in model.named_modules() if isinstance(module, Whole)}


def gone(model: Any) -> bool:
    return all(vars(module)["_buffers"]["value"] is None for module in wholes(model).values())


def same(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(map(torch.equal, found.values(), wanted.values()))


@pytest.mark.parametrize("to", KINDS)
def test_they_are_there_once(to: str) -> None:
    model, before, batch = made(to)
    assert sorted(path.split("_")[0] for path in wholes(model)) == sorted(TAKEN[to]) and gone(model)
    wanted = result(model, batch)
    assert same(model.state_dict(), before) and (not TAKEN[to] or not gone(model)), "asked for"
    assert all(module.twice for module in wholes(model).values())
    assert torch.equal(result(model, batch), wanted) and gone(model)
    assert not any(module.twice for module in wholes(model).values())


def in_float64(model: Any) -> Mapping[str, Tensor]:
    state = copy.deepcopy(model).to(torch.float64).state_dict()
    return {name: value.to(known.dtype) for (name, value), known in zip(state.items(), model.state_dict().values(), strict=True)}


ASKED: dict[str, Callable[[Any], Mapping[str, Tensor]]] = {
    "a state dict": lambda model: model.state_dict(),
    "with variables": lambda model: model.state_dict(keep_vars=True),
    "a copy": lambda model: copy.deepcopy(model).state_dict(),
    "moved": lambda model: model.to("cpu").state_dict(),
    "in other floats": in_float64,
    "by name": lambda model: dict([*model.named_parameters(), *model.named_buffers()]),
    "each by name": lambda model: {
        name: getattr(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in model.state_dict()
    },
}


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("to", PACKING)
def test_they_come_back_exactly(to: str, ask: str) -> None:
    model, before, batch = made(to)
    wanted = result(model, batch)
    found = ASKED[ask](model)
    assert same({name: found[name] for name in before}, before)
    assert torch.equal(result(model, batch), wanted) and gone(model)


@pytest.mark.parametrize("to", PACKING)
def test_other_numbers(to: str) -> None:
    model, before, batch = made(to)
    wanted = result(model, batch)
    halves = {name: value // 2 if value.dtype is torch.int8 else value for name, value in before.items()}
    for assign in (False, True):
        model.load_state_dict({name: value.clone() for name, value in halves.items()}, assign=assign)
        assert not torch.equal(result(model, batch), wanted) and same(model.state_dict(), halves)
        model.load_state_dict(before)
        assert torch.equal(result(model, batch), wanted)
    with torch.no_grad():
        [whole, *_] = wholes(model).values()
        whole.value.zero_()
        assert not torch.equal(result(model, batch), wanted)
        model.load_state_dict(before)
        result(model, batch)
        steps = model.get_submodule(next(path for path in before if "_scale." in path).removesuffix(".value")).value
        steps.mul_(2)  # while the numbers that go with them are gone
        assert not torch.equal(result(model, batch), wanted)
        steps.div_(2)
        assert torch.equal(result(model, batch), wanted) and gone(model) and same(model.state_dict(), before)


@pytest.mark.parametrize("to", PACKING)
def test_for_one_call(to: str) -> None:
    model, before, batch = made(to)
    wanted = result(model, batch)
    zeros = {name: torch.zeros_like(value) for name, value in before.items() if value.dtype is torch.int8}
    found = torch.func.functional_call(model, zeros, (), dict(batch)).y
    assert not torch.equal(found, wanted)
    assert torch.equal(result(model, batch), wanted) and same(model.state_dict(), before)


@pytest.mark.parametrize("to", PACKING)
def test_compiled_code_reads_them_as_they_are_saved(to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, before, batch = made(to)
    wanted = result(model, batch)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    found: dict[str, Any] = {f"{path}.value": whole() for path, whole in wholes(model).items()}
    assert all(torch.equal(value, before[name]) for name, value in found.items())
    monkeypatch.undo()
    assert torch.equal(result(model, batch), wanted)
    assert all(whole.value is found[f"{path}.value"] for path, whole in wholes(model).items()), "where compiled code looks for them"
    assert all(whole.twice for whole in wholes(model).values())


@pytest.mark.slow
@pytest.mark.parametrize("to", PACKING)
def test_compiled_and_exported_after_a_call(to: str) -> None:
    model, before, batch = made(to)
    wanted = result(model, batch)
    torch.compiler.reset()
    for strict in (False, True):
        exported: Any = torch.export.export(model, (), dict(batch), strict=strict).module()
        torch.testing.assert_close(exported(**batch).y, wanted, rtol=0, atol=0.02 * float(wanted.abs().max()))
        assert result(model, batch).equal(wanted) and gone(model)
    compiled: Any = torch.compile(model, fullgraph=True)
    for _ in range(2):
        with torch.no_grad():
            torch.testing.assert_close(compiled(**batch).y, wanted, rtol=0, atol=0.02 * float(wanted.abs().max()))
        assert result(model, batch).equal(wanted) and same(model.state_dict(), before)
    assert not gone(model), "as compiled code reads them"


def test_a_torch_without_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    model, before, batch = made("int8_dynamic")
    wanted = result(model, batch)
    model.load_state_dict(before)
    monkeypatch.setattr(quantized, "OPS", SimpleNamespace(quantized=SimpleNamespace()))
    torch.testing.assert_close(result(model, batch), wanted, rtol=0, atol=0.02 * float(wanted.abs().max()))
