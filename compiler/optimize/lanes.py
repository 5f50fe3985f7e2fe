"""Finds steps of a body that do the same for the members of a family side by side, on different values or with different weights.

This is the packing of superword-level parallelism (Larsen and Amarasinghe, PLDI 2000) with leaf modules as seeds: calls of the leaf modules of
a family are groups to begin with; operations that read one group each, lane by lane, are groups too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from ...dsl.program import Body, Node, NodeKind, Operand, Ref
from ...dsl.record import record
from ..graph import operand_refs, operands
from .batching import arguments
from .purity import static


@record
class Packed:
    """What the lanes of another group give: output `index` of it."""

    group: int
    index: int


@record
class Shared:
    """One value for all lanes."""

    ref: Ref


@record
class Loose:
    """A value for each lane that no group gives."""

    refs: tuple[Ref, ...]


Form = Packed | Shared | Loose


@record
class Group:
    """Nodes that do the same, a lane each, and the form in which each of their arguments comes; a list of forms for several values."""

    lanes: tuple[int, ...]
    forms: Mapping[str, Form | tuple[Form, ...] | None]


Fits = Callable[[Body, Node], bool]
"""Tells whether there is a way to compute nodes like this one together."""


class Lanes:
    """The groups of a body."""

    def __init__(self, body: Body, stems: Mapping[int, str], fits: Fits) -> None:
        self.body, self.stems, self.fits = body, stems, fits
        self._members: list[tuple[int, ...]] = []
        self.lane: dict[int, tuple[int, int]] = {}  # node: group, lane
        for lanes in self._seeds():
            self._add(lanes)
        while self._grow():
            pass
        self.groups = [Group(lanes, self._forms(lanes)) for lanes in self._members]

    @cached_property
    def _before(self) -> list[int]:
        return _ancestors(self.body)

    # ------------------------------------------------------------------------------------------------------ leaves

    def _seeds(self) -> Iterator[tuple[int, ...]]:
        """Yield the calls of leaf modules of one family, or of one module on several values, that don't depend on each other."""
        classes: dict[Any, list[int]] = {}
        for number, node in enumerate(self.body.nodes):
            if node.kind is NodeKind.LEAF and number in self.stems and self.fits(self.body, node):
                classes.setdefault(self._class(number, node), []).append(number)
        for members in (found for found in classes.values() if len(found) > 1):
            targets = [self.body.nodes[number].target for number in members]
            if len(set(targets)) == len(targets):
                yield from self._independent(members)
            else:
                for target in dict.fromkeys(targets):
                    yield from self._independent([number for number in members if self.body.nodes[number].target == target])

    def _class(self, number: int, node: Node) -> Any:
        made = {**arguments(self.body, node)}
        for name in ("init", "init_bias"):
            made.pop(name, None)
        return (self.stems[number], node.primitive.name if node.primitive else "", static(made), self._types(node))

    def _types(self, node: Node) -> Any:
        read = tuple((name, tuple(self.body.type(ref) for ref in operand_refs(operand))) for name, operand in sorted(node.inputs.items()))
        return (read, node.outputs)

    def _independent(self, members: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Part nodes into sets of which none depends on another."""
        sets: list[list[int]] = []
        for number in members:
            fitting = (found for found in sets if not any(self._before[number] >> other & 1 for other in found))
            home = next(fitting, None)
            if home is None:
                sets.append([number])
            else:
                home.append(number)
        yield from (tuple(found) for found in sets if len(found) > 1)

    # -------------------------------------------------------------------------------------------------- operations

    def _grow(self) -> bool:
        """Add the operations that read groups lane by lane; tell whether there were any."""
        found: dict[Any, dict[int, int]] = {}
        for number, node in enumerate(self.body.nodes):
            if node.kind is NodeKind.OPERATION and number not in self.lane and self.fits(self.body, node):
                place = self._place(node)
                if place is not None:
                    lane, key = place
                    found.setdefault(key, {}).setdefault(lane, number)
        grown = False
        for key, members in found.items():
            group: int = key[0]
            size = len(self._members[group])
            lanes = tuple(members[lane] for lane in sorted(members))
            if len(lanes) == size and not any(number in self.lane for number in lanes):
                self._add(lanes)
                grown = True
        return grown

    def _place(self, node: Node) -> tuple[int, Any] | None:
        """Return the lane in which an operation reads groups, and what the operations of the other lanes have in common with it."""
        lanes: set[int] = set()
        first: int | None = None
        described: list[Any] = []
        for name, ref in operands(node):
            home = self.lane.get(ref.node)
            if home is not None:
                lanes.add(home[1])
                first = home[0] if first is None else first
                described.append((name, "lane", home[0], ref.index))
            elif ref.node in self.stems and self.body.nodes[ref.node].kind is NodeKind.PARAMETER:
                described.append((name, "parameter", self.stems[ref.node]))
            else:
                described.append((name, "same", ref))
        if first is None or len(lanes) != 1:
            return None
        return lanes.pop(), (first, node.target, static(node.attributes), self._types(node), tuple(described))

    # ------------------------------------------------------------------------------------------------------- groups

    def _add(self, lanes: tuple[int, ...]) -> None:
        for lane, number in enumerate(lanes):
            self.lane[number] = (len(self._members), lane)
        self._members.append(lanes)

    def _forms(self, lanes: tuple[int, ...]) -> dict[str, Form | tuple[Form, ...] | None]:
        return {name: self._form([self.body.nodes[n].inputs.get(name) for n in lanes]) for name in self.body.nodes[lanes[0]].inputs}

    def _form(self, given: Sequence[Operand]) -> Form | tuple[Form, ...] | None:
        if given[0] is None:
            return None
        if isinstance(given[0], Ref):
            return self._single([ref for each in given for ref in operand_refs(each)])
        columns = zip(*(operand_refs(each) for each in given), strict=True)
        return tuple(self._single(list(column)) for column in columns)

    def _single(self, refs: Sequence[Ref]) -> Form:
        if all(ref == refs[0] for ref in refs):
            return Shared(refs[0])
        homes = [self.lane.get(ref.node) for ref in refs]
        group = homes[0][0] if homes[0] is not None else -1
        aligned = all(home == (group, lane) for lane, home in enumerate(homes)) and all(ref.index == refs[0].index for ref in refs)
        if aligned and len(self._members[group]) == len(refs):
            return Packed(group, refs[0].index)
        return Loose(tuple(refs))


def _ancestors(body: Body) -> list[int]:
    """Return, for each node, the nodes that it depends on, as the bits of a number."""
    found: list[int] = []
    for node in body.nodes:
        bits = 0
        for _, ref in operands(node):
            bits |= found[ref.node] | 1 << ref.node
        found.append(bits)
    return found
