"""What whole numbers an input may hold, learned from where it is used: class labels, rows of a table, positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..blocks.primitives.loss import class_axis
from ..dsl.dims import Dim, Symbol
from ..dsl.program import Body, Node, NodeKind, Ref
from ..dsl.types import DType, TensorType, extent
from .graph import operands

Bound = int | Dim
MOVING = frozenset(
    ("index", "reshape", "flatten", "unflatten", "transpose", "mT", "permute", "expand", "squeeze", "unsqueeze", "rearrange", "repeat")
    + ("concat", "stack", "take", "split", "chunk", "flip", "roll", "pad", "int", "int32", "detach")
)
"""Operations that give the values that they got, in other places."""

SEGMENTED = ("segment_sum", "segment_mean", "segment_max", "segment_min", "segment_softmax")


def uses_below(body: Body, ref: Ref) -> tuple[Bound, ...]:
    """Return, for each use that says so, one past the highest whole number that a value may hold; floats that are made whole numbers count too."""
    found: tuple[Bound, ...] | None = body.found.get(("read below", ref))
    if found is None:
        found = body.found["read below", ref] = tuple(dict.fromkeys(_followed(body, ref)))
    return found


def _followed(body: Body, ref: Ref) -> Iterator[Bound]:
    """Yield what the uses of a value say, and of what is it in other places."""
    readers, seen, pending = _readers(body), {ref}, [ref]
    while pending:
        for number, node, argument in readers.get(pending.pop(), ()):
            yield from _use(body, node, argument)
            if node.kind is NodeKind.OPERATION and node.target in MOVING and (node.target, argument) not in _BELOW:
                moved = [each for each in (Ref(number, index) for index in range(len(node.outputs))) if each not in seen]
                seen.update(moved)
                pending.extend(moved)


def _readers(body: Body) -> Mapping[Ref, list[tuple[int, Node, str]]]:
    """Return the nodes that read each value, with their numbers and the arguments that they read it for."""
    found: dict[Ref, list[tuple[int, Node, str]]] | None = body.found.get("read for")
    if found is None:
        found = body.found["read for"] = {}
        for number, node in enumerate(body.nodes):
            for argument, ref in operands(node):
                found.setdefault(ref, []).append((number, node, argument))
    return found


def _use(body: Body, node: Node, argument: str) -> Iterator[Bound]:
    if node.kind is NodeKind.CALL and node.body is not None:
        inner = next((d for d in node.body.inputs if d.key == argument), None)
        if inner is not None:
            sizes = _sizes(body, node)
            yield from (bound.substitute(sizes) if isinstance(bound, Dim) else bound for bound in uses_below(node.body, Ref(inner.node)))
    elif node.kind is NodeKind.LEAF and node.primitive is not None and node.primitive.name.startswith("Embedding"):
        declared = body.modules.get(node.target)
        first = node.primitive.arguments[0].name
        if declared is not None and isinstance(declared.arguments.get(first), int):
            yield declared.arguments[first]
    elif node.kind is NodeKind.OPERATION and (node.target, argument) in _BELOW:
        found = _BELOW[node.target, argument](body, node)
        if found is not None:
            yield found


def _sizes(body: Body, node: Node) -> dict[Symbol, int | Dim]:
    """Return what the sizes that a called body names for itself are where it is called."""
    found: dict[Symbol, int | Dim] = {}
    for declared in node.body.inputs if node.body is not None else ():
        given = _type(body, node, declared.key)
        for inner, outer in zip(declared.type.shape, given.shape, strict=False) if given is not None else ():
            if isinstance(inner, Dim) and inner.symbol is not None:
                found.setdefault(inner.symbol, extent(outer))
    return found


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
