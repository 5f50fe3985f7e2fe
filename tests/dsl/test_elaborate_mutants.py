"""One process checks one mutant of an example after another, and says of each what the first check of a process says."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from archloom.dsl.parser import parse
from archloom.dsl.source import Source
from archloom.tests.mutation import keeping, keeping_names, keeping_plans, kinds, plan_kinds, tensor_kinds
from archloom.tests.mutation.mutation import KINDS, Base, mutants

from .test_elaborate_verdicts import ALL, EXAMPLES, agrees, check

EACH = 12
"""So many mutants of an example are checked, each of another kind."""


def whole(name: str) -> Base:
    """Return an example with its plans, all of which may be changed."""
    text = (EXAMPLES / f"{name}.arch").read_text("utf-8")
    models = [item.name for item in parse(Source(name, text)).items if item.word == "model"]
    base = Base(name, text, str(models[-1]), whole=True)
    base.read()
    base.ran = {(site.node.span.start, site.node.span.end) for site in base.sites}
    return base


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name == "scene" else [pytest.mark.slow]) for name in ALL])
def test_a_mutant_is_checked_as_in_a_new_process(name: str) -> None:
    base, random = whole(name), Random(name)
    assert check(base.text).ok
    first = (mutant for kind in random.sample(sorted(KINDS), len(KINDS)) for mutant in mutants(base, kind, 0)[:1])
    found = list(islice(first, EACH))
    wrong = sum(not agrees(mutant.apply(base.text)).ok for mutant in found)
    assert len(found) == EACH and wrong and agrees(base.text).ok


__all__ = ["keeping", "keeping_names", "keeping_plans", "kinds", "plan_kinds", "tensor_kinds"]
