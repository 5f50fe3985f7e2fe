"""How nodes of several lanes are computed as one: a rule for each primitive that has one.

A value of all lanes is one tensor with the lanes along a new axis 0; how it lies in memory is another matter: a wide convolution leaves the lanes
between batch and channels, where a grouped one wants them, and no copy is made in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ...dsl.program import Body, Node, NodeKind, Ref
from .batch import Batch, Rule, arguments
from .batched_leaves import LEAVES, NORMS, same_module

ELEMENTWISE = frozenset(
    (
        "abs", "acos", "activation", "asin", "atan", "ceil", "celu", "clamp", "cos", "cosh", "elu", "erf", "exp", "expm1", "floor", "gelu",
        "hardsigmoid", "hardswish", "leaky_relu", "log", "log1p", "log2", "log_sigmoid", "logit", "mish", "neg", "reciprocal", "relu",
        "relu6", "round", "rsqrt", "selu", "sigmoid", "sign", "silu", "sin", "sinh", "softplus", "softsign", "sqrt", "square", "tan",
        "tanh", "threshold", "trunc", "float", "float16", "float32", "float64", "bfloat16", "detach", "mT", "nan_to_num",
    )
)  # fmt: skip
"""Of one operand, with no axis among the arguments, or only axes counted from the right."""
BINARY = frozenset(
    (
        "add", "sub", "mul", "div", "maximum", "minimum", "pow", "atan2", "eq", "ne", "lt", "le", "gt", "ge", "logaddexp", "where",
    )
)  # fmt: skip
AXIS = {
    "softmax": "dim", "log_softmax": "dim", "normalize": "dim", "cumsum": "dim", "mean": "dim", "sum": "dim", "amax": "dim", "amin": "dim",
    "std": "dim", "var": "dim", "logsumexp": "dim", "norm": "dim", "split": "dim", "flip": "dim", "squeeze": "dim",
}  # fmt: skip
"""The argument that names axes of the first operand."""
PATTERN = frozenset(("rearrange", "reduce", "repeat"))
FOLDED = frozenset(
    (
        "resize", "avg_pool1d", "avg_pool2d", "max_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d",
        "attention", "pixel_shuffle",
    )
)  # fmt: skip
"""Of which axis 0 is a batch: the lanes join it."""


def has_rule(body: Body, node: Node, evaluates: bool) -> bool:
    """Tell whether nodes like this one can be computed together."""
    name = node.primitive.name if node.primitive is not None else ""
    if node.kind is NodeKind.LEAF:
        made = arguments(body, node)
        plain = made.get("padding_mode", "zeros") == "zeros" and made.get("track", True) and isinstance(made.get("padding", 0), (int, tuple, list))
        return plain and name in LEAVES and (evaluates or name not in NORMS or made["momentum"] is not None)
    if node.kind is not NodeKind.OPERATION:
        return False
    if name == "attention":
        return node.inputs.get("mask") is None and (evaluates or node.attributes.get("drop", 0.0) == 0)
    if name in PATTERN:
        return node.inputs.get("like") is None
    if name == "index":
        return all(item is None or isinstance(item, (int, slice)) for item in node.attributes["items"])
    return name in ELEMENTWISE or name in BINARY or name in AXIS or name in FOLDED or name in SHAPES


def write(batch: Batch) -> list[Ref]:
    """Add what computes a group; return its outputs, with the lanes along axis 0."""
    name = cast(Any, batch.node.primitive).name
    if batch.node.kind is NodeKind.LEAF:
        made = same_module(batch) if batch.once() else LEAVES[name](batch)
    elif name in ELEMENTWISE:
        made = batch.op(name, x=batch.get(), **batch.statics())
    elif name in BINARY:
        made = _binary(batch)
    elif name in AXIS:
        made = _along(batch, AXIS[name])
    elif name in PATTERN:
        made = _pattern(batch)
    elif name in FOLDED:
        made = _fold(batch)
    else:
        made = SHAPES[name](batch)
    return [Ref(made.node, made.index + index) for index in range(len(batch.node.outputs))]


# -------------------------------------------------------------------------------------------------------- operations


def _binary(batch: Batch) -> Ref:
    """Operands of fewer axes are stretched from the right: the lanes must stay in front."""
    ranks = [batch.rank(ref) + (name in batch.shared) for name, ref in batch.operands.items() if ref is not None]
    given = {name: batch.behind(ref, max(ranks)) for name, ref in batch.operands.items() if ref is not None and name not in batch.shared}
    given |= {name: ref for name, ref in batch.operands.items() if ref is not None and name in batch.shared}
    return batch.op(cast(Any, batch.node.primitive).name, **given, **batch.statics())


def _further(dim: Any, rank: int) -> Any:
    """Count an axis, or axes, of a member as one of all lanes; all axes of a member where there is none."""
    if dim is None:
        return list(range(1, rank + 1))
    if isinstance(dim, (list, tuple)):
        return [_further(each, rank) for each in cast("list[Any]", dim)]
    return dim + 1 if dim >= 0 else dim


def _along(batch: Batch, argument: str) -> Ref:
    x, statics = batch.get(), batch.statics()
    rank = batch.rank(x) - 1
    if batch.node.target == "squeeze" and statics[argument] is None:
        shape = batch.node.outputs[0].shape
        return batch.op("reshape", x=x, shape=(batch.count, *shape))
    statics[argument] = _further(statics[argument], rank)
    return batch.op(batch.node.target, x=x, **statics)


def _pattern(batch: Batch) -> Ref:
    statics = batch.statics()
    left, arrow, right = statics["pattern"].partition("->")
    statics["pattern"] = f"lanes {left}{arrow} lanes {right.strip()}"
    return batch.op(batch.node.target, x=batch.get(), **statics)


def _fold(batch: Batch) -> Ref:
    """Join the lanes with the batch; what is shared and only tells a size stays as it is."""
    first = next(name for name, ref in batch.operands.items() if ref is not None and name not in batch.shared)
    batch_size = batch.writer.type(batch.get(first)).shape[1]
    given: dict[str, Ref] = {}
    for name, ref in batch.operands.items():
        if ref is None:
            continue
        if name not in batch.shared:
            given[name] = batch.folded(ref)
        elif name == "like":
            given[name] = ref
        else:
            given[name] = batch.folded(batch.repeated(name))
    statics = {name: value for name, value in batch.statics().items() if name not in given}
    return batch.unfolded(batch.op(batch.node.target, **given, **statics), batch_size)


def _reshape(batch: Batch) -> Ref:
    return batch.op("reshape", x=batch.get(), shape=(batch.count, *batch.node.outputs[0].shape))


def _expand(batch: Batch) -> Ref:
    shape = batch.node.outputs[0].shape
    return batch.op("expand", x=batch.behind(batch.get(), len(shape) + 1), shape=(batch.count, *shape))


def _flatten(batch: Batch) -> Ref:
    made = batch.statics()
    return batch.op("flatten", x=batch.get(), start=_further(made["start"], 0), end=_further(made["end"], 0))


def _unflatten(batch: Batch) -> Ref:
    made = batch.statics()
    return batch.op("unflatten", x=batch.get(), dim=_further(made["dim"], 0), shape=made["shape"])


def _transpose(batch: Batch) -> Ref:
    made = batch.statics()
    return batch.op("transpose", x=batch.get(), a=_further(made["a"], 0), b=_further(made["b"], 0))


def _permute(batch: Batch) -> Ref:
    x = batch.get()
    rank = batch.rank(x) - 1
    order = [axis % rank + 1 for axis in batch.statics()["order"]]
    return batch.op("permute", x=x, order=[0, *order])


def _movedim(batch: Batch) -> Ref:
    made = batch.statics()
    return batch.op("movedim", x=batch.get(), source=_further(made["source"], 0), to=_further(made["to"], 0))


def _unsqueeze(batch: Batch) -> Ref:
    return batch.op("unsqueeze", x=batch.get(), dim=_further(batch.statics()["dim"], 0))


def _index(batch: Batch) -> Ref:
    return batch.op("index", x=batch.get(), items=(slice(None), *batch.statics()["items"]))


def _joined(batch: Batch) -> Ref:
    """Several values of each lane, joined along an axis: those that are shared are repeated."""
    rank = max(batch.rank(ref) + (name in batch.shared) for name, ref in batch.operands.items() if ref is not None)
    each = tuple(map(batch.repeated, batch.operands))
    dim = batch.statics()["dim"]
    return batch.op(batch.node.target, tensors=each, dim=_further(dim, rank))


SHAPES: Mapping[str, Rule] = {
    "reshape": _reshape,
    "expand": _expand,
    "flatten": _flatten,
    "unflatten": _unflatten,
    "transpose": _transpose,
    "permute": _permute,
    "movedim": _movedim,
    "unsqueeze": _unsqueeze,
    "index": _index,
    "concat": _joined,
    "stack": _joined,
}
