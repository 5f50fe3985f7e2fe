"""What the oracle computes with: numbers that are known late, index sets, families, records, modules; and the ways a text can be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from torch import nn

from archloom.dsl import ast


class Wrong(Exception):
    """The text can't run; `kind` is `text` where no size matters, `run` where torch refused, `values` where a value is outside a table."""

    def __init__(self, reason: str, kind: str = "text") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class Unknown(Exception):
    """The oracle has no meaning for a construct."""


class Outside(Exception):
    """A `require` of the model excludes the sizes that were tried."""


class Whole:
    """What is itself, whatever it holds, and is told by its sort alone: in circles it may hold all of a run, with every number in it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"a {type(self).__name__}"


@dataclass(frozen=True, slots=True)
class Late:
    """A number or truth that depends on sizes of the batch: exact, and no help to `if`, ranges and shapes of parameters."""

    value: Any


@dataclass(frozen=True, slots=True)
class Set:
    """An index set; `declared` are the members among which positions are counted."""

    members: tuple[Any, ...]
    declared: tuple[Any, ...]
    name: str = ""

    @staticmethod
    def of(members: tuple[Any, ...], name: str = "") -> Set:
        for member in members:
            if not isinstance(member, (int, str, float, tuple, Fraction)) or isinstance(member, bool):
                raise Wrong(f"{member!r} is no member")
        if len(set(map(repr, members))) != len(members):
            raise Wrong(f"a member stands twice in {members}")
        return Set(members, members, name)

    def cut(self, members: tuple[Any, ...]) -> Set:
        return Set(members, self.declared, self.name)


@dataclass(frozen=True, slots=True)
class Member:
    """A member that knows its set: the variable of a loop, or a word found in a set."""

    key: Any
    set: Set

    @property
    def position(self) -> int:
        return self.set.declared.index(self.key)


@dataclass(frozen=True, slots=True)
class Choice:
    """The value of an enum parameter."""

    word: str
    words: tuple[str, ...]


@dataclass(slots=True, eq=False, repr=False)
class Family(Whole):
    """Values by member; `loop` where a loop bound them, so that they are never read bare."""

    set: Set
    members: dict[Any, Any]
    loop: bool = False
    read: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Result(Whole):
    """What a block with several outputs gives."""

    fields: dict[str, Any]


@dataclass(slots=True, eq=False, repr=False)
class File(Whole):
    """A text: its items and what it imports, by name."""

    name: str
    items: Mapping[str, ast.Item]
    imports: Mapping[str, tuple[tuple[str, ...], str, bool]]
    definitions: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True, eq=False, repr=False)
class Maker(Whole):
    """A block, leaf, operation or function that can be called, perhaps with arguments given: `Norm(eps = 1e-6, ...)`."""

    name: str
    file: File | None = None
    tree: Any = None
    given: tuple[tuple[str | None, Any], ...] = ()
    leaf: bool = False
    open: tuple[int, ...] = ()

    @property
    def makes(self) -> bool:
        return self.name[:1].isupper()


@dataclass(slots=True, eq=False, repr=False)
class Made(Whole):
    """A module: a block with its arguments, or a torch module; without a path until a statement names it."""

    maker: Maker
    arguments: dict[str, Any]
    path: tuple[str, ...] | None = None
    module: nn.Module | None = None
    parts: list[Any] = field(default_factory=list[Any])
    children: dict[tuple[str, ...], Made] = field(default_factory=dict[tuple[str, ...], "Made"])
    own: dict[str, Any] = field(default_factory=dict[str, Any])
    calls: int = 0
    last: dict[str, Any] = field(default_factory=dict[str, Any])
    home: Any = None
    words: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    sets: tuple[Set, ...] = ()
    task: str | None = None
    ran: set[int] = field(default_factory=set[int])  # its statements that have run
    lost: set[str] = field(default_factory=set[str])  # the names of its losses

    def take(self, other: Made) -> None:
        """Own what the same module owns in the other mode, too: both are views of one set of parameters."""
        self.own = {**other.own, **self.own}
        self.module = self.module or other.module
        for name, child in other.children.items():
            self.children.setdefault(name, child).take(child)


def plain(value: Any) -> Any:
    """Return a member as the number or word that it is."""
    return value.key if isinstance(value, Member) else value.word if isinstance(value, Choice) else value


def tidy(value: Any) -> Any:
    """Return whole fractions as ints."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    if isinstance(value, Late) and isinstance(value.value, Fraction) and value.value.denominator == 1:
        return Late(value.value.numerator)
    return value


def number(value: Any) -> Any:
    """Return what a value counts as in arithmetic: a member its number, or the place of its name."""
    if isinstance(value, Member):
        return value.key if isinstance(value.key, (int, float)) else value.position
    return value


def now(value: Any, what: str) -> Any:
    """Return a number known while the text is read."""
    value = tidy(number(value))
    if isinstance(value, Late):
        raise Wrong(f"{what} must be known while the text is read", "late")
    return value


def whole(value: Any, what: str) -> int:
    """Return a whole number known while the text is read."""
    value = now(value, what)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"{what} is no whole number: {value!r}")
    return value


def size(value: Any, what: str) -> int:
    """Return the size that a dimension has in this run; one that is no whole number at it breaks the run alone."""
    late = isinstance(value, Late)
    value = tidy(value.value if isinstance(value, Late) else number(value))
    if isinstance(value, Set):
        return len(value.members)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"{what} is no whole number: {value!r}", "run" if late else "text")
    return value
