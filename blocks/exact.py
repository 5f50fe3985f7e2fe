"""Each element of a result that whole numbers of the text alone decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ..dsl.primitive import ExactRule, Grid


def elementwise(function: Callable[..., int], *names: str) -> ExactRule:
    """Apply a function of ints to each element of the operands, which are broadcast."""

    def rule(inputs: Mapping[str, Any], shape: tuple[int, ...]) -> Sequence[int] | None:
        operands = [_spread(inputs[name], shape) for name in names]
        return None if any(values is None for values in operands) else [function(*row) for row in zip(*cast("Any", operands), strict=True)]

    return rule


def in_order(inputs: Mapping[str, Any], shape: tuple[int, ...]) -> Sequence[int] | None:
    """Keep the elements in their order: the shape alone changes."""
    return inputs["x"].values


def stretched(inputs: Mapping[str, Any], shape: tuple[int, ...]) -> Sequence[int] | None:
    """Repeat the elements along new axes and those of size 1."""
    return _spread(inputs["x"], shape)


def filled(value: Callable[[Mapping[str, Any]], Any]) -> ExactRule:
    """Give every element one number."""

    def rule(inputs: Mapping[str, Any], shape: tuple[int, ...]) -> Sequence[int] | None:
        one = value(inputs)
        return _spread(one, shape) if type(one) is int else None

    return rule


def _spread(operand: Any, shape: tuple[int, ...]) -> Sequence[int] | None:
    """Return the elements of an operand in a shape that it is broadcast to."""
    grid = Grid((), (operand,)) if type(operand) is int else operand
    if not isinstance(grid, Grid):
        return None
    if grid.shape == shape:
        return grid.values
    steps = [0 if size == 1 else step for size, step in zip(grid.shape, strides(grid.shape), strict=True)]
    return picked(grid, [[step * i for i in range(size)] for size, step in zip(shape, [0] * (len(shape) - len(steps)) + steps, strict=True)])


def strides(shape: Sequence[int]) -> list[int]:
    """Return how far apart neighbours along each axis are."""
    found, step = list[int](), 1
    for size in reversed(shape):
        found.append(step)
        step *= size
    return found[::-1]


def picked(grid: Grid, offsets: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return the elements at all sums of one offset of each axis, in order."""
    places = [0]
    for axis in offsets:
        places = [place + offset for place in places for offset in axis]
    return [grid.values[place] for place in places]
