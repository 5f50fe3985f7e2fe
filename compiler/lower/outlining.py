"""Steps that are recorded for the backward pass otherwise than the rest become a function of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import fx

from ...dsl.program import Recording
from .code import Code, generate
from .keywords import guard
from .names import imported

REGION, ASIDE = "region", "aside"
"""What a node's `meta` says: the region that it is a step of, and whether it is none: it tells of a value (its size, dtype or device), or gives what
is computed from parameters alone."""


class Outlined:
    """The code of a region, a function of the module that holds its steps and of what they read; known by its text."""

    def __init__(self, recording: Recording, code: Code) -> None:
        self.recording, self.code = recording, code

    def __repr__(self) -> str:
        return f"{self.recording.value} {self.code.source}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Outlined:
        return self

    def targets(self) -> Iterator[str]:
        """Yield the paths of the modules that it calls, and of the tensors that it reads."""
        return targets(self.code.graph)


Hold = Callable[[Outlined], str]
"""Gives the path of a module that runs a region."""


def outlined(graph: fx.Graph, name: str, hold: Hold) -> fx.Graph:
    """Return a graph that calls its regions, or the very graph where it has none."""
    runs = list(_runs(graph))
    return _Outliner(graph, runs, name, hold).write() if runs else graph


def targets(graph: fx.Graph) -> Iterator[str]:
    """Yield the paths of the modules that a graph calls, and of the tensors that it reads."""
    return (str(node.target) for node in graph.nodes if node.op in ("get_attr", "call_module"))


def _runs(graph: fx.Graph) -> Iterator[list[fx.Node]]:
    """Yield the steps of each region, those that stand one after another; one that nothing reads is none."""
    run: list[fx.Node] = []
    for node in graph.nodes:
        if _is_aside(node):
            continue
        if run and node.meta.get(REGION) != run[0].meta[REGION]:
            if _read(run):
                yield run
            run = []
        if REGION in node.meta:
            run.append(node)


def _read(run: Sequence[fx.Node]) -> list[fx.Node]:
    """Return the steps whose values are read from outside."""
    inside = frozenset(run)
    return [node for node in run if _is_read(node, inside)]


def _is_read(node: fx.Node, inside: frozenset[fx.Node]) -> bool:
    """Tell whether a value, or what tells of it, is read from outside."""
    return any(_is_read(user, inside) if _is_aside(user) else user not in inside for user in node.users)


def _is_aside(node: fx.Node) -> bool:
    return node.op == "get_attr" or ASIDE in node.meta


class _Outliner:
    def __init__(self, graph: fx.Graph, runs: Iterable[Sequence[fx.Node]], name: str, hold: Hold) -> None:
        self.old, self.name, self.hold = graph, name, hold
        self.new = fx.Graph()
        self.at: dict[fx.Node, fx.Node] = {}
        self.ends: Mapping[fx.Node, Sequence[fx.Node]] = {run[-1]: run for run in runs}
        self.inside = frozenset(node for run in self.ends.values() for node in run)

    def write(self) -> fx.Graph:
        """Write the graph anew: a call at the end of each region, and what tells of its results behind that."""
        for node in self.old.nodes:
            if node in self.ends:
                self._call(self.ends[node])
            elif node not in self.inside and (not _is_aside(node) or all(read in self.at for read in node.all_input_nodes)):
                self.at[node] = self.new.node_copy(node, self._there)
        for node in reversed(self.new.nodes):
            if _is_aside(node) and not node.users:
                self.new.erase_node(node)
        return self.new

    def _there(self, node: fx.Node) -> fx.Node:
        """Return where a value is in the new graph; what tells of values is written when it is asked for."""
        if node not in self.at:
            self.at[node] = self.new.node_copy(node, self._there)
        return self.at[node]

    def _call(self, run: Sequence[fx.Node]) -> None:
        """Write the steps of a region as a function, and its call."""
        results = _read(run)
        inner, inputs = self._inner(run, results)
        guard(inner, inner.nodes)
        code = generate(self.name, inner, tuple(node.name for node in inputs), tuple(node.name for node in results))
        _, region = run[0].meta[REGION]
        path = self.hold(Outlined(region.recording, code))
        like = results[0]
        called = self.new.create_node("call_module", path, tuple(map(self._there, inputs)), name=like.name if len(results) == 1 else None)
        called.meta.update(place=like.meta.get("place"), stack_trace=like.stack_trace)
        self.at[like] = called
        if len(results) > 1:
            item = imported("operator.getitem")
            self.at.update((node, self.new.create_node("call_function", item, (called, i), name=node.name)) for i, node in enumerate(results))

    def _inner(self, run: Sequence[fx.Node], results: Sequence[fx.Node]) -> tuple[fx.Graph, Sequence[fx.Node]]:
        """Return the graph of a region, and what it reads from outside."""
        inside = frozenset(run)
        inputs = tuple(dict.fromkeys(read for node in run for read in _needs(node, inside)))
        inner = fx.Graph()
        here = {node: inner.placeholder(node.name) for node in inputs}

        def read(node: fx.Node) -> fx.Node:
            if node not in here:
                here[node] = inner.node_copy(node, read)
            return here[node]

        for node in run:
            read(node)
        found = tuple(map(read, results))
        inner.output(found[0] if len(found) == 1 else found).meta["place"] = results[-1].meta.get("place")
        return inner, inputs


def _needs(node: fx.Node, inside: frozenset[fx.Node]) -> Iterator[fx.Node]:
    """Yield what a step of a region reads from outside; what tells of its values is asked for inside."""
    for read in node.all_input_nodes:
        if read in inside or read.op == "get_attr":
            continue
        if _is_aside(read) and _tells_of(read, inside):
            yield from _needs(read, inside)
        else:
            yield read


def _tells_of(node: fx.Node, inside: frozenset[fx.Node]) -> bool:
    return any(read in inside or (_is_aside(read) and _tells_of(read, inside)) for read in node.all_input_nodes)
