"""The branches of a tree of what a model owns: its modules and tensors, by the parts of their paths."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .holdings import Level, Stem
from .types import SetAxis


@dataclass(slots=True, eq=False)
class Branch:
    """A module (with one member of each index) or a tensor at a place of a tree; it grows where it is looked into.

    The numbers of its entries are those of its stem, moved.
    """

    path: str
    stem: Stem
    moved: int
    _grown: dict[Stem, Branch] = field(default_factory=dict[Stem, "Branch"])

    @property
    def name(self) -> str:
        """The last part of its path, without members."""
        return self.stem.name

    @property
    def members(self) -> tuple[object, ...]:
        """The members that index the last part."""
        return self.stem.members

    @property
    def sets(self) -> tuple[SetAxis, ...]:
        """The declared index sets of these."""
        return self.stem.sets

    @property
    def kind(self) -> str | None:
        """The block or primitive of a module; None for a tensor."""
        return self.stem.kind

    @property
    def leaves(self) -> Sequence[int]:
        """The numbers of the entries at or below it, in order of birth."""
        numbers, moved = self.stem.numbers, self.moved
        if isinstance(numbers, range):
            return range(numbers.start + moved, numbers.stop + moved)
        return [number + moved for number in numbers]

    @property
    def own(self) -> list[int]:
        """The entries at this very path; losses of several tasks may share one."""
        return [number + self.moved + self.stem.below[1] for number in self.stem.below[0].own]

    @property
    def level(self) -> Level:
        """What lies right below, as all instances of one body have it."""
        return self.stem.below[0]

    def grown(self, *way: Stem) -> Branch:
        """Return the branch that stems lead to from here, always the same one."""
        branch = self
        for stem in way:
            found = branch._grown.get(stem)
            if found is None:
                path = f"{branch.path}.{stem.text}" if branch.path else stem.text
                found = branch._grown[stem] = Branch(path, stem, branch.moved + branch.stem.below[1])
            branch = found
        return branch

    def named(self, name: str) -> list[Branch]:
        """Return what lies right below by one name, in order of birth."""
        return [self.grown(stem) for stem in self.level.named.get(name, ())]

    @property
    def children(self) -> Mapping[str, list[Branch]]:
        """What lies right below by name, each name's in order of birth."""
        return {name: self.named(name) for name in self.level.named}

    def below(self) -> Iterator[Branch]:
        """Yield every branch below this one, a module before what it holds."""
        for named in self.children.values():
            for branch in named:
                yield branch
                yield from branch.below()


def covering(around: Branch, chosen: Sequence[int]) -> Iterator[str]:
    """Yield the shortest paths below a branch that name just the chosen entries, which are in order."""
    if chosen:
        yield from _covering(around.stem, around.path, around.moved, chosen)


def _covering(around: Stem, path: str, moved: int, chosen: Sequence[int]) -> Iterator[str]:
    """Yield such paths below a stem, at a path, whose numbers are moved; no branch grows for it."""
    level, further = around.below
    moved += further
    for stems in level.named.values():
        for stem in stems:
            numbers = stem.numbers
            if numbers[0] + moved > chosen[-1] or numbers[-1] + moved < chosen[0]:
                continue
            among = _among(numbers, moved, chosen)
            if among:
                own = f"{path}.{stem.text}" if path else stem.text
                if len(among) == len(numbers):
                    yield own
                else:
                    yield from _covering(stem, own, moved, among)


def _among(numbers: Sequence[int], moved: int, chosen: Sequence[int]) -> Sequence[int]:
    """Return the chosen entries that are among some, whose numbers are moved."""
    if isinstance(numbers, range):
        return chosen[bisect_left(chosen, numbers.start + moved) : bisect_left(chosen, numbers.stop + moved)]
    own = frozenset(numbers)
    return [number for number in chosen if number - moved in own]
