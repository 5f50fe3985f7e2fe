"""In which order the nodes of a body come when some are to be computed together."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from ...dsl.program import Body, Ref
from ..graph import operands


def schedule(body: Body, groups: Sequence[Sequence[int]], reads: Mapping[int, Iterable[Ref]]) -> list[tuple[int, ...]] | None:
    """Return the nodes in an order in which each follows what it reads, and those of a group stand together, after all that they read.

    Nodes keep their order as far as that goes.  `reads` says what nodes of groups will read, where that differs from what they read now.
    None where a group reads what depends on itself.
    """
    units = {number: tuple(group) for group in groups for number in group}
    every = list(dict.fromkeys(units.get(number, (number,)) for number in range(len(body.nodes))))
    needs = {unit: {units.get(ref.node, (ref.node,)) for number in unit for ref in _reads(body, number, reads)} for unit in every}
    readers: dict[tuple[int, ...], list[tuple[int, ...]]] = {unit: [] for unit in every}
    for unit, needed in needs.items():
        for each in needed:
            readers[each].append(unit)
    left = {unit: len(needed) for unit, needed in needs.items()}
    ready = [unit for unit in every if not left[unit]]
    heapq.heapify(ready)
    found: list[tuple[int, ...]] = []
    while ready:
        unit = heapq.heappop(ready)
        found.append(unit)
        for reader in readers[unit]:
            left[reader] -= 1
            if not left[reader]:
                heapq.heappush(ready, reader)
    return found if len(found) == len(every) else None


def _reads(body: Body, number: int, reads: Mapping[int, Iterable[Ref]]) -> Iterable[Ref]:
    return reads[number] if number in reads else (ref for _, ref in operands(body.nodes[number]))
