"""Open claims, about parts of tensors that no path decides: where they stand, and which values a test of them looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..dsl.program import Body, EntryPlan, NodeKind, Program, Ref
from ..dsl.record import record
from ..dsl.source import Span
from .graph import Graph, callees
from .paths import is_handed, join, resolve


@record
class Root:
    """A body that runs from the border, in words (`in training`), and whether in train mode."""

    words: str
    body: Body
    training: bool


def roots(program: Program) -> Iterator[Root]:
    """Yield the model's bodies, those of its entries, and those of stages that set other arguments; training where it differs."""
    plans = [("", EntryPlan("", program.eval, program.train))]
    plans += [(f"in the entry `{name}`", plan) for name, plan in program.entries.items()]
    plans += [(f"in the stage `{name}`", plan) for name, plan in program.variants.items()]
    for words, plan in plans:
        yield Root(words, plan.eval, False)
        if plan.train is not None and plan.train is not plan.eval:
            yield Root(f"{words}, in training".removeprefix(", "), plan.train, True)


@record
class Site:
    """One call of a body that claims something: the path of its instance, and how many calls of it an evaluation makes before."""

    body: Body
    prefix: str
    handed: Mapping[str, str]
    turn: int

    def path(self, target: str) -> str:
        """Return a path of the body as an absolute one."""
        return resolve(target, self.handed) if is_handed(target) else join(self.prefix, target)


class Sites:
    """Finds the calls of bodies that claim something below a root, in the order in which they run."""

    def __init__(self, root: Body) -> None:
        self.root = root
        self._holding: dict[int, bool] = {}
        self._turns: dict[int, int] = {}
        self._handed: dict[str, dict[str, str]] = {}

    def __iter__(self) -> Iterator[Site]:
        self._turns.clear()
        return self._walk(self.root, "", {})

    def _walk(self, body: Body, prefix: str, handed: Mapping[str, str]) -> Iterator[Site]:
        turn = self._turns.get(id(body), 0)
        self._turns[id(body)] = turn + 1
        here = Site(body, prefix, handed, turn)
        if body.claims:
            yield here
        for declared in body.modules.values():
            if declared.modules:
                self._handed[here.path(declared.path)] = {name: here.path(made) for name, made in declared.modules.items()}
        for node in body.nodes:
            if node.kind is NodeKind.CALL and node.body is not None and self._holds(node.body):
                target = here.path(node.target)
                yield from self._walk(node.body, target, self._handed.get(target, {}))

    def _holds(self, body: Body) -> bool:
        """Tell whether a body or what it calls claims something."""
        found = self._holding.get(id(body))
        if found is None:
            found = self._holding[id(body)] = bool(body.claims) or any(self._holds(node.body) for node in body.nodes if node.body is not None)
        return found


Key = tuple[int, int]
"""A value of a body: number of the node, and of its output."""


class Watch:
    """Names the values that a test looks at, and those that it holds fixed: the inputs of bodies that claim something."""

    def __init__(self, bodies: Sequence[Root]) -> None:
        self._keys: dict[int, dict[Key, str]] = {}
        self._kept: list[Body] = []  # bodies are known by identity, so they must live
        seen: set[int] = set()
        waiting = [root.body for root in bodies]
        while waiting:
            body = waiting.pop()
            if id(body) not in seen:
                seen.add(id(body))
                self._kept.append(body)
                waiting.extend(callees(body))
                self._add(body)

    def _add(self, body: Body) -> None:
        parts = [part for claim in body.claims for part in (claim.value, *claim.others)]
        refs = [part.source for part in parts if isinstance(part.source, Ref)]
        refs += [Ref(declared.node) for declared in body.inputs] if parts else []
        if refs:
            number = len(self._keys)
            self._keys[id(body)] = {(ref.node, ref.index): f"{number}.{ref.node}.{ref.index}" for ref in refs}

    def __call__(self, body: Body) -> Mapping[Key, str]:
        """Return the names of the watched values of a body."""
        return self._keys.get(id(body), {})

    def key(self, body: Body, ref: Ref) -> str:
        """Return the name of a watched value."""
        return self._keys[id(body)][ref.node, ref.index]


@record
class Open:
    """One claim of the text, and in how many calls it stands."""

    text: str
    span: Span
    times: int


def open_claims(program: Program) -> tuple[Open, ...]:
    """Return the claims of a model that a test of values must decide, in the order of their places."""
    graph = Graph(program)
    claiming = [body for body in graph.bodies if body.claims]
    found: dict[tuple[str, int], Open] = {}
    for calls in (graph.calls(root) for root in graph.roots if claiming):
        times: dict[tuple[str, int], int] = {}
        standing = [(body, claim) for body in claiming for claim in body.claims if calls[id(body)]]
        for body, claim in standing:
            place = (claim.span.source.name, claim.span.start)
            times[place] = times.get(place, 0) + calls[id(body)]
            found[place] = Open(claim.text, claim.span, max(times[place], found[place].times if place in found else 0))
    return tuple(found[place] for place in sorted(found))
