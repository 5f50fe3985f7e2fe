"""A case's weights under their official names as the model's own tensors, so that gradients reach the official ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.plans import GoldenPlan
from ...dsl.program import Body, Program
from ...dsl.source import Source, Span
from ..census import Census
from ..paths import covers
from ..reach import Reach
from ..runtime.assemble import frozen
from ..runtime.checkpoint import Stored
from ..runtime.weights import Reader, listed


class Tensors:
    """Tensors at hand, offered to a weights map as they are: what the map makes of them is differentiable."""

    def __init__(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        self.name, self.span = name, Span(Source(name, ""), 0, 0)
        self.tensors = tensors
        self.stored = {key: Stored(key, Path(name), tuple(value.shape)) for key, value in tensors.items()}

    def read(self, name: str) -> Tensor:
        """Return the tensor itself."""
        return self.tensors[name]

    def covered(self, names: Iterable[str]) -> set[str]:
        """Return the names: each is a tensor of its own."""
        return set(names)


def leaves(weights: Mapping[str, Tensor], moving: Iterable[str], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the stored weights in the dtype of a computation; those in `moving` are buffers, the others are differentiated."""
    buffers = frozenset(moving)
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if value.is_floating_point():
            found[name] = value.to(dtype, copy=True).requires_grad_(name not in buffers)
        else:
            found[name] = value.clone()
    return found


def model_tensors(program: Program, body: Body, plan: GoldenPlan, official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the model's parameters and buffers by path, made of the official tensors by the clause's weights maps.

    What is frozen, for good or in the clause's stage, is detached; what `body`, which is run, doesn't read may be missing.  Raises
    Failure with all that is missing, of another shape or left over, and with the parameters that no rule fills: they would be compared
    with random numbers.
    """
    census, reach = Census((program.eval,)), Reach(body)
    needed = {tensor.path for tensor in census.tensors() if reach.occurrences(tensor.path)}
    offer = Tensors("the case", official)
    names = plan.weights or tuple(program.weights)
    absent = {rule.target for name in names for rule in program.weights[name].rules if not official.keys() >= set(rule.names)} - needed
    shapes = {tensor.path: tensor.shape for tensor in census.tensors() if tensor.path not in absent}
    found: dict[str, Tensor] = {}
    failures: list[Diagnostic] = []
    for name in names:
        try:
            found |= Reader(program.weights[name], offer, shapes).read()
        except Failure as failure:
            failures.extend(failure.diagnostics)
    if not names:
        found = {path: value for path, value in official.items() if path in shapes}
        unknown = [path for path in official if path not in shapes]
        failures += [_problem(plan, f"the model has no `{path}`", "a `weights` map says what official names mean") for path in unknown]
    tied = {path for group in census.tie_groups if any(path in found for path in group) for path in group}
    missing = [t.path for t in census.tensors() if t.path in needed and not t.buffer and t.path not in found and t.path not in tied]
    if missing and not failures:
        failures.append(_problem(plan, f"no rule fills {listed(missing)}", "map every parameter: what is left random can't be compared"))
    if failures:
        raise Failure(tuple(failures))
    still = [*frozen("", (program.eval,), census), *(program.stages[plan.stage].frozen if plan.stage else ())]
    return {path: value.detach() if any(covers(above, path) for above in still) else value for path, value in found.items()}


def _problem(plan: GoldenPlan, message: str, help: str) -> Diagnostic:
    return Diagnostic("A661", message, plan.span, help=help)
