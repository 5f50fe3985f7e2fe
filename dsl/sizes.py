"""Sizes to try: allowed values for symbols, small and readable ones first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from .bounds import Bounds
from .dim_terms import Symbol

_FIRST = (2, 3, 5, 7, 11, 13, 17, 19)
_RANDOM = 200


def assignments(symbols: Sequence[Symbol], bounds: Bounds, scale: int = 1) -> Iterator[dict[Symbol, int]]:
    """Yield values for `symbols` within their bounds: different small multiples of `scale`, then small grids, then larger ones.

    The same ones in every run.
    """
    ranges = [(bounds.least(s), bounds.high.get(s)) for s in symbols]
    for factor in dict.fromkeys((scale, 1)):
        yield _clamped(symbols, [factor * _FIRST[i % len(_FIRST)] for i in range(len(symbols))], ranges)
        yield _clamped(symbols, [factor * (i + 1) for i in range(len(symbols))], ranges)
    yield _clamped(symbols, [low for low, _ in ranges], ranges)
    if len(symbols) <= 3:
        for values in product(range(5), repeat=len(symbols)):
            yield _clamped(symbols, [low + v for v, (low, _) in zip(values, ranges, strict=True)], ranges)
    scattered = _scattered()
    for i in range(_RANDOM):
        reach = 4 << (i % 12)
        yield _clamped(symbols, [low + next(scattered) % reach * (scale if i % 2 else 1) for low, _ in ranges], ranges)


def _scattered() -> Iterator[int]:
    """Yield numbers without pattern, the same in every run (a linear congruential generator, Knuth's MMIX)."""
    state = 1
    while True:
        state = (6364136223846793005 * state + 1442695040888963407) % (1 << 64)
        yield state >> 33


def _clamped(symbols: Sequence[Symbol], values: Sequence[int], ranges: Sequence[tuple[int, int | None]]) -> dict[Symbol, int]:
    result: dict[Symbol, int] = {}
    for symbol, value, (low, high) in zip(symbols, values, ranges, strict=True):
        value = max(value, low)
        result[symbol] = value if high is None else min(value, high)
    return result
