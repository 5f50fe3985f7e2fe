"""Which entries of a batch change anything: each is given other values, and the losses and outputs are compared bit by bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from ...dsl.record import record
from .entries import Path, entries, exchanged, spelt
from .errors import foreign
from .preserving import preserved
from .running import Runner, same


class Verdict(Enum):
    """What became of an entry's change."""

    CHANGES = "changes the results"
    NOTHING = "changes nothing"
    UNTESTED = "not tested"


@record
class Effect:
    """What changes with an entry of the batch; `why` says why it couldn't be told."""

    verdict: Verdict
    why: str = ""


def input_effects(runner: Runner, known: Mapping[str, Effect], seed: int) -> dict[str, Effect]:
    """Return by name what each tensor of the batches does; what is known to do something isn't looked at again."""
    found = dict(known)
    for batch in runner.subject.all_batches:
        done = [name for name, effect in found.items() if effect.verdict is Verdict.CHANGES]
        for name, effect in _of_batch(runner, batch, done, seed).items():
            if name not in found or effect.verdict is Verdict.CHANGES:
                found[name] = effect
    return found


def _of_batch(runner: Runner, batch: Any, known: list[str], seed: int) -> dict[str, Effect]:
    tested = [(path, value) for path, value in entries(batch) if spelt(path) not in known]
    if not tested:
        return {}
    with foreign("A562", "computing the losses"):
        first, again = _results(runner, batch, seed), _results(runner, batch, seed)
    if len(first) != len(again) or not same(first, again):
        why = "two runs with one seed give different results"
        return {spelt(path): Effect(Verdict.UNTESTED, why) for path, _ in tested}
    return {spelt(path): _effect(runner, batch, path, value, first, seed) for path, value in tested}


def _results(runner: Runner, batch: Any, seed: int) -> list[Tensor]:
    with preserved(runner.subject.model, (), (value for _, value in entries(batch))):
        return runner.results(batch, seed)


def _effect(runner: Runner, batch: Any, path: Path, value: Tensor, first: list[Tensor], seed: int) -> Effect:
    """Try other values in turn until one changes something; what the model refuses says nothing."""
    ran, why = False, "no other values are known for it"
    for other in others(value):
        try:
            results = _results(runner, exchanged(batch, path, other.requires_grad_(value.requires_grad)), seed)
        except Exception as error:  # noqa: BLE001 - the model may refuse values in any way
            why = f"it refuses other values: {type(error).__name__}"
            continue
        if len(results) != len(first) or not same(first, results):
            return Effect(Verdict.CHANGES)
        ran = True
    return Effect(Verdict.NOTHING) if ran else Effect(Verdict.UNTESTED, why)


def others(value: Tensor) -> Iterator[Tensor]:
    """Yield tensors with other numbers, those first that are sure to be allowed: the same ones in other places."""
    flat = value.detach().reshape(-1)
    for moved in (flat.roll(1), flat.flip(0), flat.roll(max(1, flat.numel() // 2))):
        if not torch.equal(moved, flat):
            yield moved.reshape(value.shape)
    yield from (changed.reshape(value.shape) for changed in _changed(flat) if not torch.equal(changed, flat))


def _changed(flat: Tensor) -> Iterator[Tensor]:
    """Yield changes of a part of the numbers, then of all."""
    if not flat.numel():
        return
    half = torch.arange(flat.numel(), device=flat.device) % 2 == 1
    whole = torch.ones_like(half)
    for part in (half, whole):
        if flat.dtype is torch.bool:
            yield flat ^ part
        elif flat.is_floating_point() or flat.is_complex():
            spread = flat.float().std(correction=0) if not flat.is_complex() else flat.abs().std(correction=0)
            noise = torch.linspace(0.5, 1.5, flat.numel(), device=flat.device).to(flat.dtype)
            yield torch.where(part, flat + noise * (float(spread) or 1.0), flat)
            yield torch.where(part, torch.zeros_like(flat), flat)
        else:
            for number in (flat.min(), flat.max(), torch.zeros_like(flat[0]), torch.ones_like(flat[0])):
                yield torch.where(part, number, flat)
            yield torch.where(part, (flat - 1).clamp(min=0), flat)
            if not flat.is_cuda:  # an index beyond a table ends the process there
                yield torch.where(part, flat + 1, flat)
