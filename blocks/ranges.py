"""What a primitive says of whole numbers: how many positions an argument may name, and which numbers its result holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..dsl.primitive import Inputs, Numbers, ValueRule
from ..dsl.types import Axis, extent


def keeps(*names: str) -> ValueRule:
    """The result holds what these arguments hold, at other places."""

    def rule(inputs: Inputs, held: Mapping[str, tuple[Numbers, ...]]) -> tuple[Numbers, ...]:
        return tuple(numbers for name in names for numbers in held.get(name, ()))

    return rule


def counts(of: Callable[[Inputs], Axis]) -> ValueRule:
    """The result holds whole numbers from 0 up to a size."""
    return lambda inputs, held: (Numbers(0, extent(of(inputs))),)


def along(dim: str = "dim", name: str = "x") -> Callable[[Inputs], Axis]:
    """Return the size of the axis that the argument `dim` names."""

    def size(inputs: Inputs) -> Axis:
        return inputs[name].shape[inputs[dim]]

    return size


def moved_by(sign: int) -> ValueRule:
    """The result is a sum (1) or a difference (-1) with a number."""

    def rule(inputs: Inputs, held: Mapping[str, tuple[Numbers, ...]]) -> tuple[Numbers, ...]:
        by = inputs["b"]
        known = held.get("a", ()) if isinstance(by, int) else ()
        return tuple(Numbers(n.low + sign * by, n.high + sign * by, n.said) for n in known)

    return rule
