# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
"""Axes over an index set of one member, which torch can't tell from a literal 1, and which never stretch (docs/language.md, Indexing)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from archloom.dsl import ast

from .scopes import Frame
from .values import Family, Set


def is_alone(value: Any) -> bool:
    """Tell whether a value, or one of a list, is an index set of one member."""
    if isinstance(value, (list, tuple)):
        return any(map(is_alone, value))
    return isinstance(value, Set) and len(value.members) == 1


def declares_alone(entries: Iterable[Any], frame: Frame) -> bool:
    """Tell whether a declared type has such an axis."""
    return any(isinstance(entry, ast.Name) and is_alone(frame.find(entry.id)) for entry in entries)


def mark(made: Any, name: str, values: Mapping[str, Any]) -> None:
    """Mark what an operation makes with such an axis: by a shape, or by stacking a family of one member."""
    family = values.get("tensors") if name == "stack" else None
    if isinstance(made, Tensor) and (any(map(is_alone, values.values())) or (isinstance(family, Family) and is_alone(family.set))):
        made.alone = True


def stretches_alone(operands: Iterable[Any], result: Any, links: Mapping[int, tuple[Any, tuple[Any, ...]]]) -> bool:
    """Tell whether an axis of 1 grows that may be such an axis."""
    for operand in operands:
        if isinstance(operand, (list, tuple)):
            if stretches_alone(operand, result, links):
                return True
        elif isinstance(operand, Tensor) and isinstance(result, Tensor):
            pairs = zip(reversed(operand.shape), reversed(result.shape), strict=False)
            if any(old == 1 < new for old, new in pairs) and _from_alone(operand, links):
                return True
    return False


def _from_alone(value: Any, links: Mapping[int, tuple[Any, tuple[Any, ...]]]) -> bool:
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if getattr(one, "alone", False):
            return True
        if id(one) not in seen:
            seen.add(id(one))
            waiting.extend(s for s in links.get(id(one), (None, ()))[1] if isinstance(s, torch.Tensor))
    return False
