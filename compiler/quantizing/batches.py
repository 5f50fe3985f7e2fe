"""Calibration data: batches that a model is run on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from ..runtime.checkpoint import Checkpoint
from ..runtime.errors import InputError
from ..runtime.model import Model
from ..runtime.outputs import flat

Batch = Mapping[str, Any]
Batches = Iterable[Batch] | str | PathLike[str]
"""Inputs by name, or a safetensors file with a tensor for each input, samples along axis 0."""


def batches(given: Batches, size: int = 32) -> list[Batch]:
    """Return all batches; of a file, of `size` samples each.  Raises Failure for what is no such file, ValueError for no batch at all."""
    if not isinstance(given, (str, PathLike)):
        found: list[Batch] = [*given]
    else:
        file = Checkpoint(given)
        tensors = {name: file.read(name) for name in file.stored}
        counts = {name: len(value) if value.dim() else 0 for name, value in tensors.items()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"`{name}` {count}" for name, count in counts.items())
            raise ValueError(f"`{file.name}` is to hold as many samples of each input, along axis 0: there are of {told}")
        found = [{name: value[i : i + size] for name, value in tensors.items()} for i in range(0, max(counts.values(), default=0), size)]
    if not found:
        raise ValueError("there is no batch to measure on: give at least one")
    return found


Ranges = Mapping[str, tuple[float, float]]
"""The lowest and the highest number that each weight is multiplied with, by its path."""


def ranges(model: Model, data: Iterable[Batch]) -> Ranges:
    """Return the ranges of what the linears and convolutions of a model without passes are called with; raises ValueError where that isn't finite."""
    found: dict[str, tuple[float, float]] = {}
    wrong: list[str] = []

    def seen(path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def look(module: nn.Module, args: tuple[Any, ...]) -> None:
            low, high = map(float, torch.aminmax(args[0]))
            if not isfinite(low) or not isfinite(high):
                wrong.append(path)
            known = found.get(path, (low, high))
            found[path] = min(known[0], low), max(known[1], high)

        return look

    modules: list[tuple[str, nn.Module]] = [*model.named_modules()]
    looked = [(path, module) for path, module in modules if isinstance(module, (nn.Linear, nn.Conv2d))]
    hooks = [module.register_forward_pre_hook(seen(f"{path}.weight")) for path, module in looked]
    try:
        with torch.no_grad():
            for number, batch in enumerate(data):
                outputs(model, number, batch)
    finally:
        for hook in hooks:
            hook.remove()
    if wrong:
        raise ValueError(f"`{wrong[0]}` is multiplied with what is NaN or infinite: look into the data, and into the weights")
    return found


def outputs(model: Model, number: int, batch: Batch) -> dict[Any, Tensor]:
    """Return what a model gives for a batch, by path; raises InputError, with the number of the batch, for one that doesn't fit."""
    try:
        return dict(flat(model(**batch)))
    except (InputError, TypeError) as error:
        raise InputError(f"batch {number}: {error}") from None
