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
from ..parameters import per_axis
from ..registry import operation
from ..samples import refused, sample
from .conv import placed


def _cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    """The taps at the old places, then each axis as a product."""
    height, width = (extent(n) for n in inputs["x"].shape[2:])
    cin, each = (extent(n) for n in inputs["weight"].shape)
    rows, columns = per_axis(inputs["kernel"], 2)
    cout = extent(outputs[0].shape[1])
    tall, wide = (extent(n) for n in outputs[0].shape[2:])
    taps = cin * each * height * width
    lines = cout * (rows * height * columns * width * wide + tall * rows * height * wide)
    return Cost(extent(outputs[0].shape[0]) * (taps + lines) * 2, moved_bytes(inputs, outputs))


def _lowered(b: LoweringBuilder, given: Given) -> Any:
    x, weight, bias, plus = (given[name] for name in ("x", "weight", "bias", "plus"))
    kernel, padding = (list(per_axis(given[name], 2)) for name in ("kernel", "padding"))
    options = {"align": True} if given["align"] else {}
    return b.call(f"{COMPOSITES}.resized_conv2d", x, weight, bias, plus, [static(b, n) for n in given["size"]], kernel, padding, **options)


@operation(
    arguments=(
        tensor("x", "the places before"),
        tensor("weight", "the kernel as a matrix"),
        tensor("bias", "what is added to each channel", optional=True),
        tensor("plus", "a map that is added", optional=True),
        shape("size", "the sizes of the places after the resize"),
        ints("kernel", "the size of the kernel, one number or one for each axis"),
        ints("padding", "places added on both sides of the resized ones", 0),
        flag("align", "the corners' centres stay where they are"),
    ),
    lowering=expand(_lowered),
    cost=_cost,
    good=(
        sample(x="float[B, 4, 5, 3]", weight="float[4, 54]", bias="float[6]", size=[20, 12], kernel=3, padding=1),
        sample(x="float[B, 4, H, W]", weight="float[4, 12]", size=[9, "W"], kernel=[1, 2], padding=[0, 1]),
        sample(x="float[B, 4, 5, 3]", weight="float[4, 54]", size=[10, 12], kernel=3, align=True),
        sample(x="float[B, 4, 5, 3]", weight="float[4, 54]", plus="float[B, 6, 8, 10]", size=[10, 12], kernel=3),
    ),
    bad=(
        refused("A301", x="float[B, 4, 5, 3]", weight="float[5, 54]", size=[10, 12], kernel=3),
        refused("A301", x="float[B, 4, 5, 3]", weight="float[4, 54]", bias="float[5]", size=[10, 12], kernel=3),
        refused("A301", x="float[B, 4, 5, 3]", weight="float[4, 54]", plus="float[B, 6, 8, 9]", size=[10, 12], kernel=3),
        refused("A322", x="float[B, 4, 5, 3]", weight="float[4, 54]", plus="float[6, 8, 10]", size=[10, 12], kernel=3),
        refused("A302", x="float[B, 4, 5, 3]", weight="float[4, 55]", size=[10, 12], kernel=3),
        refused("A321", x="float[B, 4, 5, 3]", weight="float32[4, 54]", size=[10, 12], kernel=3),
        refused("A322", x="float[B, 4, 5]", weight="float[4, 18]", size=[10], kernel=3),
        refused("A322", x="float[B, 4, 5, 3]", weight="float[4, 54]", size=[10, 12, 3], kernel=3),
        refused("A303", x="float[B, 4, 5, 3]", weight="float[4, 54]", size=[2, 12], kernel=3),
        refused("A324", x="float[B, 4, 5, 3]", weight="float[4, 54]", size=[10, 12], kernel=3, padding=[1, 1, 1]),
        refused("A214", x="float[B, 4, 5, 3]", weight="float[4, 54]", size=[10, 12], kernel=0),
    ),
)
def resized_conv2d(
    rule: Rule, x: TensorType, weight: TensorType, bias: TensorType | None, plus: TensorType | None, size: Any, kernel: Any, padding: Any, align: bool
) -> TensorType:
    """Convolve resized places, `y = W * resize(x, size) + b + z`, with as few multiply-adds as the places before allow.

    x: float[B, cin, h, w], W: float[cin, k * l * cout], kernel: k and l, b: float[cout], y, z: float[B, cout, size[0] + 2 padding - k + 1, ...]; the
    resize is bilinear.
    """
    given = {"x": x, "weight": weight, "bias": bias, "plus": plus}
    dtype = common_dtype(rule, {name: value for name, value in given.items() if value}, "float")
    if x.rank != 4 or weight.rank != 2 or len(size) != 2 or (bias and bias.rank != 1) or (plus and plus.rank != 4):
        what = f"`x` is {x}, `weight` {weight} and `size` {len(size)} numbers"
        raise rule.fail(what, "give [B, cin, h, w], [cin, k * l * cout] and 2 sizes", "A322")
    rule.same(x.shape[1], weight.shape[0], "axis 1 of `x` and axis 0 of `weight`")
    spans = places(rule, "resized_conv2d", "kernel", kernel, 2, 1)
    cout = rule.divide(extent(weight.shape[1]), spans[0] * spans[1], "axis 1 of `weight` and the places of `kernel`")
    if bias:
        rule.same(cout, bias.shape[0], "axis 1 of `weight`, less its places, and `bias`")
    places(rule, "resized_conv2d", "padding", padding, 2, 0)
    for i, n in enumerate(size):
        rule.at_least(extent(n), 1, f"the new size of axis {i + 2}")
        rule.at_least(extent(x.shape[i + 2]), 1, f"axis {i + 2} of `x`")
    resized = TensorType(x.dtype, (*x.shape[:2], *size))
    made = (x.shape[0], cout, *placed(rule, "resized_conv2d", resized, spans, 1, padding, 1))
    for i, (axis, other) in enumerate(zip(made, plus.shape if plus else made, strict=True)):
        rule.same(axis, other, f"axis {i} of the result and of `plus`")
    return TensorType(dtype, made)
