"""Which steps of a body are repeated: runs of equal steps, one after the other (`repeat`) or beside each other (`for`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from ...dsl.program import Body, NodeKind, Ref
from ...dsl.record import record
from ..graph import operands

Signature = Callable[[int], Hashable]
ROW = 4
"""As many equal parts as stand beside each other; of more, the middle ones are left out."""


@record
class Fold:
    """`times` equal steps of `period` nodes each, from node `start` on; `serial` where a step needs the one before."""

    start: int
    period: int
    times: int
    serial: bool

    @property
    def end(self) -> int:
        """Return one past the last node."""
        return self.start + self.period * self.times

    def place(self, node: int) -> int:
        """Return the place of a node in its step."""
        return (node - self.start) % self.period


def find_folds(body: Body, signature: Signature, kept: Mapping[int, str], start: int, end: int) -> list[Fold]:
    """Return the folds among nodes `start` to `end`, none inside another.  `kept` are the tasks of nodes
    that give results: steps for several tasks are all shown, side by side."""
    marks = [signature(number) for number in range(start, end)]
    reads = [[(name, ref) for name, ref in operands(node)] for node in body.nodes[start:end]]
    return list(_folds(body, marks, reads, kept, start, start, end))


Reads = list[list[tuple[str, Ref]]]


def _folds(body: Body, marks: Sequence[Hashable], reads: Reads, kept: Mapping[int, str], base: int, at: int, end: int) -> Iterator[Fold]:
    while at < end:
        found = _best(body, marks, reads, base, at, end)
        if found is None:
            at += 1
            continue
        if found.serial or (found.times > ROW and len({kept[node] for node in range(at, found.end) if node in kept}) < 2):
            yield found
        else:  # all are shown, and each may hold folds of its own
            for step in range(found.times):
                begin = at + step * found.period
                yield from _folds(body, marks, reads, kept, base, begin, begin + found.period)
        at = found.end


def _best(body: Body, marks: Sequence[Hashable], reads: Reads, base: int, at: int, end: int) -> Fold | None:
    """Return the longest run of equal steps that starts at a node."""
    best: Fold | None = None
    for period in range(1, (end - at) // 2 + 1):
        if marks[at - base] != marks[at + period - base]:
            continue
        times = _times(marks, reads, base, at, end, period)
        if times < 2 or not any(body.nodes[n].kind in (NodeKind.LEAF, NodeKind.CALL, NodeKind.EXTERN) for n in range(at, at + period)):
            continue
        serial = any(ref.node >= at for step in range(at + period, at + 2 * period) for _, ref in reads[step - base] if ref.node < at + period)
        if best is None or period * times > best.period * best.times:
            best = Fold(at, period, times, serial)
    return best


def _times(marks: Sequence[Hashable], reads: Reads, base: int, at: int, end: int, period: int) -> int:
    times = 1
    while at + (times + 1) * period <= end and all(
        marks[node - base] == marks[node - period - base] and _same(reads[node - period - base], reads[node - base], at, times, period)
        for node in range(at + times * period, at + (times + 1) * period)
    ):
        times += 1
    return times


def _same(before: list[tuple[str, Ref]], now: list[tuple[str, Ref]], at: int, step: int, period: int) -> bool:
    """Tell whether a node reads in its step what the same node of the step before read in that one."""
    if len(before) != len(now):
        return False
    begin = at + step * period
    for (name, old), (other, new) in zip(before, now, strict=True):
        shifted = old.node + period == new.node and old.index == new.index
        carried = step == 1 and old.node < at and at <= new.node < begin
        outside = old.node == new.node and new.node < at
        # a step may read its own value of a family that was made by an earlier loop
        family = new.node < at and old.node < new.node and step >= 1
        if name != other or not (shifted or carried or outside or family):
            return False
    return True
