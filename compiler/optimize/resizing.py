"""What is known of a resize of maps."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.types import TensorType, extent


def is_resize(node: Node) -> bool:
    """Tell whether a node resizes a map, each place from those near it."""
    return node.kind is NodeKind.OPERATION and node.target == "resize" and node.outputs[0].rank == 4 and not node.attributes["antialias"]


def before(body: Body, resize: Node) -> TensorType:
    """Return the type of what is resized."""
    x = resize.inputs["x"]
    assert isinstance(x, Ref)
    return body.type(x)


def places(type_: TensorType) -> tuple[int, int] | None:
    """Return height and width of a map where they are known."""
    height, width = (extent(axis) for axis in type_.shape[2:])
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def scales(resize: Node) -> tuple[Fraction, ...] | None:
    """Return how much larger each axis gets, where the text says so."""
    scale: Any = resize.attributes["scale"]
    if scale is None:
        return None
    return (Fraction(scale),) * 2 if isinstance(scale, (int, float, Fraction)) else tuple(Fraction(each) for each in scale)


def grows(body: Body, resize: Node) -> bool:
    """Tell whether there are more places after a resize than before, whatever their number."""
    old, new, by = places(before(body, resize)), places(resize.outputs[0]), scales(resize)
    return prod(new) > prod(old) if old is not None and new is not None else by is not None and prod(by) > 1


def is_exact(resize: Node, old: tuple[int, int]) -> bool:
    """Tell whether the scales give the very sizes of the result, so that nothing was rounded away."""
    by = scales(resize)
    return by is None or all((scale * n).denominator == 1 for scale, n in zip(by, old, strict=True))
