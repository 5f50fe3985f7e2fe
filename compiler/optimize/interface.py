"""What a pass is: a graph in, a graph out, and a journal of where it applied and where it did not, and why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from ...dsl.program import Body
from ...dsl.record import record
from ...dsl.source import Span
from ..graph import Graph

ONLY_EVALUATES = "only evaluates, without losses and stages: passes have folded what training needs; optimize it by `none` or `default`"


class Keeps(Enum):
    """What stays equal after a pass."""

    TRAINING = "numbers and gradients, in evaluation and training"
    EVALUATION = "numbers in evaluation; the model can't be trained any more"


@record
class Event:
    """A place of the text, and what a pass did there or why it did nothing."""

    block: str
    what: str
    span: Span

    def __str__(self) -> str:
        return f"{self.span}: in `{self.block}`: {self.what}"


@dataclass(slots=True)
class Journal:
    """What one run of a pass did, and what it left alone where one might have hoped."""

    fired: list[Event] = field(default_factory=list[Event])
    declined: list[Event] = field(default_factory=list[Event])

    def fire(self, body: Body, what: str, span: Span) -> None:
        """Note that the pass applied."""
        self.fired.append(Event(body.name, what, span))

    def decline(self, body: Body, why: str, span: Span) -> None:
        """Note why the pass did not apply."""
        self.declined.append(Event(body.name, why, span))


@dataclass(frozen=True, slots=True)
class Pass(ABC):
    """One rewriting of a graph.  A subclass is a frozen dataclass, alone in its file of `compiler/passes/`; its fields are its options,
    its docstring says what it does.  No graph is changed: what a pass changes it makes anew.
    """

    keeps: ClassVar[Keeps] = Keeps.TRAINING
    tolerance: ClassVar[float] = 1e-5
    """The largest error of any value in float32, relative to the largest entry of its tensor."""
    fires: ClassVar[Mapping[str, int]] = {}
    """How often it fires in examples, by the file's name: `unifork`, or `unifork:small` for a preset; in its own text where no example has what it
    looks for."""
    after: ClassVar[tuple[str, ...]] = ()
    """Names of passes that must run before it where both do."""
    marks: ClassVar[bool] = False
    """Whether it says of steps alone how they are recorded: it runs behind all that rewrite steps."""
    leaves_out: ClassVar[bool] = False
    """Whether results or tensors that the text has may be gone after it."""
    tried: ClassVar[str] = ""
    """Its options where it runs for the sake of `fires`."""
    example: ClassVar[tuple[str, ...]] = ()
    """Names of passes that make what it looks for: they run before it where it runs for the sake of `fires`."""

    @abstractmethod
    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Return the rewritten graph, or the very graph where there is nothing to do."""

    def error(self) -> float:
        """Return the stated error with these options."""
        return self.tolerance

    @classmethod
    def name(cls) -> str:
        """Return the name by which it is asked for: that of its file."""
        return cls.__module__.rpartition(".")[2]
