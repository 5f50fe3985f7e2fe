"""Every sketch after the pipelines: the same tensors by name, the same numbers and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from archloom.compiler.graph import Graph
from archloom.compiler.optimize.manager import optimize
from archloom.compiler.runtime.compiling import compile_program
from archloom.compiler.verify import verify
from archloom.tests.examples.sketch_sizes import TINY, UNTRAINED, sketch

from .comparing import draw, flat, picked, run, same

pytestmark = pytest.mark.slow
ERROR = 1e-7
"""In float64: the steep attention of `scalekd` multiplies rounding by a thousand times what others do."""


@pytest.mark.parametrize("name", [*TINY, *UNTRAINED])
def test_sketch_after_passes(name: str) -> None:
    tiny, program = TINY.get(name) or UNTRAINED[name], sketch(name)
    torch.manual_seed(0)
    plain: Any = compile_program(program, extern=tiny.extern, dtype="float64").eval()
    draw(plain)
    given = plain.example_inputs(**tiny.dims)
    for asked in ("inference", "default"):
        other: Any = compile_program(program, extern=tiny.extern, dtype="float64", optimize=asked)
        assert verify(Graph(optimize(program, asked).program)) == []
        assert list(other.state_dict()) == list(plain.state_dict())
        other.load_state_dict(plain.state_dict())
        if asked == "inference":
            own = picked(given, other.example_inputs())
            with torch.no_grad(), other.draws() as drawn:
                found = dict(flat(other(**own)))
            with plain.draws(drawn):
                wanted = run(plain, given, False, found)
            same(wanted, found, ERROR)
            if not drawn:
                same(wanted, run(other, own, False, found), ERROR)
        else:
            for training in (False, True):
                plain.train(training)
                other.train(training)
                same(run(plain, given, True), run(other, given, True), ERROR)
        same(plain.state_dict(), other.state_dict(), ERROR)
