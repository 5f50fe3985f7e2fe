"""Everything that is observed of a subject, in one go: the facts only read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...dsl.record import record
from .chance import Live, live_draws
from .entries import entries
from .errors import failure, foreign
from .inputs import Effect, Verdict, input_effects
from .inventory import Inventory
from .keys import Keys, compare_keys
from .preserving import preserved, seeded
from .running import Gradient, Runner, same
from .subject import Subject, patterns

Reach = Mapping[str, Mapping[str, Gradient]]
"""By loss and parameter the most that any step gave."""

SHAKES = (0.1, 0.5, 1.0)
"""By which parts of its spread all that is trained is moved at random, to see whether what was nothing stays nothing."""

STRONG = (1.0, 3.0, 10.0, 10.0)
"""By which parts of its spread what no gradient reaches is moved."""


@record
class Steps:
    """What some steps of training did.

    `values` are the losses of the first step; `reach` what each loss gives each trained parameter; `moved` the frozen parameters and
    `moved_buffers` the buffers whose values were changed.
    """

    values: Mapping[str, Tensor]
    reach: dict[str, dict[str, Gradient]]
    moved: frozenset[str]
    moved_buffers: tuple[str, ...]


@record
class Unreached:
    """Trained parameters without a gradient: the losses that change with them all the same, and whether outputs do."""

    paths: tuple[str, ...]
    losses: frozenset[str]
    outputs: bool


@record
class Observed:
    """What steps of training showed.

    `called` are the modules that ran; `unreached` what is trained and gets no gradient, by module; `live` the frozen modules that draw in
    training what they don't draw in evaluation; `outside` what the optimisers hold that isn't the model's, each with whether a loss
    reaches it.
    """

    subject: Subject
    inventory: Inventory
    steps: Steps
    called: frozenset[int]
    unreached: Mapping[str, Unreached]
    live: Live
    inputs: Mapping[str, Effect]
    outside: Mapping[str, bool]
    keys: Keys | None

    def best(self, path: str) -> Gradient:
        """Return the most that any loss gives a parameter."""
        return _best(self.steps.reach, path)

    def optimized(self) -> frozenset[int]:
        """Return the identities of all that the optimisers hold."""
        return frozenset(id(value) for o in self.subject.optimizers for group in o.param_groups for value in group["params"])


def observe(subject: Subject) -> Observed:
    """Run a subject and return what is seen; its model, optimisers and random states are as before afterwards.

    Raises Failure where the model can't be run (A562), has no such loss (A563) or the checkpoint can't be read (A650 to A652).
    """
    inventory = Inventory(subject.model, patterns(subject.frozen), patterns(subject.select))
    outside = _outside(subject, inventory)
    keys = compare_keys(subject.model, subject.checkpoint) if subject.checkpoint is not None else None
    runner = Runner(subject, {**{path: inventory.parameters[path] for path in inventory.trained}, **outside})
    fed = [value for batch in subject.all_batches for _, value in entries(batch)]
    with preserved(subject.model, subject.optimizers, (*outside.values(), *fed)), runner.watching():
        runner.settle()
        live = live_draws(runner, inventory)
        inputs = input_effects(runner, {}, subject.seed)
        steps = _steps(runner, inventory)
        _look_again(runner, inventory, steps.reach)
        groups = inventory.groups(path for path in inventory.trained if _best(steps.reach, path) is Gradient.NONE)
        unreached = {group: _unreached(runner, inventory, paths) for group, paths in groups.items()}
        for number, part in enumerate(SHAKES):  # again, for what a factor that starts at zero keeps out
            if any(effect.verdict is Verdict.NOTHING for effect in inputs.values()):
                _shake([inventory.parameters[path] for path in inventory.trained], part)
                inputs = input_effects(runner, inputs, subject.seed + number)
    reached = {name: _best(steps.reach, name) is not Gradient.NONE for name in outside}
    return Observed(subject, inventory, steps, frozenset(runner.called), unreached, live, inputs, reached, keys)


def _best(reach: Reach, path: str) -> Gradient:
    return max((found[path] for found in reach.values()), default=Gradient.NONE)


def _outside(subject: Subject, inventory: Inventory) -> dict[str, nn.Parameter]:
    """Return what optimisers hold that isn't a parameter of the model, by its place there."""
    own = {id(value) for value in inventory.parameters.values()}
    found: dict[str, nn.Parameter] = {}
    for number, optimizer in enumerate(subject.optimizers):
        name = "optimizer" if len(subject.optimizers) == 1 else f"optimizer[{number}]"
        for g, group in enumerate(optimizer.param_groups):
            for p, value in enumerate(group["params"]):
                if id(value) not in own:
                    found[f"{name}.param_groups[{g}][{p}]"] = value
    return found


def _steps(runner: Runner, inventory: Inventory) -> Steps:
    """Take steps of training."""
    subject, batches = runner.subject, runner.subject.all_batches
    before = {path: inventory.parameters[path].detach().clone() for path in inventory.frozen}
    buffers = {path: value.detach().clone() for path, value in _buffers(subject.model)}
    values: dict[str, Tensor] = {}
    reach: dict[str, dict[str, Gradient]] = {}
    for step in range(max(subject.steps, len(batches))):
        batch, seed = batches[step % len(batches)], subject.seed + step
        losses, found = runner.gradients(batch, seed)
        values = {**losses, **values}
        _merge(reach, found)
        runner.step(batch, seed)
    if not values:
        help = "return a tensor of one number, or a mapping of them by name; None stands for a loss that a batch lacks"
        raise failure("A563", "no batch has a loss", help)
    moved = frozenset(path for path, value in before.items() if not same([value], [inventory.parameters[path].detach()]))
    after = dict(_buffers(subject.model))
    moved_buffers = tuple(path for path, value in buffers.items() if path in after and not same([value], [after[path]]))
    return Steps(values, reach, moved, moved_buffers)


def _buffers(model: nn.Module) -> Iterable[tuple[str, Tensor]]:
    tree: Any = model
    return tree.named_buffers()


def _merge(reach: dict[str, dict[str, Gradient]], found: Mapping[str, Mapping[str, Gradient]]) -> None:
    for name, gradients in found.items():
        known = reach.setdefault(name, dict(gradients))
        known.update({path: max(known[path], gradient) for path, gradient in gradients.items()})


def _look_again(runner: Runner, inventory: Inventory, reach: dict[str, dict[str, Gradient]]) -> None:
    """Compute gradients from other values, where some were none or zero.

    A factor that starts at zero, as LoRA's B, makes the gradient of the other one zero, and a rate that warms up from zero keeps it so; of
    many experts some may see no token of these batches.
    """
    trained, seed = [inventory.parameters[path] for path in inventory.trained], runner.subject.seed
    with preserved(runner.subject.model):
        for number, part in enumerate(part for part in SHAKES for _ in range(2)):
            if all(_best(reach, path) is Gradient.SOME for path in inventory.trained):
                return
            seeded(seed + number)
            _shake(trained, part)
            for batch in runner.subject.all_batches:
                losses, found = runner.gradients(batch, seed + number)
                _merge(reach, {name: gradients for name, gradients in found.items() if bool(losses[name].isfinite())})


def _shake(values: Iterable[Tensor], part: float) -> None:
    """Add noise: a part of the spread that the values have, or of a fifth where they have none."""
    with torch.no_grad():
        for value in values:
            if value.is_floating_point() and value.numel():
                spread = float(value.float().std(correction=0)) * part
                value.add_(torch.randn_like(value), alpha=spread or 0.2 * part)


def _unreached(runner: Runner, inventory: Inventory, paths: tuple[str, ...]) -> Unreached:
    """Say what changes with parameters that no gradient reaches: choices between whole numbers need strong changes."""
    subject = runner.subject
    losses, outputs = set[str](), False
    for batch in subject.all_batches:
        before, given = _results(runner, batch, [], 0)
        for number in range(len(STRONG)):
            after, new = _results(runner, batch, [inventory.parameters[path] for path in paths], number)
            losses |= {name for name, value in after.items() if name in before and not same([value], [before[name]])}
            outputs = outputs or len(given) != len(new) or not same(given, new)
            if losses:
                break
    return Unreached(paths, frozenset(losses), outputs)


def _results(runner: Runner, batch: Any, moved: Iterable[Tensor], number: int) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return losses and outputs with some parameters moved for the `number`th time."""
    with preserved(runner.subject.model), foreign("A562", "computing the losses with other parameters"):
        seeded(runner.subject.seed + number)
        _shake(moved, STRONG[number])
        return runner.losses(batch, runner.subject.seed), runner.given
