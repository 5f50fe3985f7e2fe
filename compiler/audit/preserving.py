"""A model, its optimisers and all random states, given back exactly as they were.

Values are put back in place, so that what shares memory with them, or refers to the model from elsewhere (a loss function, a hook), stays
right: a copy of the model would leave those behind.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

TREE = ("_parameters", "_buffers", "_modules")


@contextmanager
def preserved(model: nn.Module, optimizers: Sequence[Optimizer] = (), more: Iterable[Tensor] = ()) -> Generator[None]:
    """Put back, after the `with`: every value, gradient, mode and plain attribute of a model, its optimisers' states, random states.

    `more` are tensors outside of the model that are to be kept too.
    """
    undo = [*_random(), *_tensors(model, more), *_modules(model), *(restore for optimizer in optimizers for restore in _optimizer(optimizer))]
    try:
        yield
    finally:
        for restore in undo:
            restore()


def seeded(seed: int) -> None:
    """Seed every generator that a model may draw from."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def _random() -> list[Callable[[], object]]:
    state, cpu, numbers = random.getstate(), torch.get_rng_state(), np.random.get_state()
    undo: list[Callable[[], object]] = [
        lambda: random.setstate(state),
        lambda: torch.set_rng_state(cpu),
        lambda: np.random.set_state(numbers),
    ]
    if torch.cuda.is_initialized():
        states = torch.cuda.get_rng_state_all()
        undo.append(lambda: torch.cuda.set_rng_state_all(states))
    return undo


def _tensors(model: nn.Module, more: Iterable[Tensor]) -> list[Callable[[], object]]:
    """Return what puts values and gradients back; gradients are taken off, so that nothing is added to them."""
    kept = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers(), *more)}
    undo: list[Callable[[], object]] = []
    for tensor in kept.values():
        undo.append(_value(tensor))
        if tensor.is_leaf:
            undo.append(_grad(tensor))
            tensor.grad = None
    return undo


def _value(tensor: Tensor) -> Callable[[], object]:
    """Return what puts a tensor's values back where they were."""
    requires_grad, values, home = tensor.requires_grad, tensor.detach().clone(), tensor.detach()

    def restore() -> None:
        with torch.no_grad():
            if not torch.equal(home, values):
                home.copy_(values)  # the memory that it had, should the tensor have been given other memory
            if tensor.data_ptr() != home.data_ptr() or tensor.shape != home.shape:
                tensor.data = home
        if tensor.is_leaf:
            tensor.requires_grad_(requires_grad)

    return restore


def _grad(tensor: Tensor) -> Callable[[], object]:
    grad = tensor.grad
    return lambda: setattr(tensor, "grad", grad)


def _modules(model: nn.Module) -> list[Callable[[], object]]:
    """Return what puts the attributes of all modules back: names to objects, and what plain containers and tensors hold."""
    undo: list[Callable[[], object]] = []
    for module in model.modules():
        own = vars(module)
        undo.append(_contents(own))
        for name, value in own.items():
            if name in TREE:
                undo.append(_contents(value))
            elif isinstance(value, Tensor):
                undo.append(_value(value))
            elif isinstance(value, (dict, list, set)):
                undo.append(_contents(value))
    return undo


def _contents(container: Any) -> Callable[[], object]:
    """Return what puts the items of a dict, list or set back."""
    items = list(container.items() if hasattr(container, "items") else container)
    add = container.extend if hasattr(container, "extend") else container.update

    def restore() -> None:
        container.clear()
        add(items)

    return restore


def _optimizer(optimizer: Optimizer) -> list[Callable[[], object]]:
    """Let an optimiser work on a copy of its state, and return what puts its own back."""
    state = optimizer.state
    copied: defaultdict[Tensor, Any] = defaultdict(dict)
    for parameter, values in state.items():
        copied[parameter] = {name: value.detach().clone() if isinstance(value, Tensor) else deepcopy(value) for name, value in values.items()}
    optimizer.state = copied
    undo: list[Callable[[], object]] = [lambda: setattr(optimizer, "state", state)]
    return undo + [_contents(group) for group in optimizer.param_groups]
