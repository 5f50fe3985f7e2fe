"""The branches of a tree of what a model owns: its modules and tensors, by the parts of their paths."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .holdings import Stem
from .members import member_text
from .types import SetAxis


@dataclass(slots=True, eq=False)
class Branch:
    """A module (with one member of each index) or a tensor at a place of a tree; it grows when it is looked into.

    The numbers of its entries are those of its stem, moved.
    """

    name: str
    members: tuple[object, ...]
    sets: tuple[SetAxis, ...]
    path: str
    kind: str | None
    stem: Stem
    moved: int
    _grown: dict[str, dict[tuple[str, ...], Branch]] | None = None
    _families: dict[str, Family] = field(default_factory=dict[str, "Family"])

    @staticmethod
    def at(stem: Stem, around: str, moved: int) -> Branch:
        """Return the branch of a stem below a path."""
        path = f"{around}.{stem.text}" if around else stem.text
        return Branch(stem.name, stem.members, stem.sets, path, stem.kind, stem, moved)

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
    def children(self) -> dict[str, dict[tuple[str, ...], Branch]]:
        """What lies right below by name, each name's in order of birth."""
        if self._grown is None:
            level, moved = self.stem.below
            self._grown = {}
            for stem in level.stems.values():
                self._grown.setdefault(stem.name, {})[stem.key] = Branch.at(stem, self.path, self.moved + moved)
        return self._grown

    def family(self, name: str) -> Family:
        """Return the branches right below this one that bear a name."""
        found = self._families.get(name)
        if found is None:
            found = self._families[name] = Family(list(self.children[name].values()))
        return found

    @property
    def is_plain(self) -> bool:
        """True where nothing below it is a member of a family."""
        return self.stem.is_plain

    def below(self) -> Iterator[Branch]:
        """Yield every branch below this one, a module before what it holds."""
        for named in self.children.values():
            for branch in named.values():
                yield branch
                yield from branch.below()


def covering(around: Branch, chosen: Sequence[int]) -> Iterator[str]:
    """Yield the shortest paths below a branch that name just the chosen entries, which are in order."""
    for named in around.children.values() if chosen else ():
        for branch in named.values():
            leaves = branch.leaves
            among = _among(leaves, chosen)
            if len(among) == len(leaves):
                yield branch.path
            elif among:
                yield from covering(branch, among)


def _among(leaves: Sequence[int], chosen: Sequence[int]) -> Sequence[int]:
    """Return the chosen numbers that are among those of a branch."""
    if isinstance(leaves, range):
        return chosen[bisect_left(chosen, leaves.start) : bisect_left(chosen, leaves.stop)]
    own = frozenset(leaves)
    return [number for number in chosen if number in own]


class Family:
    """Branches of one name whose first `depth` members agree, by the next one; parts of Sequentials by their places."""

    def __init__(self, branches: list[Branch], depth: int = 0) -> None:
        self.branches = branches
        self.depth = depth

    @cached_property
    def groups(self) -> dict[str, Family]:
        """The branches by their next member as text; nothing where they have no more of them."""
        found: dict[str, list[Branch]] = {}
        for branch in self.branches:
            if self.depth < len(branch.members):
                found.setdefault(member_text(branch.members[self.depth]), []).append(branch)
        return {text: Family(branches, self.depth + 1) for text, branches in found.items()}

    @cached_property
    def parts(self) -> dict[str, Family]:
        """What lies right below those that are Sequentials, by its place."""
        found: dict[str, list[Branch]] = {}
        for branch in self.branches:
            for name, named in branch.children.items() if branch.kind == "Sequential" else ():
                found.setdefault(name, []).extend(named.values())
        return {name: Family(branches) for name, branches in found.items()}

    @cached_property
    def present(self) -> dict[str, object]:
        """The next members that there are, by their text: places, where the branches have no members left."""
        return {text: group.branches[0].members[self.depth] for text, group in self.groups.items()} or {text: int(text) for text in self.parts}
