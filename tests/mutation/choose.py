"""Which mutants a run tries: as many of each kind of change, spread over the texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from .mutation import Base, distinct
from .verdict import verdict

Counts = Mapping[str, int]


def survey(base: Base, seed: int) -> tuple[Base, Counts]:
    """Return a text with what its runs and `check` showed, without its tree, and how many changes of each kind there are."""
    counts = {kind: len(found) for kind, found in distinct(base, seed).items()}
    return replace(base, sites=[], bound={}, conditional=verdict(base, base.text).word == "conditional"), counts


def shares(counts: Mapping[str, tuple[Base, Counts]], kinds: Sequence[str], each: int, others: int, seed: int) -> dict[str, dict[str, int]]:
    """Return for each text how many changes of each kind are tried: `each` of single blocks, or of whole specs where
    single blocks have too few, and `others` more of whole specs."""
    found: dict[str, dict[str, int]] = {}
    for kind in kinds:
        single = {n: c[kind] for n, (base, c) in counts.items() if not base.whole}
        whole = {n: c[kind] for n, (base, c) in counts.items() if base.whole}
        first = min(each, sum(single.values()))
        for group, wanted in ((single, first), (whole, max(others, each - first))):
            for name, count in spread(group, wanted, seed).items():
                found.setdefault(name, {})[kind] = count
    return found


def spread(counts: Counts, wanted: int, seed: int) -> Counts:
    """Take so many things of several heaps: of each as many as of another, or all."""
    random, taken = Random(seed), dict.fromkeys(counts, 0)
    open_ = [n for n, count in counts.items() if count]
    while wanted and open_:
        random.shuffle(open_)
        for name in open_[:wanted]:
            taken[name] += 1
        wanted -= min(wanted, len(open_))
        open_ = [n for n in open_ if taken[n] < counts[n]]
    return {n: count for n, count in taken.items() if count}
