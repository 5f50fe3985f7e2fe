"""A seeded sample of mutants: what `check` says of each is what its runs show.  The whole run is `python tests/mutation/run.py`."""

from __future__ import annotations

import gc

import pytest

from archloom.tests.mutation import keeping, keeping_names, keeping_plans, kinds, plan_kinds, tensor_kinds
from archloom.tests.mutation.choose import shares, spread, survey
from archloom.tests.mutation.corpus import names, settle
from archloom.tests.mutation.mutation import KINDS, distinct
from archloom.tests.mutation.oracle import World
from archloom.tests.mutation.verdict import compare

BASES = [
    "dense.ConvHead", "attention.CrossAttention", "docs/language-15", "docs/language-16", "texts/carries", "texts/tasks",
    *(f"errors/A{code}" for code in (301, 401, 413, 510, 519, 521, 602, 607, 706)),
]  # fmt: skip
SEED, EACH = 7, 1


@pytest.mark.parametrize("base", BASES)
def test_check_is_right_about_mutants(base: str) -> None:
    found = [m for own in distinct(settle(base), SEED).values() for m in own[:EACH]]
    wrong = [o for o in (compare(settle(base), m) for m in found) if o.result not in ("right", "unknown")]
    assert len(found) > 10 and not wrong, "\n".join(f"{o.result}: {o.mutation} {o.reason}" for o in wrong)


def test_every_kind_changes_something() -> None:
    made = {name for base in BASES for name, found in distinct(settle(base), SEED).items() if found}
    assert made == set(KINDS)


def test_mutants_are_spread_over_kinds_and_texts() -> None:
    counts = {base: survey(settle(base), SEED) for base in BASES}
    found = shares(counts, ["loss", "width"], 20, 6, SEED)
    tried = {kind: sum(own.get(kind, 0) for own in found.values()) for kind in ("loss", "width")}
    assert tried == {"loss": 20, "width": 26}
    assert spread({"few": 1, "many": 9, "more": 9}, 7, SEED) == {"few": 1, "many": 3, "more": 3}


@pytest.mark.parametrize("kind", ["edge", "task_name"])
def test_nothing_stays_of_the_runs_of_a_mutant(kind: str) -> None:
    base = settle("texts/tasks")
    gc.collect()
    compare(base, distinct(base, SEED)[kind][0])
    assert gc.isenabled() and not [o for o in gc.get_objects() if type(o) is World]


def test_no_mutant_is_made_twice() -> None:
    base = settle("texts/tasks")
    texts = [m.apply(base.text) for own in distinct(base, SEED).values() for m in own]
    assert len(set(texts)) == len(texts) > 500 and base.text not in texts


def test_the_corpus_holds_all_examples() -> None:
    assert len(names()) == len(set(names())) > 300


__all__ = ["keeping", "keeping_names", "keeping_plans", "kinds", "plan_kinds", "tensor_kinds"]
