"""How calls of leaf modules in several lanes are computed as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ...dsl.program import Node, NodeKind, Operand, Ref
from ...dsl.types import TensorType
from .batch import Batch, Rule

CONVOLUTIONS = ("Conv1d", "Conv2d")
NORMS = ("BatchNorm1d", "BatchNorm2d")
"""Norms of which each call moves the statistics of its module, where it trains."""


def same_module(batch: Batch) -> Ref:
    """Call one module on the values of all lanes as one batch."""
    x = batch.get()
    name = cast(Any, batch.node.primitive).name
    if name in ("Linear", "LayerNorm", "RMSNorm"):
        return _leaf(batch, x)
    return batch.unfolded(_leaf(batch, batch.folded(x)), batch.writer.type(x).shape[1])


def _leaf(batch: Batch, x: Ref) -> Ref:
    node = batch.node
    primitive = cast(Any, node.primitive)
    type_ = batch.writer.type(x)
    out = node.outputs[0].shape
    given = len(type_.shape) - len(batch.writer.old.type(cast(Ref, node.inputs["x"])).shape)
    shape = (*type_.shape[: max(given, 0)], *out) if given else (type_.shape[0], *out[1:])
    made = Node(NodeKind.LEAF, node.target, {"x": x}, node.attributes, (TensorType(type_.dtype, shape),), node.span, node.name, primitive)
    return batch.writer.add(made)


def _linear(batch: Batch) -> Ref:
    x, bias = batch.get(), batch.has("bias")
    if "x" not in batch.shared:
        return batch.op("batched_linear", x=x, weight=batch.stacked("weight"), **({"bias": batch.stacked("bias")} if bias else {}))
    y = batch.op("linear", x=x, weight=batch.wide("weight"), **({"bias": batch.wide("bias")} if bias else {}))
    parted = batch.op("unflatten", x=y, dim=-1, shape=(batch.count, batch.made["dout"]))
    return batch.op("movedim", x=parted, source=-2, to=0)


def _convolution(batch: Batch) -> Ref:
    groups = batch.made["groups"]
    apart = "x" not in batch.shared or groups != 1
    x = batch.beside(batch.repeated("x")) if apart else batch.get()
    given: dict[str, Any] = {"bias": batch.wide("bias")} if batch.has("bias") else {}
    given |= {name: batch.made[name] for name in ("stride", "padding", "dilation")}
    name = cast(Any, batch.node.primitive).name.lower()
    y = batch.op(name, x=x, weight=batch.wide("weight"), groups=groups * batch.count if apart else 1, **given)
    return batch.apart(y, batch.made["cout"])


def _last_norm(batch: Batch) -> Ref:
    """A layer norm, or one of root mean squares: normalise all lanes at once, then scale and shift each."""
    x, dim = batch.get(), batch.made["dim"]
    count = len(cast("list[int]", dim)) if isinstance(dim, (list, tuple)) else 1
    if "x" in batch.shared:
        x = batch.op("unsqueeze", x=x, dim=0)
    name = "layer_norm" if cast(Any, batch.node.primitive).name == "LayerNorm" else "rms_norm"
    y = batch.op(name, x=x, dim=dim, eps=batch.made["eps"])
    rank = batch.rank(y)
    for own, how in (("weight", "mul"), ("bias", "add")):
        if batch.has(own):
            held = batch.stacked(own)
            between = (slice(None), *(None,) * (rank - 1 - count))
            y = batch.op(how, a=y, b=batch.op("index", x=held, items=between) if len(between) > 1 else held)
    if batch.writer.type(y).shape[0] == 1:  # nothing of their own
        y = batch.op("expand", x=y, shape=(batch.count, *batch.writer.type(y).shape[1:]))
    return y


def _batch_norm(batch: Batch) -> Ref:
    """In evaluation: `s x + (beta - s m)`, `s = gamma / sqrt(v + eps)`; where it may train, one norm over the channels of all lanes."""
    if not batch.evaluates:
        return _norms(batch)
    x = batch.get()
    scale = batch.op("rsqrt", x=batch.op("add", a=batch.stacked("running_var"), b=batch.made["eps"]))
    if batch.has("weight"):
        scale = batch.op("mul", a=batch.stacked("weight"), b=scale)
    shift = batch.op("mul", a=batch.stacked("running_mean"), b=scale)
    shift = batch.op("sub", a=batch.stacked("bias"), b=shift) if batch.has("bias") else batch.op("neg", x=shift)
    if "x" in batch.shared:
        x = batch.op("unsqueeze", x=x, dim=0)
    return _scaled(batch, x, scale, shift)


def _scaled(batch: Batch, x: Ref, scale: Ref, shift: Ref) -> Ref:
    """Return `scale x + shift` for x: float[k or 1, B, C, ...], scale and shift: float[k, C]."""
    items = (slice(None), None, slice(None), *(None,) * (batch.rank(x) - 3))
    scaled = batch.op("mul", a=x, b=batch.op("index", x=scale, items=items))
    return batch.op("add", a=scaled, b=batch.op("index", x=shift, items=items))


def _norms(batch: Batch) -> Ref:
    inputs: dict[str, Operand] = {"x": batch.beside(batch.repeated("x"))}
    inputs |= {name: batch.wide(name) for name in ("weight", "bias") if batch.has(name)}
    node, type_ = batch.node, batch.writer.type(cast(Ref, inputs["x"]))
    statics = {"modules": tuple(each.target for each in batch.nodes)}
    made = Node(NodeKind.NORMS, node.target, inputs, statics, (type_,), node.span, node.name, node.primitive)
    return batch.apart(batch.writer.add(made), batch.made["channels"])


def _group_norm(batch: Batch) -> Ref:
    """Of different values, over as many groups more; of one value, normalised once, then scaled and shifted for each lane."""
    groups, eps = batch.made["groups"], batch.made["eps"]
    if "x" not in batch.shared:
        given = {name: batch.wide(name) for name in ("weight", "bias") if batch.has(name)}
        y = batch.op("group_norm", x=batch.beside(batch.get()), groups=groups * batch.count, eps=eps, **given)
        return batch.apart(y, batch.made["channels"])
    x = batch.op("unsqueeze", x=batch.op("group_norm", x=batch.get(), groups=groups, eps=eps), dim=0)
    if not batch.has("weight"):
        return batch.op("expand", x=x, shape=(batch.count, *batch.writer.type(x).shape[1:]))
    return _scaled(batch, x, batch.stacked("weight"), batch.stacked("bias"))


LEAVES: Mapping[str, Rule] = {
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "LayerNorm": _last_norm,
    "RMSNorm": _last_norm,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "GroupNorm": _group_norm,
}
