"""What a call returns: a dict by task and name that is read by attribute as well, and a pytree to torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from torch.utils import _pytree as pytree


class Record(dict[Any, Any]):
    """Named values; `r.logits` is `r["logits"]` where no method of dict has that name."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            known = ", ".join(map(str, self)) or "nothing"
            raise AttributeError(f"no `{name}` in this result: it has {known}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


class Outputs(Record):
    """The results of a model: `loss` first if there is one, then outputs by task and name, then `losses` by path.

    A number reads by position, `r[0]`, which with losses is the loss: what Trainer expects.
    """

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int) and key not in self:
            return list(self.values())[key]
        return super().__getitem__(key)


def _flatten(record: Record) -> tuple[list[Any], list[Any]]:
    return list(record.values()), list(record.keys())


def _flatten_with_keys(record: Record) -> tuple[list[tuple[Any, Any]], list[Any]]:
    return [(pytree.MappingKey(key), value) for key, value in record.items()], list(record.keys())


def _unflatten_outputs(values: Iterable[Any], keys: Any) -> Outputs:
    return Outputs(zip(keys, values, strict=True))


def _unflatten_record(values: Iterable[Any], keys: Any) -> Record:
    return Record(zip(keys, values, strict=True))


def _register() -> None:
    for class_, unflatten in ((Outputs, _unflatten_outputs), (Record, _unflatten_record)):
        pytree.register_pytree_node(
            class_,
            cast("Any", _flatten),
            cast("Any", unflatten),
            serialized_type_name=f"archloom.{class_.__name__}",
            flatten_with_keys_fn=cast("Any", _flatten_with_keys),
        )


_register()


def nested(pairs: Iterable[tuple[tuple[Any, ...], Any]]) -> Record:
    """Build a record from values by path."""
    root = Record()
    for path, value in pairs:
        level: dict[Any, Any] = root
        for part in path[:-1]:
            level = level.setdefault(part, Record())
        level[path[-1]] = value
    return root


Arrange = Callable[[Sequence[Any]], Iterable[tuple[Any, Any]]]
"""Gives a record's content from values by number."""


def arrangement(paths: Iterable[tuple[Any, ...]]) -> Arrange:
    """Return what gives a record's content from values with these paths."""
    return _arrangement(nested((path, number) for number, path in enumerate(paths)))


def _arrangement(places: Mapping[Any, Any]) -> Arrange:
    """Write the record out: values that follow each other are taken together, as each call of a model goes through here."""
    keys, numbers = tuple(places), tuple(places.values())
    if all(isinstance(at, int) for at in numbers):
        first, last = (numbers[0], numbers[-1] + 1) if numbers else (0, 0)
        if numbers == tuple(range(first, last)):
            return lambda values: zip(keys, values[first:last], strict=True)
        return lambda values: ((key, values[at]) for key, at in zip(keys, numbers, strict=True))
    parts = tuple((key, at, None) if isinstance(at, int) else (key, 0, _arrangement(at)) for key, at in places.items())
    return lambda values: ((key, values[at] if inner is None else Record(inner(values))) for key, at, inner in parts)


def flat(values: Mapping[Any, Any], prefix: tuple[Any, ...] = ()) -> Iterable[tuple[tuple[Any, ...], Any]]:
    """Yield the leaves of nested mappings with their paths."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(cast("Mapping[Any, Any]", value), (*prefix, key))
        else:
            yield (*prefix, key), value
