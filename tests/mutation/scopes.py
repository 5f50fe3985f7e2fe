# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's names: frames of blocks, tasks and loops, and what may be bound and read across them (docs/language.md, families)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .values import Family, File, Made, Member, Set, Whole, Wrong

MISSING = object()


@dataclass(slots=True, eq=False, repr=False)
class Loop(Whole):
    """A running loop: its set, variables, carried names, and what its steps have bound."""

    set: Set
    names: tuple[str, ...]
    carry: frozenset[str]
    written: frozenset[str]
    born: dict[str, dict[Any, Any]] = field(default_factory=dict[str, dict[Any, Any]])
    read: set[str] = field(default_factory=set[str])


@dataclass(slots=True, eq=False, repr=False)
class Body(Whole):
    """One call of a block, or the model: what it owns and gives."""

    world: Any
    made: Made
    file: File
    kind: str = "block"
    outs: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    tasks: dict[Any, Frame] = field(default_factory=dict[Any, "Frame"])
    losses: dict[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])
    dots: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    claims: list[tuple[Any, Frame]] = field(default_factory=list[tuple[Any, "Frame"]])
    maps: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list[tuple[str, tuple[Any, ...]]])
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    births: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    inputs: list[Any] = field(default_factory=list[Any])
    results: dict[Any, dict[str, Any]] = field(default_factory=dict[Any, dict[str, Any]])
    updated: set[Any] = field(default_factory=set[Any])
    parts: dict[str, Any] = field(default_factory=dict[str, Any])
    slot: str | None = None
    apart: bool = False
    read: set[str] = field(default_factory=set[str])
    words: dict[str, Any] = field(default_factory=dict[str, Any])
    holdings: Any = None  # what it owns, while the claims about it are judged


@dataclass(slots=True, eq=False, repr=False)
class Frame(Whole):
    """One level of names."""

    kind: str
    body: Body
    parent: Frame | None = None
    loop: Loop | None = None
    member: Any = None
    names: dict[str, Any] = field(default_factory=dict[str, Any])
    task: Any = None

    def child(self, kind: str, loop: Loop | None = None, member: Any = None) -> Frame:
        return Frame(kind, self.body, self, loop, member, task=self.task)

    def chain(self) -> list[Frame]:
        frame: Frame | None = self
        found: list[Frame] = []
        while frame is not None:
            found.append(frame)
            frame = frame.parent
        return found

    def members(self) -> tuple[Any, ...]:
        """Return the members of the loops around, outermost first: the end of a path born here."""
        return tuple(f.member for f in reversed(self.chain()) if f.loop is not None)

    def sets(self) -> tuple[Set, ...]:
        """Return the sets of the loops around, outermost first."""
        return tuple(f.loop.set for f in reversed(self.chain()) if f.loop is not None)

    def owner(self, name: str) -> Frame | None:
        return next((f for f in self.chain() if name in f.names), None)

    def find(self, name: str) -> Any:
        """Return a binding, the steps so far of a loop that binds it, or MISSING."""
        for frame in self.chain():
            if name in frame.names:
                self.body.read.add(name)
                return frame.names[name]
            if frame.loop is not None:
                frame.loop.read.add(name)
                if frame.loop.born.get(name):
                    self.body.read.add(name)
                    return Steps(frame)
        return MISSING

    def bind(self, name: str, value: Any) -> None:
        """Bind by the rules of loops."""
        home = self._home(name)
        old = home.names.get(name, MISSING)
        if isinstance(old, Made) and home is self:
            raise Wrong(f"{name} is a module already")
        if isinstance(value, Made) and old is not MISSING and not (isinstance(old, Family) and old.loop):
            raise Wrong(f"a module's name, {name}, is new")
        if home.loop is not None and name in home.loop.names:
            raise Wrong(f"{name} is a loop's variable")
        home.names[name] = value

    def _home(self, name: str) -> Frame:
        crossed: list[Frame] = []
        for frame in self.chain():
            if name in frame.names:
                return self._crossing(frame, crossed, name)
            if frame.kind == "task":
                return self
            if frame.loop is not None:
                crossed.append(frame)
        return self

    def _crossing(self, home: Frame, crossed: list[Frame], name: str) -> Frame:
        for frame in crossed:
            assert frame.loop is not None
            if frame.kind == "repeat" and name in frame.loop.carry:
                continue
            old = home.names[name]
            if isinstance(old, Family) and old.loop and (name not in frame.loop.read or modules(old)):
                return self
            raise Wrong(f"{name} is rebound in a loop without being carried")
        return home


@dataclass(slots=True, eq=False)
class Steps:
    """A name that earlier steps of a loop have bound and this one has not."""

    frame: Frame


def modules(value: Any) -> bool:
    if isinstance(value, Family):
        return bool(value.members) and all(modules(v) for v in value.members.values())
    return isinstance(value, Made)


def close(frame: Frame, loop: Loop) -> None:
    """Make families of what a finished loop has bound."""
    for name, members in loop.born.items():
        family = Family(loop.set, members, loop=True)
        old = frame.names.get(name)
        if isinstance(old, Family) and modules(old) and modules(family) and not set(old.members) & set(members):
            both = (*old.set.members, *(m for m in loop.set.members if m not in old.set.members))
            family = Family(Set(both, both), {**old.members, **members}, loop=True)
        frame.names[name] = family


def sets(frame: Frame) -> list[Set]:
    """Return the index sets whose members may be written bare."""
    found: list[Set] = []
    for level in frame.chain():
        for value in level.names.values():
            value = value.set if isinstance(value, (Family, Member)) else value
            if isinstance(value, Set):
                found.append(value)
    return found
