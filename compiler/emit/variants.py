"""Ways of calling a block that one function can serve: by giving more than is asked for, or by being told a member."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...blocks.registry import Entry
from ...dsl.dims import Dim
from ...dsl.program import Body, Node, NodeKind
from ...dsl.record import record
from ..graph import result_names
from ..lower.unit import Pair


@record
class Told:
    """What a function is told: the member that it is written for, and the places where it stands: targets and results."""

    member: str
    places: frozenset[str]


@record
class Way:
    """How a body is called: the number of the pair that does it, the body that is written for it, the names of what that gives here,
    and the member that it is told."""

    number: int
    body: Body
    names: tuple[str, ...]
    told: Told | None = None
    member: str | None = None


def distinct_pairs(pairs: Sequence[Pair]) -> tuple[list[Pair], dict[int, Body]]:
    """Return the pairs that are written, and by `id` of each other body the one that gives all that it gives."""
    served: dict[int, Body] = {}
    kept = list(pairs)
    for pair in pairs:
        more = next((other for other in kept if other is not pair and all(map(_gives, other, pair))), None)
        if more is not None:
            kept.remove(pair)
            served.update((id(less), by) for less, by in zip(pair, more, strict=True))
    return kept, served


def told_pairs(pairs: Sequence[Pair]) -> tuple[list[Pair], dict[int, tuple[Pair, str]], dict[int, Told]]:
    """Return the pairs that are written; by number of each other one what does it, and told which member; and what those are told."""
    kept: list[Pair] = []
    others: dict[int, tuple[Pair, str]] = {}
    told: dict[int, Told] = {}
    for number, pair in enumerate(pairs):
        for first in kept:
            swaps = [_swap(one, other) for one, other in zip(first, pair, strict=True)]
            swap = swaps[0]
            if swap is None or swaps[1] is None or swaps[1][:2] != swap[:2]:
                continue
            known = told.get(id(first[0]))
            if known is None or known.member == swap[0]:
                told[id(first[0])] = Told(swap[0], swap[2] | swaps[1][2] | (known.places if known is not None else frozenset[str]()))
                others[number] = (first, swap[1])
                break
        else:
            kept.append(pair)
    return kept, others, told


def _gives(more: Body, less: Body) -> bool:
    """Tell whether one body gives all that another gives from the same inputs, at no more than a few operations."""
    inputs = [[(d.key, d.optional) for d in body.inputs] for body in (more, less)]
    if inputs[0] != inputs[1] or not {*result_names(less)} <= {*result_names(more)}:
        return False
    states = [[state.key for state in body.states] for body in (more, less)]
    return _covers(more, less) and states[0] == states[1] and sorted(_work(more)) == sorted(_work(less))


def _covers(more: Body, less: Body) -> bool:
    """Tell whether the inputs of one body may be those of the other: where one says a size, the other may leave it open."""
    known: dict[str, str] = {}
    for wide, narrow in zip(more.inputs, less.inputs, strict=True):
        if wide.type.dtype is not narrow.type.dtype or len(wide.type.shape) != len(narrow.type.shape):
            return False
        for axis, other in zip(wide.type.shape, narrow.type.shape, strict=True):
            free = isinstance(axis, Dim) and axis.symbol is not None
            if known.setdefault(str(axis), str(other)) != str(other) if free else str(axis) != str(other):
                return False
    return True


def _work(body: Body) -> Iterator[str]:
    """Yield what a body draws, updates and computes with parameters."""
    yield from (f"update {update.path}" for update in body.updates)
    for node in body.nodes:
        if node.body is not None:
            yield from (f"{node.target} {inner}" for inner in _work(node.body))
        elif node.kind in (NodeKind.LEAF, NodeKind.DRAW) or isinstance(node.primitive, Entry) and node.primitive.is_random:
            yield node.target


def _swap(first: Body, second: Body) -> tuple[str, str, frozenset[str]] | None:
    """Return the two words by which alone the bodies differ, and where the first stands in the first body."""
    pairs: list[tuple[str, str]] = []
    keys = [[d.key for d in body.inputs if not d.is_state] for body in (first, second)]
    if len(first.nodes) != len(second.nodes) or keys[0] != keys[1]:
        return None
    if [str(d.type) for d in first.inputs] != [str(d.type) for d in second.inputs] or first.updates or first.losses or second.losses:
        return None
    for one, other in zip(first.nodes, second.nodes, strict=True):
        if not _alike(one, other):
            return None
        pairs.append((one.target, other.target))
    names = [result_names(body) for body in (first, second)]
    if len(names[0]) != len(names[1]) or [o.ref for o in first.outputs] != [o.ref for o in second.outputs]:
        return None
    pairs += zip(*names, strict=True)
    unlike = [(one, other) for one, other in pairs if one != other]
    words = {swap for one, other in unlike for swap in _words(one, other)}
    if len(words) != 1:
        return None
    word, new = words.pop()
    return (word, new, frozenset(one for one, _ in unlike)) if word and new else None


def _alike(one: Node, other: Node) -> bool:
    types = [list(map(str, node.outputs)) for node in (one, other)]
    same = one.kind is other.kind and one.inputs == other.inputs and one.attributes == other.attributes and types[0] == types[1]
    return same and one.primitive is other.primitive and one.body is other.body and one.part == other.part


def _words(one: str, other: str) -> Iterator[tuple[str, str]]:
    """Yield the words of two paths that differ; a pair of empty ones where the paths can't be compared."""
    left, right = one.split("."), other.split(".")
    if len(left) != len(right):
        yield "", ""
    yield from ((a, b) for a, b in zip(left, right, strict=False) if a != b)
