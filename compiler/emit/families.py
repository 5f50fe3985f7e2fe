"""Values of one name with a member each: one dict, or one list, in arguments and results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from ...dsl.program import Body, NodeKind
from ...dsl.record import record
from ..lower.names import identifier
from .expressions import member_text
from .steps import Member
from .variants import Told


@record
class Family:
    """What goes by one name: a value, or several with a member each; `keys` are their flat names."""

    name: str
    keys: tuple[str, ...]
    members: tuple[Any, ...] = ()
    optional: bool = False
    keyed: bool = False  # a dict even where the members count from 0
    places: tuple[int, ...] = ()  # where the values stand among all

    @property
    def is_list(self) -> bool:
        """Whether the members count from 0."""
        return not self.keyed and list(self.members) == list(range(len(self.members)))

    @property
    def annotation(self) -> str:
        """The type of the whole, with its default."""
        key = next((kind.__name__ for kind in (str, int) if all(type(member) is kind for member in self.members)), "Any")
        several = "list[Tensor]" if self.is_list else f"dict[{key}, Tensor]"
        kind = "dict[str, Any]" if not self.keys else several if self.members else "Tensor"
        return f"{kind} | None = None" if self.optional else kind

    def places_of(self) -> Iterator[tuple[str, str]]:
        """Yield the flat names of members, with the text that reads each."""
        yield from ((key, f"{self.name}[{member_text(self.member(place))}]") for place, key in enumerate(self.keys if self.members else ()))

    def member(self, place: int) -> Member:
        """Return the index of one value."""
        found: Any = self.members[place]
        return Member(cast("Any", found) if isinstance(found, (int, str, tuple)) else str(found), len(self.members), place)


MOST = 4
"""How many results have a type each."""

Item = tuple[str, tuple[Any, ...], str]
"""The name of a value, its members and its flat name."""


STATES = Family("states", ())
"""The caches of a block, by the words of their paths: a function takes them as they were and leaves them as they are then."""


def families(items: Iterable[Item], apart: frozenset[str] = frozenset()) -> list[Family]:
    """Put together what has one name and one member each; what is `apart` may be left out, and stays alone."""
    groups: dict[tuple[str, bool], list[tuple[int, Item]]] = {}
    for place, (name, members, key) in enumerate(items):
        together = len(members) == 1 and key not in apart
        groups.setdefault((name if together else key, together), []).append((place, (name, members, key)))
    found: list[Family] = []
    for (name, together), group in groups.items():
        members = tuple(members[0] for _, (_, members, _) in group) if together else ()
        keys = tuple(key for _, (*_, key) in group)
        found.append(Family(identifier(name), keys, members, any(key in apart for key in keys), places=tuple(place for place, _ in group)))
    return found


def parameters(pair: tuple[Body, Body]) -> list[Family]:
    """Return the parameters of a block's function, those that may be left out last: what is drawn, and what one mode alone takes."""
    evaluate, train = pair
    declared = {d.key: d for body in (train, evaluate) for d in body.inputs if not d.is_state}
    drawn = {d.key for body in pair for d in body.inputs if body.nodes[d.node].kind is NodeKind.DRAW}
    everywhere = {key for key in declared if all(any(d.key == key for d in body.inputs) for body in pair)}
    optional = frozenset(key for key in declared if key in drawn or key not in everywhere)
    order = sorted(declared, key=lambda key: (key in optional, declared[key].optional))
    found = families(((declared[key].name, declared[key].members, key) for key in order), optional)
    cached = any(d.is_state for body in pair for d in body.inputs)
    return [*(one for one in found if not one.optional), *([STATES] if cached else []), *(one for one in found if one.optional)]


def returned(body: Body, told: Told | None = None) -> list[Family]:
    """Return what a call of a body gives: families of outputs, and losses; of a family of which it is told the member, that one alone."""
    keys = [".".join([*([o.task] if o.task else []), o.name, *map(str, o.members)]) for o in body.outputs]
    alone = [told is not None and key in told.places for key in keys]
    names = [".".join([*([o.task] if o.task else []), o.name]) for o in body.outputs]
    outputs = families(
        (name, () if only else o.members, name if only else key) for o, name, key, only in zip(body.outputs, names, keys, alone, strict=True)
    )
    losses = enumerate((loss.path for loss in body.losses), len(body.outputs))
    return [*outputs, *(Family(identifier(path), (path,), places=(place,)) for place, path in losses)]


def result_type(found: Sequence[Family]) -> str:
    """Return the type of what a function returns."""
    types = [family.annotation for family in found]
    if len(types) < 2:
        return types[0] if types else "None"
    return f"tuple[{', '.join(types)}]" if len(types) <= MOST else "tuple[Tensor, ...]" if set(types) == {"Tensor"} else "tuple[Any, ...]"
