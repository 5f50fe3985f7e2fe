"""See `Checkpoint`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...dsl.diagnostics import closest
from ...dsl.dims import Symbol
from ...dsl.program import Body, Node, NodeKind, Recording, Region
from ..cost import Unsized, symbols_of
from ..graph import Graph, ordered
from ..optimize.gradients import Gradients
from ..optimize.instances import instances
from ..optimize.interface import Journal, Pass
from ..optimize.rebuilding import marked
from ..optimize.recomputing import Chain, Ledger, Planner, Runs
from ..optimize.selecting import selected
from ..paths import covers
from .unrecord import is_extern

ALL = "all"
NOMINAL = 448
"""The size of what has none: 14, 16 and 32 divide it."""
Allowed = Callable[[Body, int], bool]
"""Tells of a call, by its body and number, whether it may be chosen."""


@dataclass(frozen=True, slots=True)
class Checkpoint(Pass):
    """Compute calls of blocks again in the backward pass of training, instead of keeping what they make on the way.

    At most the share `keep` of the bytes stays that all recorded values take, as far as that can be had; calls go first that save the most for
    each multiply-add that is done again.  `sizes` are those of the inputs, `(("B", 8), ("S", 512))`; without them each is 448.
    `where` selects parameters as `tune` does: calls are left alone of modules that hold others.
    Numbers, gradients, draws and statistics are the same; in evaluation nothing is done.  The pass runs last.
    """

    keep: float = 0.5
    where: str = ALL
    sizes: tuple[tuple[str, int], ...] = ()

    marks: ClassVar[bool] = True
    after: ClassVar[tuple[str, ...]] = ("unrecord",)
    fires: ClassVar[Mapping[str, int]] = {"minilm": 3, "unifork:small": 2, "taskprompter:small": 9}

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1:
            raise ValueError(f"`keep` of the pass `checkpoint` is a share above 0 and below 1, not {self.keep}")

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Mark the calls that are recomputed; raises Failure for a selector that matches nothing, ValueError for a size that there isn't."""
        program = graph.program
        if program.only_evaluates:
            journal.decline(program.eval, "the model only evaluates: nothing is kept for a backward pass", program.eval.span)
            return graph
        root = program.training
        gradients = Gradients(program)
        try:
            ledger = Ledger(root, gradients, self._sizes(root))
        except Unsized as error:
            journal.decline(root, f"what is kept can't be counted: {error}", root.span)
            return graph
        chains = tuple(_chains(root, gradients, self._allowed(graph), journal))
        bodies = ordered((root,))
        below = {id(body): frozenset(map(id, ordered((body,)))) for body in bodies}
        planner = Planner(ledger, chains, below)
        whole = planner.whole.most
        found = planner.plan(int(self.keep * whole))
        if found.load.most > self.keep * whole:
            journal.decline(root, f"{_share(found.load.most, whole)} of the bytes stay at least", root.span)
        return marked(graph, dict(_regions(bodies, found.runs, journal))) if any(found.runs.values()) else graph

    def _sizes(self, root: Body) -> Mapping[Symbol, int]:
        """Return the sizes of all symbols."""
        given, known = dict(self.sizes), {symbol.name: symbol for symbol in symbols_of(root)}
        for name in given:
            if name not in known:
                near = closest(name, known)
                have = ", ".join(known) or "none"
                raise ValueError(f"no input has a size `{name}`{f', did you mean `{near}`' if near else ''}: the sizes are {have}")
        return {symbol: given.get(name, NOMINAL) for name, symbol in known.items()}

    def _allowed(self, graph: Graph) -> Allowed:
        """Return what tells of calls whether they are to be left alone, as a module of them holds parameters that aren't selected."""
        if self.where == ALL:
            return lambda body, number: True
        chosen = selected(graph, "where", self.where)
        others = [tensor.path for tensor in graph.census.tensors() if tensor.path not in chosen]
        left = {
            (id(body), number)
            for body, absolute in instances(graph.program)
            for number, node in enumerate(body.nodes)
            if node.body is not None and any(covers(absolute(node.target), path) for path in others)
        }
        return lambda body, number: (id(body), number) not in left


def _chains(root: Body, gradients: Gradients, allowed: Allowed, journal: Journal) -> Iterator[Chain]:
    """Yield the calls that can be recomputed, by what they call."""
    for body in ordered((root,)):
        breaks = frozenset(number for number, node in enumerate(body.nodes) if not _again(body, node))
        found: dict[int, list[int]] = {}
        for number, node in enumerate(body.nodes):
            if node.body is None or not (gradients.records(body, number) and gradients.wants(body, number) and allowed(body, number)):
                continue
            if number in breaks:
                journal.decline(body, f"`{node.target}` {_why(node.body)}", node.span)
            else:
                found.setdefault(id(node.body), []).append(number)
        for calls in found.values():
            callee = body.nodes[calls[0]].body
            if callee is not None:
                yield Chain(body, callee, tuple(calls), breaks)


def _again(body: Body, node: Node) -> bool:
    """Tell whether a step may run twice."""
    if node.kind is NodeKind.DRAW or node.region is not None or is_extern(body, node):
        return False
    return node.body is None or not _why(node.body)


def _why(body: Body) -> str:
    """Say why a body can't run twice, if it can't."""
    found: str | None = body.found.get("recomputed")
    if found is None:
        found = "updates a buffer, which the second run would read" if body.updates else ""
        for node in body.nodes:
            if not found and node.body is not None:
                found = _why(node.body)
            elif not found and is_extern(body, node):
                found = f"calls `{node.target}`, which is extern: it may not do the same twice"
        body.found["recomputed"] = found
    return found


def _regions(bodies: Iterable[Body], runs: Runs, journal: Journal) -> Iterator[tuple[int, Mapping[int, Region]]]:
    """Yield the regions of each body."""
    for body in bodies:
        chosen = runs.get(id(body), ())
        if chosen:
            steps = ((n, Region(Recording.INPUTS, i)) for i, (start, end) in enumerate(chosen) for n in range(start, end + 1))
            yield id(body), {n: region for n, region in steps if not body.nodes[n].is_handed_in}
        for start, end in chosen:
            calls = [f"`{node.target}`" for node in body.nodes[start : end + 1] if node.body is not None]
            journal.fire(body, f"{', '.join(calls)} computed again", body.nodes[start].span)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"
