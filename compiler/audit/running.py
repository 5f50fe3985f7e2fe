"""A subject's model run in training: losses of a batch, the gradients that they give, which modules were called."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from enum import IntEnum
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from .entries import entries
from .errors import foreign
from .losses import losses_of
from .preserving import seeded
from .subject import Subject

RATE = 1e-3
"""How far a step goes where there is no optimiser."""


class Gradient(IntEnum):
    """What a loss gives a parameter: nothing, a gradient of zeros, or one with some other number."""

    NONE = 0
    ZERO = 1
    SOME = 2


class Runner:
    """Runs a subject's model in training mode."""

    def __init__(self, subject: Subject, owned: Mapping[str, nn.Parameter]) -> None:
        """Take the parameters whose gradients are read, by name."""
        self.subject = subject
        self.owned = owned
        self.called: set[int] = set()
        self.given: list[Tensor] = []  # all tensors that the model itself gave on the way to the last losses

    def settle(self) -> None:
        """Set the modes as the training loop does."""
        with foreign("A562", "setting the model's modes"):
            self.subject.model.train()
            if self.subject.prepare is not None:
                self.subject.prepare(self.subject.model)

    def losses(self, batch: Any, seed: int) -> dict[str, Tensor]:
        """Compute the losses of a batch; whatever it raises comes out."""
        seeded(seed)
        self.given = []
        with torch.enable_grad():
            return losses_of(self.subject.losses, self.subject.model, batch)

    def results(self, batch: Any, seed: int) -> list[Tensor]:
        """Return the losses of a batch and all tensors that the model gave on the way to them."""
        losses = self.losses(batch, seed)
        return [value.detach() for value in (*losses.values(), *self.given)]

    def gradients(self, batch: Any, seed: int) -> tuple[dict[str, Tensor], dict[str, dict[str, Gradient]]]:
        """Return the losses of a batch, and by loss and parameter what gradient there is; none is left behind."""
        with foreign("A562", "computing the losses"):
            losses = self.losses(batch, seed)
        found: dict[str, dict[str, Gradient]] = {}
        for number, (name, loss) in enumerate(losses.items(), 1):
            self.clear()
            if loss.requires_grad:
                with foreign("A562", f"differentiating the loss `{name}`"):
                    loss.backward(retain_graph=number < len(losses))  # pyright: ignore[reportUnknownMemberType] - torch leaves its types open
            found[name] = {path: gradient_of(value) for path, value in self.owned.items()}
        self.clear()
        return {name: loss.detach() for name, loss in losses.items()}, found

    def step(self, batch: Any, seed: int) -> None:
        """Take one step of training: the sum of all losses, backward, every optimiser's step; without one a step down the gradient."""

        def closure() -> Tensor:
            self.clear()
            losses = [loss.float() for loss in self.losses(batch, seed).values()]
            total = torch.stack(losses).sum() if losses else torch.zeros(())  # a batch without labels
            if total.requires_grad:
                total.backward()  # pyright: ignore[reportUnknownMemberType] - torch leaves its types open
            return total

        with foreign("A562", "a step of training"):
            closure()
            for optimizer in self.subject.optimizers:
                step: Any = optimizer.step
                step(closure) if _wants_closure(optimizer) else step()
            if not self.subject.optimizers:
                descend(self.subject.model)
        self.clear()

    def clear(self) -> None:
        """Take off all gradients."""
        for value in (*self.subject.model.parameters(), *self.owned.values()):
            value.grad = None

    @contextmanager
    def watching(self) -> Generator[None]:
        """Note, while the `with` lasts, which modules are called and what the model itself gives."""

        def note(module: nn.Module, _inputs: Any, output: Any) -> None:
            self.called.add(id(module))
            if module is self.subject.model:
                self.given.extend(value.detach() for _, value in entries(output))

        hook = register_module_forward_hook(note)
        try:
            yield
        finally:
            hook.remove()


def descend(model: nn.Module) -> None:
    """Move every parameter that has a gradient against it, as SGD does; torch's own takes seconds to import."""
    with torch.no_grad():
        for value in model.parameters():
            if value.grad is not None:
                value.add_(value.grad, alpha=-RATE)


def gradient_of(value: Tensor) -> Gradient:
    """Return what gradient a parameter has; one that isn't a number counts as some."""
    if value.grad is None:
        return Gradient.NONE
    grad = value.grad.coalesce().values() if value.grad.is_sparse else value.grad
    return Gradient.SOME if bool((grad != 0).any()) else Gradient.ZERO


def same(one: Iterable[Tensor], other: Iterable[Tensor]) -> bool:
    """Tell whether two runs gave the very same numbers; what is not a number is equal to its like."""
    return all(a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all()) for a, b in zip(one, other, strict=True))


def _wants_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Tell whether an optimiser can't step without computing the loss itself, as LBFGS."""
    closure = signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is Parameter.empty
