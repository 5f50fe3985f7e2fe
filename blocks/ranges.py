"""What a primitive says of whole numbers: how many positions an argument may name, and which numbers its result holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..dsl.dims import Dim
from ..dsl.primitive import Inputs, Numbers, ValueRule
from ..dsl.stretches import limit, numbers
from ..dsl.types import Axis, extent
from .costs import product

Held = Mapping[str, tuple[Numbers, ...]]


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


def plus(inputs: Inputs, held: Held) -> tuple[Numbers, ...]:
    """The result is a sum with a number."""
    known, by = _with_number(inputs, held)
    return tuple(replace(n, low=n.low + by, high=n.high + by) for n in known)


def minus(inputs: Inputs, held: Held) -> tuple[Numbers, ...]:
    """The result is a difference with a number, on either side."""
    known, by = _with_number(inputs, held)
    if "a" in held:
        return tuple(replace(n, low=n.low - by, high=n.high - by) for n in known)
    return tuple(replace(n, low=by - n.high + 1, high=by - n.low + 1) for n in known)


def times(inputs: Inputs, held: Held) -> tuple[Numbers, ...]:
    """The result is a product with a number: the ends of each stretch are told, and what lies between them is left open."""
    known, by = _with_number(inputs, held)
    return tuple(end for n in known for end in (_one(n.low * by, n), _one((n.high - 1) * by, n)))


def negated(inputs: Inputs, held: Held) -> tuple[Numbers, ...]:
    """The result holds the same numbers with the other sign."""
    return tuple(replace(n, low=1 - n.high, high=1 - n.low) for n in held.get("x", ()))


def raised(inputs: Inputs, held: Held) -> tuple[Numbers, ...]:
    """The result is a power; the first alone is followed."""
    return held.get("a", ()) if inputs["b"] == 1 and type(inputs["b"]) is int else ()


def limited(inputs: Inputs, held: Held) -> tuple[Numbers, ...]:
    """The result lies between two numbers: what was beyond them comes to lie at them."""
    low, high = inputs["min"], inputs["max"]
    if not all(limit is None or type(limit) is int for limit in (low, high)):
        return ()
    return tuple(found for n in held.get("x", ()) if (found := numbers(limit((n.low, n.high), low, high), n)) is not None)


def counted(inputs: Inputs, held: Held) -> tuple[Numbers, ...]:
    """The result counts truths along some axes: none of them up to all."""
    x, dim = inputs["x"], inputs["dim"]
    axes = range(x.rank) if dim is None else (dim,) if isinstance(dim, int) else dim
    return (Numbers(0, product(x.shape[axis] for axis in axes) + 1),) if held.get("x") else ()


def _with_number(inputs: Inputs, held: Held) -> tuple[tuple[Numbers, ...], int | Dim]:
    """Return what one operand holds and the number that the other is; nothing where both are tensors."""
    for name, other in (("a", "b"), ("b", "a")):
        by = inputs[other]
        if held.get(name) and (type(by) is int or isinstance(by, Dim)):
            return held[name], by
    return (), 0


def _one(number: int | Dim, of: Numbers) -> Numbers:
    return replace(of, low=number, high=number + 1)
