"""See `BatchFamilies`."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from ...dsl.dims import Dim
from ...dsl.program import Body, Node, NodeKind, Operand, Ref
from ...dsl.types import extent
from ..flow import stems
from ..graph import Graph, operand_refs, operands
from ..optimize.apart import is_chain, reasons, told
from ..optimize.batch import Batch, arguments
from ..optimize.batched_leaves import CONVOLUTIONS, NORMS
from ..optimize.batching import has_rule, write
from ..optimize.inlining import Inlined, can_inline, stem_of
from ..optimize.interface import Journal, Pass
from ..optimize.lanes import Form, Group, Lanes, Loose, Packed, Shared
from ..optimize.rebuilding import rebuild
from ..optimize.writing import Writer

MANY = 4
"""From how many on a grouped convolution of different values gains."""
SPARED = 20
"""How many calls must be spared in training by steps that hang together: putting gradients side by side and parting them takes as long as some.

Forward and backward of two 1x1 convolutions of one map with a norm and a relu between, widths 8 and 16, took 1.29 to 1.36 of the time of single ones
for three members (8 calls spared), 1.11 to 1.20 for four (12), 1.00 to 1.03 for eight (28); without the norm 1.28 to 1.31 (6), 1.13 to 1.20 (9) and
1.01 to 1.02 (21); linears with a norm 1.18 for four (12) and 0.92 for eight (28); the mixtures of MLoRE, four members and long, 0.72.
"""


@dataclass(frozen=True, slots=True)
class BatchFamilies(Pass):
    """Compute what the members of a family do alike as one: the same input by a wide operation, different ones by a batched or grouped one.

    Families of at least `least` members are batched, unless one of them takes more than `most` multiply-adds in a step, where an axis of open
    size counts as `rows` (a tenth of `most`, where values must be put side by side first): large products gain nothing.  Members keep their
    parameters; what differs between them stays apart.  Batch norms of a model that trains become one norm, which moves the statistics of each.
    Where a model trains, steps that hang together are batched if that spares 20 calls: the gradients have to be put together, too.
    """

    least: int = 2
    most: int = 2_000_000
    rows: int = 16

    after: ClassVar[tuple[str, ...]] = ("fold_norms",)
    fires: ClassVar[Mapping[str, int]] = {"taskexpert:small": 2, "mlore:small": 42, "taskprompter:small": 6}

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Batch the families of each body."""
        evaluates = graph.program.only_evaluates
        return rebuild(graph, lambda body: _batched(self, body, evaluates, journal))


def _batched(options: BatchFamilies, body: Body, evaluates: bool, journal: Journal) -> Body:
    flat = _inlined(options, body, evaluates, journal)
    plan = _Plan(options, flat, evaluates)
    plan.tell(journal)
    if not plan.chosen:
        return body
    made = _Emission(plan, flat.body).body()
    for number in sorted(plan.chosen):
        group = plan.lanes.groups[number]
        first = flat.body.nodes[group.lanes[0]]
        if first.kind is NodeKind.LEAF:
            journal.fire(body, f"{len(group.lanes)} times `{flat.stems[group.lanes[0]]}`", first.span)
    return made


def _inlined(options: BatchFamilies, body: Body, evaluates: bool, journal: Journal) -> Inlined:
    """Write out the calls of those families of which something can be batched."""
    calls: set[int] = set()
    for family in _families(body, options, journal):
        trial = Inlined(body, family)
        stems = {stem_of(body, body.nodes[number]) for number in family}
        plan = _Plan(options, trial, evaluates)
        batched = {trial.stems[group.lanes[0]] for number in plan.chosen for group in [plan.lanes.groups[number]] if group.lanes[0] in trial.stems}
        if any(stem == name or stem.startswith(f"{name}.") for stem in batched for name in stems):
            calls |= set(family)
        else:
            plan.tell(journal, stems)
    return Inlined(body, calls)


def _families(body: Body, options: BatchFamilies, journal: Journal) -> Iterator[list[int]]:
    """Yield the calls of blocks of one family, or of one block several times."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, node in enumerate(body.nodes):
        callee = node.body if node.kind is NodeKind.CALL and node.target in body.modules else None
        if callee is not None:
            found.setdefault((stem_of(body, node), callee.name), []).append(number)
    for (stem, _), numbers in found.items():
        if len(numbers) < options.least:
            continue
        small = [number for number in numbers if (callee := body.nodes[number].body) and _is_worth(callee, options) and can_inline(callee)]
        if len(small) >= options.least:
            yield small
        elif not small and _has_maps(body.nodes[numbers[0]]) and not is_chain(body, numbers):
            journal.decline(
                body, f"{told(stem, numbers)}: no map in them is of at most `most = {options.most}` multiply-adds", body.nodes[numbers[0]].span
            )


def _has_maps(node: Node) -> bool:
    """Tell whether a map with weights is called somewhere in a call."""
    body = node.body
    return body is not None and any(_has_maps(each) or (each.kind is NodeKind.LEAF and bool(_matrix(body, each))) for each in body.nodes)


def _products(body: Body, node: Node, rows: int) -> int:
    """Estimate the multiply-adds of a leaf: each entry of its output is a sum over one row of its weight."""
    sizes = [extent(axis) for axis in node.outputs[0].shape]
    return prod(_matrix(body, node)[1:]) * prod(rows if isinstance(size, Dim) else size for size in sizes)


def _matrix(body: Body, node: Node) -> tuple[int, ...]:
    """Return the sizes of a leaf's weight, if that is a matrix or a kernel."""
    specs = node.primitive.parameters(arguments(body, node)) if node.primitive is not None else ()
    shape = next((spec.shape for spec in specs if spec.name == "weight" and len(spec.shape) > 1), ())
    return tuple(int(axis) for axis in shape if isinstance(axis, int))


def _is_worth(body: Body, options: BatchFamilies) -> bool:
    """Tell whether a body, or one that it calls, has a map with weights that is small enough."""
    key = ("worth batching", options.rows, options.most)
    found: bool | None = body.found.get(key)
    if found is None:
        leaves = (node for node in body.nodes if node.kind is NodeKind.LEAF and _matrix(body, node))
        small = any(_products(body, node, options.rows) <= options.most for node in leaves)
        found = body.found[key] = small or any(node.body is not None and _is_worth(node.body, options) for node in body.nodes)
    return found


class _Plan:
    """Which groups of a body are computed together."""

    def __init__(self, options: BatchFamilies, flat: Inlined, evaluates: bool) -> None:
        self.body, self.options, self.evaluates = flat.body, options, evaluates
        self.spared: dict[int, int] = {}  # by groups that are too few for training, how many calls
        self.lanes = Lanes(flat.body, flat.stems, lambda body, node: has_rule(body, node, evaluates))
        small = set(range(len(self.lanes.groups)))
        while lost := {number for number in small if not self._pays(options, self.lanes.groups[number], small)}:
            small -= lost
        chosen = {number for part in self._parts(small) if self._weighs(part) for number in part}
        self.chosen = self._ordered(chosen)

    def tell(self, journal: Journal, below: Collection[str] = ()) -> None:
        """Say why families of maps, all or those below some stems, stay apart."""
        few = {
            number: f"batched they would spare {calls} calls, in training less than their gradients take, below {SPARED}"
            for number, calls in self.spared.items()
        }
        for why, span in reasons(self.lanes, self.chosen, below, self.options.most, self._cost, few):
            journal.decline(self.body, why, span)

    def _cost(self, node: Node) -> int:
        return _products(self.body, node, self.options.rows) if _matrix(self.body, node) else 0

    def _pays(self, options: BatchFamilies, group: Group, small: set[int]) -> bool:
        """Tell whether a group may be worth it if those in `small` are: what another one gives has to be put side by side."""
        node = self.body.nodes[group.lanes[0]]
        if len(group.lanes) < options.least:
            return False
        there = [isinstance(form, Packed) and form.group in small for form in _forms(group) if not isinstance(form, Shared)]
        if node.kind is not NodeKind.LEAF:
            return any(there)
        loose = not all(there)
        if not self.evaluates and node.primitive is not None and node.primitive.name in NORMS and (loose or not self._moves_alone(group)):
            return False
        if loose and not self._members(group):
            return False  # one module, on values that would have to be put together first
        return _products(self.body, node, options.rows) * (10 if loose else 1) <= options.most

    def _moves_alone(self, group: Group) -> bool:
        """Tell whether norms that move their statistics may do so together: each is called here once."""
        calls = Counter(node.target for node in self.body.nodes if node.kind in (NodeKind.LEAF, NodeKind.CALL))
        return all(sum(calls[above] for above in stems(self.body.nodes[lane].target)) == 1 for lane in group.lanes)

    def _members(self, group: Group) -> bool:
        """Tell whether the lanes of a group have weights of their own."""
        nodes = [self.body.nodes[lane] for lane in group.lanes]
        return nodes[0].kind is NodeKind.LEAF and len({node.target for node in nodes}) == len(nodes)

    def _parts(self, numbers: set[int]) -> Iterator[set[int]]:
        """Yield the groups that hang together."""
        left = set(numbers)
        edges = {(number, form.group) for number in numbers for form in _forms(self.lanes.groups[number]) if isinstance(form, Packed)}
        while left:
            part, waiting = set[int](), [left.pop()]
            while waiting:
                number = waiting.pop()
                part.add(number)
                near = {b if a == number else a for a, b in edges if number in (a, b)} & left
                left -= near
                waiting.extend(near)
            yield part

    def _weighs(self, part: set[int]) -> bool:
        """Tell whether something in a part is worth the trouble: maps with weights of their own.

        A few convolutions of different values alone are not: a grouped one takes as long as they do, and putting values side by side comes on top.
        Nor are a few steps in training, where more is computed for the gradients of what is put side by side than calls are spared.
        """
        groups = [self.lanes.groups[number] for number in part]
        if not any(self._members(group) and self._gains(group) for group in groups):
            return False
        spared = sum(len(group.lanes) - 1 for group in groups)
        if self.evaluates or spared >= SPARED:
            return True
        self.spared |= dict.fromkeys(part, spared)
        return False

    def _gains(self, group: Group) -> bool:
        node = self.body.nodes[group.lanes[0]]
        if node.primitive is not None and node.primitive.name in CONVOLUTIONS and len(group.lanes) < MANY:
            return all(isinstance(form, Shared) for form in _forms(group))
        return bool(_matrix(self.body, node))

    def _ordered(self, chosen: set[int]) -> set[int]:
        """Leave out groups that wait for each other."""
        while chosen and (stuck := _stuck(self.body, self.lanes, chosen)):
            chosen = chosen - {max(stuck)}
        return chosen


def _forms(group: Group) -> Iterator[Form]:
    for form in group.forms.values():
        if isinstance(form, tuple):
            yield from form
        elif form is not None:
            yield form


Unit = tuple[int, ...]
"""Nodes that are computed together: the lanes of a group, or one alone."""


def _units(body: Body, lanes: Lanes, chosen: set[int]) -> dict[int, Unit]:
    """Return the unit of each node."""
    found: dict[int, Unit] = {number: (number,) for number in range(len(body.nodes))}
    for number in chosen:
        for lane in lanes.groups[number].lanes:
            found[lane] = lanes.groups[number].lanes
    return found


def _schedule(body: Body, lanes: Lanes, chosen: set[int]) -> tuple[list[Unit], set[Unit]]:
    """Return the units in an order in which each can be computed, the text's where possible, and those that can't."""
    home = _units(body, lanes, chosen)
    needs = {unit: {home[ref.node] for number in unit for _, ref in operands(body.nodes[number])} - {unit} for unit in home.values()}
    readers: dict[Unit, set[Unit]] = {}
    for unit, before in needs.items():
        for other in before:
            readers.setdefault(other, set()).add(unit)
    open_ = {unit: len(before) for unit, before in needs.items()}
    ready = [(unit[0], unit) for unit, count in open_.items() if not count]
    heapq.heapify(ready)
    done: list[Unit] = []
    while ready:
        _, unit = heapq.heappop(ready)
        done.append(unit)
        for reader in readers.get(unit, ()):
            open_[reader] -= 1
            if not open_[reader]:
                heapq.heappush(ready, (reader[0], reader))
    return done, set(needs) - set(done)


def _stuck(body: Body, lanes: Lanes, chosen: set[int]) -> set[int]:
    _, left = _schedule(body, lanes, chosen)
    return {number for number in chosen if lanes.groups[number].lanes in left}


class _Emission:
    """Writes a body with its chosen groups computed together."""

    def __init__(self, plan: _Plan, body: Body) -> None:
        self.plan, self.old = plan, body
        self.writer = Writer(body)
        self.packed: dict[tuple[int, int], Ref] = {}
        self.numbers = {plan.lanes.groups[number].lanes: number for number in plan.chosen}

    def body(self) -> Body:
        """Return the new body."""
        order, _ = _schedule(self.old, self.plan.lanes, self.plan.chosen)
        for unit in order:
            whole = self._whole(self.old.nodes[unit[0]])
            if unit in self.numbers:
                self._group(self.numbers[unit])
            elif whole is not None:
                self.writer.stand_for(unit[0], [whole])
            else:
                for operand in self.old.nodes[unit[0]].inputs.values():
                    self._apart(operand)
                self.writer.copy(unit[0])
        for ref in _ends(self.old):
            self._apart(ref)
        return self.writer.body()

    def _group(self, number: int) -> None:
        group = self.plan.lanes.groups[number]
        nodes = [self.old.nodes[lane] for lane in group.lanes]
        given: dict[str, Ref | None] = {}
        shared: set[str] = set()
        for name, form in group.forms.items():
            forms = {f"{name}.{i}": each for i, each in enumerate(form)} if isinstance(form, tuple) else {name: form}
            for key, each in forms.items():
                given[key] = self._value(each, nodes[0].span) if each is not None else None
                if isinstance(each, Shared):
                    shared.add(key)
        for index, value in enumerate(write(Batch(self.writer, nodes, given, frozenset(shared), self.plan.evaluates))):
            self.packed[number, index] = value

    def _value(self, form: Form, span: object) -> Ref:
        """Return an operand with the lanes along axis 0, or the value that all lanes share."""
        if isinstance(form, Packed) and form.group in self.plan.chosen:
            return self.packed[form.group, form.index]
        if isinstance(form, Shared):
            self._apart(form.ref)
            return self.writer.at(form.ref)
        refs = form.refs if isinstance(form, Loose) else self._lanes(form)
        for ref in refs:
            self._apart(ref)
        like = self.old.nodes[refs[0].node]
        return self.writer.operation("stack", like, tensors=tuple(self.writer.at(ref) for ref in refs), dim=0)

    def _whole(self, node: Node) -> Ref | None:
        """Return what was computed together if a node puts just that side by side again."""
        if node.kind is not NodeKind.OPERATION or node.target != "stack" or node.attributes["dim"] != 0:
            return None
        refs = tuple(operand_refs(node.inputs["tensors"]))
        number, _ = self.plan.lanes.lane.get(refs[0].node, (-1, 0))
        if number not in self.plan.chosen or refs != tuple(Ref(lane, refs[0].index) for lane in self.plan.lanes.groups[number].lanes):
            return None
        return self.packed[number, refs[0].index]

    def _lanes(self, form: Packed) -> tuple[Ref, ...]:
        return tuple(Ref(lane, form.index) for lane in self.plan.lanes.groups[form.group].lanes)

    def _apart(self, operand: Operand) -> None:
        """Make sure that values have a place of their own: a lane of what was computed together is a view of it."""
        for ref in operand_refs(operand):
            home = self.plan.lanes.lane.get(ref.node)
            if not self.writer.has(ref) and home is not None and home[0] in self.plan.chosen:
                node = self.old.nodes[ref.node]
                views = self.writer.operation("unbind", node, x=self.packed[home[0], ref.index], dim=0)
                for lane, number in enumerate(self.plan.lanes.groups[home[0]].lanes):
                    self.writer.place(Ref(number, ref.index), Ref(views.node, lane))


def _ends(body: Body) -> Sequence[Ref]:
    found = [output.ref for output in body.outputs] + [loss.ref for loss in body.losses] + [update.ref for update in body.updates]
    return [*found, *(state.result for state in body.states)]
