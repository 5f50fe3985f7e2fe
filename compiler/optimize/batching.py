"""How nodes of several lanes are computed as one: a rule for each primitive that has one.

A value of all lanes is one tensor with the lanes along a new axis 0; how it lies in memory is another matter: a wide convolution leaves the lanes
between batch and channels, where a grouped one wants them, and no copy is made in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ...dsl.program import Body, Node, NodeKind, Ref
from ...dsl.types import Axis, TensorType
from ..graph import module_at
from .writing import Writer

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
CONVOLUTIONS = ("Conv1d", "Conv2d")
LEAVES = frozenset((*CONVOLUTIONS, "Linear", "LayerNorm", "RMSNorm"))
EVALUATED = frozenset(("BatchNorm1d", "BatchNorm2d"))
"""Leaves that have a rule where the model only evaluates."""


def has_rule(body: Body, node: Node, evaluates: bool) -> bool:
    """Tell whether nodes like this one can be computed together."""
    name = node.primitive.name if node.primitive is not None else ""
    if node.kind is NodeKind.LEAF:
        made = arguments(body, node)
        plain = made.get("padding_mode", "zeros") == "zeros" and made.get("track", True) and isinstance(made.get("padding", 0), (int, tuple, list))
        return plain and (name in LEAVES or (evaluates and name in EVALUATED))
    if node.kind is not NodeKind.OPERATION:
        return False
    if name == "attention":
        return node.inputs.get("mask") is None and (evaluates or node.attributes.get("drop", 0.0) == 0)
    if name in PATTERN:
        return node.inputs.get("like") is None
    if name == "index":
        return all(item is None or isinstance(item, (int, slice)) for item in node.attributes["items"])
    return name in ELEMENTWISE or name in BINARY or name in AXIS or name in FOLDED or name in SHAPES


def arguments(body: Body, node: Node) -> Mapping[str, Any]:
    """Return what a leaf module was made with."""
    declared = module_at(body, node.target)
    return declared.arguments if declared is not None else node.attributes


class Batch:
    """One group being written: its nodes, and its operands in the new body, with the lanes along axis 0 or shared."""

    def __init__(self, writer: Writer, nodes: Sequence[Node], operands: Mapping[str, Ref | None], shared: frozenset[str]) -> None:
        self.writer, self.nodes, self.operands, self.shared = writer, nodes, operands, shared
        self.node, self.count = nodes[0], len(nodes)
        self.made = arguments(writer.old, self.node)

    def op(self, name: str, **given: Any) -> Ref:
        """Add an operation at the place of the first lane."""
        return self.writer.operation(name, self.node, self.node.name, **given)

    def get(self, name: str = "x") -> Ref:
        """Return an operand."""
        found = self.operands[name]
        assert found is not None
        return found

    def rank(self, ref: Ref) -> int:
        """Return the rank of a new value."""
        return self.writer.type(ref).rank

    def statics(self) -> dict[str, Any]:
        """Return the static arguments of an operation."""
        return dict(self.node.attributes)

    def stacked(self, name: str) -> Ref:
        """Return a tensor of the leaf modules, all members along a new axis 0."""
        return self.op("stack", tensors=tuple(self._own(name)), dim=0)

    def wide(self, name: str) -> Ref:
        """Return a tensor of the leaf modules, all members one after another along axis 0."""
        return self.op("concat", tensors=tuple(self._own(name)), dim=0)

    def has(self, name: str) -> bool:
        """Tell whether the leaf modules own a tensor of this name."""
        return any(spec.name == name for spec in self._specs())

    def _specs(self) -> Any:
        primitive = cast(Any, self.node.primitive)
        return primitive.parameters(self.made)

    def _own(self, name: str) -> list[Ref]:
        spec = next(spec for spec in self._specs() if spec.name == name)
        return [self.writer.parameter(f"{node.target}.{name}", TensorType(spec.dtype, spec.shape), node.span) for node in self.nodes]

    def once(self) -> bool:
        """Tell whether all lanes call one module."""
        return all(node.target == self.node.target for node in self.nodes)

    def folded(self, ref: Ref) -> Ref:
        """Join the lanes with the batch: [k, B, ...] to [k B, ...]."""
        return self.op("flatten", x=ref, start=0, end=1)

    def unfolded(self, ref: Ref, batch: Axis) -> Ref:
        """Part the lanes from the batch again."""
        return self.op("unflatten", x=ref, dim=0, shape=(self.count, batch))

    def behind(self, ref: Ref, rank: int) -> Ref:
        """Put axes of size 1 between the lanes and the rest, up to a rank."""
        lacking = rank - self.rank(ref)
        return self.op("index", x=ref, items=(slice(None), *(None,) * lacking)) if lacking else ref


Rule = Callable[[Batch], Ref]


def write(batch: Batch) -> list[Ref]:
    """Add what computes a group; return its outputs, with the lanes along axis 0."""
    name = cast(Any, batch.node.primitive).name
    if batch.node.kind is NodeKind.LEAF:
        made = _same_module(batch) if batch.once() else _LEAVES[name](batch)
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


# ------------------------------------------------------------------------------------------------------------ leaves


def _same_module(batch: Batch) -> Ref:
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
    x, groups = batch.get(), batch.made["groups"]
    if "x" in batch.shared and groups != 1:
        x = batch.op("expand", x=batch.op("unsqueeze", x=x, dim=0), shape=(batch.count, *batch.writer.type(x).shape))
    apart = "x" not in batch.shared or groups != 1
    if apart:
        x = batch.op("flatten", x=batch.op("movedim", x=x, source=0, to=1), start=1, end=2)
    given: dict[str, Any] = {"bias": batch.wide("bias")} if batch.has("bias") else {}
    given |= {name: batch.made[name] for name in ("stride", "padding", "dilation")}
    name = cast(Any, batch.node.primitive).name.lower()
    y = batch.op(name, x=x, weight=batch.wide("weight"), groups=groups * batch.count if apart else 1, **given)
    return batch.op("movedim", x=batch.op("unflatten", x=y, dim=1, shape=(batch.count, batch.made["cout"])), source=1, to=0)


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
    """In evaluation: `s x + (beta - s m)`, `s = gamma / sqrt(v + eps)`."""
    x = batch.get()
    scale = batch.op("rsqrt", x=batch.op("add", a=batch.stacked("running_var"), b=batch.made["eps"]))
    if batch.has("weight"):
        scale = batch.op("mul", a=batch.stacked("weight"), b=scale)
    shift = batch.op("mul", a=batch.stacked("running_mean"), b=scale)
    shift = batch.op("sub", a=batch.stacked("bias"), b=shift) if batch.has("bias") else batch.op("neg", x=shift)
    if "x" in batch.shared:
        x = batch.op("unsqueeze", x=x, dim=0)
    places = batch.rank(x) - 3
    items = (slice(None), None, slice(None), *(None,) * places)
    scaled = batch.op("mul", a=x, b=batch.op("index", x=scale, items=items))
    return batch.op("add", a=scaled, b=batch.op("index", x=shift, items=items))


_LEAVES: Mapping[str, Rule] = {
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "LayerNorm": _last_norm,
    "RMSNorm": _last_norm,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
}

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
            wide = batch.op("expand", x=batch.op("unsqueeze", x=ref, dim=0), shape=(batch.count, *batch.writer.type(ref).shape))
            given[name] = batch.folded(wide)
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
    each: list[Ref] = []
    for name, ref in batch.operands.items():
        assert ref is not None
        if name in batch.shared:
            ref = batch.op("expand", x=batch.op("unsqueeze", x=ref, dim=0), shape=(batch.count, *batch.writer.type(ref).shape))
        each.append(ref)
    dim = batch.statics()["dim"]
    return batch.op(batch.node.target, tensors=tuple(each), dim=_further(dim, rank))


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
