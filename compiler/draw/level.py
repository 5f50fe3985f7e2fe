"""One level of a figure as a layered graph: who stands in which row, in which order, and at what place across."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from .figure import Flow

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
    is_first: bool = False  # an input: it stands in the first row
    is_light: bool = False  # an operation: of inputs alone it stands where it is needed
    is_last: bool = False  # a result: it stands in the last row
    is_under: bool = False  # a loss, where there is no room beside the outputs
    task: int | None = None  # places of tasks stand in the order of the tasks
    ports_in: dict[object, float] = field(default_factory=dict[object, float])  # from the middle
    ports_out: dict[object, float] = field(default_factory=dict[object, float])
    fixed: bool = False  # its ports stay where they are
    reach: float = 0.0  # space that its labels need to the right of the middle

    @property
    def is_port(self) -> bool:
        """Tell whether it only hands lines on, between a level and a frame's inside."""
        return self.is_entry or self.is_exit or self.is_bend or self.fixed


@dataclass(slots=True, eq=False)
class Net:
    """One value on one level: from a place to others."""

    key: object
    source: Place
    targets: list[Place]
    label: str = ""
    flow: Flow = Flow.DATA
    is_side: bool = False  # a mask, a place or the like, beside what it acts on
    is_minor: bool = False  # it may bend for the sake of others
    bends: dict[int, Place] = field(default_factory=dict[int, Place])

    def upper(self, row: int) -> Place:
        """Return what stands for this line in a row that it leaves."""
        return self.source if row == self.source.row else self.bends[row]

    def lower(self, row: int) -> list[Place]:
        """Return what the line meets in a row."""
        found = [target for target in self.targets if target.row == row]
        return [*found, self.bends[row]] if row in self.bends else found


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The part of a line from one row to the next."""

    net: Net
    upper: Place
    lower: Place

    @property
    def start(self) -> float:
        """Return where it leaves its upper place, from the middle."""
        return self.upper.ports_out.get(self.net.key, 0.0)

    @property
    def end(self) -> float:
        """Return where it meets its lower place, from the middle."""
        return self.lower.ports_in.get(self.net.key, 0.0)


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
    """Put every place under all that it reads: inputs first and results last; what else reads nothing, or is
    light and reads inputs alone, right above its first reader."""
    first = 1 if any(place.is_entry for place in places) else 0
    order = _topological(places, before, after)
    for place in order:
        place.row = 0 if place.is_entry else max([first, *(other.row + 1 for other in before[id(place)])])
    for place in reversed(order):
        is_late = place.is_light and all(other.is_first for other in before[id(place)])
        if (is_late or not before[id(place)]) and not (place.is_entry or place.is_first) and after[id(place)]:
            place.row = max(first, min(other.row for other in after[id(place)]) - 1)
    last = max((place.row for place in places if not place.is_exit), default=0)
    is_under = any(place.is_under for place in places) and any(place.is_last and not place.is_under and place.row == last for place in places)
    for place in places:
        if place.is_last and not after[id(place)]:
            place.row = last + (place.is_under and is_under)
    last = max((place.row for place in places if not place.is_exit), default=0)
    for place in places:
        if place.is_exit:
            place.row = last + 1


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


def links(rows: Sequence[Sequence[Place]], nets: Sequence[Net]) -> list[list[Piece]]:
    """Return the pieces of lines from each row to the next."""
    return [[Piece(net, net.upper(row), lower) for net in nets if _spans(net, row) for lower in net.lower(row + 1)] for row in range(len(rows) - 1)]


def _spans(net: Net, row: int) -> bool:
    return net.source.row == row or row in net.bends


def order_rows(rows: list[list[Place]], nets: Sequence[Net], keep: bool = False) -> None:
    """Order each row so that few lines cross; where all is equal, as the text has them.  With `keep` the first row stays as it is."""
    pieces = links(rows, nets)
    for row in rows:
        _by_task(row)
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
        row[:] = order


def _sort(row: list[Place], other: Sequence[Place], pieces: Sequence[Piece], down: bool, original: dict[int, int]) -> None:
    position = {id(place): number for number, place in enumerate(other)}
    met: dict[int, list[float]] = {id(place): [] for place in row}
    for piece in pieces:
        own, across, port = (piece.lower, piece.upper, piece.start) if down else (piece.upper, piece.lower, piece.end)
        met[id(own)].append(position[id(across)] + (port / (across.width + 1) if across.fixed else 0.0))
    own_position = {id(place): number for number, place in enumerate(row)}
    row.sort(key=lambda place: (fmean(met[id(place)]) if met[id(place)] else own_position[id(place)], original[id(place)]))
    _by_task(row)


def _by_task(row: list[Place]) -> None:
    """Bring the places of tasks into the order of the tasks; all others stay where they are."""
    of_tasks = [number for number, place in enumerate(row) if place.task is not None]
    for number, place in zip(of_tasks, sorted((row[number] for number in of_tasks), key=lambda place: place.task or 0), strict=True):
        row[number] = place


def _crossings(rows: Sequence[Sequence[Place]], pieces: Sequence[Sequence[Piece]]) -> int:
    total = 0
    for row, between in enumerate(pieces):
        if len(between) > NETS:
            continue
        up = {id(place): number for number, place in enumerate(rows[row])}
        down = {id(place): number for number, place in enumerate(rows[row + 1])}
        seen: list[int] = []
        for _, lower in sorted((up[id(piece.upper)], down[id(piece.lower)]) for piece in between):
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
