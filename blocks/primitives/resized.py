"""A convolution of resized places, computed at the places before."""

from __future__ import annotations

from typing import Any

from ...dsl.primitive import Cost, Inputs, Rule
from ...dsl.types import TensorType, extent
from ..arguments import flag, ints, shape, tensor
from ..convolution import places
from ..costs import moved_bytes
from ..lowering import COMPOSITES, Given, LoweringBuilder, expand, static
from ..operands import common_dtype
from ..registry import operation
from ..samples import refused, sample
from .conv import placed


def _cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    """The taps at the old places, then each axis as a product."""
    height, width = (extent(n) for n in inputs["x"].shape[2:])
    cout, cin, rows, columns = (extent(n) for n in inputs["weight"].shape)
    tall, wide = (extent(n) for n in outputs[0].shape[2:])
    taps = cin * rows * columns * height * width
    lines = rows * height * columns * width * wide + tall * rows * height * wide
    return Cost(extent(outputs[0].shape[0]) * cout * (taps + lines) * 2, moved_bytes(inputs, outputs))


def _lowered(b: LoweringBuilder, given: Given) -> Any:
    x, weight, bias = given["x"], given["weight"], given["bias"]
    padding = given["padding"]
    pair = [padding, padding] if isinstance(padding, int) else list(padding)
    options = {"align": True} if given["align"] else {}
    return b.call(f"{COMPOSITES}.resized_conv2d", x, weight, bias, [static(b, n) for n in given["size"]], pair, **options)


@operation(
    arguments=(
        tensor("x", "the places before"),
        tensor("weight", "the kernel"),
        tensor("bias", "what is added", optional=True),
        shape("size", "the sizes of the places after the resize"),
        ints("padding", "places added on both sides of the resized ones", 0),
        flag("align", "the corners' centres stay where they are"),
    ),
    lowering=expand(_lowered),
    cost=_cost,
    good=(
        sample(x="float[B, 4, 5, 3]", weight="float[6, 4, 3, 3]", bias="float[6]", size=[20, 12], padding=1),
        sample(x="float[B, 4, H, W]", weight="float[6, 4, 1, 2]", size=[9, "W"], padding=[0, 1]),
        sample(x="float[B, 4, 5, 3]", weight="float[6, 4, 3, 3]", size=[10, 12], align=True),
    ),
    bad=(
        refused("A301", x="float[B, 4, 5, 3]", weight="float[6, 5, 3, 3]", size=[10, 12]),
        refused("A301", x="float[B, 4, 5, 3]", weight="float[6, 4, 3, 3]", bias="float[5]", size=[10, 12]),
        refused("A321", x="float[B, 4, 5, 3]", weight="float32[6, 4, 3, 3]", size=[10, 12]),
        refused("A322", x="float[B, 4, 5]", weight="float[6, 4, 3]", size=[10]),
        refused("A322", x="float[B, 4, 5, 3]", weight="float[6, 4, 3, 3]", size=[10, 12, 3]),
        refused("A303", x="float[B, 4, 5, 3]", weight="float[6, 4, 3, 3]", size=[2, 12]),
        refused("A324", x="float[B, 4, 5, 3]", weight="float[6, 4, 3, 3]", size=[10, 12], padding=[1, 1, 1]),
    ),
)
def resized_conv2d(rule: Rule, x: TensorType, weight: TensorType, bias: TensorType | None, size: Any, padding: Any, align: bool) -> TensorType:
    """Convolve resized places, `y = W * resize(x, size) + b`, with as few multiply-adds as the places before allow.

    x: float[B, cin, h, w], W: float[cout, cin, k, l], b: float[cout], y: float[B, cout, size[0] + 2 padding - k + 1, ...]; the resize is bilinear.
    """
    dtype = common_dtype(rule, {"x": x, "weight": weight, **({"bias": bias} if bias else {})}, "float")
    kernel = tuple(extent(n) for n in weight.shape[2:])
    if x.rank != 4 or weight.rank != 4 or len(size) != 2 or (bias and bias.rank != 1) or not all(isinstance(k, int) for k in kernel):
        raise rule.fail(f"`x` is {x}, `weight` {weight} and `size` {len(size)} numbers", "give [B, cin, h, w], [cout, cin, k, l] and 2 sizes", "A322")
    rule.same(x.shape[1], weight.shape[1], "axis 1 of `x` and of `weight`")
    if bias:
        rule.same(weight.shape[0], bias.shape[0], "axis 0 of `weight` and `bias`")
    places(rule, "resized_conv2d", "padding", padding, 2, 0)
    for i, n in enumerate(size):
        rule.at_least(extent(n), 1, f"the new size of axis {i + 2}")
        rule.at_least(extent(x.shape[i + 2]), 1, f"axis {i + 2} of `x`")
    resized = TensorType(x.dtype, (*x.shape[:2], *size))
    return TensorType(dtype, (x.shape[0], weight.shape[0], *placed(rule, "resized_conv2d", resized, kernel, 1, padding, 1)))
