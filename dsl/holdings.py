"""What the instances of a body own, level by level: found once for each body, and shared by all that hold an instance of it.

A thousand equal layers are one `Holding` and a thousand places.  Entries are numbered in order of birth, from 0 in each holding; what an
instance owns stands together, so that its entries are those of its body, moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate

from .inspector import Owned
from .members import member_text
from .record import entity
from .types import SetAxis

Part = tuple[str, tuple[object, ...]]


@entity
class Place:
    """A tensor, or a module with what is `inside`, in what holds it; it has several parts where Sequentials stand around it."""

    path: str
    parts: tuple[Part, ...]
    sets: tuple[tuple[SetAxis, ...], ...]  # the declared index sets of the members of each part
    kinds: tuple[str, ...]  # of the module at each part
    tasks: tuple[str, ...]
    shape: tuple[int, ...] = ()
    buffer: bool = False
    inside: Holding | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each entry holds that is a parameter; 0 for a buffer."""
        return (0 if self.buffer else size(self.shape),) if self.inside is None else self.inside.sizes

    @property
    def makers(self) -> Sequence[tuple[str, ...]]:
        """The tasks in whose braces each entry was made."""
        if self.inside is None or not self.inside.tasks:
            return (self.tasks,) * len(self.sizes)
        return [self.tasks + tasks for tasks in self.inside.makers]

    @property
    def is_plain(self) -> bool:
        """True where nothing in it is a member of a family; it may be one itself."""
        return self.inside is None or self.inside.is_plain

    def entries(self) -> Iterator[Owned]:
        """Yield its entries by their paths in what holds it."""
        if self.inside is None:
            yield Owned(self.path, self.parts, self.shape, self.buffer, self.kinds, self.tasks, self.sets)
            return
        start, parts, kinds, tasks, sets = f"{self.path}.", self.parts, self.kinds, self.tasks, self.sets
        for own in self.inside.entries:
            path, below = start + own.path, (own.shape, own.buffer)
            yield Owned(path, parts + own.parts, *below, kinds + own.kinds, tasks + own.tasks, sets + own.sets)


class Holding:
    """Places in order of birth."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = tuple(place for place in places if place.sizes)

    @staticmethod
    def of(entries: Iterable[Owned]) -> Holding:
        """Return a holding of entries that are known one by one."""
        known = tuple(entries)
        made = Holding(Place(own.path, own.parts, own.sets, own.kinds, own.tasks, own.shape, own.buffer) for own in known)
        made.entries = known
        return made

    @cached_property
    def entries(self) -> tuple[Owned, ...]:
        """Every entry, by its path below."""
        return tuple(own for place in self.places for own in place.entries())

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each entry holds that is a parameter; 0 for a buffer."""
        return tuple(number for place in self.places for number in place.sizes)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The number of each place's first entry."""
        return tuple(accumulate((len(place.sizes) for place in self.places), initial=0))[:-1]

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """The tasks in whose braces something in it was made."""
        inner = (task for place in self.places for task in (*place.tasks, *(place.inside.tasks if place.inside is not None else ())))
        return tuple(dict.fromkeys(inner))

    @cached_property
    def makers(self) -> tuple[tuple[str, ...], ...]:
        """The tasks in whose braces each entry was made."""
        return tuple(tasks for place in self.places for tasks in place.makers)

    @cached_property
    def is_plain(self) -> bool:
        """True where nothing in it is a member of a family."""
        return all(place.is_plain and not any(members for _, members in place.parts) for place in self.places)

    @cached_property
    def level(self) -> Level:
        """What lies right below."""
        return Level((place, 0, start) for place, start in zip(self.places, self.starts, strict=True))


Item = tuple[Place, int, int]
"""A place, how many of its parts lead to where one stands, and the number of its first entry."""


class Level:
    """What lies right below a part of paths: entries that end here, by number, and stems by the next part, in order of birth."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.own: list[int] = []
        self.stems: dict[tuple[str, tuple[str, ...]], Stem] = {}
        for place, depth, start in items:
            self._add(place, depth, start)
        self._families: dict[str, Family] = {}

    @cached_property
    def named(self) -> Mapping[str, list[Stem]]:
        """The stems by name, each name's in order of birth."""
        found: dict[str, list[Stem]] = {}
        for stem in self.stems.values():
            found.setdefault(stem.name, []).append(stem)
        return found

    def family(self, name: str) -> Family:
        """Return the stems of one name by their members."""
        found = self._families.get(name)
        if found is None:
            found = self._families[name] = Family([(stem,) for stem in self.named[name]])
        return found

    def _add(self, place: Place, depth: int, start: int) -> None:
        if depth < len(place.parts):
            name, members = place.parts[depth]
            key = (name, tuple(map(member_text, members)))
            if key not in self.stems:
                sets = place.sets[depth] if depth < len(place.sets) else ()
                self.stems[key] = Stem(name, members, key[1], sets)
            self.stems[key].add(place, depth, start)
        elif place.inside is None:
            self.own.append(start)
        else:
            for inner, offset in zip(place.inside.places, place.inside.starts, strict=True):
                self._add(inner, 0, start + offset)


class Stem:
    """One part of paths, with the places that it leads to."""

    def __init__(self, name: str, members: tuple[object, ...], key: tuple[str, ...], sets: tuple[SetAxis, ...]) -> None:
        self.name, self.members, self.key, self.sets = name, members, key, sets
        self.text = ".".join((name, *key))
        self.kind: str | None = None
        self.items: list[Item] = []

    def add(self, place: Place, depth: int, start: int) -> None:
        """Take in a place whose part number `depth` this is."""
        if self.kind is None and depth < len(place.kinds):
            self.kind = place.kinds[depth]
        self.items.append((place, depth + 1, start))

    @cached_property
    def numbers(self) -> range | tuple[int, ...]:
        """The entries at and below it, in order."""
        runs = [range(start, start + len(place.sizes)) for place, _, start in self.items]
        if all(one.stop == other.start for one, other in zip(runs, runs[1:], strict=False)):
            return range(runs[0].start, runs[-1].stop)
        return tuple(number for run in runs for number in run)

    @cached_property
    def below(self) -> tuple[Level, int]:
        """What lies right below, and how far its numbers are to be moved: an instance shares the level of its body."""
        place, depth, start = self.items[0]
        if len(self.items) == 1 and depth == len(place.parts) and place.inside is not None:
            return place.inside.level, start
        return Level(self.items), 0

    @cached_property
    def is_plain(self) -> bool:
        """True where nothing below it is a member of a family."""
        return all(place.is_plain and not any(members for _, members in place.parts[depth:]) for place, depth, _ in self.items)


class Family:
    """Ways down whose stems have one name and agree in their first `depth` members, by the next one; parts of Sequentials by their places."""

    def __init__(self, ways: list[tuple[Stem, ...]], depth: int = 0) -> None:
        self.ways = ways
        self.depth = depth

    @cached_property
    def groups(self) -> Mapping[str, Family]:
        """The ways by the next member as text; nothing where they have no more of them."""
        found: dict[str, list[tuple[Stem, ...]]] = {}
        for way in self.ways:
            key = way[-1].key
            if self.depth < len(key):
                found.setdefault(key[self.depth], []).append(way)
        return {text: Family(ways, self.depth + 1) for text, ways in found.items()}

    @cached_property
    def parts(self) -> Mapping[str, Family]:
        """What lies right below those that are Sequentials, by its place."""
        found: dict[str, list[tuple[Stem, ...]]] = {}
        for way in self.ways:
            for stem in way[-1].below[0].stems.values() if way[-1].kind == "Sequential" else ():
                found.setdefault(stem.name, []).append((*way, stem))
        return {name: Family(ways) for name, ways in found.items()}

    @cached_property
    def present(self) -> Mapping[str, object]:
        """The next members that there are, by their text: places, where the stems have no members left."""
        own = {text: group.ways[0][-1].members[self.depth] for text, group in self.groups.items()}
        return own or {text: int(text) for text in self.parts}


def size(shape: Iterable[int]) -> int:
    """Return how many numbers a tensor holds."""
    result = 1
    for n in shape:
        result *= n
    return result
