"""The sizes that a text is tried with."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from random import Random
from typing import Any, Protocol

from archloom.dsl.dims import Dim
from archloom.dsl.program import Condition

from .mutation import Base
from .oracle import size_in

Sizes = Mapping[str, int]

MORE = 12
"""How many further sizes are tried before `check` is called wrong."""

KEPT, LOST = 5, 6
"""At how many sizes that meet the conditions, and that don't, a text is run."""

POOL = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 1, 24)


def assignments(seed: str, dims: Mapping[str, int] | None = None, small: bool = False) -> Iterator[dict[str, int]]:
    """Yield sizes for all names that there may be, without end; some of a whole spec are given."""
    random = Random(seed)
    names = [chr(c) for c in range(ord("A"), ord("Z") + 1)]
    pool = (2, 3, 4, 5, 6, 7, 8) if small else POOL
    count = len(pool) if small else 11
    while True:
        chosen = random.sample(pool[:count], count)
        sizes = {n: chosen[i % count] if small or random.random() < 0.8 else random.choice(pool) for i, n in enumerate(names)}
        if small and random.random() < 0.5:
            sizes |= {"H": random.choice((4, 8, 32)), "W": random.choice((4, 8, 64))}
        yield {**sizes, **{name: n * random.choice((1, 1, 2)) for name, n in (dims or {}).items()}}


class Said(Protocol):
    """A verdict: its word and its conditions."""

    @property
    def word(self) -> str: ...

    @property
    def conditions(self) -> Sequence[Condition]: ...

    def hold(self, sizes: Sizes) -> bool: ...


def tries(base: Base, text: str, said: Said, fits: Mapping[bool, int]) -> Iterator[Sizes]:
    """Yield sizes to try: two where a verdict is of all sizes, many where one condition or one counterexample decides.

    `fits` counts those that met the requirements of the text, by whether they met its conditions too: where none did, others are tried.
    """
    if said.word == "conditional":
        for sizes in (*base.sizes, *_wide(base, said.conditions), *_rare(base, text)):
            held = said.hold(sizes)
            if fits.get(held, 0) < (KEPT if held else LOST):
                yield sizes
        return
    many = assignments(f"more {base.name}")
    more = [next(many) for _ in range(MORE)]
    yield from base.sizes[:2] if said.word == "valid" else (*base.sizes, *more)
    for sizes in (*(more if said.word == "valid" else ()), *_rare(base, text)):
        if fits.get(True, 0) > 1:
            return
        yield sizes


def capitals(text: str) -> list[str]:
    """Return the words of a text that may name sizes."""
    return sorted(set(re.findall(r"\b[A-Z]\w*", text)))


def _rare(base: Base, text: str) -> Iterator[Sizes]:
    """Yield sizes that may meet what few do."""
    names, random = capitals(text), Random(base.name)
    for written in re.findall(r"\brequire (.*)", text):  # what it compares sizes with is where it is met
        numbers = [int(n) for n in re.findall(r"\d+", written) if 0 < int(n) <= LADDER[-1]]
        yield from ({**sizes, name: n} for name in capitals(written) for n in numbers for sizes in base.sizes[:2])
    yield from (dict.fromkeys(names, n) for n in (4, 8, 12, 16, 20, 24, 32, 36, 48, 60, 1, 2))
    yield from ({name: random.randint(1, 64) for name in names} for _ in range(60))


def met(condition: Condition, sizes: Sizes) -> bool:
    """Tell whether a condition is met at some sizes."""
    left, right = (_value(side, sizes) for side in (condition.left, condition.right))
    if condition.kind == "divides":
        return left != 0 and Fraction(right, left).denominator == 1 if not isinstance(left, float) else False
    return {"==": left == right, "!=": left != right, ">=": left >= right}[condition.kind]


def _value(side: Any, sizes: Sizes) -> Any:
    return side.value({s: size_in(sizes, s.name) for s in side.symbols()}) if isinstance(side, Dim) else side


def _names(condition: Condition) -> list[str]:
    return sorted({s.name for side in (condition.left, condition.right) if isinstance(side, Dim) for s in side.symbols()})


LADDER = (*range(1, 130), 260, 520, 1030)
"""Sizes that are tried one after the other."""


def _meeting(start: Sizes, conditions: Sequence[Condition]) -> Iterator[Sizes]:
    """Yield sizes near some that meet all conditions, one size changed after the other, or nothing."""
    sizes = dict(start)
    for _ in range(8):
        unmet = next((c for c in conditions if not met(c, sizes)), None)
        if unmet is None:
            yield sizes
            return
        better = ({**sizes, name: n} for name in _names(unmet) for n in LADDER)
        sizes = next((tried for tried in better if met(unmet, tried)), sizes)


def _wide(base: Base, conditions: Sequence[Condition]) -> list[Sizes]:
    """Return sizes some of which meet conditions, and some don't."""
    many = assignments(f"more {base.name}")
    symbols = sorted({name for c in conditions for name in _names(c)})
    found: list[Sizes] = [*_meeting(base.sizes[0], conditions), *(next(many) for _ in range(40))]
    for name in symbols:
        found += [{**base.sizes[0], "B": 2, name: n} for n in LADDER]
        found.append({**base.sizes[0], **dict.fromkeys(symbols, 1), name: 2})
    divisors: list[Any] = [c.left for c in conditions if c.kind == "divides" and isinstance(c.left, int)]
    common = [n * math.lcm(*divisors) for n in (1, 2, 4)] if divisors else []
    return [*found, *({**base.sizes[0], **dict.fromkeys(symbols, n)} for n in (1, 2, 3, 4, 16, *common) if n < 1000)]
