"""A model of a test's own: in float64 on the CPU, with random parameters, run under watch."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ...dsl.dims import Dim, Symbol
from ...dsl.program import Body, Program
from ..claims import Root
from ..lower.build import Builder, ExternMaker
from ..lower.unit import Lowerer, Watched
from ..paths import covers
from .assemble import instance, planned
from .errors import ModelError, innermost
from .example import Examples, find_sizes
from .watching import Session

CPU = torch.device("cpu")


class Subject:
    """What is tested: no parameter is zero, so that none hides a path, and every run starts from the same buffers and random numbers."""

    def __init__(self, program: Program, roots: Sequence[Root], watched: Watched, extern: ExternMaker) -> None:
        bodies = [root.body for root in roots]
        own = extern.at(torch.float64)
        plan = planned(program, Builder(torch.float64, own), Lowerer(own.function, watched), bodies)
        self._views = {id(body): plan.unit.views[plan.unit.view(body)] for body in bodies}
        self._kept = bodies  # known by identity
        self.model = instance(plan).materialize(CPU, seed=0)
        self._named = dict((*self.model.named_parameters(remove_duplicate=False), *self.model.named_buffers(remove_duplicate=False)))
        self._start = {name: value.clone() for name, value in self.model.named_buffers()}

    def tensors(self, path: str) -> dict[str, Tensor]:
        """Return the parameters and buffers at and below a path."""
        return {name: value for name, value in self._named.items() if covers(path, name)}

    def randomise(self, generator: torch.Generator) -> None:
        """Give parameters random values of moderate size, and so buffers that hold one number throughout; others mean what they hold."""
        for value in self.model.parameters():
            if value.is_floating_point() or value.is_complex():
                value.requires_grad_()
                self._fill(value, generator)
        for name, value in self.model.named_buffers():
            first = self._start[name]
            if value.is_floating_point() and value.numel() and bool((first == first.flatten()[0]).all()):
                self._fill(value, generator)
                self._start[name] = value.clone()

    def _fill(self, value: Tensor, generator: torch.Generator) -> None:
        """Fill by the fan-in of a matrix, and around 1 what scales or shifts: a running variance stays positive."""
        with torch.no_grad():
            if value.dim() >= 2:
                value.copy_(torch.randn(value.shape, dtype=value.dtype, generator=generator) * (value.shape[0] / max(value.numel(), 1)) ** 0.5)
            else:
                value.copy_(torch.rand(value.shape, dtype=value.dtype, generator=generator) + 0.5)

    def sizes(self, body: Body, dims: Mapping[str, int], first: int) -> dict[Symbol, int]:
        """Return sizes for a body's inputs, the smallest that do, or those from place `first` of the list on."""
        declared = [d for d in body.inputs if not d.optional]
        known = {s.name for d in declared for axis in d.type.shape if isinstance(axis, Dim) for s in axis.symbols()}
        return find_sizes(declared, body.conditions, {name: size for name, size in dims.items() if name in known}, first)

    def inputs(self, body: Body, sizes: Mapping[Symbol, int], generator: torch.Generator) -> dict[str, Tensor]:
        """Return valid values for a body's inputs and caches, by flat name."""
        examples = Examples(body, sizes, torch.float64, CPU, generator)
        return {d.key: examples.value(d) for d in body.inputs if not d.optional}

    def run(self, root: Root, inputs: Mapping[str, Tensor], session: Session, seed: int) -> Session:
        """Run a whole body under a session; raises ModelError that names the line for what fails inside."""
        view = self._views[id(root.body)]
        with torch.no_grad():
            for name, value in self.model.named_buffers():
                value.copy_(self._start.setdefault(name, value.clone()))
        self.model.train(root.training)
        seeded: Any = torch
        seeded.manual_seed(seed)
        try:
            with session, torch.set_grad_enabled(bool(session.traced)):
                view.eval.function(self.model, *[inputs.get(key) for key in view.inputs])
        except (RuntimeError, IndexError, ValueError, TypeError, AssertionError) as error:
            place = innermost(error.__traceback__)
            if place is None:
                raise
            raise ModelError(place, error) from error
        return session

    @contextmanager
    def holding(self, values: Mapping[str, Tensor]) -> Generator[None]:
        """Let parameters and buffers have other values inside the `with`."""
        before = {name: self._named[name].detach().clone() for name in values}
        self._put(values)
        try:
            yield
        finally:
            self._put(before)

    def _put(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in values.items():
                self._named[name].copy_(value)
                if name in self._start:
                    self._start[name] = value.clone()
