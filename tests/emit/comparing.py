"""One call of a compiled model and of its emitted file, compared."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from archloom.compiler.api import load_program
from archloom.compiler.emit.run import from_source
from archloom.compiler.runtime.compiling import compile_program
from archloom.compiler.runtime.outputs import flat

ROOT = Path(__file__).parents[2]
WIDTH = 100


def values(outputs: Mapping[Any, Any]) -> dict[tuple[Any, ...], Tensor]:
    return dict(flat(outputs))


def same(model: Any, emitted: nn.Module, given: Mapping[str, Any]) -> None:
    """Compare one call in each mode, without targets and with them: outputs, gradients of the sum of their means, and buffers."""
    targets = {d.name for d in model._plan.signature.inputs if d.is_target}
    calls = [given] if not targets else [given, {name: value for name, value in given.items() if name not in targets}]
    for training in (False, True):
        for inputs in calls:
            pair = (copy.deepcopy(model), copy.deepcopy(emitted))
            found: list[dict[tuple[Any, ...], Tensor]] = []
            for module in pair:
                module.train(training)
                torch.manual_seed(3)
                found.append(values(module(**inputs)))
            assert found[0].keys() == found[1].keys()
            for path, value in found[0].items():
                torch.testing.assert_close(found[1][path], value, rtol=0, atol=1e-12, equal_nan=True)
            for results in found:
                total = sum(v.abs().nan_to_num(posinf=0).sum() / max(1, v.numel()) for v in results.values() if v.is_floating_point())
                if isinstance(total, Tensor) and total.requires_grad:
                    total.backward()
            mine, theirs = (dict(module.named_parameters()) for module in pair)
            assert mine.keys() == theirs.keys()
            for name, value in mine.items():
                other = theirs[name]
                assert value.requires_grad == other.requires_grad, name
                if value.grad is None or other.grad is None:
                    assert value.grad is None and (other.grad is None or not other.grad.any()), name
                else:
                    torch.testing.assert_close(other.grad, value.grad, rtol=1e-12, atol=1e-12, equal_nan=True)
            for (name, value), other in zip(pair[0].state_dict().items(), [pair[1].state_dict()] * 10**4, strict=False):
                torch.testing.assert_close(other[name], value, rtol=0, atol=1e-12, equal_nan=True)


def compare(text: str | Path, params: Mapping[str, Any] | None = None, preset: str | None = None, name: str | None = None) -> str:
    """Compile and emit a text, compare the two, and return the emitted file."""
    program = load_program(text, params, preset, name)
    emitted = from_source(program, dtype="float64")
    torch.manual_seed(0)
    model = compile_program(program, dtype="float64")
    source = inspect.getsource(sys.modules[type(emitted).__module__])
    assert not isinstance(emitted, type(model))
    assert set(emitted.state_dict()) == set(model.state_dict())
    emitted.load_state_dict(model.state_dict())
    same(model, emitted, _classes(model.example_inputs()))
    assert max(map(len, source.splitlines())) <= WIDTH
    return source


def _classes(given: dict[str, Any]) -> dict[str, Any]:
    """Make classes of labels that come as floats."""
    label = given.get("label")
    if isinstance(label, dict):
        tensors = cast("dict[str, Tensor]", label)
        given["label"] = {key: (value > 0).to(value.dtype) if value.is_floating_point() else value for key, value in tensors.items()}
    return given
