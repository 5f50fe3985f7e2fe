"""Which calls are computed again for the backward pass: what they make is kept, or costs time again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...dsl.program import Body, Node
from ...dsl.record import entity, record
from ..cost import Sizes, inside, node_expense, size_of
from ..graph import operands, results
from .gradients import Gradients

Run = tuple[int, int]
"""The numbers of the first and the last step of what is recomputed as one."""
Runs = Mapping[int, Sequence[Run]]
"""By `id` of their body, in order."""


@record
class Load:
    """What training holds of a call: bytes kept for the backward pass, the most at one time, and multiply-adds that are done again."""

    kept: int = 0
    most: int = 0
    again: int = 0


@dataclass(slots=True, eq=False)
class _Step:
    """A step of a body at some sizes: the bytes that it keeps itself where it is recorded, or what is called, and those of what it gives."""

    number: int
    own: int
    given: int
    multiply_adds: int
    callee: _Sized | None = None


@dataclass(slots=True, eq=False)
class _Sized:
    """A body at some sizes."""

    body: Body
    last: list[int]  # the last reader of each step
    steps: list[_Step] = field(default_factory=list[_Step])


class Ledger:
    """Adds up what one training step of a body holds, for one choice of recomputed calls or another."""

    def __init__(self, root: Body, gradients: Gradients, sizes: Sizes) -> None:
        """Count every body at the sizes that it is called with; raises Unsized."""
        self.gradients = gradients
        self._sized: dict[tuple[int, tuple[object, ...]], _Sized] = {}
        self.root = self._size(root, sizes)

    def _size(self, body: Body, sizes: Sizes) -> _Sized:
        key = (id(body), tuple(sorted((symbol.key, size) for symbol, size in sizes.items())))
        found = self._sized.get(key)
        if found is None:
            found = self._sized[key] = _Sized(body, _last(body))
            found.steps.extend(self._step(body, number, node, sizes) for number, node in enumerate(body.nodes))
        return found

    def _step(self, body: Body, number: int, node: Node, sizes: Sizes) -> _Step:
        spent = node_expense(body, node, sizes)
        recorded = node.region is None and self.gradients.records(body, number) and self.gradients.wants(body, number)
        if not recorded:
            return _Step(number, 0, 0, spent.multiply_adds)
        if node.body is None:
            return _Step(number, spent.activations, spent.activations, spent.multiply_adds)
        given = sum(size_of(type_, sizes) for type_ in node.outputs)
        return _Step(number, 0, given, spent.multiply_adds, self._size(node.body, inside(body, node, node.body, sizes)))

    def load(self, runs: Runs) -> Load:
        """Return what is held where these calls are recomputed."""
        return self._load(self.root, runs, {})

    def _load(self, sized: _Sized, runs: Runs, known: dict[int, Load]) -> Load:
        found = known.get(id(sized))
        if found is None:
            chosen = {start: end for start, end in runs.get(id(sized.body), ())}
            kept = most = again = number = 0
            while number < len(sized.steps):
                end = chosen.get(number, number)
                part = [self._part(step, runs, known) for step in sized.steps[number : end + 1]]
                held = _together(part)
                most, again = max(most, kept + held.most), again + held.again
                if number in chosen:
                    again += sum(step.multiply_adds for step in sized.steps[number : end + 1])
                    kept += sum(step.given for step in sized.steps[number : end + 1] if sized.last[step.number] > end)
                else:
                    kept += held.kept
                number = end + 1
            found = known[id(sized)] = Load(kept, max(most, kept), again)
        return found

    def _part(self, step: _Step, runs: Runs, known: dict[int, Load]) -> Load:
        return self._load(step.callee, runs, known) if step.callee is not None else Load(step.own, step.own, 0)

    def held(self, body: Body, run: Run) -> int:
        """Return the most bytes that a run holds when it runs again, in any call of its body."""
        start, end = run
        sized = [each for each in self._sized.values() if each.body is body]
        return max(_together(self._part(step, {}, {}) for step in each.steps[start : end + 1]).most for each in sized)


def _together(parts: Iterable[Load]) -> Load:
    """Return what is held of parts that run one after another."""
    kept = most = again = 0
    for part in parts:
        most, kept, again = max(most, kept + part.most), kept + part.kept, again + part.again
    return Load(kept, max(most, kept), again)


def _last(body: Body) -> list[int]:
    """Return the last step that reads each; of results and what buffers become the number of steps."""
    found = [-1] * len(body.nodes)
    for number, node in enumerate(body.nodes):
        for _, ref in operands(node):
            found[ref.node] = number
    for ref in (*results(body), *(update.ref for update in body.updates)):
        found[ref.node] = len(body.nodes)
    return found


@entity
class Chain:
    """Calls of one body by another, in order: each may be recomputed; `breaks` are the steps that none may hold in between."""

    body: Body
    callee: Body
    calls: tuple[int, ...]
    breaks: frozenset[int]

    def runs(self, length: int) -> tuple[Run, ...]:
        """Return the calls, up to `length` neighbours as one."""
        found: list[list[int]] = []
        for call in self.calls:
            if found and len(found[-1]) < length and not any(number in self.breaks for number in range(found[-1][-1] + 1, call)):
                found[-1].append(call)
            else:
                found.append([call])
        return tuple((calls[0], calls[-1]) for calls in found)


@record
class Plan:
    """What is recomputed, and what is held then."""

    runs: Runs
    load: Load


@record
class _Choice:
    """One run, and the bytes that it saves for each multiply-add that is done again."""

    chain: Chain
    run: Run
    gain: float


class Planner:
    """Chooses among calls; `below` are the bodies under each."""

    def __init__(self, ledger: Ledger, chains: Sequence[Chain], below: Mapping[int, frozenset[int]]) -> None:
        self.ledger, self.chains, self.below = ledger, chains, below
        self.whole = ledger.load({})

    def plan(self, most: int) -> Plan:
        """Choose runs of calls until no more than `most` bytes are held, or as few as can be: those first that save the most.

        Where single calls don't do, neighbours go together, as many as the least is held with: of n calls that hold a and give b, about the
        square root of n b / a (Chen et al. 2016, https://arxiv.org/abs/1604.06174, for a = b).
        """
        found = Plan({}, self.whole)
        for joined, limit in ((False, most), (True, most), (True, self.whole.most)):
            banned: set[Chain] = set()
            choices = self._choices(joined, limit) if found.load.most > most else []
            while found.load.most > most:
                made, inner = self._greedy([choice for choice in choices if choice.chain not in banned], most)
                found = min(found, made, key=lambda each: each.load.most)
                if not inner:
                    break
                banned |= inner  # they stood in the way of larger ones
        return self._fewest(found, most)

    def _choices(self, joined: bool, limit: int) -> list[_Choice]:
        """Return every run that saves bytes, and that holds no more than `limit` when it runs again, those first that save the most."""
        found: list[_Choice] = []
        for chain in self.chains:
            for run in chain.runs(self._length(chain) if joined else 1):
                load = self.ledger.load({id(chain.body): [run]})
                if load.kept < self.whole.kept and self.ledger.held(chain.body, run) <= limit:
                    found.append(_Choice(chain, run, (self.whole.kept - load.kept) / max(1, load.again)))
        return sorted(found, key=lambda choice: -choice.gain)

    def _length(self, chain: Chain) -> int:
        """Return how many neighbours are recomputed as one where all are and the least is held."""
        return min(range(1, len(chain.calls) + 1), key=lambda length: self.ledger.load({id(chain.body): chain.runs(length)}).most)

    def _greedy(self, choices: Sequence[_Choice], most: int) -> tuple[Plan, set[Chain]]:
        """Take choice after choice; return the chains, too, that kept out others of which they are a part, where it doesn't do."""
        found, used, inner = Plan({}, self.whole), dict[Chain, None](), set[Chain]()
        for choice in choices:
            if found.load.most <= most:
                return found, set()
            around = [other for other in used if id(other.body) in self.below[id(choice.chain.callee)]]
            inner.update(around)
            if not around and not any(id(choice.chain.body) in self.below[id(other.callee)] for other in used):
                used[choice.chain] = None
                found = self._with(found.runs, choice.chain.body, {*found.runs.get(id(choice.chain.body), ()), choice.run})
        return found, inner

    def _fewest(self, found: Plan, most: int) -> Plan:
        """Leave out what isn't needed any more."""
        for number, runs in found.runs.items():
            for run in runs:
                made = {**found.runs, number: [other for other in found.runs[number] if other != run]}
                load = self.ledger.load(made)
                if load.most <= max(most, found.load.most):
                    found = Plan(made, load)
        return found

    def _with(self, runs: Runs, body: Body, own: Iterable[Run]) -> Plan:
        made = {**runs, id(body): sorted(own)}
        return Plan(made, self.ledger.load(made))
