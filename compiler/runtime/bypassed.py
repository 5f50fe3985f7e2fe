"""Modules that passes compute without calling them: what is done to one of them from outside must not be lost in silence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from torch import nn

from .unchanged import Link

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
ADVICE = 'compile the model with optimize="none", or without the pass that does it: `print(model.passes.explain())` tells which'


class Bypassed:
    """Watches such modules of a model: that each is the one that was there at first, and that nothing waits for it to be called."""

    def __init__(self, model: nn.Module, paths: Iterable[str]) -> None:
        """Take the modules at the paths; those that the model hasn't, as it was cut to some tasks, are left out."""
        known: dict[str, nn.Module] = dict(cast(Any, model.named_modules)(remove_duplicate=False))
        self._paths = [path for path in paths if path in known]
        self.modules = [known[path] for path in self._paths]
        self.links: list[Link] = [(_modules(known[path.rpartition(".")[0]]), path.rpartition(".")[2], known[path]) for path in self._paths]

    def check(self) -> None:
        """Raise RuntimeError for a module that was replaced, that has a hook, or whose `forward` is another."""
        for path, (held, name, module) in zip(self._paths, self.links, strict=True):
            if held.get(name) is not module:
                raise RuntimeError(f"`{path}` was replaced, and passes compute the first one, from its parameters: {ADVICE}")
            if "forward" in vars(module) or any(getattr(module, kind) for kind in HOOKS):
                raise RuntimeError(f"`{path}` has a hook that would never run, as passes compute it without a call: {ADVICE}")


def _modules(holder: nn.Module) -> dict[str, Any]:
    return vars(holder)["_modules"]
