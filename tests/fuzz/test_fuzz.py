"""A seeded sample of what `python -m archloom.tests.fuzz.run SECONDS` does for longer, and that it sees what it looks for."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from . import run
from .cases import KINDS
from .grammar import texts


@pytest.mark.parametrize("seed", range(100, 160))
def test_no_case_raises_hangs_or_prints_what_a_terminal_acts_on(seed: int) -> None:
    assert run.one(seed) is None


def test_every_rule_of_the_grammar_is_made() -> None:
    made = texts()
    assert len(KINDS) == 4 and all(made.text(random.Random(1), rule, 20) is not None for rule in made.rules)


def raising() -> int:
    raise KeyError("x")


@pytest.mark.parametrize(
    ("does", "says"),
    [(raising, "KeyError"), (lambda: print("\x1b[2J") or 0, "U+001B raw"), (lambda: 7, "exits with 7")],
    ids=["raises", "prints", "exits"],
)
def test_what_no_case_may_do_is_seen(does: Callable[[], int], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "command_line", lambda _: does())
    assert says in (run.one(0) or "")


def test_a_case_that_hangs_or_takes_the_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_SECONDS", 0.2)
    monkeypatch.setattr(run, "judged", lambda _: time.sleep(60))
    faults = [found for found in run.batch([3], torch=False) if isinstance(found, run.Fault)]
    assert [(fault.seed, fault.what) for fault in faults] == [(3, "takes more than 0.2 s")]
    monkeypatch.setattr(run, "MOST_SECONDS", 30)
    monkeypatch.setattr(run, "MOST_MEMORY", 1 << 20)
    monkeypatch.setattr(run, "judged", lambda _: bytearray(512 << 20).clear())
    faults = [found for found in run.batch([3], torch=False) if isinstance(found, run.Fault)]
    assert faults and "MiB" in faults[0].what


AUDITS = """
import torch
from archloom.tests.fuzz import run
for seed in range(5, 125, 6):
    print(*(found for found in run.batch([seed], torch=True) if isinstance(found, run.Fault)), end="")
"""


@pytest.mark.slow
def test_no_audit_raises_hangs_or_changes_files() -> None:
    """In a process of its own: where torch has computed with several threads a fork waits for them forever."""
    done = subprocess.run([sys.executable, "-c", AUDITS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
