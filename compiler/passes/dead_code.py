"""See `DeadCode`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..graph import Graph
from ..optimize.cutting import cut, every
from ..optimize.interface import Journal, Pass
from ..slice import Slicer


@dataclass(frozen=True, slots=True)
class DeadCode(Pass):
    """Leave out steps that no result needs, in all blocks on the way down: a value that is there for who asks has one reader less.

    Parameters stay.
    """

    fires: ClassVar[Mapping[str, int]] = {"colm:small": 5, "unifork:small": 18, "taskprompter:small": 2}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Cut each body to what its callers need of it."""
        made = Graph(cut(graph.program, every, every, Slicer(keep=True)))
        before = {(body.span, len(body.nodes)) for body in graph.bodies}
        for body in made.bodies:
            if body.nodes and (body.span, len(body.nodes)) not in before:
                journal.fire(body, f"the steps that are needed: {len(body.nodes)}", body.span)
        return made if journal.fired else graph
