"""What `archloom.compile` does with a checked program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ...dsl.diagnostics import closest
from ...dsl.program import Program
from ..optimize.manager import optimize as run_passes
from ..optimize.pipelines import Asked
from ..optimize.report import Passes
from .assemble import assemble
from .extern import Allowed, Extern
from .model import Model

if TYPE_CHECKING:
    from .weights import Weights

DTYPES = ("float16", "bfloat16", "float32", "float64")


def compile_program(
    program: Program,
    *,
    tasks: Sequence[str] | None = None,
    weights: Weights | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    extern: Allowed = None,
    optimize: Asked = "none",
) -> Model:
    """Return the model of a program; see `archloom.compile`."""
    chosen = compute_dtype(dtype)
    done = run_passes(program, optimize, tasks=tasks)
    program = done.program
    place = torch.device(device) if device is not None else torch.get_default_device()
    model, plan = assemble(program, chosen, Extern(extern, chosen), Passes(done.steps, program.dropped))
    if place.type == "meta":
        if weights is not None:
            raise ValueError('weights need a device to be read to: leave out `device="meta"`, or `weights`')
        return model
    if weights is None:
        return model.materialize(place)
    from .weights import read_weights

    return model.materialize(place, given=read_weights(plan, weights))


def compute_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """Return the dtype that floats are computed in; ValueError with a suggestion for what is none."""
    if dtype is None:
        return torch.get_default_dtype()
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or str(found).removeprefix("torch.") not in DTYPES:
        near = closest(str(dtype), DTYPES)
        raise ValueError(f"`{dtype}` is no dtype to compute in{f', did you mean `{near}`' if near else ''}: take one of {', '.join(DTYPES)}")
    return found
