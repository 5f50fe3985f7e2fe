"""The state of one elaboration: where diagnostics go, what has been elaborated already, and the limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from ..diagnostics import Diagnostic, Label, Severity, closest
from ..inspector import Inspector
from ..limits import Limits, exceeded
from ..primitive import Library
from ..source import Span

if TYPE_CHECKING:
    from ..selection import Tree
    from .files import Files
    from .kept import Elaborated


class Problem(Exception):
    """Carries one diagnostic from inside an expression to the statement that holds it; never leaves the elaborator."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Poisoned(Exception):
    """An expression read a value whose own statement failed: that was reported already."""


def fail(code: str, message: str, span: Span, help: str | None = None, labels: Iterable[tuple[Span, str]] = ()) -> NoReturn:
    """Stop the statement at hand with an error."""
    raise Problem(Diagnostic(code, message, span, tuple(Label(s, t) for s, t in labels), help))


def too_long(error: OverflowError, span: Span) -> Diagnostic:
    """Return the error for a size that takes too many terms to write."""
    return Diagnostic(
        "A204", f"`{span.text.splitlines()[0]}` makes {error}", span, (), "compute with fewer symbols, or make some of the sizes parameters"
    )


def too_deep(span: Span) -> Diagnostic:
    """Return the error for blocks and expressions that nest deeper than can be followed."""
    return Diagnostic(
        "A805", "blocks and expressions nest too deep here", span, (), "give inner parts names of their own, and put fewer blocks in blocks"
    )


def suggest(word: str, candidates: Iterable[str], otherwise: str | None = None) -> str | None:
    """Return "did you mean `x`?" if a candidate is near, else `otherwise`."""
    near = closest(word, candidates)
    return f"did you mean `{near}`?" if near else otherwise


WIDTH = 64
"""How many characters of a text are evaluated in one step, so that a long expression in a loop counts as what it is."""


@dataclass(slots=True, eq=False)
class Spent:
    """What the elaboration of one file has taken so far, all models, presets, modes and entries together."""

    steps: int = 0
    nodes: int = 0
    exhausted: bool = False  # a limit is reached: nothing more is elaborated
    recalled: bool = False  # what presets came to is taken from an earlier check, so that what they share with others may count twice


@dataclass(slots=True, eq=False)
class Context:
    """Shared by everything that one call of `elaborate` does, for one mode (`training`) and one entry."""

    library: Library
    files: Files
    diagnostics: list[Diagnostic] = field(default_factory=list[Diagnostic])
    training: bool = False
    entry: str | None = None
    memo: dict[Any, Any] = field(default_factory=dict[Any, Any])  # Elaborated by what they depend on
    stack: list[tuple[str, Span]] = field(default_factory=list[tuple[str, Span]])
    active: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    making: list[Elaborated] = field(default_factory=list["Elaborated"])  # the blocks at hand, the innermost last
    spent: Spent = field(init=False)
    limits: Limits = field(init=False)  # what the text may take
    reports: int = 0  # those left out because they were made already, too
    bulks: dict[int, tuple[Any, int]] = field(default_factory=dict[int, tuple[Any, int]])  # what static values hold, by their identity
    seen: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])
    inspector: Inspector | None = None
    trees: dict[tuple[int, ...], tuple[Any, Tree]] = field(default_factory=dict[tuple[int, ...], "tuple[Any, Tree]"])  # what bodies own

    def __post_init__(self) -> None:
        self.spent, self.limits = self.files.spent, self.files.limits

    def mode(self, training: bool = False, entry: str | None = None) -> Context:
        """Return a context for another mode of the same program: the same diagnostics, and the same memo, whose keys name the mode."""
        other = Context(self.library, self.files, self.diagnostics, training, entry, self.memo)
        other.seen, other.inspector, other.trees = self.seen, self.inspector, self.trees
        return other

    def enter(self, name: str, item: Any) -> None:
        """Begin the elaboration of an item; `active.pop()` ends it."""
        self.active.append((name, item))
        self.files.reached.add(id(item))

    def report(self, diagnostic: Diagnostic) -> None:
        """Keep a diagnostic, once for each place and message, with the calls that led to it."""
        self.reports += 1
        key = (diagnostic.code, diagnostic.span.source.name, diagnostic.span.start, diagnostic.span.end)
        if key in self.seen:
            return
        self.seen.add(key)
        diagnostic = self._placed(diagnostic)
        self.diagnostics.append(diagnostic)
        self.files.report(diagnostic)

    def _placed(self, diagnostic: Diagnostic) -> Diagnostic:
        """Return a diagnostic with the uses that led to it; one inside a library block is placed at the user's own call of it."""
        uses = [(name, span) for name, span in reversed(self.stack) if span.source.text]
        trail = [Label(span, f"in this use of `{name}`") for name, span in uses]
        own = next((i for i, (_, span) in enumerate(uses) if self.files.is_local(span.source)), None)
        if own is None or self.files.is_local(diagnostic.span.source):
            known = any(label.span == trail[0].span for label in diagnostic.labels) if trail else True
            return diagnostic if known else replace(diagnostic, labels=(*diagnostic.labels, *trail[:3]))
        name, span = uses[own]
        inside = Label(diagnostic.span, f"found here, inside `{uses[0][0]}`")
        labels = (inside, *diagnostic.labels, *trail[:own], *trail[own + 1 : 3])
        return replace(diagnostic, span=span, message=f"in `{name}`: {diagnostic.message}", labels=labels)

    def warn(self, code: str, message: str, span: Span, help: str | None = None) -> None:
        self.report(Diagnostic(code, message, span, (), help, Severity.WARNING))

    @property
    def failed(self) -> bool:
        return any(d.severity is Severity.ERROR for d in self.diagnostics)

    def count_node(self, span: Span) -> None:
        """Count one operation, and stop a program that has too many."""
        self.spent.nodes += 1
        if self.spent.nodes > self.limits.operations:
            self.exhaust("operations", f"this program has more than {self.limits.operations:,} operations", span, "make the index sets smaller")

    def step(self, span: Span, cost: int = 1) -> None:
        """Count what one step costs, and stop a program that takes too many."""
        self.spent.steps += cost
        if self.spent.steps > self.limits.steps:
            help = "make the index sets smaller, or the calls of functions and blocks fewer"
            self.exhaust("steps", f"this program takes more than {self.limits.steps:,} steps to elaborate", span, help)

    def exhaust(self, name: str, message: str, span: Span, help: str) -> NoReturn:
        """Stop the whole elaboration at a limit; it is said once."""
        if self.spent.exhausted:
            raise Poisoned
        self.spent.exhausted = True
        raise Problem(exceeded(name, message, span, help))
