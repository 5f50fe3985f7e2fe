"""Why maps of one family stay apart where they might have been computed together, for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from ...dsl.program import Body, Node, NodeKind
from ...dsl.source import Span
from ..graph import operands
from .batch import arguments
from .lanes import Lanes
from .purity import static

UNLIKE = frozenset({"init", "init_bias"})
"""Arguments in which the members of a batched family may differ."""


def reasons(
    lanes: Lanes, chosen: Collection[int], below: Collection[str], most: int, products: Callable[[Node], int], few: Mapping[int, str]
) -> Iterator[tuple[str, Span]]:
    """Yield why, and where, for each family of leaves with weights of which nothing is chosen.

    `below` are stems under which alone it looks, if there are any; `products` gives the multiply-adds of a leaf, 0 for one without a matrix;
    `few` says of groups by number that they are too few.
    """
    body, taken = lanes.body, {number for group in chosen for number in lanes.groups[group].lanes}
    for stem, numbers in _families(body, lanes.stems, products).items():
        named = not below or any(stem == name or stem.startswith(f"{name}.") for name in below)
        if named and not taken & set(numbers) and not is_chain(body, numbers):
            nodes = [body.nodes[number] for number in numbers]
            yield f"{told(stem, numbers)}: {_why(lanes, numbers, nodes, most, products, few)}", nodes[0].span


def told(stem: str, numbers: Sequence[int]) -> str:
    """Return how a family is told of."""
    return f"the {len(numbers)} of `{re.sub(r'/[0-9]+', '', stem)}` stay apart"


def is_chain(body: Body, numbers: Sequence[int]) -> bool:
    """Tell whether one of several nodes depends on another: nobody hopes for those to be computed together."""
    behind: set[int] = set()
    for number, node in enumerate(body.nodes):
        if any(ref.node in behind for _, ref in operands(node)):
            if number in numbers:
                return True
            behind.add(number)
        elif number in numbers:
            behind.add(number)
    return False


def _families(body: Body, stems: Mapping[int, str], products: Callable[[Node], int]) -> dict[str, list[int]]:
    found: dict[str, dict[str, int]] = {}
    for number, node in enumerate(body.nodes):
        if node.kind is NodeKind.LEAF and number in stems:
            found.setdefault(stems[number], {}).setdefault(node.target, number)
    several = {stem: list(members.values()) for stem, members in found.items() if len(members) > 1}
    return {stem: numbers for stem, numbers in several.items() if all(products(body.nodes[number]) for number in numbers)}


def _why(lanes: Lanes, numbers: Sequence[int], nodes: Sequence[Node], most: int, products: Callable[[Node], int], few: Mapping[int, str]) -> str:
    body = lanes.body
    made = [arguments(body, node) for node in nodes]
    unlike = [name for name in made[0] if name not in UNLIKE and len({static(each.get(name)) for each in made}) > 1]
    if unlike or len({node.primitive.name for node in nodes if node.primitive is not None}) > 1:
        return f"they differ in {', '.join(f'`{name}`' for name in unlike) or 'kind'}"
    if not all(lanes.fits(body, node) for node in nodes):
        return f"a `{nodes[0].primitive.name if nodes[0].primitive is not None else ''}` of several weights is no operation"
    if not all(number in lanes.lane for number in numbers):
        return "they read values of different shapes"
    if (group := lanes.lane[numbers[0]][0]) in few:
        return few[group]
    count = max(map(products, nodes))
    if count > most // 10:
        return f"one takes {count:,} multiply-adds, of `most = {most}`, or a tenth of that for values that must be put side by side first"
    return "they are too few, or of different values: together they would take as long"
