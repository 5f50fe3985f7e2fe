"""The branches of a tree of what a model owns: its modules and tensors, by the parts of their paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .inspector import Owned
from .members import member_text
from .types import SetAxis


@dataclass(slots=True, eq=False)
class Branch:
    """A module (with one member of each index) or a tensor, of a tree whose entries are `entries`; it grows when it is looked into."""

    name: str
    members: tuple[object, ...]
    sets: tuple[SetAxis, ...]
    path: str
    entries: Sequence[Owned]
    depth: int
    kind: str | None = None
    leaves: list[int] = field(default_factory=list[int])  # numbers of the entries at or below it, in order of birth
    _plain: bool | None = None
    _grown: tuple[list[int], dict[str, dict[tuple[str, ...], Branch]]] | None = None
    _families: dict[str, Family] = field(default_factory=dict[str, "Family"])

    @property
    def own(self) -> list[int]:
        """The entries at this very path; losses of several tasks may share one."""
        return (self._grown or self._grow())[0]

    @property
    def children(self) -> dict[str, dict[tuple[str, ...], Branch]]:
        """What lies right below by name, each name's in order of birth."""
        return (self._grown or self._grow())[1]

    def family(self, name: str) -> Family:
        """Return the branches right below this one that bear a name."""
        found = self._families.get(name)
        if found is None:
            found = self._families[name] = Family(list(self.children[name].values()))
        return found

    def _grow(self) -> tuple[list[int], dict[str, dict[tuple[str, ...], Branch]]]:
        own: list[int] = []
        children: dict[str, dict[tuple[str, ...], Branch]] = {}
        last: object = None
        branch: Branch | None = None
        for number in self.leaves:
            entry = self.entries[number]
            if len(entry.parts) == self.depth:
                own.append(number)
                continue
            part = entry.parts[self.depth]
            if branch is None or part is not last:  # the tensors of one module share their parts, and stand together
                branch, last = self._child(entry, children), part
            branch.leaves.append(number)
        self._grown = own, children
        return self._grown

    def _child(self, entry: Owned, children: dict[str, dict[tuple[str, ...], Branch]]) -> Branch:
        """Return the branch right below this one that an entry belongs to, made at its first entry."""
        name, members = entry.parts[self.depth]
        key = tuple(map(member_text, members))
        named = children.setdefault(name, {})
        branch = named.get(key)
        if branch is None:
            own_path = ".".join((name, *key))
            path = f"{self.path}.{own_path}" if self.path else own_path
            sets = entry.sets[self.depth] if self.depth < len(entry.sets) else ()
            branch = named[key] = Branch(name, members, sets, path, self.entries, self.depth + 1)
        if branch.kind is None and self.depth < len(entry.kinds):
            branch.kind = entry.kinds[self.depth]
        return branch

    @property
    def is_plain(self) -> bool:
        """True where nothing below it is a member of a family."""
        if self._plain is None:
            self._plain = not any(members for number in self.leaves for _, members in self.entries[number].parts[self.depth :])
        return self._plain

    def below(self) -> Iterator[Branch]:
        """Yield every branch below this one, a module before what it holds."""
        for named in self.children.values():
            for branch in named.values():
                yield branch
                yield from branch.below()


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
