"""Convolutions whose kernel is another one for each sample."""

from __future__ import annotations

from typing import Any

from ...dsl.primitive import Cost, Inputs, Rule
from ...dsl.types import TensorType, extent
from ..arguments import tensor
from ..convolution import flops
from ..costs import moved_bytes, product
from ..lowering import COMPOSITES, Omit, call
from ..operands import common_dtype
from ..registry import operation
from ..samples import refused, sample
from .conv import AXES, DILATION, PADDING, STRIDE, placed


def _dynamic(count: int) -> None:
    name = f"dynamic_conv{count}d"

    def rule(rule: Rule, x: TensorType, weight: TensorType, bias: TensorType | None, stride: Any, padding: Any, dilation: Any) -> TensorType:
        dtype = common_dtype(rule, {"x": x, "weight": weight, **({"bias": bias} if bias else {})}, "float")
        kernel = tuple(extent(n) for n in weight.shape[3:])
        if x.rank != count + 2 or weight.rank != count + 3 or not all(isinstance(k, int) for k in kernel):
            raise rule.fail(f"`x` of `{name}` is {x} and `weight` is {weight}", "give [B, cin, n...] and [B, cout, cin, kernel...]", "A322")
        if bias and bias.rank != 2:
            raise rule.fail(f"`bias` of `{name}` is {bias}", "give [B, cout]", "A322")
        rule.same(x.shape[0], weight.shape[0], "axis 0 of `x` and of `weight`")
        rule.same(x.shape[1], weight.shape[2], "axis 1 of `x` and axis 2 of `weight`")
        if bias:
            rule.same(weight.shape[0], bias.shape[0], "axis 0 of `weight` and of `bias`")
            rule.same(weight.shape[1], bias.shape[1], "axis 1 of `weight` and of `bias`")
        return TensorType(dtype, (x.shape[0], weight.shape[1], *placed(rule, name, x, kernel, stride, padding, dilation)))

    def cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
        _, cout, cin, *kernel = (extent(n) for n in inputs["weight"].shape)
        y = outputs[0].shape
        found = flops(extent(y[0]) * product(y[2:]), [k for k in kernel if isinstance(k, int)], cin, cout)
        return Cost(found, moved_bytes(inputs, outputs))

    x, w = f"float[B, 4, {AXES[count]}]", f"float[B, 6, 4{', 2' * count}]"
    operation(
        name=name,
        doc="Slide a kernel of each sample's own over its places: `y[b, o, p] = sum over c and k of W[b, o, c, k] x[b, c, s p + d k] + a[b, o]`.\n\n"
        "x: float[B, cin, n...], W: float[B, cout, cin, kernel...], bias a: float[B, cout], y: float[B, cout, ...].  Chen et al., arXiv 1912.03458",
        arguments=(
            tensor("x", "the places"), tensor("weight", "the kernels"), tensor("bias", "what is added", optional=True), STRIDE, PADDING, DILATION,
        ),
        lowering=call(
            f"{COMPOSITES}.dynamic_conv", "x", "weight", Omit("bias", None), stride=Omit("stride", 1), padding=Omit("padding", 0),
            dilation=Omit("dilation", 1),
        ),
        cost=cost,
        good=(
            sample(x=x, weight=w),
            sample(x=x, weight=w, bias="float[B, 6]", stride=2, padding=1),
            sample(x=x, weight=f"float[B, 4, 4{', 3' * count}]", dilation=2, padding="same"),
        ),
        bad=(
            refused("A301", x=x, weight=w.replace("4", "5")),
            refused("A321", x=x, weight=w.replace("float", "float32")),
            refused("A322", x="float[B, 4]", weight=w),
            refused("A322", x=x, weight=w, bias="float[6]"),
            refused("A301", x=x, weight=w, bias="float[B, 5]"),
        ),
    )(rule)  # fmt: skip


for _count in (1, 2):
    _dynamic(_count)
