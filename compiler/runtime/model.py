"""The compiled model: an `nn.Module` whose inputs, outputs, tasks and stages are those of the text."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, fx, nn

from ...dsl.diagnostics import closest
from ...dsl.plans import StagePlan
from ..optimize.interface import ONLY_EVALUATES
from .called import Called
from .calls import Request, Signature
from .chance import Chance, Values, draw_types
from .entry import Entry
from .example import example_inputs
from .initial import Starter
from .outputs import Record, flat, nested
from .rounded import check_kernels
from .stage import Stage, expand, rows

if TYPE_CHECKING:
    from .claims import Tested
    from .weights import Weights


class Model(Called):
    """Base of every compiled model; the class of one model bears its name and signature."""

    def __init__(self) -> None:
        super().__init__()
        self._begin()

    def example_inputs(self, seed: int = 0, **dims: int) -> dict[str, Any]:
        """Return valid inputs and targets of the active tasks by name, on the model's device: `m(**m.example_inputs(B=4))`.

        Sizes not given are small ones that meet the model's conditions; ValueError where none are found.
        """
        signature, request = self._everything()
        declared = self._view(signature, request).inputs
        return example_inputs(signature.eval_body, declared, self._anchor(), seed, dims, signature.train_body)

    def _everything(self) -> tuple[Signature, Request]:
        """Return the border and the request of a call with all inputs and targets of the active tasks."""
        stage, signature = self._stage, self._signature()
        tasks = signature.active(stage.tasks) if stage is not None else None
        return signature, Request(tasks, signature.losses(tasks, stage.losses if stage is not None else None))

    def check_claims(self, seed: int = 0, **dims: int) -> tuple[Tested, ...]:
        """Test what the text claims about parts of tensors, at two sizes, in evaluation and training; return what held.

        The test has a model of its own, in float64 with random parameters: this one is left alone.  Raises Failure with the claims that
        don't hold, ValueError for a size that no input has.
        """
        from .claims import check_claims  # which builds models

        program = self._plan.program
        return check_claims(program.original or program, self._plan.builder.extern, seed, dims)

    def entry(self, name: str) -> Entry:
        """Return another signature over the same modules; KeyError with a suggestion for an unknown one."""
        plan = self._plan.program.entries.get(name)
        if plan is None:
            near = closest(name, self._plan.program.entries)
            raise KeyError(f"`{type(self).__name__}` has no entry `{name}`{f', did you mean `{near}`' if near else ''}")
        return Entry(plan, self._view, self._run, self._anchor)

    # ------------------------------------------------------------------------------------------------------ chance

    @contextmanager
    def draws(self, values: Values | None = None) -> Generator[dict[str, list[Tensor]]]:
        """Give draws and masks of dropout from outside: `with model.draws({"layer.0.dropout": kept}): model(**batch)`.

        Takes tensors by the paths that `draw_names` lists, a list of them for what one call draws several times (its block is called
        several times); masks are true where a value is kept.  The rest is drawn as ever.  Gives a dict of what the last call drew, by
        path, in order: passed in again it repeats that call.  Such calls run eagerly.  Raises InputError for an unknown path, a wrong shape,
        dtype or device, and at its end for a value that no call has used.
        """
        if self._chance is not None:
            raise RuntimeError("draws are given from outside already: give all of them at once")
        self._chance = chance = Chance(self, values or {})
        try:
            with chance as drawn:
                yield drawn
        finally:
            self._chance = None

    def draw_names(self) -> dict[str, list[str]]:
        """Return what a call with all inputs and targets draws in the present mode and stage: a type by path for each time, in order.

        The sizes in a type are those that the text of the block names.
        """
        signature, request = self._everything()
        self._view(signature, request)
        found: dict[str, list[str]] = {}
        for path, type_ in draw_types(self, self._plan.unit, self._plan.unit.add(signature.pair(request))):
            found.setdefault(path, []).append(str(type_))
        return found

    # ------------------------------------------------------------------------------------------------------ stages

    def stage(self, name: str, weights: Weights | None = None) -> Stage:
        """Set what is trained and what stands still; the order of stages and earlier ones make no difference.

        `weights` are what the stage starts from: a source for what stands after its `from`, or sources by name; without them the
        tensors stay as they are.  Raises KeyError with a suggestion for an unknown stage, Failure for weights that don't fit.
        """
        if self._plan.program.only_evaluates:
            self.train()  # which says why there are none
        plan = self._plan.program.stages.get(name)
        if plan is None:
            near = closest(name, self._plan.program.stages)
            raise KeyError(f"`{type(self).__name__}` has no stage `{name}`{f', did you mean `{near}`' if near else ''}")
        if weights is not None:
            self._start(plan, weights)
        parameters = dict(self.named_parameters(remove_duplicate=False))
        tuned = expand(plan.tuned, self._paths()) - expand(self._plan.frozen, self._paths())
        for first, second in self._plan.ties:
            if first in tuned or second in tuned:
                tuned |= {first, second}
        for path, value in parameters.items():
            value.requires_grad_(path in tuned and value.is_floating_point())
        self._stage = Stage(self, plan, rows(self.named_parameters(), tuned), self._emitted)
        self._staged, self._names = name, self._plan.border(name)[1]
        self._tuned = tuned
        self._restage()
        return self._stage

    def _start(self, plan: StagePlan, weights: Weights) -> None:
        from .weights import start_weights

        if any(value.is_meta for value in self.parameters()):
            raise ValueError("the model is on the meta device and has no values to set: materialize it first")
        self.load_state_dict(start_weights(self._plan, plan, weights), strict=False)

    def _emitted(self, plan: StagePlan, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Record:
        """Compute what a stage emits; see `Stage.emitted`."""
        signature, names = self._plan.border(plan.name)
        places = {name: signature.emitted(path) for name, path in plan.emits.items()}
        for name, path in plan.emits.items():
            if not places[name]:
                raise ValueError(f"the stage `{plan.name}` emits `{path}`, and the model was compiled without that task")
        wanted = frozenset(place for found in places.values() for place, _ in found)
        view = self._view(signature, Request(None, frozenset(), wanted))
        moving = [module for module in self.modules() if module.training]
        self.eval()
        try:
            with torch.no_grad():
                outputs = self._run(view, names.bind(args, kwargs))
        finally:
            for module in moving:
                module.training = True
        values = dict(flat(outputs))
        return nested(((name, *members), values[place]) for name, found in places.items() for place, members in found)

    def _begin(self) -> None:
        """Tie what is tied and apply the model's own `freeze` statements, once all modules are in place."""
        hooked: Any = self
        hooked.register_load_state_dict_post_hook(Model._loaded)
        if self._plan.program.only_evaluates:
            nn.Module.train(self, False)
        for losses in (frozenset[str](), self._plan.signature.losses()):
            self._plan.signature.view(Request(None, losses), self._plan.unit)
        self._ops = self._plan.unit.lowerer.ops
        self._tie()
        named = dict(self.named_parameters(remove_duplicate=False))
        for path in expand(self._plan.frozen, named):
            named[path].requires_grad_(False)
        self._restage()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of everything that doesn't stand still."""
        if mode and self._plan.program.only_evaluates:
            raise ValueError(f"this `{type(self).__name__}` {ONLY_EVALUATES}")
        super().train(mode)
        self._stand_still()
        return self

    # ------------------------------------------------------------------------------------------------ torch's side

    def materialize(self, device: torch.device | str = "cpu", seed: int | None = None, given: Mapping[str, Tensor] | None = None) -> Self:
        """Give a model on the meta device storage and first values; `given` tensors by path are taken as they are."""
        check_kernels(self._plan.program, torch.device(device))
        if seed is not None:
            seeded: Any = torch
            seeded.manual_seed(seed)
        given = dict(given or {})
        for first, second in self._plan.ties:
            if first not in given and second in given:
                given[first] = given[second]
        tied = frozenset(second for _, second in self._plan.ties)
        Starter(self, self._plan.unit, self._plan.builder.extern, torch.device(device)).start(given, tied)
        self._known.clear()
        self._tie()
        self._bind()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert everything; tied parameters stay one."""
        plain: Any = super()
        plain._apply(fn, recurse)
        self._known.clear()
        self._tie()
        self._bind()
        return self

    def graph_module(self, tasks: Iterable[str] | None = None, losses: bool = False) -> fx.GraphModule:
        """Return the root as a `torch.fx.GraphModule` over the same modules, with flat inputs and results."""
        active = None if tasks is None else frozenset(tasks)
        request = Request(active, self._plan.signature.losses(active) if losses else frozenset())
        self._view(self._plan.signature, request)
        view = self._plan.unit.views[self._plan.unit.add(self._plan.signature.pair(request))]
        return fx.GraphModule(self, copy.deepcopy(view.code(self.training).graph), type(self).__name__)

    def __reduce__(self) -> Any:
        raise TypeError(f"a `{type(self).__name__}` can't be pickled: save its `state_dict()` as safetensors and compile the text again")

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        if self._chance is not None:
            raise RuntimeError("copy the model before its draws are given from outside, or after")
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        for name, value in self.__dict__.items():
            new.__dict__[name] = copy.deepcopy(value, memo)
        new._bind()
        return new
