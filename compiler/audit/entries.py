"""The tensors of a batch by path, and a batch with another tensor in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from torch import Tensor

Path = tuple[Any, ...]


def entries(batch: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Yield every tensor of nested mappings, sequences and dataclasses, with its keys."""
    if isinstance(batch, Tensor):
        yield path, batch
    elif isinstance(batch, Mapping):
        for key, value in cast("Mapping[Any, Any]", batch).items():
            yield from entries(value, (*path, key))
    elif isinstance(batch, (tuple, list)):
        for number, value in enumerate(cast("Sequence[Any]", batch)):
            yield from entries(value, (*path, number))
    elif is_dataclass(batch) and not isinstance(batch, type):
        for field in fields(batch):
            yield from entries(getattr(batch, field.name), (*path, field.name))


def exchanged(batch: Any, path: Path, value: Tensor) -> Any:
    """Return a batch that has `value` at a path; what isn't on the way to it is shared with the one given."""
    if not path:
        return value
    key, *rest = path
    if isinstance(batch, tuple):
        items = [exchanged(item, tuple(rest), value) if number == key else item for number, item in enumerate(cast("Sequence[Any]", batch))]
        made: Any = cast("Any", batch).__class__
        return made(*items) if hasattr(made, "_make") else made(items)
    if is_dataclass(batch) and not isinstance(batch, (type, Mapping)):
        return replace(batch, **{key: exchanged(getattr(batch, key), tuple(rest), value)})
    fresh: Any = copy(batch)
    fresh[key] = exchanged(fresh[key], tuple(rest), value)
    return fresh


def spelt(path: Path) -> str:
    """Return a path of keys as text."""
    return ".".join(map(str, path)) or "batch"
