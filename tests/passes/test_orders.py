"""Passes in orders that nobody thought of: subsets at random, some of them twice, with options as they come."""

from __future__ import annotations

import random

import pytest

from archloom.compiler.optimize.interface import Keeps
from archloom.compiler.optimize.registry import passes

from .comparing import compare, spec

OPTIONS = {
    "batch_families": ("rows = 0", "rows = 1000, most = 10"),
    "route_experts": ("least = 0", "least = 0, rows = 0"),
    "mix_kernels": ("reading = 0",),
    "lay_channels_last": ("least = 0",),
    "resize_late": ("gain = 0",),
    "fold_parameters": ("growth = 0", "growth = 1000"),
    "fold_norms": ("bare = False",),
    "fold_forward": ("bare = False",),
    "unrecord": ("losses = True, least = 0",),
    "checkpoint": ("keep = 0.01",),
}
EXAMPLES = [
    *(f"{name}:small" for name in ("scalearn", "colm", "com_mlp", "filter", "taskexpert", "mlore", "invpt", "taskprompter", "unifork")),
    *(f"pairs/{name}" for name in ("chains_scaling", "fork_chains", "fork_memory", "fusion_scaling", "memory_scaling")),
]


def drawn(seed: str) -> list[str]:
    """Return passes that leave nothing out and round nothing, in an order in which each may run: keeping training for one seed of two."""
    chance = random.Random(seed)
    trains = chance.random() < 0.5
    pool = [name for name, each in passes().items() if name != "quantize" and not each.leaves_out and not (trains and each.keeps is Keeps.EVALUATION)]
    chosen = chance.sample(pool, chance.randint(3, len(pool)))
    left = [*chosen, *chance.sample(chosen, chance.randint(0, 3))]
    chance.shuffle(left)
    found: list[str] = []
    while left:
        name = next(name for name in left if not any(other in passes()[name].after for other in left))
        left.remove(name)
        found.append(f"{name}({chance.choice(('', *OPTIONS.get(name, ())))})")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("example", EXAMPLES)
def test_passes_in_any_order_give_the_same_numbers(example: str, seed: int) -> None:
    compare(*spec(example), drawn(f"{example} {seed}"))


@pytest.mark.parametrize(
    ("example", "asked"),
    [("pairs/fork_memory", "batch_families, pack, cse"), ("unifork:small", "fold_parameters, cse"), ("scalearn:small", "sum_linears, checkpoint")],
)
def test_derived_values_and_bodies_that_nothing_calls_are_told_apart(example: str, asked: str) -> None:
    compare(*spec(example), asked)
