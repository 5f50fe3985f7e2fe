"""Which frozen parts draw random numbers in training that they don't draw in evaluation: dropout that is live there."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from ...dsl.record import record
from .entries import entries
from .errors import foreign
from .inventory import Inventory
from .preserving import preserved
from .running import Runner

RATES = ("dropout_p", "dropout")
"""How operations that may draw name the part that they drop; at zero they don't."""


@record
class Live:
    """The frozen modules in which something is drawn in training mode and not in eval mode, and those, drawing or not, that read what trained
    parameters gave."""

    paths: tuple[str, ...] = ()
    fed: frozenset[str] = frozenset()

    def is_hosted(self, path: str) -> bool:
        """Tell whether trained parameters work inside of what holds a module, as adapters do: between frozen modules of one part of the model."""
        whole = path.partition(".")[0]
        return any(other.partition(".")[0] == whole for other in self.fed)


class _Draws(TorchDispatchMode):
    """Notes each frozen module that was called from outside of its part and drew, and each whose results depend on what is trained elsewhere."""

    def __init__(self, inventory: Inventory) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType] - torch leaves its types open
        self.parts = {id(module): path for path, module in inventory.still_modules.items()}
        self.inside: list[str] = []
        self.drew = False
        self.found: set[str] = set()
        self.fed: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        options = dict(kwargs or {})
        if self.inside and torch.Tag.nondeterministic_seeded in func.tags and _draws(func, args, options):
            self.drew = True
        return func(*args, **options)

    def enter(self, module: nn.Module, inputs: Any) -> None:
        """Note that a module begins."""
        if id(module) in self.parts:
            self.inside.append(self.parts[id(module)])

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Note that a module ends."""
        if id(module) in self.parts:
            path = self.inside.pop()
            if not self.inside:
                if any(value.requires_grad for _, value in entries(output)) and not any(own.requires_grad for own in module.parameters()):
                    self.fed.add(path)
                if self.drew:
                    self.found.add(path)
                self.drew = False


def live_draws(runner: Runner, inventory: Inventory) -> Live:
    """Run the losses with the frozen parts in training mode, then in eval mode."""
    if not inventory.still_modules or not inventory.trained:
        return Live()
    live, fed = _drawn(runner, inventory)
    with preserved(runner.subject.model):
        for module in inventory.still_modules.values():
            module.training = False
        still, _ = _drawn(runner, inventory)
    return Live(tuple(path for path in inventory.still_modules if path in live - still), frozenset(fed))


def _drawn(runner: Runner, inventory: Inventory) -> tuple[set[str], set[str]]:
    found, fed = set[str](), set[str]()
    for batch in runner.subject.all_batches:
        with preserved(runner.subject.model), foreign("A562", "computing the losses"), _noted(_Draws(inventory)) as draws:
            runner.losses(batch, runner.subject.seed)
        found |= draws.found
        fed |= draws.fed
    return found, fed


@contextmanager
def _noted(draws: _Draws) -> Generator[_Draws]:
    hooks = [
        register_module_forward_pre_hook(draws.enter),
        register_module_forward_hook(draws.leave, always_call=True),
    ]
    try:
        with draws:
            yield draws
    finally:
        for hook in hooks:
            hook.remove()


def _draws(func: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
    """Tell whether an operation that can draw does so: a dropout of nothing doesn't."""
    names = [argument.name for argument in func._schema.arguments]
    given = {**dict(zip(names, args, strict=False)), **options}
    return all(given.get(name, 0.0) != 0.0 for name in RATES if name in names)
