"""Regions of a model's code that are recorded for the backward pass otherwise than the rest."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from ...dsl.program import Recording
from ..lower.outlining import Outlined

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
"""Modules that move statistics in training, by which they don't normalise then."""
Held = tuple[dict[str, Any], str]
"""A dictionary of a module, and the name of a tensor in it."""
_checkpoint: Callable[..., Any] = vars(checkpoint)["checkpoint"]
_transformed: Callable[[], bool] = vars(torch)["_C"]._are_functorch_transforms_active


class Recorded(nn.Module):
    """Steps of the block that holds it.

    Unrecorded ones run without recording anything.  Of recomputed ones what they read is kept in training, and they run again where the backward
    pass comes to them: with the same random numbers, on the tensors that stood in the places of parameters, and the statistics of norms stay.
    They run as ever in eval mode, under the transforms of `torch.func`, and while draws are given from outside; either do where a model is exported
    or called without gradients.
    """

    def __init__(self, steps: Outlined) -> None:
        super().__init__()
        self.steps = steps
        self.again = steps.recording is Recording.INPUTS
        self._owner: tuple[nn.Module, ...] = ()
        self._called: tuple[nn.Module, ...] = ()
        self._tensors: list[Held] = []

    def bind(self, owner: nn.Module) -> None:
        """Look up the modules and tensors of the block."""
        self._owner = (owner,)
        if self.again:
            paths = dict.fromkeys(self.steps.targets())
            found = {path: _at(owner, path) for path in paths}
            self._called = tuple(each for each in found.values() if isinstance(each, nn.Module))
            self._tensors = [held for each in self._called for module in each.modules() for held in _tensors(module)]
            for path, each in found.items():
                above, _, name = path.rpartition(".")
                if isinstance(each, Tensor):
                    self._tensors += (held for held in _tensors(owner.get_submodule(above)) if held[1] == name)

    def forward(self, *args: Any) -> Any:
        """Run the steps."""
        if not torch.is_grad_enabled() or torch.compiler.is_exporting():
            return self.run(*args)
        if not self.again:
            with torch.no_grad():
                return self.run(*args)
        if not self.training:
            return self.run(*args)
        if torch.compiler.is_compiling():
            return _checkpoint(self.run, *args, use_reentrant=False)
        return self.run(*args) if _transformed() else _checkpoint(_Steps(self), *args, use_reentrant=False)

    def run(self, *args: Any) -> Any:
        """Run the steps as any others."""
        return self.steps.code.function(self._owner[0], *args)

    def tensors(self) -> list[Any]:
        """Return what stands in the places of the parameters and buffers that the steps read."""
        return [held[name] for held, name in self._tensors]

    @contextmanager
    def repeated(self, tensors: Sequence[Any]) -> Generator[None]:
        """Put tensors in these places for another run, copies in those of statistics, so that these move once."""
        now, moving = (
            self.tensors(),
            {id(vars(module)["_buffers"]) for each in self._called for module in each.modules() if isinstance(module, NORMS)},
        )
        places = zip(self._tensors, tensors, strict=True)
        try:
            self._put(value.clone() if id(held) in moving and value is not None else value for (held, _), value in places)
            yield
        finally:
            self._put(now)

    def _put(self, tensors: Iterable[Any]) -> None:
        for (held, name), value in zip(self._tensors, tensors, strict=True):
            held[name] = value

    def extra_repr(self) -> str:
        """Say what is done to the steps."""
        return self.steps.recording.value


class _Steps:
    """The steps of one call: run once for their values, and once more for the backward pass."""

    def __init__(self, region: Recorded) -> None:
        self.region = region
        self.tensors = region.tensors()
        self.ran = False

    def __call__(self, *args: Any) -> Any:
        if not self.ran:
            self.ran = True
            return self.region.run(*args)
        with self.region.repeated(self.tensors):
            return self.region.run(*args)


def _at(owner: nn.Module, path: str) -> Any:
    """Return the module or tensor at a path."""
    found: Any = owner
    for word in path.split("."):
        found = getattr(found, word)
    return found


def _tensors(module: nn.Module) -> list[Held]:
    """Return the places of a module's own parameters and buffers."""
    kinds: tuple[dict[str, Any], ...] = vars(module)["_parameters"], vars(module)["_buffers"]
    return [(held, name) for held in kinds for name in held]


def bind(model: nn.Module) -> None:
    """Bind every region of a model to the block that holds it, whenever its modules may be others."""
    everything: list[tuple[str, nn.Module]] = [*model.named_modules()]
    for path, module in everything:
        if isinstance(module, Recorded):
            module.bind(model.get_submodule(path.rpartition(".")[0]))
