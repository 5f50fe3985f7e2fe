"""What a person writes shorter than a table of lowerings does."""

from __future__ import annotations

from typing import Any, cast

from ...blocks.primitives.loss import NEVER_IGNORED
from .steps import Step

REDUCTIONS = frozenset(("sum", "mean", "amax", "amin", "any", "all", "var", "std", "logsumexp", "prod", "norm", "vector_norm", "masked_mean"))


def idiomatic(step: Step) -> Step:
    """Write a step as people do: one axis as a number, views as methods, no option that changes nothing."""
    name = str(step.target).rpartition(".")[2]
    if step.kind == "call" and step.kwargs.get("ignore_index") == NEVER_IGNORED:
        del step.kwargs["ignore_index"]
    if step.kind == "call" and step.target == "torch.unflatten":
        step.kind, step.target = "method", "unflatten"
    if step.kind == "call" and step.target == "torch.split_with_sizes":
        step.target = "torch.split"  # which is written in Python and takes twice as long
    if step.kind in ("call", "method") and name in REDUCTIONS:
        step.args = (*step.args[:1], *map(_one, step.args[1:]))
        step.kwargs = {key: _one(value) if key == "dim" else value for key, value in step.kwargs.items()}
    return step


def _one(value: Any) -> Any:
    """Return the only axis of a list."""
    axes: list[Any] = list(cast("list[Any] | tuple[Any, ...]", value)) if isinstance(value, (list, tuple)) else []
    return axes[0] if len(axes) == 1 else cast("Any", value)
