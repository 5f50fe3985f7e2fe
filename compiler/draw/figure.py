"""What a picture of a model shows, before anything has a place: cells, the groups that hold them, and the values that run between."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What a cell stands for."""

    INPUT = "input"
    MODULE = "module"
    OPERATION = "operation"
    PARAMETER = "parameter"
    MEMORY = "memory"  # a state or a buffer that is updated
    GAP = "gap"  # steps left out of a row
    OUTPUT = "output"
    LOSS = "loss"


class Share(Enum):
    """How much of what a cell owns a stage trains."""

    TRAINED = "trained"
    FROZEN = "frozen"
    PART = "trained in part"


@dataclass(frozen=True, slots=True)
class StageNote:
    """A stage as its table says it: rows of a word and what it stands for, in pieces that may stand on lines of their own."""

    name: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


class Flow(Enum):
    """Which way a line runs."""

    DATA = "data"
    BOTH = "read and written"  # a memory, from and to what changes it
    BACK = "written"  # to a memory


@dataclass(slots=True, eq=False)
class Group:
    """A frame around cells: an opened block, the steps of a loop, or all that one task alone needs."""

    title: str
    note: str = ""
    kind: str = ""  # the block's name
    parent: Group | None = None
    times: int = 1
    task: str | None = None
    is_task: bool = False
    is_loop: bool = False
    paths: list[str] = field(default_factory=list[str])
    count: int = 0
    share: Share | None = None
    active: bool = True
    calls: int = 1
    carried: str = ""  # what the steps of a loop hand on beside what runs through them


@dataclass(slots=True, eq=False)
class Cell:
    """One box.  `name` and `members` make its title; `parts` are the kinds of what runs in it, in order; `paths` what it owns."""

    kind: Kind
    name: str
    group: Group | None = None
    members: tuple[str, ...] = ()
    parts: list[str] = field(default_factory=list[str])
    measures: list[str] = field(default_factory=list[str])  # those parts that are losses by themselves
    sources: list[Value] = field(default_factory=list["Value"])
    paths: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    task: str | None = None
    colour: str | None = None  # the task whose colour it has
    times: int = 1
    count: int = 0
    share: Share | None = None
    active: bool = True
    calls: int = 1
    carried: str = ""
    is_block: bool = False
    is_bare: bool = False  # a module without parameters
    is_shared: bool = False  # a task that is left out needs it too
    is_target: bool = False
    is_drawn: bool = False  # at random, where it isn't given
    is_part: bool = False  # of a Sequential: its last member is its place in it

    @property
    def title(self) -> str:
        """Return the name with its members, less the task that the cell stands in."""
        return ".".join([self.name, *(member for member in self.members if member != self.task)])

    @property
    def is_stack(self) -> bool:
        """Tell whether it is drawn as several sheets."""
        return self.times > 1 and self.kind is not Kind.GAP


@dataclass(frozen=True, slots=True)
class Value:
    """Output `index` of a cell, and its type as a label; a memory is drawn above what writes it, however the line runs."""

    cell: Cell
    index: int
    label: str
    flow: Flow = Flow.DATA


@dataclass(slots=True, eq=False)
class Figure:
    """A whole picture."""

    name: str
    count: int
    doc: str
    cells: list[Cell]
    tasks: tuple[str, ...]
    stage: StageNote | None = None


def outer(group: Group | None) -> list[Group]:
    """Return a group and those around it, the innermost first."""
    found: list[Group] = []
    while group is not None:
        found.append(group)
        group = group.parent
    return found
