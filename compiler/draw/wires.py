"""How lines run from one row to the next: down, across on a track of their own, and down again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .figure import Flow
from .level import Net, Place

TRACK = 9.0
NEAR = 5.0  # two uprights nearer than this would be read as one line
STRAIGHT = 0.6
FORK = 12.0  # branches part so far above their track: the corner is round

Point = tuple[float, float]


@dataclass(slots=True, eq=False)
class Wire:
    """What is drawn of a line on one level: its branches, each through points, and where arrows' heads point down or up."""

    net: Net
    branches: list[list[Point]] = field(default_factory=list[list[Point]])
    down: list[Point] = field(default_factory=list[Point])
    up: list[Point] = field(default_factory=list[Point])

    def move(self, x: float, y: float) -> None:
        """Move it."""
        self.branches = [[(a + x, b + y) for a, b in points] for points in self.branches]
        self.down = [(a + x, b + y) for a, b in self.down]
        self.up = [(a + x, b + y) for a, b in self.up]


@dataclass(slots=True, eq=False)
class Turn:
    """A line between two rows: where it starts, where it ends, and its track."""

    net: Net
    upper: Place
    start: float
    ends: list[tuple[float, Place]]
    track: int = -1  # straight down

    @property
    def low(self) -> float:
        """Return its left end."""
        return min(self.start, *(x for x, _ in self.ends))

    @property
    def high(self) -> float:
        """Return its right end."""
        return max(self.start, *(x for x, _ in self.ends))

    @property
    def is_straight(self) -> bool:
        """Tell whether it needs no track."""
        return self.high - self.low <= STRAIGHT


def turns_of(nets: Sequence[Net], row: int) -> tuple[list[Turn], int]:
    """Return the lines from a row to the next with their tracks, and how many tracks there are."""
    turns: list[Turn] = []
    for net in nets:
        if net.source.row == row or row in net.bends:
            upper = net.upper(row)
            ends = [(place.x + place.ports_in.get(net.key, 0.0), place) for place in net.lower(row + 1)]
            if ends:
                turns.append(Turn(net, upper, upper.x + upper.ports_out.get(net.key, 0.0), ends))
    bent = [turn for turn in turns if not turn.is_straight]
    _give_tracks(_in_order(bent))
    return turns, max((turn.track for turn in bent), default=-1) + 1


def _in_order(turns: list[Turn]) -> list[Turn]:
    """Return the lines from the upper track to the lower, so that as few as may be meet or cross."""
    rightward = sorted((turn for turn in turns if _mean(turn) >= turn.start), key=lambda turn: -turn.start)
    leftward = sorted((turn for turn in turns if _mean(turn) < turn.start), key=lambda turn: turn.start)
    waiting = [*rightward, *leftward]
    found: list[Turn] = []
    while waiting:
        # a line that starts where another ends must turn above it
        free = next((turn for turn in waiting if not any(_above(other, turn) for other in waiting if other is not turn)), waiting[0])
        waiting.remove(free)
        found.append(free)
    return found


def _mean(turn: Turn) -> float:
    return sum(x for x, _ in turn.ends) / len(turn.ends)


def _above(first: Turn, second: Turn) -> bool:
    return any(abs(first.start - x) < NEAR for x, _ in second.ends)


def _give_tracks(turns: Sequence[Turn]) -> None:
    done: list[Turn] = []
    for turn in turns:
        over = [other for other in done if other.low - NEAR <= turn.high and turn.low <= other.high + NEAR]
        turn.track = max((other.track for other in over), default=-1) + 1
        done.append(turn)


def wires_of(passing: Sequence[tuple[Sequence[Turn], float]]) -> list[Wire]:
    """Return the drawn lines, from those between each two rows and the heights of their upper tracks."""
    found: dict[int, Wire] = {}
    for turns, top in passing:
        for turn in turns:
            _draw(turn, top + turn.track * TRACK, found.setdefault(id(turn.net), Wire(turn.net)))
    return list(found.values())


def _draw(turn: Turn, y: float, wire: Wire) -> None:
    begin = (turn.start, turn.upper.y + turn.upper.height)
    fork = begin
    if len(turn.ends) > 1:
        fork = (turn.start, max(begin[1], y - FORK))
        wire.branches.append([begin, fork])
    for x, place in turn.ends:
        end = (x, place.y)
        straight = abs(x - turn.start) <= STRAIGHT
        wire.branches.append([(x, fork[1]), end] if straight else [fork, (turn.start, y), (x, y), end])
        if not place.is_port and turn.net.flow is not Flow.BACK:
            wire.down.append(end)
    if not turn.upper.is_port and turn.net.flow is not Flow.DATA:
        wire.up.append(begin)
