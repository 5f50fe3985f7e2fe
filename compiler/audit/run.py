"""`archloom.audit`: what is wrong with the training of any `nn.Module`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from .errors import own_code
from .facts import facts
from .observing import observe
from .report import Audit, report
from .subject import Losses, Subject


def audit(
    model: nn.Module,
    batch: Any = None,
    losses: Losses = None,
    *,
    batches: Sequence[Any] = (),
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    frozen: str | Sequence[str] = (),
    select: str | Sequence[str] = (),
    checkpoint: Mapping[str, Tensor] | str | PathLike[str] | None = None,
    prepare: Callable[[Any], object] | None = None,
    steps: int = 4,
    seed: int = 0,
) -> Audit:
    """Train a model for some steps and say what is wrong with that: what no loss reaches, what moves though frozen, what is fed in vain.

    The arguments are the fields of `Subject`.  Without an optimiser each step goes a little down the gradient.  The model, its optimisers and
    all random states are afterwards what they were, bit by bit.  Raises Failure for what can't be run or read.
    """
    return audited(Subject(model, batch, losses, batches, optimizer, frozen, select, checkpoint, prepare, steps, seed))


def audited(subject: Subject) -> Audit:
    """Audit a subject."""
    with own_code():
        seen = observe(subject)
        return report(seen, [finding for find in facts().values() for finding in find(seen)])
