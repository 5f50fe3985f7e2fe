"""Running an emitted file in place: its lines are known to `inspect`, to the debugger and to tracebacks."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Sequence
from hashlib import sha256
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import nn

from ...dsl.program import Program
from ..lower.names import identifier
from ..optimize.manager import optimize as run_passes
from ..optimize.pipelines import Asked
from ..runtime.compiling import compile_program, compute_dtype
from .file import emit

if TYPE_CHECKING:
    from ..runtime.weights import Weights


def load_source(name: str, source: str) -> ModuleType:
    """Run the text of a Python file as a module, and make its lines known."""
    digest = sha256(source.encode()).hexdigest()[:12]
    filename = f"<archloom {name} {digest}.py>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = ModuleType(f"archloom_source_{identifier(name)}_{digest}")
    module.__file__ = filename
    sys.modules[module.__name__] = module  # where `inspect` and `pickle` look a class up
    exec(compile(source, filename, "exec", dont_inherit=True), vars(module))  # the text that was written from a checked program
    return module


def from_source(
    program: Program,
    *,
    tasks: Sequence[str] | None = None,
    weights: Weights | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    optimize: Asked = "none",
) -> nn.Module:
    """Return the model as an instance of its emitted class, with the values that `compile` gives it; in eval mode, if it only evaluates."""
    program = run_passes(program, optimize, tasks=tasks).program
    module = load_source(program.name, emit(program))
    before, place = torch.get_default_dtype(), torch.device(device) if device is not None else torch.get_default_device()
    try:
        torch.set_default_dtype(compute_dtype(dtype))
        with place:
            made: nn.Module = getattr(module, identifier(program.name))()
    finally:
        torch.set_default_dtype(before)
    if place.type != "meta":
        made.load_state_dict(compile_program(program, weights=weights, dtype=dtype, device=place).state_dict())
    return made.eval() if program.only_evaluates else made
