"""A model's tensors beside those of a checkpoint: names that both have, that one lacks, shapes that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from ...dsl.record import record
from ..runtime.checkpoint import Checkpoint


@record
class Keys:
    """What a checkpoint and a model's state dict have in common.

    `held` are the common ones whose values in the model are those of the checkpoint; `alike` are missing ones that are there under a name
    that differs by `prefix` in front, by what it is there.
    """

    name: str
    common: tuple[str, ...]
    held: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    prefix: str
    alike: Mapping[str, str]


def compare_keys(model: nn.Module, checkpoint: Mapping[str, Tensor] | str | PathLike[str]) -> Keys:
    """Compare; a tied parameter is there if any of its names is.  Raises Failure (A650 to A652) for what isn't whole safetensors."""
    own: dict[str, Any] = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    given = checkpoint if isinstance(checkpoint, Mapping) else _File(checkpoint)
    stored = given if isinstance(given, _File) else {key: value for key, value in given.items() if not key.endswith(EXTRA)}
    name = "checkpoint" if isinstance(checkpoint, Mapping) else str(checkpoint)
    shapes = {key: stored.shape(key) if isinstance(stored, _File) else tuple(stored[key].shape) for key in stored}
    common = [key for key in own if key in shapes]
    misshapen = {key: (shapes[key], tuple(own[key].shape)) for key in common if shapes[key] != tuple(own[key].shape)}
    there = {_memory(own[key]) for key in common}
    missing = [key for key in own if key not in shapes and (not own[key].numel() or _memory(own[key]) not in there)]
    held = [key for key in common if key not in misshapen and torch.equal(own[key].cpu(), stored[key].cpu().to(own[key].dtype))]
    unused = [key for key in shapes if key not in own]
    return Keys(name, tuple(common), tuple(held), tuple(missing), tuple(unused), misshapen, *_alike(missing, unused))


EXTRA = "_extra_state"
"""The end of the keys under which modules keep what is no tensor."""


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


def _alike(missing: Sequence[str], unused: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the text in front by which half the names of one side or more differ from the other's, and those pairs."""
    prefixes: dict[str, dict[str, str]] = {"": {}}
    there, lacking = set(unused), set(missing)
    for name in missing:
        for long, short in _shorter(name):
            if short in there:
                prefixes.setdefault(long, {})[name] = short
    for name in unused:
        for long, short in _shorter(name):
            if short in lacking:
                prefixes.setdefault(long, {})[short] = name
    prefix, alike = max(prefixes.items(), key=lambda item: len(item[1]))
    return (prefix, alike) if 2 * len(alike) >= min(len(missing), len(unused)) else ("", {})


def _shorter(name: str) -> Iterator[tuple[str, str]]:
    """Yield a name in two, at each dot."""
    for place, letter in enumerate(name):
        if letter == ".":
            yield name[: place + 1], name[place + 1 :]
