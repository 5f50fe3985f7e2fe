"""What whole numbers an input may hold, learned from where it is used: class labels, rows of a table, positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..blocks.primitives.loss import class_axis
from ..dsl.dims import Dim
from ..dsl.program import Body, Node, NodeKind, Ref
from ..dsl.types import DType, TensorType, extent
from .graph import operands

Bound = int | Dim
MOVING = frozenset(
    ("index", "reshape", "flatten", "unflatten", "transpose", "mT", "permute", "expand", "squeeze", "unsqueeze", "rearrange", "repeat")
    + ("concat", "stack", "take", "split", "chunk", "flip", "roll", "pad", "cast", "detach")
)
"""Operations that give the values that they got, in other places."""

SEGMENTED = ("segment_sum", "segment_mean", "segment_max", "segment_min", "segment_softmax")


def uses_below(body: Body, ref: Ref, depth: int = 0) -> Iterator[Bound]:
    """Yield, for each use that says so, one past the highest whole number that a value may hold."""
    for number, node in enumerate(body.nodes):
        for argument, read in operands(node):
            if read == ref:
                yield from _use(body, number, node, argument, depth)


def _use(body: Body, number: int, node: Node, argument: str, depth: int) -> Iterator[Bound]:
    if node.kind is NodeKind.CALL and node.body is not None and depth < 50:
        inner = next((d for d in node.body.inputs if d.key == argument), None)
        if inner is not None:
            yield from (bound for bound in uses_below(node.body, Ref(inner.node), depth + 1) if isinstance(bound, int))
    elif node.kind is NodeKind.LEAF and node.primitive is not None and node.primitive.name.startswith("Embedding"):
        declared = body.modules.get(node.target)
        first = node.primitive.arguments[0].name
        if declared is not None and isinstance(declared.arguments.get(first), int):
            yield declared.arguments[first]
    elif node.kind is NodeKind.OPERATION:
        rule = _BELOW.get((node.target, argument))
        if rule is not None:
            found = rule(body, node)
            if found is not None:
                yield found
        elif node.target in MOVING and all(type_.dtype.is_int for type_ in node.outputs):
            for index in range(len(node.outputs)):
                yield from uses_below(body, Ref(number, index), depth)


def _classes(body: Body, node: Node) -> Bound | None:
    logits, target = _type(body, node, "logits"), _type(body, node, "target")
    if logits is None or target is None or not target.dtype.is_int:
        return None
    axes = class_axis(logits, target, node.attributes.get("dim"))
    return extent(logits.shape[axes[0]]) if len(axes) == 1 else None


def _along(source: str) -> Callable[[Body, Node], Bound | None]:
    def rule(body: Body, node: Node) -> Bound | None:
        type_, dim = _type(body, node, source), node.attributes.get("dim", 0)
        return extent(type_.shape[dim]) if type_ is not None and isinstance(dim, int) and type_.rank else None

    return rule


def _one_hot(body: Body, node: Node) -> Bound | None:
    classes: Any = node.attributes.get("classes")
    return extent(classes) if classes is not None else None


def _count(_body: Body, node: Node) -> Bound | None:
    count: Any = node.attributes.get("count")
    return extent(count) if count is not None else None


def _last(name: str) -> Callable[[Body, Node], Bound | None]:
    def rule(body: Body, node: Node) -> Bound | None:
        """A start such that the part fits: the first position is always one."""
        return 1 if _type(body, node, name) is not None else None

    return rule


_BELOW: Mapping[tuple[str, str], Callable[[Body, Node], Bound | None]] = {
    ("cross_entropy", "target"): _classes,
    ("nll", "target"): _classes,
    ("focal", "target"): _classes,
    ("take", "index"): _along("x"),
    ("gather", "index"): _along("x"),
    ("take_along", "index"): _along("x"),
    ("scatter", "index"): _along("x"),
    ("scatter_add", "index"): _along("x"),
    ("index_add", "index"): _along("x"),
    ("one_hot", "index"): _one_hot,
    **{(name, "segment"): _count for name in SEGMENTED},
    ("window", "start"): _last("x"),
    ("splice", "at"): _last("x"),
}


def _type(body: Body, node: Node, argument: str) -> TensorType | None:
    operand = node.inputs.get(argument)
    return body.type(operand) if isinstance(operand, Ref) else None


def is_index(type_: TensorType) -> bool:
    """Tell whether a tensor holds whole numbers."""
    return type_.dtype in (DType.INT, DType.INT32)
