"""Every sketch that compiles, written as Python, is the compiled model; what is refused is `extern`, or has outputs that need targets."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from archloom.compiler.emit.file import emit
from archloom.compiler.emit.run import load_source
from archloom.compiler.lower.names import identifier
from archloom.compiler.runtime.compiling import compile_program
from archloom.compiler.runtime.outputs import flat
from archloom.dsl.diagnostics import Failure

from ..examples.sketch_sizes import TINY, UNTRAINED, sketch

REFUSED = {"ACRET", "CrossNER", "kmax_deeplab", "selective_amnesia", "switch_dit"}
TRIED = {**TINY, **UNTRAINED}


def called(module: Any, inputs: Mapping[str, Any], training: bool) -> tuple[dict[Any, Tensor], dict[str, Tensor]]:
    """Return the results of one call and the gradients of all that comes out."""
    module = copy.deepcopy(module).train(training)
    torch.manual_seed(3)
    found = dict(flat(module(**inputs)))
    total = sum(value.abs().nan_to_num(posinf=0).sum() for value in found.values() if value.is_floating_point())
    if isinstance(total, Tensor) and total.requires_grad:
        total.backward()
    return found, {name: p.grad for name, p in module.named_parameters() if p.grad is not None and p.grad.any()}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", sorted(TRIED.keys() - REFUSED))
def test_sketch(name: str) -> None:
    tiny = TRIED[name]
    program = sketch(name)
    torch.manual_seed(0)
    model = compile_program(program, dtype="float64", extern=tiny.extern)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        emitted: Any = getattr(load_source(name, emit(program)), identifier(program.name))()
    finally:
        torch.set_default_dtype(before)
    shapes = [{path: value.shape for path, value in module.state_dict().items()} for module in (model, emitted)]
    assert shapes[0] == shapes[1]
    emitted.load_state_dict(model.state_dict())
    inputs = model.example_inputs(**tiny.dims)
    for training in (False, True):
        mine, theirs = called(model, inputs, training), called(emitted, inputs, training)
        for left, right in zip(mine, theirs, strict=True):
            assert left.keys() == right.keys()
            for key, value in left.items():
                torch.testing.assert_close(right[key], value, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused(name: str) -> None:
    with pytest.raises(Failure) as caught:
        emit(sketch(name))
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["A824"]
