"""Timing side by side: interleaved pairs in one run, medians, and their ratio."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from archloom.compiler.bench import timing
from archloom.compiler.bench.timing import Timer, rounds, seconds

Clock = Callable[[Callable[[], object]], float]
FREED = 30_000_000
"""Bytes of a block, a little less than the largest by which glibc decides how much of what is freed it keeps."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How long ours takes, as a share of theirs: the ratio of medians, and the quartiles of the pairs' own ratios."""

    name: str
    value: float
    low: float
    high: float
    bound: float

    @property
    def row(self) -> str:
        """A row of a Markdown table."""
        holds = "yes" if self.value <= self.bound else "NO"
        return f"| {self.name} | {self.value:.3f} | {self.low:.3f} to {self.high:.3f} | {self.bound:.3g} | {holds} |"


HEAD = "| what | ratio | quartiles of the pairs | at most | holds |\n|---|---|---|---|---|"


def show(ratios: Iterable[Ratio]) -> None:
    """Print a Markdown table, each row as soon as it is known."""
    print(HEAD, flush=True)
    for ratio in ratios:
        print(ratio.row, flush=True)


def spent(call: Callable[[], object]) -> float:
    """Return how much processor time one call takes, with the processes that it starts and waits for: who else runs matters little.

    No garbage is collected in it: what earlier calls have left would count as this one's.
    """
    gc.disable()
    try:
        start = _processor()
        call()
        return _processor() - start
    finally:
        gc.enable()


def _processor() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _keep_pages() -> None:
    """Free a large block: glibc then keeps the pages of what is freed, as in a process that has loaded a model of real size.

    Else a small model asks the system for the pages of its temporaries at each call, or not, as it falls out: up to half of the time.
    """
    bytearray(FREED)


def _repeated(call: Callable[[], object], calls: int) -> None:
    """Call as often as told, and let go of each result at once, as whoever calls a model again and again does."""
    for _ in range(calls):
        call()


def compare(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], bound: float, pairs: int, calls: int = 1, clock: Clock = seconds
) -> Ratio:
    """Time `pairs` interleaved pairs of `calls` calls each, by another clock than that on the wall if asked, after one pair that doesn't count."""

    def timer(call: Callable[[], object]) -> Timer:
        return lambda: clock(partial(_repeated, call, calls))

    timers = timer(ours), timer(theirs)
    _keep_pages()
    for each in timers:
        each()
    found = timing.ratio(*zip(*rounds(timers, pairs), strict=True))
    return Ratio(name, found.median, found.low, found.high, bound)
