"""Names: frames of blocks, tasks and loops, and the rules for reading and binding across them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from .. import ast
from ..program import Member
from ..record import record
from ..source import Span
from ..types import SetAxis
from .builder import Builder
from .context import Poisoned, fail
from .files import File
from .values import POISON, Family, IndexSet, MemberOf, Module, ModuleChain, Value

FrameKind = Literal["block", "task", "for", "repeat", "comprehension"]


@dataclass(slots=True, eq=False)
class Loop:
    """What one `for` or `repeat` keeps between its steps."""

    set: IndexSet
    names: tuple[str, ...]
    carry: frozenset[str]
    born: dict[str, dict[Member, Value]] = field(default_factory=dict[str, dict[Member, Value]])
    read: dict[str, None] = field(default_factory=dict[str, None])  # names looked for beyond this loop
    writes: frozenset[str] = frozenset()  # names whose members its body writes
    varied: bool = False  # this step read its variable or an earlier member: the next one may differ


class Names(dict[str, Value]):
    """What names mean; the index sets among them, whose members may be written bare, are known by themselves."""

    __slots__ = ("sets",)

    def __init__(self) -> None:
        super().__init__()
        self.sets: dict[str, IndexSet] = {}

    def __setitem__(self, name: str, value: Value) -> None:
        super().__setitem__(name, value)
        kind = value.__class__
        if kind is Family or kind is MemberOf:
            self.sets[name] = value.set
        elif kind is IndexSet:
            self.sets[name] = value
        elif self.sets:
            self.sets.pop(name, None)


@dataclass(slots=True, eq=False)
class Frame:
    """One level of names.  A block's frame has no parent: blocks see nothing of their callers."""

    kind: FrameKind
    builder: Builder
    file: File
    parent: Frame | None = None
    loop: Loop | None = None
    member: Member = 0  # of `loop`, where there is one
    names: Names = field(default_factory=Names)
    spans: dict[str, Span] = field(default_factory=dict[str, Span])
    task: str | None = None

    def child(self, kind: FrameKind, loop: Loop | None = None, member: Member = 0) -> Frame:
        return Frame(kind, self.builder, self.file, self, loop, member, task=self.task)

    def members(self) -> tuple[Member, ...]:
        """Return this step's members of all loops around, outermost first: the end of a path born here."""
        found: list[Member] = []
        frame: Frame | None = self
        while frame is not None:
            if frame.loop is not None:
                found.append(frame.member)
            frame = frame.parent
        return tuple(reversed(found))

    def sets(self, extra: int = 0) -> tuple[SetAxis, ...]:
        """Return the declared sets of `members()`, then those of the `extra` innermost binders around."""
        loops: list[SetAxis] = []
        binders: list[SetAxis] = []
        frame: Frame | None = self
        while frame is not None:
            if frame.loop is not None:
                loops.append(SetAxis(frame.loop.set.name, frame.loop.set.declared))
            elif frame.kind == "comprehension" and len(binders) < extra:
                binders.extend(SetAxis(v.set.name, v.set.declared) for v in frame.names.values() if isinstance(v, MemberOf))
            frame = frame.parent
        return (*reversed(loops), *reversed(binders[:extra]))

    def find(self, name: str) -> Value | None:
        """Return the binding of `name` (never POISON: that raises), or None when it is unbound."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                value = frame.names[name]
                self.builder.read.add(name)
                if frame.loop is not None and name in frame.loop.names:
                    frame.loop.varied = True
                if value is POISON:
                    raise Poisoned
                return UNSET if value is None else value
            if frame.loop is not None:
                frame.loop.read[name] = None
                frame.loop.varied |= name in frame.loop.born
                born = frame.loop.born.get(name)
                if born and any(v is POISON for v in born.values()):
                    raise Poisoned
                if born:
                    return Earlier(Family(frame.loop.set, dict(born), name), frame.kind == "for")
            frame = frame.parent
        return None

    def writer(self, name: str, items: Iterable[ast.Expr]) -> Loop | None:
        """Return a `for` between here and the home of `name` that writes members of it, unless its variable is among the `items` of an index."""
        frame: Frame | None = self
        while frame is not None and name not in frame.names:
            loop = frame.loop
            if loop is not None and frame.kind == "for" and name in loop.writes and not any(_is_one_of(loop.names, item) for item in items):
                return loop
            frame = frame.parent
        return None

    def owner(self, name: str) -> Frame | None:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                return frame
            frame = frame.parent
        return None

    def poison(self, name: str) -> None:
        """Make `name` unreadable where a statement here would have bound it."""
        frame: Frame | None = self
        while frame is not None and name not in frame.names:
            crossed = frame.kind in ("for", "repeat", "task") and not (frame.loop is not None and name in frame.loop.carry)
            frame = None if crossed else frame.parent
        (frame or self).names[name] = POISON

    def bind(self, name: str, value: Value, span: Span) -> None:
        """Bind `name` by the rules of loops: carried, a member of a family being born, or plainly new."""
        home = self._home(name, span)
        old = home.names.get(name)
        if isinstance(old, (Module, ModuleChain)) and home is self:
            fail("A106", f"`{name}` is a module already", span, "a module's name is bound once: rename one", _first(home, name))
        if isinstance(value, (Module, ModuleChain)) and name in home.names and not (isinstance(old, Family) and old.loop_born):
            fail("A106", f"`{name}` is bound already, and a module's name is new", span, "rename the module", _first(home, name))
        if isinstance(old, MemberOf) and home.loop is not None and name in home.loop.names:
            fail("A405", f"`{name}` is this loop's variable", span, "choose another name")
        home.names[name] = value
        home.spans[name] = span

    def _home(self, name: str, span: Span) -> Frame:
        frame: Frame | None = self
        crossed: list[Frame] = []
        while frame is not None:
            if name in frame.names:
                return self._crossing(frame, crossed, name, span) or self
            if frame.kind == "task":
                return self  # a task is a scope: what it binds is its own
            if frame.kind in ("for", "repeat"):
                crossed.append(frame)
            frame = frame.parent
        return self

    def _crossing(self, home: Frame, crossed: list[Frame], name: str, span: Span) -> Frame | None:
        """Return the frame to bind in when loops lie between; None: start a new family in the innermost."""
        for frame in crossed:
            loop = frame.loop
            assert loop is not None
            if frame.kind == "repeat" and name in loop.carry:
                continue
            old = home.names[name]
            if old is POISON:
                return None
            if isinstance(old, Family) and old.loop_born and name not in loop.read:
                return None
            if isinstance(old, Family) and _modules(old):
                return None
            labels = _first(home, name)
            if frame.kind == "repeat":
                carry = ", ".join([*sorted(loop.carry), name])
                help = f"write `carry {carry}` before the brace to hand `{name}` from step to step, or choose a new name"
                fail("A401", f"`{name}` is bound before the loop and rebound inside, but not carried", span, help, labels)
            help = f"steps of a `for` are independent: choose a new name, write `{name}[{loop.names[0]}] = ...`, or use `repeat ... carry {name}`"
            fail("A402", f"`{name}` is bound before the loop and rebound inside a `for`", span, help, labels)
        return home


def _is_one_of(names: tuple[str, ...], item: ast.Expr) -> bool:
    return isinstance(item, ast.Name) and item.id in names


def _first(home: Frame, name: str) -> list[tuple[Span, str]]:
    span = home.spans.get(name)
    return [(span, f"`{name}` is bound here")] if span is not None else []


def _modules(family: Family) -> bool:
    values = list(family.members.values())
    return bool(values) and all(isinstance(v, (Module, ModuleChain)) or (isinstance(v, Family) and _modules(v)) for v in values)


class Unset:
    """A name bound to `none`."""


UNSET = Unset()


@record
class Earlier:
    """A name that earlier steps of the loop around have bound and this one has not: readable by index."""

    family: Family
    independent: bool  # steps of a `for` don't see each other


def close_loop(frame: Frame, loop: Loop) -> None:
    """Make families of the names that a finished loop has born, in the frame around it."""
    for name, members in loop.born.items():
        if any(value is POISON for value in members.values()):
            frame.names[name] = POISON
            continue
        family = Family(loop.set, members, name, loop_born=True)
        old = frame.names.get(name)
        if isinstance(old, Family) and _modules(old) and _modules(family) and not set(old.members) & set(members):
            both = (*old.set.members, *(m for m in loop.set.members if m not in old.set.members))
            family = Family(IndexSet.of(f"{old.set.name} + {loop.set.name}", both), {**old.members, **members}, name, loop_born=True)
        frame.names[name] = family
