"""What depends on sizes alone and is computed once in a function: positions, tables of angles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from .steps import Step, Store, bearers, inputs_of, read_steps


class Tables:
    """The steps of one function that depend on sizes alone."""

    def __init__(self) -> None:
        self._known: dict[str, Step] = {}
        self._shared: list[Step] = []

    def once(self, step: Step) -> Step:
        """Return the step that computes the same already, or this one."""
        if step.effect or step.kind not in ("call", "item"):
            return step
        tables = {id(table) for table in self._known.values()}
        if not all(read.kind == "trait" or (read.kind, read.target) == ("method", "size") or id(read) in tables for read in inputs_of(step)):
            return step
        known = self._known.setdefault(repr(_form(step)), step)
        self._shared += [known] if known is not step else []
        return known

    def first(self, steps: Sequence[Step | Store]) -> list[Step | Store]:
        """Put what several statements share before all others, where it needs nothing but inputs."""
        first: dict[int, None] = {}
        waiting = list(self._shared)
        while waiting:
            step = waiting.pop()
            first[id(step)] = None
            waiting += [read for read in inputs_of(step) if read.kind in ("call", "item", "method") and id(read) not in first]
            waiting += [one for one in self._known.values() if one.kind == "item" and one.args[0] is step and id(one) not in first]
        early = [step for step in steps if id(step) in first]
        free = all(bearer.kind == "input" or id(bearer) in first for step in early for read in inputs_of(step) for bearer in bearers(read))
        return [*early, *(step for step in steps if id(step) not in first)] if free else list(steps)


def _form(value: Any) -> Any:
    """Return what tells one computation from another."""
    if isinstance(value, Step) and value.kind in ("call", "item", "trait"):
        return (value.kind, value.target, _form(value.args), _form(value.kwargs)) if value.kind != "item" else (id(value.args[0]), value.args[1])
    if isinstance(value, (list, tuple)):
        return [_form(one) for one in cast("Sequence[Any]", value)]
    if isinstance(value, dict):
        return {key: _form(one) for key, one in cast("dict[str, Any]", value).items()}
    return id(value) if isinstance(value, Step) else value


def bearers_of_size(size: Any) -> Iterator[Any]:
    """Yield the tensors that tell a size."""
    for step in read_steps(size):
        if step.kind == "method" and step.target == "size":
            yield step.args[0]
        else:
            yield from bearers_of_size(list(step.args))
