"""What a test of claims sees and changes while a model runs: values that generated code hands through `watch`."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from torch import Tensor

Values = Mapping[str, Mapping[int, Tensor]]
"""Tensors by the name of a watched value and by turn: how many calls of its body come before."""


class Session:
    """One run under watch: `with Session() as session: model(...)`."""

    def __init__(self, given: Values | None = None, traced: frozenset[str] = frozenset()) -> None:
        """Take values that stand in for those computed, and the names of those from which gradients are wanted."""
        self.given: Values = given or {}
        self.traced = traced
        self.seen: dict[str, list[Tensor]] = {}

    def see(self, name: str, value: Tensor) -> Tensor:
        """Keep a value, or the one that stands in for it."""
        seen = self.seen.setdefault(name, [])
        value = self.given.get(name, {}).get(len(seen), value)
        if name in self.traced and (value.is_floating_point() or value.is_complex()):
            # a tensor of its own, also where an operation only handed its input on
            value = value.view_as(value) if value.requires_grad else value.detach().requires_grad_()
        seen.append(value)
        return value

    def __enter__(self) -> Self:
        self._before = _ACTIVE.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _ACTIVE.reset(self._before)


_ACTIVE: ContextVar[Session | None] = ContextVar("_ACTIVE", default=None)


def watch(value: Any, name: str) -> Any:
    """Hand a value on; under a session it is seen, and another may stand in.  An input that is absent stays so."""
    session = _ACTIVE.get()
    return value if session is None or value is None else session.see(name, value)
