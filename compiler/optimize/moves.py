"""Operations that put axes in another order, and that order."""

from __future__ import annotations

from ...dsl.program import Node, NodeKind

MOVES = ("transpose", "permute", "movedim", "mT", "channels_last", "channels_first")


def is_move(node: Node) -> bool:
    """Tell whether a node only puts axes in another order."""
    return node.kind is NodeKind.OPERATION and node.target in MOVES


def order(node: Node) -> list[int]:
    """Return the old axes of a move's operand in their new order."""
    rank = node.outputs[0].rank
    made, axes = node.attributes, list(range(rank))
    match node.target:
        case "permute":
            return [axis % rank for axis in made["order"]]
        case "movedim":
            axes.insert(made["to"] % rank, axes.pop(made["source"] % rank))
        case "channels_last":
            axes.append(axes.pop(1))
        case "channels_first":
            axes.insert(1, axes.pop())
        case _:
            a, b = (rank - 2, rank - 1) if node.target == "mT" else (made["a"] % rank, made["b"] % rank)
            axes[a], axes[b] = axes[b], axes[a]
    return axes
