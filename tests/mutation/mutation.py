"""One change to a text, the texts that are changed, and the registry of kinds of change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import zip_longest
from random import Random
from typing import Any

from archloom.dsl import ast
from archloom.dsl.parser import parse
from archloom.dsl.source import Source


@dataclass(frozen=True)
class Mutation:
    """A change: the characters from `start` to `end` become `text`."""

    kind: str
    start: int
    end: int
    text: str

    def apply(self, text: str) -> str:
        return text[: self.start] + self.text + text[self.end :]


@dataclass(frozen=True, eq=False)
class Site:
    """A node of a text with the nodes around it, nearest last."""

    node: Any
    around: tuple[Any, ...]

    @property
    def text(self) -> str:
        return self.node.span.text

    def inside(self, *kinds: type) -> Any:
        """Return the nearest node around of some kinds, or None."""
        return next((n for n in reversed(self.around) if isinstance(n, kinds)), None)


@dataclass(eq=False)
class Base:
    """A text that is right: its model, the arguments and sizes that it is tried with, and where the runs of it went."""

    name: str
    text: str
    model: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    preset: str | None = None
    whole: bool = False
    dims: Mapping[str, int] = field(default_factory=dict[str, int])
    sizes: list[Mapping[str, int]] = field(default_factory=list[Mapping[str, int]])
    ran: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    modal: bool = False
    conditional: bool = False  # so is `check`'s verdict on it
    sites: list[Site] = field(default_factory=list[Site])
    bound: dict[int, list[str]] = field(default_factory=dict[int, list[str]])

    def read(self) -> None:
        """Find the sites of the text."""
        self.sites = [s for raw in parse(Source(self.name, self.text)).items if raw.tree is not None for s in walk(raw.tree, ())]

    def of(self, *kinds: type, ran: bool = True) -> Iterator[Site]:
        """Yield the sites of some kinds, those alone that a run came by."""
        for site in self.sites:
            if isinstance(site.node, kinds) and (not ran or (site.node.span.start, site.node.span.end) in self.ran):
                yield site


def walk(node: Any, around: tuple[Any, ...]) -> Iterator[Site]:
    """Yield a node and all nodes in it."""
    if isinstance(node, (tuple, list)):
        for part in node:
            yield from walk(part, around)
    elif isinstance(node, ast.Node):
        yield Site(node, around)
        for entry in fields(node):
            if entry.name != "span":
                yield from walk(getattr(node, entry.name), (*around, node))


Kind = Callable[[Base, Random], Iterator[tuple[int, int, str]]]

KINDS: dict[str, list[Kind]] = {}


def kind(function: Kind) -> Kind:
    """Register a kind of change: it yields start, end and new text of each change that it knows for a text."""
    KINDS.setdefault(function.__name__.rstrip("_"), []).append(function)
    return function


def also(name: str) -> Callable[[Kind], Kind]:
    """Register further changes of a kind, such that a careful writer makes: many of them leave a text right."""

    def register(function: Kind) -> Kind:
        KINDS.setdefault(name, []).append(function)
        return function

    return register


def mutants(base: Base, name: str, seed: int) -> list[Mutation]:
    """Return the changes of one kind to a text, each new text once: in a seeded order, in which the functions of the kind take turns."""
    random = Random(f"{base.name} {name} {seed}")
    groups = [_changes(base, name, function, random) for function in KINDS[name]]
    for group in (*groups, groups):
        random.shuffle(group)
    turns = [m for turn in zip_longest(*groups) for m in turn if m is not None]
    return list({hash(m.apply(base.text)): m for m in reversed(turns)}.values())[::-1]


def _changes(base: Base, name: str, function: Kind, random: Random) -> list[Mutation]:
    found = (Mutation(name, *change) for change in function(base, random))
    return [m for m in found if m.text != base.text[m.start : m.end]]


def distinct(base: Base, seed: int) -> dict[str, list[Mutation]]:
    """Return all changes to a text by kind; what several kinds make is of the one that makes least."""
    found = {name: mutants(base, name, seed) for name in KINDS}
    seen: set[int] = set()
    for name in sorted(found, key=lambda n: len(found[n])):
        own = [(hash(m.apply(base.text)), m) for m in found[name]]
        found[name] = [m for text, m in own if text not in seen]
        seen.update(text for text, _ in own)
    return found
