"""With which numbers the blocks of a program are made, and under which names their classes know them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ...dsl.elaborate.values import IndexSet, Template, Unborn
from ...dsl.program import Body, ModuleDecl
from ...dsl.record import record
from ...dsl.types import extent
from ..lower.names import identifier
from .index_sets import Sets
from .plan import Instance
from .reckoning import Table, Value, Values, evaluated
from .sites import bound, handed_name, site
from .terms import Wording, block_defaults, block_inputs


@record
class Made:
    """One place where a block is made: its numbers and lists of numbers, and the terms that stand there for them.

    `brought` tells of those of blocks that are handed in, by the names that the block knows them under, their names there.
    """

    row: Mapping[str, Value]
    words: Wording
    brought: Mapping[str, str]

    def renamed(self, names: Mapping[str, str]) -> Mapping[str, Value]:
        """Return the row under other names."""
        return {names.get(name, name): value for name, value in self.row.items()}


def made(declared: ModuleDecl, instance: Instance) -> Made:
    """Return how a block is made where it is declared."""
    words = site(declared)
    row = completed(declared.arguments, instance)
    brought: dict[str, str] = {}
    for parameter, block in declared.arguments.items():
        for name, value in bound(block).items() if isinstance(block, (Unborn, Template)) else ():
            key, number = handed_name(parameter, name), numbers_in(value)
            if key in words.named and number is not None:
                row[key], brought[key] = number, name
    return Made(row, words, brought)


def completed(arguments: Mapping[str, Any], instance: Instance) -> dict[str, Value]:
    """Return the numbers that a block is made with, those that nobody gives too."""
    found = {name: number for name, value in arguments.items() if (number := numbers_in(value)) is not None}
    for name, term in block_defaults(instance.bodies[0].span).items():
        value = evaluated(term, {known: (number,) for known, number in found.items()}) if name not in arguments else None
        found.update({name: value[0]} if value is not None else {})
    return found


def numbers_in(value: Any) -> Value | None:
    """Return a number, a list of numbers as a tuple, a map to numbers as a `Table`; nothing for what is none of these."""
    if isinstance(value, dict):
        pairs = [(str(key), numbers_in(item)) for key, item in cast("dict[Any, Any]", value).items()]
        return None if any(item is None for _, item in pairs) else Table((key, item) for key, item in pairs if item is not None)
    if isinstance(value, (list, tuple)):
        items = [numbers_in(item) for item in cast("Sequence[Any]", value)]
        return None if None in items else tuple(item for item in items if item is not None)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def joint_names(places: Sequence[Made], own: Sequence[str]) -> dict[str, str]:
    """Return shorter names for what blocks that are handed in are made with: `dim` for `layer_dim` and `norm_dim`, if both are always the same.

    What the block itself has under that name is another number, unless it is the same, too.
    """
    groups: dict[str, list[str]] = {}
    for key, name in (pair for place in places for pair in place.brought.items()):
        groups.setdefault(name, []).extend([] if key in groups.get(name, ()) else [key])
    found: dict[str, str] = {}
    for name, keys in groups.items():
        all_ = [name, *keys] if name in own else keys
        if all(len({place.words.of(key) for key in all_}) == 1 and len(place.words.of(keys[0]) or ()) == 1 for place in places):
            found.update(dict.fromkeys(keys, name))
    return found


def named_sets(instance: Instance, places: Sequence[Mapping[str, Any]], sets: Sets) -> dict[str, tuple[str, Value]]:
    """Return the index sets that a block knows and that the file has a constant for: its text, and the members."""
    found: dict[str, tuple[str, Value]] = {}
    for name, members in _sets(instance, places):
        text = sets.constants.get(members)
        if text is not None:
            found[name] = (text, members)
    return found


def _sets(instance: Instance, places: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for body in instance.bodies:
        for declared in (*body.modules.values(), *body.parameters.values()):
            yield from ((known.name, tuple(map(str, known.members))) for known in declared.sets)
    for name in places[0] if places else ():
        values = [place.get(name) for place in places]
        members = {value.members if isinstance(value, IndexSet) else None for value in values}
        only = members.pop() if len(members) == 1 else None
        if only is not None:
            yield name, tuple(map(str, only))


def sizes(bodies: Sequence[Sequence[Body]]) -> dict[str, tuple[str, Values]]:
    """Return the sizes that the inputs of a block name and that are numbers here: how to read one, and its value in each instance."""
    found: dict[str, tuple[str, Values]] = {}
    for name, axes in block_inputs(bodies[0][0].span):
        for axis, size in enumerate(axes):
            values = [_size(one, name, axis) for one in bodies]
            if size is not None and size[0].isupper() and size not in found and None not in values:
                found[size] = (f"{identifier(name)}.size({axis})", tuple(value for value in values if value is not None))
    return found


def _size(bodies: Sequence[Body], name: str, axis: int) -> int | None:
    """Return a size of an input where it is the same number in all bodies, and the input is always there."""
    types = [next((d.type for d in body.inputs if d.key == name and not d.optional), None) for body in bodies]
    sizes = {extent(type_.shape[axis]) if type_ is not None and axis < len(type_.shape) else None for type_ in types}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) else None
