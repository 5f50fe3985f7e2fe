"""Which steps of a body are repeated: runs of equal steps, one after the other (`repeat`) or beside each other (`for`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from ...dsl.program import Body, NodeKind, Ref
from ...dsl.record import record
from ..graph import operands

MODULES = (NodeKind.LEAF, NodeKind.CALL, NodeKind.EXTERN)
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
                begin = found.start + step * found.period
                yield from _folds(body, marks, reads, kept, base, begin, begin + found.period)
        at = found.end


def _best(body: Body, marks: Sequence[Hashable], reads: Reads, base: int, at: int, end: int) -> Fold | None:
    """Return the longest run of equal steps that starts at a node."""
    best: Fold | None = None
    plain = next((node - at for node in range(at, end) if body.nodes[node].kind in MODULES), end - at)
    for period in range(1, (end - at) // 2 + 1):
        is_known = best is not None and period % best.period == 0  # it could not be longer
        if marks[at - base] != marks[at + period - base] or is_known or period <= plain:
            continue
        times = _times(marks, reads, base, at, end, period)
        if times < 2:
            continue
        serial = any(ref.node >= at for step in range(at + period, at + 2 * period) for _, ref in reads[step - base] if ref.node < at + period)
        if best is None or period * times > best.period * best.times:
            best = Fold(at, period, times, serial)
    return _turned(best, marks, reads, base, end) if best is not None and best.serial else best


def _turned(fold: Fold, marks: Sequence[Hashable], reads: Reads, base: int, end: int) -> Fold:
    """Return the fold with its steps cut where the fewest values run from one to the next: there the text cuts them."""

    def width(start: int) -> int:
        second = start + fold.period
        return len({ref for node in range(second, second + fold.period) for _, ref in reads[node - base] if start <= ref.node < second})

    starts = [fold.start] + [
        start
        for start in range(fold.start + 1, min(fold.start + fold.period, end - fold.period * fold.times + 1))
        if _times(marks, reads, base, start, end, fold.period) == fold.times
    ]
    return Fold(min(starts, key=width), fold.period, fold.times, fold.serial)


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


def carried(body: Body, fold: Fold) -> list[str]:
    """Return the names of what the steps of a serial fold hand on beside the value that runs through them.

    That is all but what a step reads first; and that too, where each step reads a value of its own besides.
    """
    streams: dict[Ref, str] = {}
    has_own = False
    second = fold.start + fold.period
    for node in range(second, second + fold.period):
        for (name, ref), (_, before) in zip(operands(body.nodes[node]), operands(body.nodes[node - fold.period]), strict=True):
            if fold.start <= ref.node < second:
                source = body.nodes[ref.node]
                streams.setdefault(ref, (source.name if source.name and len(source.outputs) == 1 else name).partition(".")[0])
            has_own = has_own or (ref.node < fold.start and before.node < ref.node)
    names = list(dict.fromkeys(streams.values()))
    return names if has_own and len(names) == 1 else names[1:]
