"""`python tests/mutation/run.py`: a seeded choice of mutants, the confusion matrix, what is wrong; `--write` writes docs/soundness.md."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import repeat
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from archloom.tests.mutation import keeping, keeping_names, keeping_plans, kinds, plan_kinds, tensor_kinds
from archloom.tests.mutation.choose import Counts, shares, survey
from archloom.tests.mutation.corpus import base_of, names
from archloom.tests.mutation.mutation import KINDS, Base, distinct
from archloom.tests.mutation.report import report
from archloom.tests.mutation.verdict import Outcome, compare

PAGE = Path(__file__).resolve().parents[2] / "docs" / "soundness.md"
MEMORY = 6 << 30
"""What one worker may take: a mutant may ask for a tensor that no machine holds."""


def prepare() -> None:
    """Set up a worker."""
    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def look(name: str, seed: int) -> tuple[Base, Counts]:
    """Find sizes at which a text runs, and how many changes of each kind there are."""
    return survey(base_of(name), seed)


def work(base: Base, seed: int, wanted: Mapping[str, int]) -> list[Outcome]:
    """Try so many mutants of each kind of one text."""
    base.read()
    found = distinct(base, seed)
    return [compare(base, m) for kind, count in wanted.items() for m in found[kind][:count]]


def outcomes(options: argparse.Namespace) -> Iterator[list[Outcome]]:
    """Yield what became of the mutants of each text."""
    chosen = [n for n in names() if not options.base or any(b in n for b in options.base)]
    with ProcessPoolExecutor(options.jobs, initializer=prepare) as pool:
        surveyed = list(pool.map(look, chosen, repeat(options.seed), chunksize=4))
        counts = dict(zip(chosen, surveyed, strict=True))
        found = shares(counts, options.kind or list(KINDS), options.each, options.others, options.seed)
        largest = sorted(found, key=lambda n: sum(found[n].values()) * len(counts[n][0].text), reverse=True)
        waiting = [pool.submit(work, counts[n][0], options.seed, found[n]) for n in largest]
        for number, future in enumerate(as_completed(waiting), 1):
            print(f"{number} of {len(waiting)} texts", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr)
            yield future.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=500, help="mutants of each kind of single blocks, or of whole specs where there are too few")
    parser.add_argument("--others", type=int, default=28, help="mutants of each kind of whole specs")
    parser.add_argument("--kind", nargs="*", help="kinds of change; all without it")
    parser.add_argument("--base", nargs="*", help="parts of names of texts; all without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where what is not right goes, after each text")
    parser.add_argument("--write", action="store_true", help="write docs/soundness.md")
    options = parser.parse_args()
    start, found, texts = time.time(), list[Outcome](), 0
    for part in outcomes(options):
        found += part
        texts += 1
        if options.json:
            options.json.write_text(json.dumps([{**vars(o), "mutation": vars(o.mutation)} for o in found if o.result != "right"], indent=1))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    times = (time.time() - start, sum(u.ru_utime + u.ru_stime for u in used))
    page = report(found, times, used[1].ru_maxrss >> 10, texts, options.seed)
    print(page)
    print(Counter(o.result for o in found))
    if options.write:
        PAGE.write_text(page, encoding="utf-8")


__all__ = ["keeping", "keeping_names", "keeping_plans", "kinds", "plan_kinds", "tensor_kinds"]

if __name__ == "__main__":
    main()
