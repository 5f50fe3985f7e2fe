"""Pipelines: lists of passes by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from ...dsl.diagnostics import closest
from .interface import Pass
from .registry import make, passes, split

DEFAULT = (
    "simplify", "cse", "sdpa", "route_experts", "mix_kernels", "mix_pairs", "mix_matmul", "resize_late", "merge_linears", "merge_attentions",
    "cancel", "batch_families", "mix_members", "pack", "unrecord",
)  # fmt: skip
EVALUATION = (
    "simplify", "read_prefixes", "cse", "sdpa", "route_experts", "mix_kernels", "merge_maps", "mix_pairs", "sum_linears", "mix_matmul", "fold_norms",
    "resize_late", "merge_linears", "merge_attentions", "cancel", "batch_families", "mix_members", "compose_maps", "fold_forward",
    "lay_channels_last", "onednn_linears", "fold_parameters",
)  # fmt: skip
PIPELINES: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "default": DEFAULT,
    "inference": EVALUATION,
    "max": EVALUATION,
}
"""`default` keeps training as it is; `inference` and `max` give a model that only evaluates."""

Asked = str | Sequence[str | Pass]
"""A pipeline's name, a list of passes and pipelines in one text (`"cse, pack"`), or in a sequence."""


def pipeline(asked: Asked) -> tuple[Pass, ...]:
    """Return the passes of a pipeline, or of a list of passes, in their order; those that mark steps alone run behind the others.

    Raises ValueError for a pipeline, a pass or an option that there isn't, TypeError for what is neither text nor a sequence of passes.
    """
    if not isinstance(cast(object, asked), Sequence):
        raise TypeError(f"`optimize` is a pipeline's name, passes in one text, or a list of passes, not {asked!r}")
    if isinstance(asked, str):
        if asked in PIPELINES:
            return tuple(map(make, PIPELINES[asked]))
        if asked.isidentifier() and asked not in passes():
            near = closest(asked, [*PIPELINES, *passes()])
            meant = f", did you mean `{near}`" if near else ""
            raise ValueError(f"there is no pipeline `{asked}`{meant}: there are {', '.join(PIPELINES)}, and the passes {', '.join(passes())}")
        asked = split(asked)
    names = (name for each in asked for name in (PIPELINES.get(each, (each,)) if isinstance(each, str) else (each,)))
    made = (make(each) if isinstance(each, str) else each for each in names)
    return _ordered(tuple(sorted(made, key=lambda each: each.marks)))


def _ordered(found: tuple[Pass, ...]) -> tuple[Pass, ...]:
    """Refuse a pass that stands before one that it must follow."""
    for place, each in enumerate(found):
        later = {other.name() for other in found[place + 1 :]}
        wrong = [name for name in each.after if name in later]
        if wrong:
            raise ValueError(f"the pass `{each.name()}` must come after `{wrong[0]}`")
    return found
