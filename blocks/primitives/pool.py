"""Pooling, resizing and sliding windows over places."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

from ...dsl.dim_atoms import floor_div
from ...dsl.primitive import Rule
from ...dsl.types import Axis, TensorType, extent
from ..arguments import anything, axis, flag, integer, ints, shape, tensor, word
from ..convolution import places, ranked, windows
from ..costs import moved, view
from ..lowering import Given, LoweringBuilder, Omit, Slot, call, expand, method, static
from ..registry import operation
from ..samples import refused, sample

X = tensor("x", "the places")
AXES = {1: "S", 2: "H, W", 3: "4, H, W"}


def _pool(kind: str, count: int) -> None:
    name = f"{kind}_pool{count}d"

    def rule(rule: Rule, x: TensorType, kernel: Any, stride: Any, padding: Any, ceil: bool, count_padding: bool = True) -> TensorType:
        ranked(rule, name, x, count)
        k, p = places(rule, name, "kernel", kernel, count, 1), places(rule, name, "padding", padding, count, 0)
        s = places(rule, name, "stride", kernel if stride is None else stride, count, 1)
        if any(2 * a > b for a, b in zip(p, k, strict=True)):
            raise rule.fail(f"`padding` of `{name}` is {padding}", "it must be at most half the kernel", "A214")
        if ceil and any(b > a for a, b in zip(k, s, strict=True)) or (ceil and any(p)):
            raise rule.fail(f"`ceil` of `{name}` stands beside padding or a stride above the kernel", "pad x first", "A214")
        for i, n in enumerate(x.shape[2:], 2):
            if name == "avg_pool3d":
                rule.at_least(extent(n), k[i - 2], f"axis {i} of `x` without its padding, which the kernel must fit into")
        return TensorType(x.dtype, (*x.shape[:2], *windows(rule, x.shape[2:], k, s, p, (1,) * count, ceil)))

    x = f"float[B, 3, {AXES[count]}]"
    keywords: dict[str, Slot] = {"stride": Omit("stride", None), "padding": Omit("padding", 0), "ceil_mode": Omit("ceil", False)}
    arguments = [
        X, ints("kernel", "the size of a window"), ints("stride", "the step of a window; the kernel when `none`", None),
        ints("padding", "places added on both sides", 0), flag("ceil", "keep a last window that hangs over the end"),
    ]  # fmt: skip
    if kind == "avg":
        keywords["count_include_pad"] = Omit("count_padding", True)
        arguments.append(flag("count_padding", "count the added places in the mean", True))
    operation(
        name=name,
        doc=f"Take the {'largest' if kind == 'max' else 'mean'} of each window: "
        f"`y[p] = {'max' if kind == 'max' else 'mean'} over k of x[s p + k]`, s the stride.\n\n"
        "x: float[B, C, n...], y: float[B, C, floor((n + 2 padding - kernel) / stride) + 1 ...].",
        arguments=arguments,
        lowering=call(f"torch.nn.functional.{name}", "x", "kernel", **keywords),
        cost=moved,
        good=(
            sample(x=x, kernel=2),
            sample(x=x, kernel=[2] * count, stride=1),
            sample(x=x, kernel=2, ceil=True),
            *([] if name == "avg_pool3d" else [sample(x=f"float[B, 3{', 1' * count}]", kernel=2, ceil=True)]),
            sample(x=x, kernel=3, stride=2, padding=1),
        ),
        bad=(
            refused("A322", x="float[B, 3]", kernel=2),
            refused("A214", x=x, kernel=2, padding=2),
            refused("A305", x=x.replace("float", "int"), kernel=2),
            refused("A303", x=f"float[B, 3{', 2' * count}]", kernel=3),
        ),
    )(rule)


for _kind in ("max", "avg"):
    for _count in (1, 2, 3):
        _pool(_kind, _count)


def _adaptive(kind: str, count: int) -> None:
    name = f"adaptive_{kind}_pool{count}d"

    def rule(rule: Rule, x: TensorType, size: Any) -> TensorType:
        ranked(rule, name, x, count)
        return TensorType(x.dtype, (*x.shape[:2], *places(rule, name, "size", size, count, 1)))

    x = f"float[B, 3, {AXES[count]}]"
    operation(
        name=name,
        doc=f"Take the {'largest' if kind == 'max' else 'mean'} of as many windows as are wanted: `y[i]` is that of x from floor(i n / m) to "
        "ceil((i + 1) n / m).\n\nx: float[B, C, n...], y: float[B, C, m...].",
        arguments=(X, ints("size", "how many windows on each axis")),
        lowering=call(f"torch.nn.functional.{name}", "x", "size"),
        cost=moved,
        good=(sample(x=x, size=1), sample(x=x, size=[2] * count)),
        bad=(refused("A322", x="float[B, 3]", size=1), refused("A214", x=x, size=0), refused("A324", x=x, size=[1] * (count + 1))),
    )(rule)


for _kind in ("avg", "max"):
    for _count in (1, 2):
        _adaptive(_kind, _count)

MODES = ("nearest", "linear", "bilinear", "bicubic", "area", "nearest-exact")
RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4}


def _scaled(rule: Rule, n: Axis, scale: Any) -> Axis:
    """Return floor(n * scale) of a scale that a binary float holds exactly."""
    exact = Fraction(scale)
    if exact <= 0 or exact.denominator > 4096:
        raise rule.fail(f"`scale` is {scale}", "give a whole number, a fraction like `0.5`, or `size`", "A214")
    return floor_div(extent(n) * exact.numerator, exact.denominator) if exact.denominator > 1 else extent(n) * exact.numerator


@operation(
    arguments=(
        X, shape("size", "the new sizes of the places", None), anything("scale", "how much larger each axis gets", None),
        tensor("like", "take the sizes of this one's last axes", optional=True, flat=True),
        word("mode", MODES, "how values between places are found", "bilinear"),
        flag("align", "the corners' centres stay where they are"), flag("antialias", "smooth when getting smaller"),
    ),
    lowering=expand(lambda b, given: _resize(b, given)),
    cost=moved,
    good=(
        sample(x="float[B, 3, H, W]", scale=2), sample(x="float[B, 3, H, W]", scale=0.5, mode="nearest"),
        sample(x="float[B, 3, H, W]", size=["W", 5], align=True),
        sample(x="float[B, 3, H, W]", like="float[B, 1, 7, W]"), sample(x="float[B, 3, S]", scale=2, mode="linear"),
        sample(x="float[B, 3, S]", size=4, mode="nearest"),
        sample(x="float[B, 3, H, W]", size=[2, 3], mode="bicubic", antialias=True), sample(x="float[B, 3, H, W]", scale=[2, 1], mode="area"),
    ),
    bad=(
        refused("A214", x="float[B, 3, H, W]"), refused("A214", x="float[B, 3, H, W]", size=[1, 1], scale=2),
        refused("A214", x="float[B, 3, H, W]", scale=0.3),
        refused("A322", x="float[B, 3, S]", scale=2), refused("A324", x="float[B, 3, H, W]", size=[1, 2, 3]),
        refused("A213", x="float[B, 3, H, W]", scale=2, mode="cubic"),
        refused("A214", x="float[B, 3, H, W]", scale=2, mode="nearest", align=True), refused("A305", x="int[B, 3, H, W]", scale=2),
    ),
)  # fmt: skip
def resize(rule: Rule, x: TensorType, size: Any, scale: Any, like: TensorType | None, mode: str, align: bool, antialias: bool) -> TensorType:
    """Sample the places anew at another size: `y[i]` is x at the place `(i + 1/2) n / m - 1/2`, or `i (n - 1) / (m - 1)` with `align`.

    x: float[B, C, n...], y: float[B, C, m...], m = size, or floor(n * scale); `nearest` takes x[floor(i n / m)].
    """
    rule.dtype(x, "float", "`x`")
    count = x.rank - 2
    if x.rank != RANKS.get(mode, x.rank) or not 1 <= count <= 3:
        raise rule.fail(f"`{mode}` can't resize {x}", "`linear` takes [B, C, S], `bilinear` and `bicubic` [B, C, H, W]", "A322")
    if sum(v is not None for v in (size, scale, like)) != 1:
        raise rule.fail("`resize` needs one of `size`, `scale` and `like`", "give exactly one of them", "A214")
    if (align and mode not in RANKS) or (antialias and mode not in ("bilinear", "bicubic")):
        raise rule.fail(f"`{mode}` has no {'corners to align' if align else 'antialias'}", "drop the flag or take `bilinear`", "A214")
    return TensorType(x.dtype, (*x.shape[:2], *_resized(rule, x, size, scale, like)))


def _resized(rule: Rule, x: TensorType, size: Any, scale: Any, like: TensorType | None) -> tuple[Axis, ...]:
    count = x.rank - 2
    if like is not None:
        if like.rank < count:
            raise rule.fail(f"`like` is {like}", f"it needs {count} axes of places at its end", "A324")
        return like.shape[-count:]
    given = size if scale is None else scale
    listed = tuple(cast("Sequence[Any]", given)) if isinstance(given, (list, tuple)) else (given,)
    listed = listed * count if len(listed) == 1 else listed
    if len(listed) != count:
        raise rule.fail(f"{len(listed)} numbers stand for {count} axes of places", f"give one, or {count}", "A324")
    if scale is not None:
        return tuple(_scaled(rule, n, s) for n, s in zip(x.shape[2:], listed, strict=True))
    for i, n in enumerate(listed, 2):
        rule.at_least(extent(n), 1, f"the new size of axis {i}")
    return listed


def _resize(b: LoweringBuilder, given: Given) -> Any:
    options: dict[str, Any] = {"mode": given["mode"]}
    if given["scale"] is not None:
        options["scale_factor"] = static(b, given["scale"])
    else:
        options["size"] = [b.dim(extent(n)) for n in given.outputs[0].shape[2:]]
    options.update({k: True for k, name in (("align_corners", "align"), ("antialias", "antialias")) if given[name]})
    return b.call("torch.nn.functional.interpolate", given["x"], **options)


@operation(
    arguments=(X, axis("dim", "the axis to cut"), integer("size", "the length of a window"), integer("step", "the distance of their starts", 1)),
    lowering=method("unfold", "x", "dim", "size", "step"),
    cost=view,
    good=(sample(x="float[B, S]", dim=1, size=2), sample(x="float[B, 7, 3]", dim=1, size=3, step=2)),
    bad=(
        refused("A303", x="float[B, 2]", dim=1, size=3),
        refused("A214", x="float[B, 2]", dim=1, size=1, step=0),
        refused("A304", x="float[B]", dim=1, size=1),
    ),
)
def unfold(rule: Rule, x: TensorType, dim: int, size: int, step: int) -> TensorType:
    """Show an axis as overlapping windows: `y[.., i, .., j] = x[.., i step + j, ..]`.

    x: any[..., n, ...], y: any[..., floor((n - size) / step) + 1, ..., size].
    """
    at = rule.axis(dim, x.rank)
    for name, n in (("size", size), ("step", step)):
        if n < 1:
            raise rule.fail(f"`{name}` is {n}", "give 1 or more", "A214")
    rule.at_least(extent(x.shape[at]), size, f"axis {at} of `x`, which a window must fit into")
    count = floor_div(extent(x.shape[at]) - size, step) + 1
    return TensorType(x.dtype, (*x.shape[:at], count, *x.shape[at + 1 :], size))


@operation(
    arguments=(X, integer("factor", "how many places become one channel, on each axis")),
    lowering=call("torch.nn.functional.pixel_shuffle", "x", "factor"),
    cost=moved,
    good=(sample(x="float[B, 12, H, W]", factor=2),),
    bad=(
        refused("A302", x="float[B, 6, H, W]", factor=2),
        refused("A322", x="float[B, 4]", factor=2),
        refused("A214", x="float[B, 4, H, W]", factor=0),
    ),
)
def pixel_shuffle(rule: Rule, x: TensorType, factor: int) -> TensorType:
    """Turn channels into places: `y[c, h r + i, w r + j] = x[c r^2 + i r + j, h, w]`.  x: float[B, C r^2, H, W], y: float[B, C, H r, W r]."""
    ranked(rule, "pixel_shuffle", x, 2)
    if factor < 1:
        raise rule.fail(f"`factor` is {factor}", "give 1 or more", "A214")
    channels = rule.divide(extent(x.shape[1]), factor * factor, "axis 1 of `x` and the square of `factor`")
    return TensorType(x.dtype, (x.shape[0], channels, extent(x.shape[2]) * factor, extent(x.shape[3]) * factor))
