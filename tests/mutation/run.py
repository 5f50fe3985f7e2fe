"""`python tests/mutation/run.py`: a seeded choice of mutants, the confusion matrix, what is wrong; `--write` writes docs/soundness.md."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from archloom.tests.mutation import kinds, plan_kinds, tensor_kinds
from archloom.tests.mutation.corpus import names, settle
from archloom.tests.mutation.mutation import KINDS, mutants
from archloom.tests.mutation.report import report
from archloom.tests.mutation.verdict import Outcome, compare

PAGE = Path(__file__).resolve().parents[2] / "docs" / "soundness.md"
MEMORY = 6 << 30
"""What one worker may take: a mutant may ask for a tensor that no machine holds."""


def work(job: tuple[str, int, int, tuple[str, ...]]) -> list[Outcome]:
    """Try the mutants of one text: some of each kind."""
    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    name, seed, each, chosen = job
    base = settle(name)
    return [compare(base, m) for kind in chosen for m in mutants(base, kind, seed)[:each]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=3, help="mutants of each kind for each text")
    parser.add_argument("--kind", nargs="*", help="kinds of change; all without it")
    parser.add_argument("--base", nargs="*", help="parts of names of texts; all without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=60, help="texts that are not begun by then are left out")
    parser.add_argument("--json", type=Path, help="where what is not right goes")
    parser.add_argument("--write", action="store_true", help="write docs/soundness.md")
    options = parser.parse_args()
    bases = [n for n in names() if not options.base or any(b in n for b in options.base)]
    Random(0).shuffle(bases)
    jobs = [(n, options.seed, options.each, tuple(options.kind or KINDS)) for n in bases]
    start, outcomes, done = time.time(), list[Outcome](), 0
    with ProcessPoolExecutor(options.jobs) as pool:
        waiting = [pool.submit(work, job) for job in jobs]
        for future in as_completed(waiting):
            if future.cancelled():
                continue
            outcomes += future.result()
            done += 1
            if time.time() - start > options.minutes * 60:
                for left in waiting:
                    left.cancel()
            if options.json:
                options.json.write_text(json.dumps([{**vars(o), "mutation": vars(o.mutation)} for o in outcomes if o.result != "right"], indent=1))
    page = report(outcomes, time.time() - start, done, options.seed)
    print(page)
    print(Counter(o.result for o in outcomes))
    if options.write:
        PAGE.write_text(page, encoding="utf-8")


__all__ = ["kinds", "plan_kinds", "tensor_kinds"]

if __name__ == "__main__":
    main()
