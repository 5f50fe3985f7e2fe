"""See `DeadParameters`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..graph import Graph
from ..optimize.cutting import every, without_rest
from ..optimize.interface import Journal, Pass


@dataclass(frozen=True, slots=True)
class DeadParameters(Pass):
    """Leave out parameters and buffers that no result of the model, its entries and its stages reads.

    A state dict that has them loads as ever: they are passed over.
    """

    leaves_out: ClassVar[bool] = True
    fires: ClassVar[Mapping[str, int]] = {"texts/dead_parameters": 1}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Drop what isn't read."""
        program = graph.program
        made, rest = without_rest(program, every)
        if not rest.tensors:
            return graph
        journal.fire(program.eval, str(rest), program.eval.span)
        return Graph(made)
