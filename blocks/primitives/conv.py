"""Convolutions: leaf modules, and functions whose weight is a value."""

from __future__ import annotations

from typing import Any, cast

from ...dsl.dims import Dim
from ...dsl.primitive import Cost, Inputs, Rule
from ...dsl.types import Axis, TensorType, extent
from ..arguments import anything, flag, init, integer, ints, tensor, word
from ..convolution import flops, places, ranked, same_windows, unwound, windows
from ..costs import moved_bytes, product
from ..lowering import Omit, call, module
from ..operands import common_dtype
from ..parameters import leaf_cost, per_axis, weight_and_bias
from ..registry import leaf, operation
from ..samples import Sample, refused, sample
from .linear import positive

AXES = {1: "S", 2: "H, W", 3: "2, H, W"}
CIN, COUT = integer("cin", "the channels of the input"), integer("cout", "the channels of the output")
KERNEL = ints("kernel", "the size of the kernel, one number or one for each axis")
STRIDE = ints("stride", "the step of the kernel", 1)
DILATION = ints("dilation", "the distance of the kernel's points", 1)
GROUPS = integer("groups", "groups of channels that don't see each other", 1)
BIAS = flag("bias", "add a bias", True)
INITS = (init("init", "how the weight starts; `none` for torch's own way"), init("init_bias", "how the bias starts; `none` for torch's own way"))
PADDING = anything("padding", 'places added on both sides, or `"same"` for the size of the input', 0)


def _groups(rule: Rule, cin: int, cout: int, groups: int) -> None:
    positive(rule, cin=cin, cout=cout, groups=groups)
    if cin % groups or cout % groups:
        raise rule.fail(f"`groups` is {groups}, `cin` {cin} and `cout` {cout}", "the groups must be of equal size", "A214")


def placed(rule: Rule, name: str, x: TensorType, kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Any, ...]:
    """Return the sizes of the places after a convolution of any count of axes."""
    count = x.rank - 2
    k, s, d = (places(rule, name, w, v, count, 1) for w, v in (("kernel", kernel), ("stride", stride), ("dilation", dilation)))
    if padding == "same":
        return same_windows(rule, name, x.shape[2:], s)
    listed: list[Any] = [*cast("list[Any]", padding)] if isinstance(padding, (list, tuple)) else [padding]
    if any(isinstance(n, bool) or not isinstance(n, int) for n in listed):
        raise rule.fail(f"`padding` of `{name}` can't be `{padding}`", 'give whole numbers, or `"same"`', "A213")
    return windows(rule, x.shape[2:], k, s, places(rule, name, "padding", padding, count, 0), d)


def _shown_again(rule: Rule, x: TensorType, kernel: Any, padding: Any, dilation: Any, mode: str) -> None:
    """Require that a mirror or a circle shows no more than there is."""
    count = x.rank - 2
    least = {"reflect": 1, "circular": 0}.get(mode)
    for i, (n, k, d) in enumerate(zip(x.shape[2:], per_axis(kernel, count), per_axis(dilation, count), strict=True)):
        if least is not None:
            amount = (d * (k - 1) + 1) // 2 if padding == "same" else per_axis(padding, count)[i]
            rule.at_least(extent(n), amount + least, f"axis {i + 2} of `x`, of which so many are shown again")


def _refused(x: str, count: int) -> tuple[Sample, ...]:
    return (
        refused("A301", x=x, cin=5, cout=6, kernel=1),
        refused("A214", x=x, cin=4, cout=6, kernel=1, groups=3),
        refused("A214", x=x, cin=4, cout=6, kernel=1, groups=0),
        refused("A322", x="float[B, 4]", cin=4, cout=6, kernel=1),
        refused("A324", x=x, cin=4, cout=6, kernel=[1] * (count + 1)),
        refused("A213", x=x, cin=4, cout=6, kernel=1, padding="full"),
        refused("A213", x=x, cin=4, cout=6, kernel=3, padding=0.5),
        refused("A213", x=x, cin=4, cout=6, kernel=3, padding=True),
        refused("A303", x=f"float[B, 4{', 2' * count}]", cin=4, cout=6, kernel=5, padding=2, padding_mode="reflect"),
        refused("A303", x=f"float[B, 4{', 2' * count}]", cin=4, cout=6, kernel=7, padding="same", padding_mode="circular"),
        refused("A321", x=x.replace("float", "float32"), cin=4, cout=6, kernel=1),
        refused("A214", x=x, cin=4, cout=6, kernel=3, stride=2, padding="same"),
        refused("A303", x=f"float[B, 4{', 2' * count}]", cin=4, cout=6, kernel=3),
    )


def _conv(count: int) -> None:
    name = f"Conv{count}d"

    def shape(inputs: Inputs) -> tuple[int, ...]:  # asked when the leaf is made, before a call refuses groups of nothing
        return (inputs["cout"], inputs["cin"] // max(inputs["groups"], 1), *per_axis(inputs["kernel"], count))

    def rule(
        rule: Rule, x: TensorType, cin: int, cout: int, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int,
        bias: bool, padding_mode: str, init: Any, init_bias: Any,
    ) -> TensorType:  # fmt: skip
        """Slide a kernel over the places: `y[o, p] = sum over c and k of W[o, c, k] x[c, s p + d k] + b[o]`.

        x: float[B, cin, n...], weight W: [cout, cin / groups, kernel...], bias b: [cout],
        y: float[B, cout, floor((n + 2 padding - dilation (kernel - 1) - 1) / stride) + 1 ...].
        """
        _groups(rule, cin, cout, groups)
        ranked(rule, name, x, count)
        rule.same(x.shape[1], cin, "axis 1 of `x` and `cin`")
        sizes = placed(rule, name, x, kernel, stride, padding, dilation)
        _shown_again(rule, x, kernel, padding, dilation, padding_mode)
        return TensorType(x.dtype, (x.shape[0], cout, *sizes))

    def cost(inputs: Inputs, y: TensorType) -> int | Dim:
        return flops(extent(y.shape[0]) * product(y.shape[2:]), per_axis(inputs["kernel"], count), inputs["cin"] // inputs["groups"], inputs["cout"])

    x = f"float[B, 4, {AXES[count]}]"
    parameters = weight_and_bias(shape, "cout")
    leaf(
        name=name,
        arguments=(
            CIN, COUT, KERNEL, STRIDE, PADDING, DILATION, GROUPS, BIAS,
            word("padding_mode", ("zeros", "reflect", "replicate", "circular"), "what the added places hold", "zeros"), *INITS,
        ),
        lowering=module(
            f"torch.nn.{name}", in_channels="cin", out_channels="cout", kernel_size="kernel", stride=Omit("stride", 1), padding=Omit("padding", 0),
            dilation=Omit("dilation", 1), groups=Omit("groups", 1), bias=Omit("bias", True), padding_mode=Omit("padding_mode", "zeros"),
        ),
        parameters=parameters,
        cost=leaf_cost(parameters, cost),
        good=(
            sample(x=x, cin=4, cout=6, kernel=1),
            sample(x=x, cin=4, cout=6, kernel=2, stride=2, bias=False),
            sample(x=x, cin=4, cout=4, kernel=[3] * count, padding=1, groups=4),
            sample(x=x, cin=4, cout=2, kernel=3, padding="same", dilation=2),
            sample(x=x, cin=4, cout=2, kernel=3, padding=[1] * count, groups=2, padding_mode="circular"),
        ),
        bad=_refused(x, count),
    )(rule)  # fmt: skip


for _count in (1, 2, 3):
    _conv(_count)


def _spread(rule: Rule, name: str, x: TensorType, kernel: Any, stride: Any, padding: Any, output_padding: Any, dilation: Any) -> tuple[Axis, ...]:
    """Return the sizes over which a transposed convolution spreads its places."""
    count = x.rank - 2
    k, s, d = (places(rule, name, w, v, count, 1) for w, v in (("kernel", kernel), ("stride", stride), ("dilation", dilation)))
    p, extra = (places(rule, name, w, v, count, 0) for w, v in (("padding", padding), ("output_padding", output_padding)))
    if any(e >= max(a, b) for e, a, b in zip(extra, s, d, strict=True)):
        raise rule.fail(f"`output_padding` of `{name}` is {output_padding}", "it must be below the stride or the dilation", "A214")
    made = unwound(x.shape[2:], k, s, p, extra, d)
    for i, n in enumerate(made, 2):
        rule.at_least(extent(n), 1, f"axis {i} of the result")
    return made


def _transposed(count: int) -> None:
    name = f"ConvTranspose{count}d"

    def shape(inputs: Inputs) -> tuple[int, ...]:
        return (inputs["cin"], inputs["cout"] // max(inputs["groups"], 1), *per_axis(inputs["kernel"], count))

    def rule(
        rule: Rule, x: TensorType, cin: int, cout: int, kernel: Any, stride: Any, padding: Any, output_padding: Any, groups: int,
        bias: bool, dilation: Any, init: Any, init_bias: Any,
    ) -> TensorType:  # fmt: skip
        """Spread each place over a kernel: `y[o, s p + d k] += W[c, o, k] x[c, p]`, plus `b[o]`.

        x: float[B, cin, n...], weight W: [cin, cout / groups, kernel...], bias b: [cout],
        y: float[B, cout, (n - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1 ...].
        """
        _groups(rule, cin, cout, groups)
        ranked(rule, name, x, count)
        rule.same(x.shape[1], cin, "axis 1 of `x` and `cin`")
        return TensorType(x.dtype, (x.shape[0], cout, *_spread(rule, name, x, kernel, stride, padding, output_padding, dilation)))

    def cost(inputs: Inputs, y: TensorType) -> int | Dim:
        places_ = product(inputs["x"].shape[2:]) * extent(y.shape[0])
        return flops(places_, per_axis(inputs["kernel"], count), inputs["cin"], inputs["cout"] // inputs["groups"])

    x = f"float[B, 4, {AXES[count]}]"
    parameters = weight_and_bias(shape, "cout")
    leaf(
        name=name,
        arguments=(
            CIN, COUT, KERNEL, STRIDE, ints("padding", "places taken off on both sides", 0),
            ints("output_padding", "places added at the end", 0),
            GROUPS, BIAS, DILATION, *INITS,
        ),
        lowering=module(
            f"torch.nn.{name}", in_channels="cin", out_channels="cout", kernel_size="kernel", stride=Omit("stride", 1), padding=Omit("padding", 0),
            output_padding=Omit("output_padding", 0), groups=Omit("groups", 1), bias=Omit("bias", True), dilation=Omit("dilation", 1),
        ),
        parameters=parameters,
        cost=leaf_cost(parameters, cost),
        good=(
            sample(x=x, cin=4, cout=6, kernel=2, stride=2),
            sample(x=x, cin=4, cout=6, kernel=3, stride=2, padding=1, output_padding=1, groups=2, bias=False),
        ),
        bad=(
            refused("A301", x=x, cin=5, cout=6, kernel=1),
            refused("A214", x=x, cin=4, cout=6, kernel=2, stride=2, output_padding=2),
            refused("A322", x="float[B, 4]", cin=4, cout=6, kernel=1),
        ),
    )(rule)  # fmt: skip


for _count in (1, 2):
    _transposed(_count)


def fitting(rule: Rule, name: str, x: TensorType, weight: TensorType, bias: TensorType | None, groups: int) -> tuple[int | Dim, ...]:
    """Return the sizes of a kernel that is a value, which must fit the places and what is added."""
    kernel = tuple(extent(n) for n in weight.shape[2:])
    if weight.rank != x.rank or not all(isinstance(k, int) for k in kernel):
        raise rule.fail(f"`weight` of `{name}` is {weight}", "give [cout, cin / groups, kernel...] with a static kernel", "A322")
    positive(rule, groups=groups)
    rule.same(x.shape[1], extent(weight.shape[1]) * groups, "axis 1 of `x` and the channels of `weight`")
    rule.divide(extent(weight.shape[0]), groups, "axis 0 of `weight` and `groups`")
    if bias and bias.rank != 1:
        raise rule.fail(f"`bias` of `{name}` is {bias}", "give [cout]", "A322")
    if bias:
        rule.same(weight.shape[0], bias.shape[0], "axis 0 of `weight` and `bias`")
    return kernel


def _functional(count: int) -> None:
    name = f"conv{count}d"

    def rule(
        rule: Rule, x: TensorType, weight: TensorType, bias: TensorType | None, stride: Any, padding: Any, dilation: Any, groups: int
    ) -> TensorType:
        dtype = common_dtype(rule, {"x": x, "weight": weight, **({"bias": bias} if bias else {})}, "float")
        ranked(rule, name, x, count)
        kernel = fitting(rule, name, x, weight, bias, groups)
        return TensorType(dtype, (x.shape[0], weight.shape[0], *placed(rule, name, x, kernel, stride, padding, dilation)))

    def cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
        cout, cin, *kernel = (extent(n) for n in inputs["weight"].shape)
        y = outputs[0].shape
        found = flops(extent(y[0]) * product(y[2:]), [k for k in kernel if isinstance(k, int)], cin, cout)
        return Cost(found, moved_bytes(inputs, outputs))

    x, w = f"float[B, 4, {AXES[count]}]", f"float[6, 4{', 2' * count}]"
    operation(
        name=name,
        doc="Slide a kernel that is a value over the places: `y[o, p] = sum over c and k of W[o, c, k] x[c, s p + d k] + b[o]`.\n\n"
        "x: float[B, cin, n...], W: float[cout, cin / groups, kernel...], b: float[cout], y: float[B, cout, ...].",
        arguments=(
            tensor("x", "the places"),
            tensor("weight", "the kernel"),
            tensor("bias", "what is added", optional=True),
            STRIDE, PADDING, DILATION, GROUPS,
        ),
        lowering=call(
            f"torch.nn.functional.{name}", "x", "weight", Omit("bias", None), stride=Omit("stride", 1), padding=Omit("padding", 0),
            dilation=Omit("dilation", 1), groups=Omit("groups", 1),
        ),
        cost=cost,
        good=(
            sample(x=x, weight=w),
            sample(x=x, weight=w, bias="float[6]", stride=2, padding=1),
            sample(x=x, weight=f"float[4, 2{', 3' * count}]", groups=2, padding="same"),
        ),
        bad=(
            refused("A301", x=x, weight=w.replace("4", "5")),
            refused("A321", x=x, weight=w.replace("float", "float32")),
            refused("A322", x="float[B, 4]", weight=w),
            refused("A301", x=x, weight=w, bias="float[5]"),
        ),
    )(rule)  # fmt: skip


for _count in (1, 2):
    _functional(_count)
