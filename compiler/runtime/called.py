"""How a compiled model is called: inputs are bound and checked, code is chosen and run, and results are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...dsl.program import InputDecl
from ..lower.build import complete
from .border import Border, check_range
from .bypassed import Bypassed
from .calls import Request, RootView, Signature
from .chance import Chance
from .errors import LOCATED, InputError, located
from .outputs import Outputs
from .saved import Saved
from .settled import FAILURES
from .stage import Stage, Stillness, check_used, expand, live_dropout

MOST_SHAPES = 1024
"""How many combinations of input shapes are remembered as checked."""


class Called(Saved):
    """The part of a compiled model that runs its code."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self) -> None:
        super().__init__()
        self.losses_in_eval = False
        self._known: dict[tuple[Any, ...], RootView] = {}
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

    def forward(self, *args: Any, **kwargs: Any) -> Outputs:
        """Run the model on inputs by position, in declared order, or by name; families are dicts by member.

        With targets given, `loss` and `losses` are in the result.  Raises InputError before anything is computed, ModelError
        naming the line of the text for what fails inside.
        """
        if torch.compiler.is_compiling():
            values = self._names.bind(args, kwargs)
            return self._compiled(self._choice(values), values)
        values = self._names.bind(args, kwargs) if args else kwargs
        key = (self._staged, self.training, self.losses_in_eval, not args, *_shapes(values))
        view = self._known.get(key)
        if view is not None and self._ops == self._plan.unit.lowerer.ops:
            return self._checked(view, values)
        values = self._names.bind(args, kwargs)
        view = self._choice(values)
        self._check(view, values)
        if args or values.keys() == kwargs.keys():
            self._remember(key, view, values)
        return self._checked(view, values)

    def _run(self, view: RootView, values: Mapping[str, Any]) -> Outputs:
        """Check the flat inputs, run a view, and name its results; what fails in it says where in the text."""
        if torch.compiler.is_compiling():
            return self._compiled(view, values)
        key = (view, self.training, *_shapes(values))
        if key not in self._known:
            self._check(view, values)
            self._remember(key, view, values)
        return self._checked(view, values)

    def _checked(self, view: RootView, values: Mapping[str, Any]) -> Outputs:
        """Run a view on inputs that fit, and name its results."""
        if self._chance is not None:
            self._chance.restart()
        if self.training and self._still:
            self._stand_still()
        standing = self._standing
        if standing is not None:
            standing.look()
        try:
            if standing is not None and standing.holds and not (self.training or torch.is_grad_enabled()) and self._chance is None:
                settled = self._settling.get(view.eval.code, self, standing)  # nothing is recorded or moved, and all is as it was
                if settled is not None:
                    given = values.values() if view.keys == (*values,) else [values.get(key) for key in view.keys]
                    try:
                        found = settled.function(self, *given, *settled.handed)
                        return view.eval.pack(found, self._stage.losses if self._stage is not None else None)
                    except FAILURES:  # the modules may do with what they get, or say what is wrong
                        self._settling.fail(view.eval.code)
            return self._compute(view, values)
        except LOCATED as error:
            told = located(error)
            if told is error:
                raise
            raise told from error
        finally:
            if standing is not None:
                standing.holds = False

    def _compiled(self, view: RootView, values: Mapping[str, Any]) -> Outputs:
        if self._chance is not None:
            raise RuntimeError("only eager calls take draws from outside")
        return self._compute(view, values) if self._keeper is None else self._keeper.run(self._compute, view, values)

    def _compute(self, view: RootView, values: Mapping[str, Any]) -> Outputs:
        code, stage = view.train if self.training else view.eval, self._stage
        function = code.function if torch.is_grad_enabled() else code.code.function
        return code.pack(function(self, *[values.get(key) for key in view.keys]), stage.losses if stage is not None else None)

    def _signature(self) -> Signature:
        """Return the border of the active stage, or of the model."""
        return self._plan.border(self._staged or None)[0]

    def _choice(self, values: Mapping[str, Any]) -> RootView:
        """Return the view for what is given, chosen once for the same names."""
        key = (self._staged, self.training or self.losses_in_eval, *values)
        view = self._chosen.get(key)
        if view is None or self._ops != self._plan.unit.lowerer.ops:
            view = self._choose(values)
            if not torch.compiler.is_compiling():
                self._chosen[key] = view
        return view

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
        ranged = [d for d in view.ranged if d.key in values]
        others = [d for d in view.signature.inputs if d.key in values and d.key not in view.keys]
        sizes = self._border(view, others).check(values)
        wrong = [text for d in ranged if (text := check_range(d, values[d.key], sizes))]
        if wrong:
            raise InputError("\n".join(wrong))

    def _remember(self, key: tuple[Any, ...], view: RootView, values: Mapping[str, Any]) -> None:
        """Note that inputs like these fit a view, unless there is more to look at than their shapes."""
        if any(d.key in values for d in view.ranged):
            return
        if len(self._known) >= MOST_SHAPES:
            self._known.clear()
        self._known[key] = view

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

    # ------------------------------------------------------------------------------------------------------ modes

    def _paths(self) -> list[str]:
        """Return the paths of all parameters and buffers, tied ones twice."""
        return [path for path, _ in (*self.named_parameters(remove_duplicate=False), *self.named_buffers(remove_duplicate=False))]

    def _restage(self) -> None:
        """Find the modules that stand still, and set the mode of all."""
        self._known.clear()
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

    def _stand_still(self) -> None:
        for module in self._still:
            if module.training:
                module.training = False


def _shapes(values: Mapping[str, Any]) -> list[Any]:
    """Return all that is asked of the inputs of a call, by which it is known whether they were found to fit before."""
    return [(name, value.shape, value.dtype, value.device) if isinstance(value, Tensor) else name for name, value in values.items()]
