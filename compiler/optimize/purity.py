"""Which nodes give the same whenever they read the same: those may be computed once, moved, or left out."""

from __future__ import annotations

from typing import Any, cast

from ...blocks.registry import Entry
from ...dsl.program import Body, Node, NodeKind
from ..graph import module_at
from .writing import updates

NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d")
DROPS = ("Dropout", "DropPath")


def is_pure(body: Body, node: Node, evaluates: bool) -> bool:
    """Tell whether a node draws nothing and moves nothing; `evaluates`: the model is never trained."""
    match node.kind:
        case NodeKind.PARAMETER:
            return not any(update.path == node.target for update in body.updates)
        case NodeKind.CONSTANT | NodeKind.DERIVED:
            return True
        case NodeKind.OPERATION:
            return isinstance(node.primitive, Entry) and _is_pure_operation(node, evaluates)
        case NodeKind.LEAF:
            declared = module_at(body, node.target)
            return declared is not None and declared.extern is None and (evaluates or declared.kind not in (*NORMS, *DROPS))
        case NodeKind.CALL:
            return node.body is not None and is_pure_body(node.body, evaluates)
        case _:
            return False


def _is_pure_operation(node: Node, evaluates: bool) -> bool:
    entry = cast(Entry, node.primitive)
    return not entry.is_random or (entry.mode_dependent and (evaluates or chance(node) == 0))


def chance(node: Node) -> float:
    """Return how likely a drop operation, or an attention, drops in training."""
    for name in ("p", "drop"):
        if name in node.attributes:
            return float(node.attributes[name])
    return 1.0


def is_pure_body(body: Body, evaluates: bool) -> bool:
    """Tell whether every node of a body is pure."""
    key = ("pure", evaluates)
    found: bool | None = body.found.get(key)
    if found is None:
        kinds = (NodeKind.INPUT, NodeKind.STATE)
        found = not updates(body) and all(node.kind in kinds or is_pure(body, node, evaluates) for node in body.nodes)
        body.found[key] = found
    return found


def static(value: Any) -> Any:
    """Return a static value as one that can be a key: equal for equal values of one type."""
    if isinstance(value, slice):
        bounds = cast("slice[Any, Any, Any]", value)
        return ("slice", static(bounds.start), static(bounds.stop), static(bounds.step))
    if isinstance(value, dict):
        return ("dict", *((key, static(inner)) for key, inner in cast("dict[str, Any]", value).items()))
    if isinstance(value, list):
        return ("list", *map(static, cast("list[Any]", value)))
    if isinstance(value, tuple):
        return ("tuple", *map(static, cast("tuple[Any, ...]", value)))
    return (type(value).__name__, value)
