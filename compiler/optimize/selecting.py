"""The parameters that an option of a pass selects: `where = "decoder.*"`."""

from __future__ import annotations

from collections.abc import Sequence

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.elaborate.asked import asked
from ...dsl.members import member_text
from ...dsl.program import Program
from ...dsl.selection import Tree
from ..check import library
from ..graph import Graph
from ..inspector import GraphInspector
from .rebuilding import roots


def selected(graph: Graph, option: str, text: str) -> frozenset[str]:
    """Return the absolute paths of the parameters and buffers that a selector matches; Failure where it matches nothing."""
    bodies = roots(graph.program)
    tree = Tree(GraphInspector().holding(*bodies), tasks=graph.program.tasks, bodies=bodies)
    for first, second in graph.census.ties:
        tree.unite(first, second)
    found = asked(option, text, tree, library())
    if isinstance(found, Diagnostic):
        raise Failure((found,))
    return frozenset(tree.entries[number].path for number in tree.spread(found))


def spelt(program: Program) -> dict[str, str]:
    """Return each parameter and buffer as a selector writes it, by path: `layer[0].q.weight` for `layer.0.q.weight`."""
    inspector = GraphInspector()
    return {own.path: _spelt(own.parts) for body in roots(program) for own in inspector.owned(body)}


def _spelt(parts: Sequence[tuple[str, tuple[object, ...]]]) -> str:
    """Write the parts of a path; a place in a Sequential, which has a number for its name, is a member."""
    text = ""
    for name, members in parts:
        text += f"[{name}]" if name.isdigit() else f".{name}" if text else name
        text += f"[{', '.join(map(member_text, members))}]" if members else ""
    return text
