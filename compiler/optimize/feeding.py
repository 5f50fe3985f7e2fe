"""Feed-forward experts among values that come about alike: two linears and a function between them, or three with a gated unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from ...dsl.program import Body, NodeKind, Ref
from ...dsl.record import record
from ..graph import module_at

ACTIVATIONS = ("silu", "gelu", "relu")


@record
class FeedForward:
    """What all experts read, the first linears, that under the function before that which multiplies it, the function, and the last linears."""

    read: Ref
    inner: tuple[tuple[Ref, ...], ...]
    activation: str
    outer: tuple[Ref, ...]


def feed_forward(body: Body, values: tuple[Ref, ...]) -> FeedForward | None:
    """Return how the values of all experts come about, which do so alike, if it is by feed-forward networks without biases."""
    hidden = _read(body, values)
    for first, others in _units(body, hidden) if hidden is not None else ():
        node = body.nodes[first[0].node]
        if node.kind is not NodeKind.OPERATION or node.target not in ACTIVATIONS or node.attributes.get("approximate", "none") != "none":
            continue
        inner = (_inputs(body, first, "x"), *others)
        read = {ref for refs in inner for ref in _read(body, refs) or (None,)}
        if len(read) == 1 and (shared := read.pop()) is not None:
            return FeedForward(shared, inner, node.target, values)
    return None


def _units(body: Body, hidden: tuple[Ref, ...]) -> Iterator[tuple[tuple[Ref, ...], tuple[tuple[Ref, ...], ...]]]:
    """Yield what may be the activation's result, and what multiplies it, if anything does."""
    node = body.nodes[hidden[0].node]
    if node.kind is NodeKind.OPERATION and node.target == "mul" and all(isinstance(node.inputs.get(side), Ref) for side in ("a", "b")):
        a, b = _inputs(body, hidden, "a"), _inputs(body, hidden, "b")
        yield a, (b,)
        yield b, (a,)
    yield hidden, ()


def _read(body: Body, refs: tuple[Ref, ...]) -> tuple[Ref, ...] | None:
    """Return what the experts' own linears without biases read, if they are such."""
    node = body.nodes[refs[0].node]
    declared = module_at(body, node.target) if node.kind is NodeKind.LEAF and len({*refs}) == len(refs) else None
    return _inputs(body, refs, "x") if declared is not None and declared.kind == "Linear" and not declared.arguments["bias"] else None


def _inputs(body: Body, refs: tuple[Ref, ...], name: str) -> tuple[Ref, ...]:
    return tuple(cast(Ref, body.nodes[ref.node].inputs[name]) for ref in refs)
