"""The values of an elaborated body by the names that the text gives them."""

from __future__ import annotations

from collections.abc import Iterator

from ..inspector import Owned
from ..members import member_text
from ..program import Body, Ref
from .losses import loss_entry
from .values import Family, LiveState, Record, TaskScope, Tensor, Value

Part = tuple[str, tuple[object, ...]]


def named_values(body: Body) -> dict[str, tuple[Owned, Ref]]:
    """Return, by path, what each name means at the end of a body (a family's members apart): its values, those of its tasks, outputs, losses."""
    found: dict[str, tuple[Owned, Ref]] | None = body.found.get("names")
    if found is None:
        found = body.found["names"] = {}
        for entry, ref in _all(body):
            found.setdefault(entry.path, (entry, ref))
    return found


def _all(body: Body) -> Iterator[tuple[Owned, Ref]]:
    for name, value in body.names.items():
        if isinstance(value, TaskScope):
            for inner, held in value.names.items():
                yield from _value(((inner, ()),), held, name)
        else:
            yield from _value(((name, ()),), value, None)
    for out in body.outputs:
        yield _entry(((out.name, out.members),), out.task), out.ref
    for loss in body.losses:
        yield loss_entry(body, loss), loss.ref


def _value(parts: tuple[Part, ...], value: Value, task: str | None) -> Iterator[tuple[Owned, Ref]]:
    name, members = parts[-1]
    if isinstance(value, (Tensor, LiveState)):
        yield _entry(parts, task), value.ref if isinstance(value, Tensor) else value.tensor.ref
    elif isinstance(value, Family):
        for key, member in value.members.items():
            yield from _value((*parts[:-1], (name, (*members, key))), member, task)
    elif isinstance(value, Record):
        for field, held in value.fields.items():
            yield from _value((*parts, (field, ())), held, task)


def _entry(parts: tuple[Part, ...], task: str | None) -> Owned:
    words = [".".join([name, *map(member_text, members)]) for name, members in parts]
    path = ".".join([*([task] if task else []), *words])
    return Owned(path, parts, (), False, ("",) * (len(parts) - 1), (task,) if task else ())
