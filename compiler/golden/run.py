"""One computation on a case: the model with the stored weights, run on the stored inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...dsl.diagnostics import Diagnostic, Failure, closest
from ...dsl.plans import GoldenPlan, GoldenValue
from ...dsl.program import InputDecl, Program
from ...dsl.types import DType
from ..census import Census
from ..optimize.interface import Keeps, Pass
from ..optimize.manager import Optimized, Watch, optimize
from ..runtime.chance import Chance
from ..runtime.compiling import compile_program
from .case import Case
from .expose import expose
from .hosts import HOSTS, Host, entry_of
from .official import leaves, model_tensors

TOTAL = GoldenValue((), "loss", "")
"""The sum of all losses, where no value of the model has that name."""


class Called(nn.Module):
    """A model, or one of its entries, as a module whose tensors can be put in from outside."""

    def __init__(self, model: nn.Module, entry: str | None) -> None:
        super().__init__()
        self.model, self.entry = model, entry

    def forward(self, **inputs: Any) -> Any:
        """Call it."""
        return (self.model if self.entry is None else entry_of(self.model, self.entry))(**inputs)


class Run:
    """The model of a golden clause, set on a case."""

    def __init__(
        self, program: Program, plan: GoldenPlan, case: Case, dtype: torch.dtype, source: bool, passes: Sequence[Pass], watch: Watch | None = None
    ) -> None:
        """Build the model, after passes, and lay out its weights and inputs; raises Failure with all that doesn't fit."""
        self.plan, self.case, self.dtype = plan, case, dtype
        self.training = self._mode() == "train"
        self.host = self._host()
        self.inner = [value for value in plan.values if (value.modules, value.path) != (TOTAL.modules, TOTAL.path) or "loss" in program.eval.names]
        self.given = {name: self._leaf(value) for name, value in case.inputs.items() if not name.startswith("cotangent.")}
        self.stored = self.host.inputs(case.config, self.given) if self.host.inputs is not None else self.given
        self.clauses = dict(plan.inputs)
        there = {d.path for d in program.eval.inputs if self.clauses.get(d.path, d.path) in self.stored}
        self.exposed = expose(program, self.inner, self.training, plan, there, case.outputs.keys())
        self.optimized = self._after(passes, watch)
        rounding = [(each, step) for each, step in zip(passes, self.optimized.steps, strict=True) if each.error() > Pass.tolerance]
        self.stated = {step.name: each.error() for each, step in rounding if step.fired}
        self.nothing = tuple(step for _, step in rounding if not step.fired)
        self.model = self._build(self.optimized.program, source)
        self.official = leaves(case.weights, self._moving(), dtype)
        self.tensors = model_tensors(self.exposed.program, self.exposed.body, plan, self.official)
        self.model.load_state_dict({path: value.detach() for path, value in self.tensors.items()}, strict=False)  # a host runs it as it is

    def values(self) -> dict[str, dict[str, Tensor]]:
        """Run the model; return what was computed for each stored name, by the paths in the model that the clause gives it."""
        inputs = self._inputs()
        draws = self.host.draws(self.case.config, self.given) if self.host.draws is not None else None
        self.model.train(self.training)
        with Chance(self.model, draws) if draws is not None else nullcontext():
            result = self._call(inputs)
        values: dict[str, dict[str, Tensor]] = {}
        for value in (value for value in self.plan.values if value in self.exposed.names or value not in self.inner):
            values.setdefault(value.stored, {})[value.full_path] = self._value(value, result)
        if self.host.values is not None:
            more = self.host.values(self.case.config, self.model, self.given, {name: next(iter(found.values())) for name, found in values.items()})
            values |= {name: {f"host {self.plan.host}": value} for name, value in more.items()}
        return values

    def _value(self, value: GoldenValue, result: Mapping[str, Any]) -> Tensor:
        """Return a value of the clause: one of the model's, or the sum of the losses."""
        if value in self.exposed.names:
            return result[self.exposed.names[value]]
        if not self.exposed.losses:
            raise self._failure("there is no loss whose targets the case stores", 'write `in TASK.TARGET <- "name of a stored input"`')
        return torch.stack([result[name] for name in self.exposed.losses]).sum()

    def _call(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call the model, or the entry, with the tensors that lead back to the official ones."""
        called = Called(self.model, self.plan.entry)
        tensors: dict[str, Any] = {f"model.{path}": value for path, value in self.tensors.items()}
        for value in tensors.values():
            value._is_param = True  # what `get_parameter` asks for: emitted code reads members of a ModuleDict by it
        return functional_call(called, tensors, (), dict(inputs), tie_weights=True)

    def backward(self, values: Mapping[str, Tensor]) -> None:
        """Differentiate the sum of the values, each times its cotangent."""
        cotangents = self.case.cotangents
        total: Any = torch.stack([(value * cotangents[name].to(value.dtype)).sum() for name, value in values.items()]).sum()
        total.backward()

    @property
    def idle(self) -> tuple[str, ...]:
        """The stored inputs that nothing reads; what a host reads is its own affair."""
        read = {self.clauses.get(d.path, d.path) for d in self.exposed.body.inputs}
        return () if self.plan.host is not None else tuple(name for name in self.given if name not in read)

    # ------------------------------------------------------------------------------------------------------ set-up

    def _mode(self) -> str:
        mode = self.plan.mode or str(self.case.config.get("mode", "eval"))
        if mode not in ("eval", "train"):
            raise self._failure(f"the case was computed in the mode `{mode}`", "a mode is `eval` or `train`")
        return mode

    def _host(self) -> Host:
        if self.plan.host is None:
            return Host()
        if self.plan.host not in HOSTS:
            near = closest(self.plan.host, HOSTS)
            raise self._failure(
                f"there is no host `{self.plan.host}`", f"did you mean `{near}`?" if near else f"there are {', '.join(HOSTS) or 'none'}"
            )
        return HOSTS[self.plan.host]

    def _after(self, passes: Sequence[Pass], watch: Watch | None) -> Optimized:
        """Run passes over the program, whose results the compared values are."""
        folding = [f"`{each.name()}`" for each in passes if each.keeps is Keeps.EVALUATION]
        if folding and self.training:
            message = f"the case was computed in training, and of the passes {', '.join(folding)} keep{'s' * (len(folding) == 1)} evaluation alone"
            raise self._failure(message, "take passes that keep training, as `default` does, or a case in the mode `eval`")
        return optimize(self.exposed.program, passes, watch)

    def _build(self, program: Program, source: bool) -> nn.Module:
        if source:
            from ..emit.run import from_source

            return from_source(program, dtype=self.dtype)
        return compile_program(program, dtype=self.dtype)

    def _moving(self) -> set[str]:
        """Return the official names of buffers: the map's sources of what is a buffer here."""
        buffers = {tensor.path for tensor in Census((self.exposed.program.eval,)).tensors() if tensor.buffer}
        known = self.exposed.program.weights
        maps = [known[name] for name in self.plan.weights] or list(known.values())
        return {name for map_ in maps for rule in map_.rules if rule.target in buffers for name in rule.names}

    def _leaf(self, value: Tensor) -> Tensor:
        return value.to(self.dtype, copy=True).requires_grad_() if value.is_floating_point() else value.clone()

    def _inputs(self) -> dict[str, Any]:
        """Return the stored inputs by the model's names, families as dicts; raises Failure with all that are missing or of another dtype."""
        declared = [d for d in self.exposed.body.inputs if not d.is_state]
        keys = [entry.key for entry in declared]
        nested: dict[str, Any] = {}
        problems: list[Diagnostic] = []
        for entry in declared:
            path = entry.path
            name = self.clauses.get(path, path)
            if name not in self.stored:
                if not entry.optional and path in self.clauses:
                    near = closest(name, self.stored)
                    problems.append(self._problem(f"the case has no input `{name}`, for `{path}`", f"did you mean `{near}`?" if near else None))
                elif not entry.optional:
                    problems.append(self._problem(f"nothing is given for the input `{path}`", f'write `in {path} <- "name of a stored input"`'))
                continue
            members = (entry.task, *entry.members) if keys.count(entry.key) > 1 and entry.task else entry.members
            level, parts = nested, [entry.name, *map(str, members)]
            for part in parts[:-1]:
                level = level.setdefault(part, {})
            level[parts[-1]] = self._typed(entry, path, self.stored[name], problems)
        if problems:
            raise Failure(tuple(problems))
        return nested

    def _typed(self, entry: InputDecl, path: str, value: Tensor, problems: list[Diagnostic]) -> Tensor:
        dtype = entry.type.dtype
        if dtype is DType.BOOL:
            return value if value.dtype is torch.bool else value != 0
        if value.is_floating_point() and not dtype.is_float:
            problems.append(self._problem(f"`{path}` is `{entry.type}`, and the case stores {str(value.dtype).removeprefix('torch.')}", None))
            return value
        return value if value.is_floating_point() else value.to(self.dtype if dtype.is_float else torch.int64)

    def _problem(self, message: str, help: str | None) -> Diagnostic:
        return Diagnostic("A661", message, self.plan.span, help=help)

    def _failure(self, message: str, help: str | None) -> Failure:
        return Failure((self._problem(message, help),))
