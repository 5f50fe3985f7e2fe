"""What is audited: a model, what it is fed, its losses, and what else its training consists of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from inspect import signature
from os import PathLike
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from ...dsl.diagnostics import closest
from ...dsl.record import record
from .entries import entries
from .errors import failure

Compute = Callable[[Any, Any], Any]
"""Takes the model and a batch, returns a loss, or losses by name."""

Losses = str | Compute | Sequence[str] | Mapping[str, str | Compute] | None
"""A name in the model's output (`loss`, `losses.depth`), a function, or several of these by name; None takes the output's own."""


@record
class Subject:
    """What `archloom audit module:function` gets from the function.

    `batch` is given to the model as a call would be: a mapping by name, a tuple or list by position, a tensor alone.  `losses` are names in
    the model's output, or functions of the model and a batch that return a scalar tensor or a mapping of them; without any they are the
    output's `losses` or `loss`, or the output itself where it is one number.  `frozen` says what is meant to stand still and `select` what
    else is to be looked up, as selectors of parameters (`backbone`, `**.bias`, `encoder.layer[0..4]`).  `checkpoint` is a state dict or
    safetensors, `prepare` what the training loop does after `model.train()`, such as `lambda model: model.backbone.eval()`.

    Raises Failure (A561) for what can't be audited.
    """

    model: nn.Module
    batch: Any = None
    losses: Losses = None
    batches: Sequence[Any] = ()
    optimizer: Optimizer | Sequence[Optimizer] | None = None
    frozen: str | Sequence[str] = ()
    select: str | Sequence[str] = ()
    checkpoint: Mapping[str, Tensor] | str | PathLike[str] | None = None
    prepare: Callable[[Any], object] | None = None
    steps: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem is not None:
            raise failure("A561", *problem)

    @property
    def all_batches(self) -> tuple[Any, ...]:
        """The batches, at least one."""
        return (*(() if self.batch is None else (self.batch,)), *self.batches)

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """The optimisers, none, one or several."""
        if self.optimizer is None:
            return ()
        return tuple(self.optimizer) if isinstance(self.optimizer, (tuple, list)) else (cast("Optimizer", self.optimizer),)


def patterns(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return selectors that are given as one text or several."""
    return (given,) if isinstance(given, str) else tuple(given)


def as_subject(given: object) -> Subject:
    """Return what a function returned as a subject: one as it is, a dict of its fields, or `(model, batch)`, `(model, batch, losses)`."""
    if isinstance(given, Subject):
        return given
    if isinstance(given, Mapping):
        named = cast("Mapping[str, Any]", given)
        known = [field.name for field in fields(Subject)]
        unknown = [name for name in named if name not in known]
        if unknown:
            near = closest(str(unknown[0]), known)
            raise failure("A561", f"a subject has no `{unknown[0]}`", f"did you mean `{near}`?" if near else f"it has {', '.join(known)}")
        if "model" in named:
            return Subject(**named)
    if isinstance(given, tuple) and 2 <= len(cast("tuple[Any, ...]", given)) <= 3:
        return Subject(*cast("tuple[Any, ...]", given))
    help = 'return `{"model": model, "batch": batch}`, with `losses`, `optimizer` and more where there are any'
    raise failure("A561", f"the function returned {_kind(cast('object', given))}, which is no subject", help)


def _problem(given: Any) -> tuple[str, str] | None:
    """Say what is wrong with the values of a subject, and what to give."""
    if not isinstance(given.model, nn.Module):
        return f"the model is {_kind(given.model)}, not a `torch.nn.Module`", "give the module itself"
    if any(isinstance(module, torch.jit.ScriptModule) for module in given.model.modules()):
        return "the model is TorchScript, whose steps can't be watched", "audit the Python module that it was made from"
    values: list[Any] = [*given.model.parameters(), *given.model.buffers()]
    odd = [value for value in values if not isinstance(value, Tensor)]
    if odd:
        return f"the model has {_kind(odd[0])} among its parameters and buffers", "keep it under a plain attribute, or wrap it: `nn.Parameter(...)`"
    if any(is_lazy(value) for value in given.model.parameters()):
        return "the model has parameters without a shape", "call it once, so that its lazy modules are whole"
    if any(value.is_meta for value in values):
        return "the model is on the meta device, where nothing is computed", "give it values first: `to_empty`, `materialize`, or load a checkpoint"
    if not isinstance(given.batches, (tuple, list)):
        return f"`batches` is {_kind(given.batches)}, not a list", "take a few: `list(itertools.islice(loader, 4))`"
    if not given.all_batches:
        return "there is no batch to run the model on", "give `batch`, or several as `batches`"
    if not all(isinstance(optimizer, Optimizer) for optimizer in given.optimizers):
        return f"`optimizer` is {_kind(given.optimizer)}, not a `torch.optim.Optimizer`", "give the optimiser of your loop, or a list of them"
    if any(value.is_meta for batch in given.all_batches for _, value in entries(batch)):
        return "the batch is on the meta device, where nothing is computed", "give tensors with numbers in them"
    return _bad_call(given) or _bad_checkpoint(given.checkpoint) or _bad_selector(given) or _bad_number(given)


def _bad_call(given: Any) -> tuple[str, str] | None:
    """Say which function can't be called as it will be."""
    if not all(takes(function, 2) for function in _functions(given.losses)):
        return "`losses` doesn't take a model and a batch", "write `losses=lambda model, batch: ...`"
    if given.prepare is not None and not (callable(given.prepare) and takes(given.prepare, 1)):
        return "`prepare` isn't a function of the model", "write `prepare=lambda model: model.backbone.eval()`"
    return None


def _functions(losses: Losses) -> list[Compute]:
    if isinstance(losses, str) or losses is None:
        return []
    several = [losses] if callable(losses) else losses.values() if isinstance(losses, Mapping) else losses
    return [function for function in several if callable(function)]


def takes(function: Callable[..., object], count: int) -> bool:
    """Tell whether a function can be called with so many arguments; of one written in C it isn't known."""
    try:
        signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def _bad_checkpoint(checkpoint: Any) -> tuple[str, str] | None:
    if isinstance(checkpoint, Mapping):
        stored = cast("Mapping[Any, Any]", checkpoint)
        other = [key for key, value in stored.items() if not isinstance(key, str) or not (isinstance(value, Tensor) or key.endswith("_extra_state"))]
        if other:
            return f"`checkpoint` holds {_kind(stored[other[0]])} under `{other[0]!r:.60}`, not a tensor", "give the state dict of the model itself"
    elif not isinstance(checkpoint, (str, PathLike, type(None))):
        return f"`checkpoint` is {_kind(checkpoint)}, neither a state dict nor a path", "give what `load_state_dict` takes, or a safetensors file"
    return None


def _bad_selector(given: Any) -> tuple[str, str] | None:
    for name in ("frozen", "select"):
        if not isinstance(getattr(given, name), (str, Iterable)):
            return f"`{name}` is {_kind(getattr(given, name))}, no selector", "a selector is a text such as `backbone` or `**.bias`"
    selectors: list[Any] = [pattern for given_ in (given.frozen, given.select) for pattern in patterns(given_)]
    wrong = [pattern for pattern in selectors if not isinstance(pattern, str)]
    if wrong:
        return f"{wrong[0]!r} is no selector", "a selector is a text such as `backbone` or `**.bias`"
    return None


def _bad_number(given: Any) -> tuple[str, str] | None:
    numbers = {name: getattr(given, name) for name in ("steps", "seed")}
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or abs(number) >= 1 << 63:
            return f"`{name}` is {number!r:.40}, not a whole number", f"write `{name} = 4`"
    if given.steps < 1:
        return f"{given.steps} steps show nothing", "take at least one; four are the rule"
    return None


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a `{type(value).__name__}`"
