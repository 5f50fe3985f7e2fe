"""Sizes and costs of convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dsl.dim_atoms import ceil_div, floor_div
from ..dsl.dims import Dim
from ..dsl.primitive import Rule
from ..dsl.types import Axis, TensorType, extent
from .parameters import per_axis


def places(rule: Rule, name: str, what: str, value: Any, count: int, least: int) -> tuple[int, ...]:
    """Return one number for each axis of places, refusing a wrong count and numbers below `least`."""
    found = per_axis(value, count)
    if len(found) != count:
        raise rule.fail(f"`{what}` of `{name}` has {len(found)} numbers", f"give one number, or {count}", "A324")
    for n in found:
        if n < least:
            raise rule.fail(f"`{what}` of `{name}` is {n}", f"give {least} or more", "A214")
    return found


def ranked(rule: Rule, name: str, x: TensorType, count: int) -> None:
    """Require a batch, channels and `count` axes of places."""
    rule.dtype(x, "float", "`x`")
    if x.rank != count + 2:
        axes = ", ".join(("B", "C", *("L" if count == 1 else "DHW"[3 - count :])))
        raise rule.fail(f"`{name}` takes float[{axes}] and `x` is {x}", "add or drop axes", "A322")


def windows(
    rule: Rule,
    shape: Sequence[Axis],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool = False,
) -> tuple[Axis, ...]:
    """Return how many windows fit on each axis: `floor((n + 2 p - d (k - 1) - 1) / s) + 1`; with `ceil`, the last may hang over the end."""
    found: list[Axis] = []
    for i, axis in enumerate(shape):
        n, reach = extent(axis), dilation[i] * (kernel[i] - 1) + 1
        least = max(reach - stride[i] + 1, 1) if ceil else reach
        rule.at_least(n + 2 * padding[i], least, f"axis {i + 2} of `x` with its padding, which the kernel must fit into")
        rest = n + 2 * padding[i] - reach
        found.append((ceil_div if ceil else floor_div)(rest, stride[i]) + 1 if stride[i] > 1 else rest + 1)
    return tuple(found)


def same_windows(rule: Rule, name: str, shape: Sequence[Axis], stride: Sequence[int]) -> tuple[Axis, ...]:
    """Return the sizes under `padding = "same"`: those of the input."""
    if any(s != 1 for s in stride):
        raise rule.fail(f'`padding = "same"` of `{name}` needs a stride of 1', "give numbers as padding", "A214")
    return tuple(shape)


def unwound(
    shape: Sequence[Axis], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], extra: Sequence[int], dilation: Sequence[int]
) -> tuple[Axis, ...]:
    """Return the sizes after a transposed convolution: `(n - 1) s - 2 p + d (k - 1) + extra + 1`."""
    return tuple((extent(n) - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[i] - 1) + extra[i] + 1 for i, n in enumerate(shape))


def flops(places_: int | Dim, kernel: Sequence[int], cin: int | Dim, cout: int | Dim) -> int | Dim:
    """Return two FLOPs for each multiply-add: `cin` and `cout` as in the weight, groups taken off."""
    total: int | Dim = places_ * cin * cout * 2
    for k in kernel:
        total = total * k
    return total
