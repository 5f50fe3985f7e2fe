"""A model's tensors beside those of a checkpoint: names that both have, that one lacks, shapes that differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from ...dsl.record import record
from ..runtime.checkpoint import Checkpoint


@record
class Keys:
    """What a checkpoint and a model's state dict have in common.

    `held` are the common ones whose values in the model are those of the checkpoint; `prefix` is what all names of one side have before
    those of the other, if that is all that is wrong.
    """

    name: str
    common: tuple[str, ...]
    held: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    prefix: str | None


def compare_keys(model: nn.Module, checkpoint: Mapping[str, Tensor] | str | PathLike[str]) -> Keys:
    """Compare; a tied parameter is there if any of its names is.  Raises Failure (A650 to A652) for what isn't whole safetensors."""
    own: dict[str, Any] = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    stored = checkpoint if isinstance(checkpoint, Mapping) else _File(checkpoint)
    name = "checkpoint" if isinstance(checkpoint, Mapping) else str(checkpoint)
    shapes = {key: stored.shape(key) if isinstance(stored, _File) else tuple(stored[key].shape) for key in stored}
    common = [key for key in own if key in shapes]
    misshapen = {key: (shapes[key], tuple(own[key].shape)) for key in common if shapes[key] != tuple(own[key].shape)}
    there = {_memory(own[key]) for key in common}
    missing = [key for key in own if key not in shapes and (not own[key].numel() or _memory(own[key]) not in there)]
    held = [key for key in common if key not in misshapen and torch.equal(own[key].cpu(), stored[key].cpu().to(own[key].dtype))]
    unused = [key for key in shapes if key not in own]
    return Keys(name, tuple(common), tuple(held), tuple(missing), tuple(unused), misshapen, _prefix(missing, unused))


class _File(Mapping[str, Tensor]):
    """Safetensors as a mapping that reads a tensor when it is asked for."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._checkpoint = Checkpoint(path)

    def __getitem__(self, name: str) -> Tensor:
        return self._checkpoint.read(name)

    def __iter__(self) -> Any:
        return iter(self._checkpoint.stored)

    def __len__(self) -> int:
        return len(self._checkpoint.stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape without reading it."""
        return self._checkpoint.stored[name].shape


def _memory(value: Tensor) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    return value.data_ptr(), tuple(value.shape), tuple(value.stride())


def _prefix(missing: Iterable[str], unused: Iterable[str]) -> str | None:
    """Return what turns names that are missing into names that are there, or the other way round."""
    lacking, extra = sorted(missing), set(unused)
    if not lacking or not extra:
        return None
    for name in extra:
        if name.endswith(f".{lacking[0]}"):
            prefix = name.removesuffix(lacking[0])
            return prefix if all(prefix + key in extra for key in lacking) else None
        if lacking[0].endswith(f".{name}"):
            prefix = lacking[0].removesuffix(name)
            return prefix if all(key.startswith(prefix) and key.removeprefix(prefix) in extra for key in lacking) else None
    return None
