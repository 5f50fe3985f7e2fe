"""Normalisation: leaf modules and functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ...dsl.dim_atoms import extreme
from ...dsl.dims import Dim
from ...dsl.primitive import Inputs, ParameterSpec, Rule
from ...dsl.types import Axis, TensorType, extent
from ..arguments import flag, init, integer, ints, real, tensor
from ..costs import moved
from ..lowering import Listed, Omit, call, module
from ..operands import in_range
from ..parameters import ONES, ZEROS, buffers, leaf_cost, per_axis
from ..registry import leaf, operation
from ..samples import Sample, refused, sample
from .linear import positive

MOMENTUM = real("momentum", "the weight of the new in the running statistics; `none` for their plain mean", 0.1, optional=True)
INIT = init("init", "how the weight starts; `none` for ones")
INIT_BIAS = init("init_bias", "how the bias starts; `none` for zeros")


def _shape(dim: Any) -> tuple[int, ...]:
    return per_axis(dim, 1)


def _last_axes(rule: Rule, x: TensorType, dim: Any, eps: float) -> TensorType:
    """Check that x ends in the normalised shape."""
    rule.dtype(x, "float", "`x`")
    in_range(rule, "eps", eps, 0)
    wanted = _shape(dim)
    if not wanted:
        raise rule.fail("`dim` is empty", "give the width of the last axis, or the sizes of the last axes", "A324")
    positive(rule, **{f"dim[{i}]": n for i, n in enumerate(wanted)})
    if x.rank < len(wanted):
        raise rule.fail(f"`x` is {x} and {len(wanted)} axes are normalised", "give `x` at least those axes", "A322")
    for i, n in enumerate(wanted, x.rank - len(wanted)):
        rule.same(x.shape[i], n, f"axis {i} of `x` and `dim`")
    return x


def _layer_parameters(inputs: Inputs) -> tuple[ParameterSpec, ...]:
    if not inputs["affine"]:
        return ()
    shape = _shape(inputs["dim"])
    weight = ParameterSpec("weight", shape, init=inputs["init"] or ONES)
    return (weight, ParameterSpec("bias", shape, init=inputs["init_bias"] or ZEROS)) if inputs["bias"] else (weight,)


@leaf(
    name="LayerNorm",
    arguments=(
        ints("dim", "the width of the last axis, or the sizes of the last axes"), real("eps", "what is added to the variance", 1e-5),
        flag("bias", "add a bias", True), flag("affine", "multiply by a weight", True), INIT, INIT_BIAS,
    ),
    lowering=module("torch.nn.LayerNorm", normalized_shape="dim", eps=Omit("eps", 1e-5), elementwise_affine=Omit("affine", True),
    bias=Omit("bias", True)),
    parameters=_layer_parameters,
    cost=leaf_cost(_layer_parameters),
    good=(
        sample(x="float[B, S, 4]", dim=4),
        sample(x="float[B, 3, 4]", dim=[3, 4], eps=1e-6),
        sample(x="float[4]", dim=4, bias=False),
        sample(x="float[B, 4]", dim=4, affine=False),
    ),
    bad=(
        refused("A301", x="float[B, 5]", dim=4),
        refused("A305", x="int[B, 4]", dim=4),
        refused("A322", x="float[4]", dim=[3, 4]),
        refused("A324", x="float[4]", dim=[]),
        refused("A214", x="float[4]", dim=4, eps=-1),
    ),
)  # fmt: skip
def layer_norm_leaf(rule: Rule, x: TensorType, dim: Any, eps: float, bias: bool, affine: bool, init: Any, init_bias: Any) -> TensorType:
    """Normalise each vector: `y = (x - mean x) / sqrt(var x + eps) * w + b`, the variance over n.

    x: float[..., dim], weight w, bias b: [dim], y: as x.
    """
    return _last_axes(rule, x, dim, eps)


def _scale_parameters(inputs: Inputs) -> tuple[ParameterSpec, ...]:
    return (ParameterSpec("weight", _shape(inputs["dim"]), init=inputs["init"] or ONES),) if inputs["affine"] else ()


@leaf(
    name="RMSNorm",
    arguments=(
        ints("dim", "the width of the last axis, or the sizes of the last axes"), real("eps", "what is added to the mean square", 1e-6),
        flag("affine", "multiply by a weight", True), INIT,
    ),
    lowering=module("torch.nn.RMSNorm", normalized_shape="dim", eps="eps", elementwise_affine=Omit("affine", True)),
    parameters=_scale_parameters,
    cost=leaf_cost(_scale_parameters),
    good=(sample(x="float[B, S, 4]", dim=4), sample(x="float[B, 4]", dim=4, eps=1e-5, affine=False), sample(x="float[B, 3, 4]", dim=[3, 4])),
    bad=(refused("A301", x="float[B, 5]", dim=4), refused("A305", x="int[B, 4]", dim=4), refused("A214", x="float[4]", dim=4, eps=-1.0)),
)  # fmt: skip
def rms_norm_leaf(rule: Rule, x: TensorType, dim: Any, eps: float, affine: bool, init: Any) -> TensorType:
    """Scale each vector by its root mean square, computed in float32: `y = x / sqrt(mean x^2 + eps) * w`.

    x: float[..., dim], weight w: [dim], y: as x.
    """
    return _last_axes(rule, x, dim, eps)


def _channel_parameters(inputs: Inputs) -> tuple[ParameterSpec, ...]:
    width = inputs["channels"]
    if not inputs["affine"]:
        return ()
    return (ParameterSpec("weight", (width,), init=inputs["init"] or ONES), ParameterSpec("bias", (width,), init=inputs["init_bias"] or ZEROS))


def _batch_parameters(inputs: Inputs) -> tuple[ParameterSpec, ...]:
    return _channel_parameters(inputs) + (buffers(inputs["channels"]) if inputs["track"] else ())


CHANNELS = integer("channels", "the width of axis 1")
EPS = real("eps", "what is added to the variance", 1e-5)
AFFINE = flag("affine", "multiply by a weight and add a bias", True)


def _longest(*axes: Axis) -> int | Dim:
    """Return the longest of some axes: together they hold more than one entry where it is 2 or more."""
    return extreme("max", [extent(axis) for axis in axes])


def _channel_axis(rule: Rule, x: TensorType, channels: int, eps: float, ranks: Sequence[int], name: str) -> TensorType:
    rule.dtype(x, "float", "`x`")
    positive(rule, channels=channels)
    in_range(rule, "eps", eps, 0)
    if x.rank not in ranks:
        shapes = " or ".join(f"[B, C{', ...' if rank > 2 else ''}] of {rank} axes" for rank in ranks)
        raise rule.fail(f"`{name}` can't take {x}", f"give it {shapes}", "A322")
    rule.same(x.shape[1], channels, "axis 1 of `x` and `channels`")
    return x


def _batch_norm(name: str, ranks: tuple[int, ...], shapes: tuple[str, ...]) -> None:
    def rule(
        rule: Rule, x: TensorType, channels: int, eps: float, momentum: float | None, affine: bool, track: bool, init: Any, init_bias: Any
    ) -> TensorType:
        """Normalise each channel over the batch and the places: `y = (x - m) / sqrt(v + eps) * w + b`.

        m, v: of the batch in training, which moves the running statistics by `momentum`; the running ones in evaluation.
        x: float[B, C, ...], weight w, bias b, running_mean, running_var: [C], y: as x.
        """
        in_range(rule, "eps", eps, 0, open_low=True)  # torch computes with no smaller one in training
        if momentum is not None:
            in_range(rule, "momentum", momentum, 0, 1)
        _channel_axis(rule, x, channels, eps, ranks, name)
        ask = rule.learns_from if track else rule.at_least  # without running statistics it takes the batch's in evaluation, too
        ask(_longest(x.shape[0], *x.shape[2:]), 2, "each channel of `x` needs more than one value, as their variance is taken")
        return x

    leaf(
        name=name,
        arguments=(
            CHANNELS, EPS, MOMENTUM, AFFINE,
            flag("track", "keep running statistics", True), INIT, INIT_BIAS,
        ),
        lowering=module(
            f"torch.nn.{name}", num_features="channels", eps=Omit("eps", 1e-5), momentum=Omit("momentum", 0.1), affine=Omit("affine", True),
            track_running_stats=Omit("track", True),
        ),
        parameters=_batch_parameters,
        cost=leaf_cost(_batch_parameters),
        good=(*(sample(x=s, channels=3) for s in shapes), sample(x=shapes[0], channels=3, affine=False, track=False, eps=1e-3)),
        bad=(
            refused("A301", x=shapes[0].replace("3", "4"),
            channels=3),
            refused("A322", x="float[B]", channels=3),
            refused("A305", x=shapes[0].replace("float", "int"),
            channels=3),
            refused("A214", x=shapes[0], channels=3, eps=0.0),
        ),
    )(rule)  # fmt: skip


_batch_norm("BatchNorm1d", (2, 3), ("float[B, 3]", "float[B, 3, S]"))
_batch_norm("BatchNorm2d", (4,), ("float[B, 3, H, W]",))
_batch_norm("BatchNorm3d", (5,), ("float[B, 3, 2, H, W]",))


@leaf(
    name="GroupNorm",
    arguments=(integer("groups", "how many groups of channels"), CHANNELS, EPS, AFFINE, INIT, INIT_BIAS),
    lowering=module("torch.nn.GroupNorm", num_groups="groups", num_channels="channels", eps=Omit("eps", 1e-5), affine=Omit("affine", True)),
    parameters=_channel_parameters,
    cost=leaf_cost(_channel_parameters),
    good=(
        sample(x="float[B, 6, H, W]", groups=2, channels=6),
        sample(x="float[B, 6, S]", groups=1, channels=6, affine=False),
        sample(x="float[B, 6]", groups=3, channels=6),
    ),
    bad=(
        refused("A214", x="float[B, 6]", groups=4, channels=6),
        refused("A303", x="float[1, 6, 1]", groups=6, channels=6),
        refused("A301", x="float[B, 5]", groups=2, channels=6),
        refused("A322", x="float[B]", groups=2, channels=6),
    ),
)  # fmt: skip
def group_norm_leaf(rule: Rule, x: TensorType, groups: int, channels: int, eps: float, affine: bool, init: Any, init_bias: Any) -> TensorType:
    """Normalise groups of channels over their places: `y = (x - mean x) / sqrt(var x + eps) * w + b`.

    x: float[B, C, ...], weight w, bias b: [C], y: as x.
    """
    return _grouped(rule, x, groups, channels, eps)


def _grouped(rule: Rule, x: TensorType, groups: int, channels: int, eps: float) -> TensorType:
    positive(rule, groups=groups)
    if channels % groups:
        raise rule.fail(f"`groups` is {groups} and `channels` {channels}", "the groups must be of equal size", "A214")
    _channel_axis(rule, x, channels, eps, range(2, 9), "GroupNorm")
    if groups == channels:
        rule.at_least(_longest(x.shape[0], *x.shape[2:]), 2, "the rows and places of `x`, as torch asks")
    return x


def _instance_norm(name: str, rank: int, shape: str) -> None:
    def rule(rule: Rule, x: TensorType, channels: int, eps: float, affine: bool, init: Any, init_bias: Any) -> TensorType:
        """Normalise each channel of each sample over its places: `y = (x - mean x) / sqrt(var x + eps) * w + b`.

        x: float[B, C, ...], weight w, bias b: [C], y: as x.
        """
        _channel_axis(rule, x, channels, eps, (rank,), name)
        rule.at_least(_longest(*x.shape[2:]), 2, "the places of `x`, whose variance is taken")
        return x

    leaf(
        name=name,
        arguments=(CHANNELS, EPS, flag("affine", "multiply by a weight and add a bias"), INIT, INIT_BIAS),
        lowering=module(f"torch.nn.{name}", num_features="channels", eps=Omit("eps", 1e-5), affine=Omit("affine", False)),
        parameters=_channel_parameters,
        cost=leaf_cost(_channel_parameters),
        good=(sample(x=shape, channels=3), sample(x=shape, channels=3, affine=True)),
        bad=(
            refused("A301", x=shape.replace("3", "4"), channels=3),
            refused("A322", x="float[B]", channels=3),
            refused("A303", x=re.sub("[SHW]", "1", shape), channels=3),
        ),
    )(rule)


_instance_norm("InstanceNorm1d", 3, "float[B, 3, S]")
_instance_norm("InstanceNorm2d", 4, "float[B, 3, H, W]")

FUNCTIONAL: tuple[Sample, ...] = (
    sample(x="float[B, S, 4]", dim=4, weight="float[4]"),
    sample(x="float[B, 4]", dim=4),
)


@operation(
    arguments=(
        tensor("x", "the vectors"), ints("dim", "the width of the last axis, or the sizes of the last axes"),
        tensor("weight", "the scale", optional=True),
        tensor("bias", "what is added", optional=True), real("eps", "what is added to the variance", 1e-5),
    ),
    lowering=call("torch.nn.functional.layer_norm", "x", Listed("dim"), "weight", "bias", eps=Omit("eps", 1e-5)),
    cost=moved,
    good=(*FUNCTIONAL, sample(x="float[B, 4]", dim=4, weight="float[4]", bias="float[4]", eps=1e-6)),
    bad=(refused("A301", x="float[B, 5]", dim=4), refused("A301", x="float[B, 4]", dim=4, weight="float[5]")),
)  # fmt: skip
def layer_norm(rule: Rule, x: TensorType, dim: Any, weight: TensorType | None, bias: TensorType | None, eps: float) -> TensorType:
    """Normalise each vector with a scale that is a value: `y = (x - mean x) / sqrt(var x + eps) * w + b`.  x: float[..., dim], y: as x."""
    return _functional(rule, x, dim, eps, weight=weight, bias=bias)


def _functional(rule: Rule, x: TensorType, dim: Any, eps: float, **values: TensorType | None) -> TensorType:
    _of_like(rule, x, _shape(dim), **values)
    return _last_axes(rule, x, dim, eps)


def _of_like(rule: Rule, x: TensorType, sizes: tuple[int, ...], **values: TensorType | None) -> None:
    """Check that scale and shift are of x's dtype and have the axes that are normalised."""
    for name, value in values.items():
        if value is None:
            continue
        if value.dtype is not x.dtype:
            raise rule.fail(f"`x` is {x.dtype} and `{name}` is {value.dtype}", f"convert one with `{x.dtype}(...)`", "A321")
        if value.rank != len(sizes):
            raise rule.fail(f"`{name}` is {value}", "it needs the axes that are normalised", "A322")
        for i, n in enumerate(sizes):
            rule.same(value.shape[i], n, f"axis {i} of `{name}` and what is normalised")


@operation(
    arguments=(
        tensor("x", "the maps"), integer("groups", "how many groups of channels"), tensor("weight", "the scale", optional=True),
        tensor("bias", "what is added", optional=True), EPS,
    ),
    lowering=call("torch.nn.functional.group_norm", "x", "groups", "weight", "bias", eps=Omit("eps", 1e-5)),
    cost=moved,
    good=(
        sample(x="float[B, 6, H, W]", groups=2),
        sample(x="float[B, 6, S]", groups=3, weight="float[6]"),
        sample(x="float[B, 6]", groups=1, weight="float[6]", bias="float[6]", eps=1e-6),
    ),
    bad=(
        refused("A214", x="float[B, 6]", groups=4),
        refused("A214", x="float[B, S]", groups=2),
        refused("A301", x="float[B, 6]", groups=2, weight="float[5]"),
        refused("A322", x="float[6]", groups=2),
    ),
)  # fmt: skip
def group_norm(rule: Rule, x: TensorType, groups: int, weight: TensorType | None, bias: TensorType | None, eps: float) -> TensorType:
    """Normalise groups of channels over their places, with a scale that is a value: `y = (x - mean x) / sqrt(var x + eps) * w + b`.

    x: float[B, C, ...], w, b: float[C], y: as x.
    """
    channels = x.shape[1] if x.rank > 1 else groups
    if not isinstance(channels, int):
        raise rule.fail(f"`x` is {x}", "its channels, axis 1, need a size that is known", "A214")
    _of_like(rule, x, (channels,), weight=weight, bias=bias)
    return _grouped(rule, x, groups, channels, eps)


@operation(
    arguments=(
        tensor("x", "the vectors"), ints("dim", "the width of the last axis, or the sizes of the last axes"),
        tensor("weight", "the scale", optional=True),
        real("eps", "what is added to the mean square", 1e-6),
    ),
    lowering=call("torch.nn.functional.rms_norm", "x", Listed("dim"), "weight", eps="eps"),
    cost=moved,
    good=(*FUNCTIONAL, sample(x="float[B, 4]", dim=4, eps=1e-5)),
    bad=(refused("A301", x="float[B, 5]", dim=4), refused("A301", x="float[B, 4]", dim=4, weight="float[5]")),
)  # fmt: skip
def rms_norm(rule: Rule, x: TensorType, dim: Any, weight: TensorType | None, eps: float) -> TensorType:
    """Scale each vector by its root mean square: `y = x / sqrt(mean x^2 + eps) * w`.  x: float[..., dim], w: float[dim], y: as x."""
    return _functional(rule, x, dim, eps, weight=weight)
