"""What the parts of a figure own: how many parameters, and which of them a stage trains."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from ...dsl.program import Program
from ..graph import Graph
from ..paths import covers
from .figure import Figure, Group, Share, outer


class Ownership:
    """Counts and marks of paths; one serves all figures of a program in a stage."""

    def __init__(self, program: Program, stage: str | None) -> None:
        self.graph = Graph(program)
        self.plan = program.stages[stage] if stage else None
        census = self.graph.census
        self._sizes = {tensor.path: tensor.size for tensor in self.graph.parameters() if not tensor.buffer}
        self._sorted = sorted(self._sizes)
        self._first = {path: group[0] for group in census.tie_groups for path in group}
        self._extern = frozenset(path for path, declared in census.modules() if declared.extern is not None)
        self._tuned = frozenset(self.plan.tuned) if self.plan is not None else None
        self._frozen = tuple(freeze.path for freeze in program.eval.frozen)
        self._shares: dict[tuple[str, ...], Share | None] = {}

    def count(self, paths: Iterable[str]) -> int:
        """Return the parameters below the paths, tied ones once; none for a class that only Python knows."""
        owned = frozenset[str]().union(*map(self.tensors, paths))
        return sum(self._sizes.get(path, 0) for path in {self._first.get(path, path) for path in owned})

    def tensors(self, path: str) -> frozenset[str]:
        """Return the paths of the parameters at or below a path; of a module that only Python knows its own."""
        if path in self._sizes or path in self._extern:
            return frozenset((path,))
        below = path + "."
        start = bisect_left(self._sorted, below)
        end = bisect_left(self._sorted, below + chr(0x10FFFF))
        return frozenset(self._sorted[start:end])

    def share(self, paths: Sequence[str]) -> Share | None:
        """Return how much of what lies below the paths is trained; None where there is nothing, or without a stage nothing is frozen."""
        key = tuple(dict.fromkeys(paths))
        if key not in self._shares:
            self._shares[key] = self._share(frozenset[str]().union(*map(self.tensors, key)))
        return self._shares[key]

    def _share(self, owned: frozenset[str]) -> Share | None:
        for_good = frozenset(path for path in owned if any(covers(frozen, path) for frozen in self._frozen))
        if not owned or (self._tuned is None and not for_good):
            return None
        trained = (owned if self._tuned is None else owned & self._tuned) - for_good
        return Share.TRAINED if trained == owned else Share.PART if trained else Share.FROZEN

    def weigh(self, figure: Figure) -> None:
        """Give cells and frames their counts and marks."""
        groups = {id(group): group for cell in figure.cells for group in outer(cell.group)}
        for group in groups.values():
            if group.is_task:
                group.paths = _paths_in(figure, group)
        for holder in (*figure.cells, *groups.values()):
            holder.count, holder.share = self.count(holder.paths), self.share(holder.paths)
            holder.active = self.plan is None or holder.task is None or holder.task in self.plan.tasks


def _paths_in(figure: Figure, frame: Group) -> list[str]:
    """Return the paths of what stands in a frame; of a folded loop those of all its steps."""
    paths: dict[str, None] = {}
    for cell in figure.cells:
        if frame in outer(cell.group):
            paths.update(dict.fromkeys(cell.group.paths if cell.group and cell.group.times > 1 else cell.paths))
    return list(paths)
