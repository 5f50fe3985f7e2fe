"""A seeded sample of mutants: what `check` says of each is what its runs show.  The whole run is `python tests/mutation/run.py`."""

from __future__ import annotations

import pytest

from archloom.tests.mutation import keeping, keeping_names, keeping_plans, kinds, plan_kinds, tensor_kinds
from archloom.tests.mutation.corpus import settle
from archloom.tests.mutation.mutation import KINDS, mutants
from archloom.tests.mutation.verdict import compare

BASES = ["dense.ConvHead", "attention.CrossAttention", "heads.PairHead", "docs/language-0", "docs/language-15", "docs/language-16"]
EACH = 1


@pytest.mark.parametrize("base", BASES)
def test_check_is_right_about_mutants(base: str) -> None:
    found = [m for name in list(KINDS)[BASES.index(base) % 2 :: 2] for m in mutants(settle(base), name, 7)[:EACH]]
    wrong = [o for o in (compare(settle(base), m) for m in found) if o.result not in ("right", "unknown")]
    assert not wrong, "\n".join(f"{o.result}: {o.mutation} {o.reason}" for o in wrong)


def test_every_kind_changes_something() -> None:
    for name in KINDS:
        assert any(mutants(settle(base), name, 7) for base in BASES), name


__all__ = ["keeping", "keeping_names", "keeping_plans", "kinds", "plan_kinds", "tensor_kinds"]
