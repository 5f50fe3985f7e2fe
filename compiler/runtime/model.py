"""The compiled model: an `nn.Module` whose inputs, outputs, tasks and stages are those of the text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, fx, nn

from ...dsl.program import Body, InputDecl, Program
from ..graph import Graph
from ..lower.unit import Unit
from .border import Border, Names, check_range, value_range
from .calls import Request, RootView, Signature
from .errors import InputError, ModelError, innermost
from .outputs import Outputs

MOST_SHAPES = 1024
"""How many combinations of input shapes are remembered as checked."""


class Model(nn.Module):
    """Base of every compiled model; the class of one model bears its name and signature."""

    program: ClassVar[Program]
    unit: ClassVar[Unit]
    signature: ClassVar[Signature]
    names: ClassVar[Names]

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[tuple[Any, ...]] = set()
        self.losses_in_eval = False

    # ---------------------------------------------------------------------------------------------------- calling

    def forward(self, *args: Any, **kwargs: Any) -> Outputs:
        """Run the model on inputs by position, in declared order, or by name; families are dicts by member.

        With targets given, `loss` and `losses` are in the result.  Raises InputError before anything is computed, ModelError
        naming the line of the text for what fails inside.
        """
        values = self.names.bind(args, kwargs)
        view, weights = self._choose(values)
        if torch.compiler.is_compiling():
            return self._run(view, values, weights)
        self._check(view, values)
        try:
            return self._run(view, values, weights)
        except torch.OutOfMemoryError as error:
            place = innermost(error.__traceback__)
            if place is not None:
                error.add_note(f"{place.span}: in `{place.block}`")
            raise
        except (RuntimeError, IndexError, ValueError, TypeError, AssertionError) as error:
            place = innermost(error.__traceback__)
            if place is None or isinstance(error, ModelError):
                raise
            raise ModelError(place, error) from error

    def _run(self, view: RootView, values: Mapping[str, Any], weights: Mapping[str, float] | None) -> Outputs:
        code = view.train if self.training else view.eval
        return code.pack(code.function(self, *[values.get(d.key) for d in view.inputs]), weights)

    def _choose(self, values: Mapping[str, Any]) -> tuple[RootView, Mapping[str, float] | None]:
        """Return the view for the losses whose targets are given, and the weights of the active stage."""
        tasks, chosen, weights = self._active()
        losses = self._wanted(self.signature.losses(tasks, chosen), values)
        return self._view(Request(tasks, losses)), weights

    def _active(self) -> tuple[frozenset[str] | None, Iterable[str] | None, Mapping[str, float] | None]:
        return self.signature.tasks, None, None

    def _view(self, request: Request) -> RootView:
        return self.signature.view(request, self.unit)

    def _wanted(self, candidates: frozenset[str], values: Mapping[str, Any]) -> frozenset[str]:
        """Return the losses to compute: those of every task whose targets are all given."""
        signature = self.signature
        groups: dict[str | None, set[str]] = {}
        for path in candidates:
            groups.setdefault(signature.loss_tasks[path], set()).update(signature.targets(path))
        given = {key for key in values if self.names.by_key[key].is_target}
        complete = {task for task, targets in groups.items() if targets <= values.keys()}
        covered = {target for task in complete for target in groups[task]}
        for task, targets in groups.items():
            missing = sorted(targets - values.keys())
            if missing and targets & given - covered:
                some = sorted(targets & given - covered)
                raise InputError(f"{_quoted(some)} is given without {_quoted(missing)}: the losses{f' of `{task}`' if task else ''} need all of them")
        asked = any(groups[task] for task in complete) or (
            not any(groups.values()) and (self.training or self.losses_in_eval)
        )
        return frozenset(path for path in candidates if asked and signature.loss_tasks[path] in complete)

    # --------------------------------------------------------------------------------------------------- checking

    def _check(self, view: RootView, values: Mapping[str, Any]) -> None:
        key = (id(view), *((name, value.shape, value.dtype, value.device) if isinstance(value, Tensor) else None for name, value in values.items()))
        ranged = [d for d in view.inputs if value_range(d) is not None and d.key in values]
        if key in self._seen and not ranged:
            return
        sizes = self._border(view).check({d.key: values[d.key] for d in view.inputs if d.key in values})
        wrong = [text for d in ranged if (text := check_range(d, values[d.key], sizes))]
        if wrong:
            raise InputError("\n".join(wrong))
        if len(self._seen) >= MOST_SHAPES:
            self._seen.clear()
        self._seen.add(key)

    def _border(self, view: RootView) -> Border:
        body = self.signature.eval_body
        conditions = [c for c in body.conditions if view.whole or c.given]
        anchor = self.anchor()
        return Border(view.inputs, conditions, None if anchor is None else anchor.dtype, None if anchor is None else anchor.device)

    def anchor(self) -> Tensor | None:
        """Return a parameter of dtype `float`: it tells the dtype in which the model computes, and its device."""
        path = self.unit.anchor()
        if path is None:
            return None
        value: Any = self
        for part in path.split("."):
            value = getattr(value, part)
        return value

    # ------------------------------------------------------------------------------------------------ torch's side

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert everything; tied parameters stay one."""
        super()._apply(fn, recurse)
        self._seen.clear()
        self._tie()
        return self

    def _tie(self) -> None:
        """Make tied parameters one object again."""
        for first, second in self.ties():
            holder, name = self._holder(second)
            kept_holder, kept = self._holder(first)
            setattr(holder, name, getattr(kept_holder, kept))

    def ties(self) -> list[tuple[str, str]]:
        """Return the pairs of paths that are one parameter."""
        return []

    def _holder(self, path: str) -> tuple[nn.Module, str]:
        above, _, name = path.rpartition(".")
        return self.get_submodule(above), name

    def graph_module(self, tasks: Iterable[str] | None = None, losses: bool = False) -> fx.GraphModule:
        """Return the root as a `torch.fx.GraphModule` over the same modules, with flat inputs and results."""
        active = self.signature.tasks if tasks is None else frozenset(tasks)
        request = Request(active, self.signature.losses(active) if losses else frozenset())
        pair = self.signature.pair(request)
        view = self.unit.views[self.unit.add(pair)]
        import copy

        return fx.GraphModule(self, copy.deepcopy(view.code(self.training).graph), type(self).__name__)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def signature_of(declared: Iterable[InputDecl]) -> inspect.Signature:
    """Return the Python signature of `forward`: one parameter for each declared name."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = dict.fromkeys(d.name for d in declared)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    parameters += [inspect.Parameter(name, kind, default=None) for name in names if name.isidentifier()]
    return inspect.Signature(parameters)


__all__ = ["Body", "Graph", "Model", "signature_of"]
