"""The parameters that an option of a pass selects: `where = "decoder.*"`."""

from __future__ import annotations

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.elaborate.asked import asked
from ...dsl.selection import Tree
from ..check import library
from ..graph import Graph
from ..inspector import GraphInspector
from .rebuilding import roots


def selected(graph: Graph, option: str, text: str) -> frozenset[str]:
    """Return the absolute paths of the parameters and buffers that a selector matches; Failure where it matches nothing."""
    bodies = roots(graph.program)
    inspector = GraphInspector()
    entries = {own.path: own for body in bodies for own in inspector.owned(body)}
    tree = Tree(entries.values(), tasks=graph.program.tasks, bodies=bodies)
    for first, second in graph.census.ties:
        tree.unite(first, second)
    found = asked(option, text, tree, library())
    if isinstance(found, Diagnostic):
        raise Failure((found,))
    return frozenset(tree.entries[number].path for number in tree.spread(found))
