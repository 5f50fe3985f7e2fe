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
from ...dsl.program import InputDecl
from ..lower.build import complete
from ..optimize.interface import ONLY_EVALUATES
from .border import Border, check_range
from .bypassed import Bypassed
from .calls import Request, RootView, Signature
from .chance import Chance, Values, draw_types
from .entry import Entry
from .errors import InputError, ModelError, innermost
from .example import example_inputs
from .initial import Starter
from .outputs import Outputs, Record, flat, nested
from .rounded import check_kernels
from .saved import Saved
from .stage import Stage, Stillness, check_used, expand, live_dropout, rows

if TYPE_CHECKING:
    from .claims import Tested
    from .weights import Weights

MOST_SHAPES = 1024
"""How many combinations of input shapes are remembered as checked."""


class Model(Saved):
    """Base of every compiled model; the class of one model bears its name and signature."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self) -> None:
        super().__init__()
        self.losses_in_eval = False
        self._seen: set[tuple[Any, ...]] = set()
        self._chosen: dict[tuple[Any, ...], RootView] = {}
        self._stage: Stage | None = None
        self._staged = ""
        self._names = self._plan.names
        self._chance: Chance | None = None
        self._ops = 0
        self._still: list[nn.Module] = []
        self._tuned = frozenset[str]()
        self._plan.builder.fill(self, self._plan.unit)
        self._bypassed = Bypassed(self, self._plan.bypassed) if self._plan.bypassed else None
        self._bind()
        self._begin()

    # ---------------------------------------------------------------------------------------------------- calling

    def forward(self, *args: Any, **kwargs: Any) -> Outputs:
        """Run the model on inputs by position, in declared order, or by name; families are dicts by member.

        With targets given, `loss` and `losses` are in the result.  Raises InputError before anything is computed, ModelError
        naming the line of the text for what fails inside.
        """
        values = self._names.bind(args, kwargs)
        key = (self._staged, self.training or self.losses_in_eval, *values)
        view = self._chosen.get(key)
        if view is None or self._ops != self._plan.unit.lowerer.ops:
            view = self._choose(values)
            if not torch.compiler.is_compiling():
                self._chosen[key] = view
        return self._run(view, values)

    def _run(self, view: RootView, values: Mapping[str, Any]) -> Outputs:
        """Check the flat inputs, run a view, and name its results; what fails in it says where in the text."""
        if torch.compiler.is_compiling():
            return self._compiled(view, values)
        if self._chance is not None:
            self._chance.restart()
        self._check(view, values)
        if self.training and self._still:
            self._stand_still()
        standing = self._standing
        if standing is not None:
            standing.look()
        try:
            return self._compute(view, values)
        except (RuntimeError, IndexError, ValueError, TypeError, AssertionError) as error:
            place = innermost(error.__traceback__)
            if place is None or isinstance(error, (ModelError, InputError)):
                raise
            if isinstance(error, torch.OutOfMemoryError):
                error.add_note(f"{place.span}: in `{place.block}`")
                raise
            raise ModelError(place, error) from error
        finally:
            if standing is not None:
                standing.holds = False

    def _compiled(self, view: RootView, values: Mapping[str, Any]) -> Outputs:
        if self._chance is not None:
            raise RuntimeError("only eager calls take draws from outside")
        return self._compute(view, values) if self._keeper is None else self._keeper.run(self._compute, view, values)

    def _compute(self, view: RootView, values: Mapping[str, Any]) -> Outputs:
        code, stage = view.train if self.training else view.eval, self._stage
        function = code.function if torch.is_grad_enabled() else code.unrecorded
        return code.pack(function(self, *[values.get(key) for key in view.keys]), stage.losses if stage is not None else None)

    def _signature(self) -> Signature:
        """Return the border of the active stage, or of the model."""
        return self._plan.border(self._staged or None)[0]

    def _choose(self, values: Mapping[str, Any]) -> RootView:
        """Return the view for the active tasks and the losses whose targets are given."""
        if self.losses_in_eval and self._plan.program.only_evaluates:
            self.train()  # which says why there are no losses
        stage, signature = self._stage, self._signature()
        tasks = signature.present(signature.active(stage.tasks) if stage is not None else None, values)
        candidates = signature.losses(tasks, stage.losses if stage is not None else None)
        given = frozenset(key for key in values if self._names.by_key[key].is_target)
        learning = self.training or self.losses_in_eval
        if stage is not None and (given or learning):
            check_used(stage.plan, {target for path in candidates for target in signature.targets(path)} - given, self._names)
        return self._view(signature, Request(tasks, signature.complete(candidates, given, learning)))

    def _view(self, signature: Signature, request: Request) -> RootView:
        """Return the code for a request, made when it is first asked for."""
        found = signature.find(request)
        if torch.compiler.is_compiling():
            if found is None:
                raise RuntimeError("call the model once with these inputs before it is compiled or exported: this choice of losses is new to it")
            return found
        if found is None:
            found = signature.view(request, self._plan.unit)
        if self._ops != self._plan.unit.lowerer.ops:
            complete(self, self._plan.unit, self._plan.builder.dtype)
            self._bind()
            self._ops = self._plan.unit.lowerer.ops
            self._restage()
        return found

    def _check(self, view: RootView, values: Mapping[str, Any]) -> None:
        shapes = [(name, value.shape, value.dtype, value.device) if isinstance(value, Tensor) else name for name, value in values.items()]
        key = (view, self.training, *shapes)
        ranged = [d for d in view.ranged if d.key in values] if view.ranged else ()
        if key in self._seen and not ranged:
            return
        others = [d for d in view.signature.inputs if d.key in values and d.key not in view.keys]
        sizes = self._border(view, others).check(values)
        wrong = [text for d in ranged if (text := check_range(d, values[d.key], sizes))]
        if wrong:
            raise InputError("\n".join(wrong))
        if len(self._seen) >= MOST_SHAPES:
            self._seen.clear()
        self._seen.add(key)

    def _border(self, view: RootView, others: Iterable[InputDecl]) -> Border:
        """Return the checks of a view's inputs, and of others that are given and not read."""
        signature = view.signature
        body = signature.train_body if self.training else signature.eval_body
        conditions = [c for c in body.conditions if (view.whole or c.given) and (c.module is None or self._learns(c.module))]
        return Border((*view.inputs, *others), conditions, self._anchor())

    def _learns(self, path: str) -> bool:
        """Tell whether a module is in training mode."""
        tree: Any = self
        return tree.get_submodule(path).training

    def _anchor(self) -> Tensor | None:
        """Return a parameter of dtype `float`: it tells the dtype in which the model computes, and its device."""
        path = self._plan.unit.anchor()
        if path is None:
            return None
        value: Any = self
        for part in path.split("."):
            value = getattr(value, part, None)
        if isinstance(value, Tensor) and value.is_floating_point():
            return value
        return next((other for other in self.parameters() if other.is_floating_point()), None)  # surgery put something else there

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

    def _paths(self) -> list[str]:
        """Return the paths of all parameters and buffers, tied ones twice."""
        return [path for path, _ in (*self.named_parameters(remove_duplicate=False), *self.named_buffers(remove_duplicate=False))]

    def _restage(self) -> None:
        """Find the modules that stand still, and set the mode of all."""
        self._seen.clear()
        self._still = self._forever()
        if self._stage is not None:
            frozen = [path for path in self._paths() if path not in self._tuned]
            still = Stillness(self, frozen, self._tuned).modules(self)
            self._still += [module for module, moves in still if moves or self._stage.plan.rest_in_eval]
            stopped = set(map(id, self._still))
            self._stage.live = live_dropout(self, [module for module, _ in still if id(module) not in stopped])
        self.train(self.training)

    def _forever(self) -> list[nn.Module]:
        """Return the modules that are frozen for good."""
        if not self._plan.frozen:
            return []
        return [module for module, _ in Stillness(self, expand(self._plan.frozen, self._paths())).modules(self)]

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

    def _stand_still(self) -> None:
        for module in self._still:
            if module.training:
                module.training = False

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
        self._seen.clear()
        self._tie()
        self._bind()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert everything; tied parameters stay one."""
        plain: Any = super()
        plain._apply(fn, recurse)
        self._seen.clear()
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
