"""Stretches of whole numbers: from a number up to one past the highest; None where there is no end.  What they hold can occur, each number of it."""

from __future__ import annotations

from dataclasses import replace

from .dim_atoms import extreme
from .dims import Dim
from .facts import Facts
from .primitive import Numbers

Stretch = tuple[int | Dim | None, int | Dim | None]


def cut(stretch: Stretch, side: Stretch) -> Stretch | None:
    """Return what two stretches share; None where it is open whether that is anything."""
    lows, highs = ([end for end in ends if end is not None] for ends in zip(stretch, side, strict=True))
    low = extreme("max", lows) if lows else None
    high = extreme("min", highs) if highs else None
    return None if low is not None and high is not None and not _reaches(high, low) else (low, high)


def limit(stretch: Stretch, least: int | None, most: int | None) -> Stretch:
    """Return what is left when lower numbers become `least` and higher ones `most`."""
    low, high = stretch
    if least is not None:
        low = least if low is None else extreme("max", [low, least])
        high = high if high is None or _reaches(high, least) else extreme("max", [high, least + 1])
    if most is not None:
        high = most + 1 if high is None else extreme("min", [high, most + 1])
        low = low if low is None or _reaches(most + 1, low) else extreme("min", [low, most])
    return low, high


def numbers(stretch: Stretch, of: Numbers) -> Numbers | None:
    """Return what a stretch leaves of some numbers; of one without an end the number at the other, of one without ends none."""
    low, high = stretch
    if low is None:
        return None if high is None else replace(of, low=high - 1, high=high)
    return replace(of, low=low, high=low + 1 if high is None else high)


def _reaches(a: int | Dim, b: int | Dim) -> bool:
    return Facts().at_least(a, b).is_true
