"""One level of a figure as a layered graph: who stands in which row, in which order, and at what place across."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

SWEEPS = 8
NETS = 400
"""Crossings are counted between rows with at most so many lines."""


@dataclass(slots=True, eq=False)
class Place:
    """A box of one level, a port of the frame around it, or a bend of a line that passes a row."""

    width: float
    height: float
    row: int = 0
    x: float = 0.0  # of the middle
    y: float = 0.0  # of the upper edge
    is_entry: bool = False
    is_exit: bool = False
    is_bend: bool = False
    last: bool = False  # a memory: the rightmost of its row
    ports_in: dict[object, float] = field(default_factory=dict[object, float])  # from the middle
    ports_out: dict[object, float] = field(default_factory=dict[object, float])
    fixed: bool = False  # its ports stay where they are
    reach: float = 0.0  # space that its labels need to the right of the middle


@dataclass(slots=True, eq=False)
class Net:
    """One value on one level: from a place to others."""

    key: object
    source: Place
    targets: list[Place]
    label: str = ""
    bends: dict[int, Place] = field(default_factory=dict[int, Place])

    def upper(self, row: int) -> Place:
        """Return what stands for this line in a row that it leaves."""
        return self.source if row == self.source.row else self.bends[row]

    def lower(self, row: int) -> list[Place]:
        """Return what the line meets in a row."""
        found = [target for target in self.targets if target.row == row]
        return [*found, self.bends[row]] if row in self.bends else found


def rows_of(places: Sequence[Place], nets: Sequence[Net]) -> list[list[Place]]:
    """Give every place a row, add bends to lines that pass rows, and return the rows in their first order."""
    before: dict[int, list[Place]] = {id(place): [] for place in places}
    after: dict[int, list[Place]] = {id(place): [] for place in places}
    for net in nets:
        for target in net.targets:
            before[id(target)].append(net.source)
            after[id(net.source)].append(target)
    _rank(places, before, after)
    rows: list[list[Place]] = [[] for _ in range(max((place.row for place in places), default=-1) + 1)]
    for place in places:
        rows[place.row].append(place)
    for net in nets:
        for row in range(net.source.row + 1, max((target.row for target in net.targets), default=0)):
            bend = net.bends[row] = Place(6, 0, row, is_bend=True)
            rows[row].append(bend)
    return rows


def _rank(places: Sequence[Place], before: dict[int, list[Place]], after: dict[int, list[Place]]) -> None:
    """Put every place under all that it reads; what reads nothing, right above its first reader; ports first and last."""
    first = 1 if any(place.is_entry for place in places) else 0
    order = _topological(places, before, after)
    for place in order:
        place.row = 0 if place.is_entry else max([first, *(other.row + 1 for other in before[id(place)])])
    for place in reversed(order):
        if not before[id(place)] and not place.is_entry and after[id(place)]:
            place.row = max(first, min(other.row for other in after[id(place)]) - 1)
    last = max((place.row for place in places if not place.is_exit), default=0) + 1
    for place in places:
        if place.is_exit:
            place.row = last


def _topological(places: Sequence[Place], before: dict[int, list[Place]], after: dict[int, list[Place]]) -> list[Place]:
    missing = {key: len(found) for key, found in before.items()}
    ready = [place for place in places if not missing[id(place)]]
    for place in ready:
        for other in after[id(place)]:
            missing[id(other)] -= 1
            if not missing[id(other)]:
                ready.append(other)
    if len(ready) != len(places):
        raise ValueError("the lines of a level run in a circle")
    return ready


def links(rows: Sequence[Sequence[Place]], nets: Sequence[Net]) -> list[list[tuple[Place, Place, object]]]:
    """Return the pieces of lines from each row to the next."""
    return [[(net.upper(row), lower, net.key) for net in nets if _spans(net, row) for lower in net.lower(row + 1)] for row in range(len(rows) - 1)]


def _spans(net: Net, row: int) -> bool:
    return net.source.row == row or row in net.bends


def order_rows(rows: list[list[Place]], nets: Sequence[Net], keep: bool = False) -> None:
    """Order each row so that few lines cross; where all is equal, as the text has them.  With `keep` the first row stays as it is."""
    pieces = links(rows, nets)
    original = {id(place): number for row in rows for number, place in enumerate(row)}
    best, fewest = [list(row) for row in rows], _crossings(rows, pieces)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in range(1, len(rows)) if down else range(len(rows) - 2, -1 + keep, -1):
            _sort(rows[row], rows[row - 1 if down else row + 1], pieces[row - 1] if down else pieces[row], down, original)
        now = _crossings(rows, pieces)
        if now < fewest:
            best, fewest = [list(row) for row in rows], now
    for row, order in zip(rows, best, strict=True):
        row[:] = sorted(order, key=lambda place: place.last)


def _sort(row: list[Place], other: Sequence[Place], pieces: Sequence[tuple[Place, Place, object]], down: bool, original: dict[int, int]) -> None:
    position = {id(place): number for number, place in enumerate(other)}
    met: dict[int, list[float]] = {id(place): [] for place in row}
    for upper, lower, key in pieces:
        own, across = (lower, upper) if down else (upper, lower)
        ports = across.ports_out if down else across.ports_in
        met[id(own)].append(position[id(across)] + (ports.get(key, 0.0) / (across.width + 1) if across.fixed else 0.0))
    own_position = {id(place): number for number, place in enumerate(row)}
    row.sort(key=lambda place: (place.last, fmean(met[id(place)]) if met[id(place)] else own_position[id(place)], original[id(place)]))


def _crossings(rows: Sequence[Sequence[Place]], pieces: Sequence[Sequence[tuple[Place, Place, object]]]) -> int:
    total = 0
    for row, between in enumerate(pieces):
        if len(between) > NETS:
            continue
        up = {id(place): number for number, place in enumerate(rows[row])}
        down = {id(place): number for number, place in enumerate(rows[row + 1])}
        seen: list[int] = []
        for _, lower in sorted((up[id(upper)], down[id(lower)]) for upper, lower, _ in between):
            total += len(seen) - bisect_right(seen, lower)
            insort(seen, lower)
    return total


def spread(wishes: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Return places as near to the wishes as least squares can, place i + 1 at least `gaps[i]` right of place i.

    >>> spread([0.0, 0.0], [1.0, 1.0], [10.0])
    [-5.0, 5.0]
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for wish, weight, offset in zip(wishes, weights, offsets, strict=True):
        mean, total, length = wish - offset, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, heavy, long = blocks.pop()
            mean, total, length = (mean * total + other * heavy) / (total + heavy), total + heavy, length + long
        blocks.append((mean, total, length))
    flat = [mean for mean, _, length in blocks for _ in range(length)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=True)]


def set_across(rows: Sequence[Sequence[Place]], nets: Sequence[Net], gap: float) -> None:
    """Give every place its x: under and over what it is joined to, straight lines above all."""
    pieces = links(rows, nets)
    for row in rows:
        x = 0.0
        for place in row:
            place.x = x + place.width / 2
            x += place.width + gap
    for sweep in range(24):
        down = sweep % 2 == 0
        for row in range(len(rows)) if down else range(len(rows) - 1, -1, -1):
            met: dict[int, list[tuple[float, float]]] = {id(place): [] for place in rows[row]}
            around = ([(piece, True) for piece in pieces[row - 1]] if row and (down or sweep > 15) else []) + (
                [(piece, False) for piece in pieces[row]] if row < len(rows) - 1 and (not down or sweep > 15) else []
            )
            for (upper, lower, key), above in around:
                heavy = 8.0 if upper.is_bend and lower.is_bend else 0.4 if upper.is_bend or lower.is_bend else 2.0
                high, low = upper.x + upper.ports_out.get(key, 0.0), lower.ports_in.get(key, 0.0) + lower.x
                if above:
                    met[id(lower)].append((high - lower.ports_in.get(key, 0.0), heavy))
                else:
                    met[id(upper)].append((low - upper.ports_out.get(key, 0.0), heavy))
            _move(rows[row], met, gap)


def _move(row: Sequence[Place], met: dict[int, list[tuple[float, float]]], gap: float) -> None:
    wishes: list[float] = []
    weights: list[float] = []
    for place in row:
        found = met[id(place)]
        total = sum(weight for _, weight in found)
        wishes.append(sum(x * weight for x, weight in found) / total if total else place.x)
        weights.append(total or 0.05)
    gaps = [max(left.width / 2, left.reach) + right.width / 2 + gap for left, right in zip(row, row[1:], strict=False)]
    for place, x in zip(row, spread(wishes, weights, gaps), strict=True):
        place.x = x


def straighten(rows: Sequence[Sequence[Place]], nets: Sequence[Net], gap: float) -> None:
    """Put all bends of a line under each other where there is room, best under its start or over its end."""
    for net in sorted((net for net in nets if net.bends), key=lambda net: -len(net.bends)):
        low, high = float("-inf"), float("inf")
        for bend in net.bends.values():
            row = rows[bend.row]
            at = next(number for number, place in enumerate(row) if place is bend)
            if at:
                left = row[at - 1]
                low = max(low, left.x + max(left.width / 2, left.reach) + bend.width / 2 + gap)
            if at + 1 < len(row):
                high = min(high, row[at + 1].x - row[at + 1].width / 2 - bend.width / 2 - gap)
        if low > high:
            continue
        start = net.source.x + net.source.ports_out.get(net.key, 0.0)
        ends = [target.x + target.ports_in.get(net.key, 0.0) for target in net.targets]
        x = next((wish for wish in (start, *ends) if low <= wish <= high), None)
        middle = sum(bend.x for bend in net.bends.values()) / len(net.bends)
        for bend in net.bends.values():
            bend.x = x if x is not None else min(max(middle, low), high)
