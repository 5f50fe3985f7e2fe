"""How far the values of one call lie from those of another."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Values = Mapping[str, Tensor]

GRADIENTS = "gradients"
"""Stands before the names of parameters, whose gradients are compared as one tensor."""


def largest(ours: Values, reference: Values) -> float:
    """Return the largest error of any tensor, relative to the largest entry of the reference's; gradients are taken as one tensor.

    Of whole numbers and booleans it is the share that differs.  Infinite where ours are not finite and the reference is, and where the
    reference has no such tensor, or one of another shape; what we don't give, as passes may leave it out, is not compared.
    """
    if not ours.keys() <= reference.keys():
        return float("inf")
    groups: dict[str, list[str]] = {}
    for name in ours:
        groups.setdefault(GRADIENTS if name.startswith(f"{GRADIENTS}.") else name, []).append(name)
    return max((_error([ours[name] for name in names], [reference[name] for name in names]) for names in groups.values()), default=0.0)


def _error(ours: list[Tensor], reference: list[Tensor]) -> float:
    found, wanted = (torch.cat([tensor.double().reshape(-1) for tensor in tensors]) for tensors in (ours, reference))
    if found.shape != wanted.shape:
        return float("inf")
    if not wanted.numel():
        return 0.0
    if not reference[0].is_floating_point():
        return float((found != wanted).double().mean())
    apart = torch.where((found == wanted) | (found.isnan() & wanted.isnan()), 0.0, (found - wanted).abs())
    if not apart.isfinite().all():
        return float("inf")
    scale = wanted[wanted.isfinite()].abs().amax() if wanted.isfinite().any() else torch.ones(())
    return float(apart.amax() / scale) if scale > 0 else float(apart.amax())
