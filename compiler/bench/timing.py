"""Timing side by side: all configurations in each round, so that whatever else the machine does hits them alike; medians and quartiles."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from ...dsl.record import record

Timer = Callable[[], float]
"""Runs what is measured once, or several times, and returns the seconds of one."""

LEAST = 0.005
"""Seconds that one timing takes at least: what is faster than that is called several times in a row."""
MOST_CALLS = 10_000


@record
class Spread:
    """A middle and the quartiles around it."""

    median: float
    low: float
    high: float


def seconds(call: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@record
class Batch:
    """Times a number of calls in a row, without collecting garbage in between."""

    call: Callable[[], object]
    calls: int

    def __call__(self) -> float:
        """Return the seconds of one call."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            return seconds(self._run) / self.calls
        finally:
            if collecting:
                gc.enable()

    def _run(self) -> None:
        for _ in range(self.calls):
            self.call()


def batch(call: Callable[[], object]) -> Batch:
    """Return a timer of as many calls in a row as make a timing worth reading; three calls tell how many these are."""
    once = min(seconds(call) for _ in range(3))
    return Batch(call, 1 if once >= LEAST else min(MOST_CALLS, int(LEAST / max(once, 1e-9)) + 1))


def rounds(timers: Sequence[Timer], count: int) -> Iterator[list[float]]:
    """Yield the seconds of every timer, `count` times; each comes early and late equally often: caches and clocks favour none."""
    for number in range(count):
        turn = (number // 2) % len(timers)
        order = [*range(turn, len(timers)), *range(turn)]
        found = [0.0] * len(timers)
        for place in reversed(order) if number % 2 else order:
            found[place] = timers[place]()
        yield found


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the quartiles of at least one number.

    >>> spread([3.0, 1.0, 2.0, 4.0])
    Spread(median=2.5, low=1.25, high=3.75)
    """
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return Spread(statistics.median(values), low, high)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the ratio of two medians, and the quartiles of the pairs' own ratios.

    >>> ratio([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    Spread(median=0.5, low=0.5, high=0.5)
    """
    pairs = spread([a / b for a, b in zip(ours, theirs, strict=True)])
    return Spread(statistics.median(ours) / statistics.median(theirs), pairs.low, pairs.high)
