"""The modules of a program one by one: what each is called, and bodies rewritten for each, so that equal modules may differ after it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace

from ...dsl.program import Body, Node, Program
from ..census import distinct
from ..graph import Graph
from ..paths import is_handed, join, resolve
from .rebuilding import roots, with_roots

Choice = Mapping[int, Hashable]
"""What is done to nodes of one module's body, by their numbers, in values that can be compared."""
Absolute = Callable[[str], str]
"""Gives the absolute path for one of a module's body."""
Choose = Callable[[Body, Absolute], Choice]
Rewrite = Callable[[Body, Choice], Body]


class Modules:
    """The absolute paths of a program's modules, those that blocks were handed too."""

    def __init__(self, program: Program) -> None:
        self._handed: dict[str, Mapping[str, str]] = {"": {}}
        for body in roots(program):
            self._hand(body, "")

    def _hand(self, body: Body, prefix: str) -> None:
        for path, declared in body.modules.items():
            own = join(prefix, path)
            if own not in self._handed:
                self._handed[own] = {name: self.absolute(other, prefix) for name, other in declared.modules.items()}
                for inner in declared.bodies:
                    self._hand(inner, own)

    def absolute(self, target: str, prefix: str) -> str:
        """Return the absolute path for one of the body of the module at `prefix`."""
        return resolve(target, self._handed[prefix]) if is_handed(target) else join(prefix, target)


def instances(program: Program) -> Iterator[tuple[Body, Absolute]]:
    """Yield every body with each module that it is called for, once."""
    modules = Modules(program)
    seen: set[tuple[int, str]] = set()
    stack = [(body, "") for body in reversed(roots(program))]
    while stack:
        body, prefix = stack.pop()
        if (id(body), prefix) not in seen:
            seen.add((id(body), prefix))
            yield body, lambda target, prefix=prefix: modules.absolute(target, prefix)
            called = [(node.body, modules.absolute(node.target, prefix)) for node in body.nodes if node.body is not None]
            stack.extend(reversed(called))


def rebuild_each(graph: Graph, choose: Choose, rewrite: Rewrite) -> Graph:
    """Return the graph with bodies rewritten as is chosen for each module, or the very graph where nothing is chosen.

    `choose` is handed a body as it was, and what gives absolute paths in its module; `rewrite` a body whose calls lead to rewritten ones.
    """
    each = _Each(graph, choose, rewrite)
    new = {id(body): each.of(body, "") for body in roots(graph.program)}
    if all(new[id(body)] is body for body in roots(graph.program)):
        return graph
    return Graph(with_roots(graph.program, new))


class _Each:
    def __init__(self, graph: Graph, choose: Choose, rewrite: Rewrite) -> None:
        self.choose, self.rewrite = choose, rewrite
        self.made: dict[tuple[object, ...], Body] = {}
        self.called: dict[tuple[str, int], list[Body]] = {}
        self.modules = Modules(graph.program)

    def of(self, body: Body, prefix: str) -> Body:
        """Return the body of one module."""
        inner: dict[int, Body] = {}
        for number, node in enumerate(body.nodes):
            if node.body is not None:
                path = self.modules.absolute(node.target, prefix)
                found = inner[number] = self.of(node.body, path)
                known = self.called.setdefault((path, id(node.body)), [])
                if all(found is not other for other in known):
                    known.append(found)
        declared = {path: self._bodies(join(prefix, path), module.bodies) for path, module in body.modules.items()}
        chosen = self.choose(body, lambda target: self.modules.absolute(target, prefix))
        below = (*inner.values(), *(each for bodies in declared.values() for each in bodies))
        key = (id(body), tuple(chosen.items()), *map(id, below))
        made = self.made.get(key)
        if made is None:
            made = self.made[key] = self._rewritten(body, inner, declared, chosen)
        return made

    def _bodies(self, path: str, before: Sequence[Body]) -> tuple[Body, ...]:
        return distinct(new for body in before for new in self.called.get((path, id(body)), (body,)))

    def _rewritten(self, body: Body, inner: Mapping[int, Body], declared: Mapping[str, Sequence[Body]], chosen: Choice) -> Body:
        same = all(made is body.nodes[number].body for number, made in inner.items())
        if not same:
            nodes: list[Node] = [replace(node, body=inner[number]) if number in inner else node for number, node in enumerate(body.nodes)]
            modules = {path: replace(module, bodies=list(declared[path])) for path, module in body.modules.items()}
            body = replace(body, nodes=nodes, modules=modules)
        return self.rewrite(body, chosen) if chosen else body
