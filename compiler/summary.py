"""What a model is in numbers: parameters in all, by path, by task and by stage, and the cost of an evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import field

from ..dsl.plans import StagePlan
from ..dsl.program import Body, Program
from ..dsl.record import record
from .census import Census, Tensor
from .claims import roots
from .cost import Expense, Unsized, model_expense, symbols_of
from .graph import Graph, results
from .paths import covers, tops
from .slice import Slicer


@record
class TaskShare:
    """What one task reaches, and what of that no other task reaches."""

    name: str
    parameters: int
    alone: int
    expense: Expense | None


@record
class StageShare:
    """What one stage trains and freezes."""

    name: str
    trained: int
    frozen: int
    tasks: tuple[str, ...]
    losses: Mapping[str, float]


@record
class Summary:
    """Everything that `archloom summary` prints of one model."""

    name: str
    parameters: int
    buffers: int
    tensors: tuple[Tensor, ...]  # every path, tied ones too
    distinct: int  # parameters as tensors, tied ones once
    ties: tuple[tuple[str, ...], ...]
    tasks: tuple[TaskShare, ...]
    stages: tuple[StageShare, ...]
    symbols: tuple[str, ...]
    missing: tuple[str, ...]
    expense: Expense | None
    groups: tuple[tuple[str, int], ...] = field(default=())
    unread: tuple[tuple[str, int], ...] = field(default=())  # parameters that no output, loss or cache needs, whole modules as one
    counts: Mapping[str, int] = field(default_factory=dict[str, int])  # what the model counts itself, by its selectors
    presets: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])  # what its presets count


def summarise(program: Program, sizes: Mapping[str, int], depth: int = 2) -> Summary:
    """Count a program; costs are counted where `sizes` has every symbol of the inputs that are reached."""
    graph = Graph(program)
    tensors = tuple(graph.parameters())
    count = graph.count()
    sized = Counts(tensors, graph.census.tie_groups)
    slicer = Slicer()
    outputs = range(len(program.eval.outputs))
    whole = slicer.variant(program.eval, outputs, False)
    expense, missing = _expense(whole, sizes)
    return Summary(
        name=program.name,
        parameters=count.parameters,
        buffers=count.buffers,
        tensors=tensors,
        distinct=len(sized.paths(sized.sizes)),
        ties=graph.census.tie_groups,
        tasks=_tasks(program, slicer, sizes, sized),
        stages=tuple(_stage(plan, sized) for plan in program.stages.values()),
        symbols=tuple(symbol.name for symbol in symbols_of(whole)),
        missing=missing,
        expense=expense,
        groups=tuple(_groups(tensors, sized, depth)),
        unread=tuple(_unread(program, slicer, sized)),
        counts=program.counts,
        presets=program.presets,
    )


class Counts:
    """Numbers in sets of tensors, tied ones once."""

    def __init__(self, tensors: Iterable[Tensor], ties: Iterable[tuple[str, ...]]) -> None:
        self.sizes = {tensor.path: tensor.size for tensor in tensors if not tensor.buffer}
        self._first = {path: group[0] for group in ties for path in group}

    def paths(self, names: Iterable[str]) -> frozenset[str]:
        """Return the parameters at or below the names, a tied one by the path that stays."""
        found: set[str] = set()
        for name in names:
            if name in self.sizes:
                found.add(self._first.get(name, name))
            else:
                found |= {self._first.get(path, path) for path in self.sizes if covers(name, path)}
        return frozenset(found)

    def total(self, paths: Iterable[str]) -> int:
        """Return how many numbers the parameters hold."""
        return sum(self.sizes[path] for path in paths)


def _expense(body: Body, sizes: Mapping[str, int]) -> tuple[Expense | None, tuple[str, ...]]:
    try:
        return model_expense(body, sizes), ()
    except Unsized as unsized:
        return None, unsized.names


def _tasks(program: Program, slicer: Slicer, sizes: Mapping[str, int], counts: Counts) -> tuple[TaskShare, ...]:
    reached: dict[str, frozenset[str]] = {}
    costs: dict[str, Expense | None] = {}
    for task in program.tasks:
        own = [number for number, output in enumerate(program.eval.outputs) if output.task == task]
        part = slicer.variant(program.eval, own, False)
        reached[task] = counts.paths(tensor.path for tensor in Census((part,)).tensors() if not tensor.buffer)
        costs[task] = _expense(part, sizes)[0]
    shares: list[TaskShare] = []
    times = Counter(path for paths in reached.values() for path in paths)
    for task, paths in reached.items():
        alone = frozenset(path for path in paths if times[path] == 1)
        shares.append(TaskShare(task, counts.total(paths), counts.total(alone), costs[task]))
    return tuple(shares)


def _stage(plan: StagePlan, counts: Counts) -> StageShare:
    tuned = counts.paths(plan.tuned)
    everything = counts.paths(counts.sizes)
    return StageShare(plan.name, counts.total(tuned), counts.total(everything - tuned), plan.tasks, plan.losses)


def _unread(program: Program, slicer: Slicer, counts: Counts) -> Iterable[tuple[str, int]]:
    """Yield what no result needs, in training or not, in any entry or stage: the highest modules that hold nothing else."""
    bodies = [slicer.variant(root.body, range(len(results(root.body))), True) for root in roots(program)]
    needed = counts.paths(tensor.path for body in bodies for tensor in Census((body,)).tensors() if not tensor.buffer)
    unread = counts.paths(counts.sizes) - needed
    rows: dict[str, int] = {}
    for path, name in tops((path for path in counts.sizes if path in unread), counts.sizes.keys() - unread).items():
        rows[name] = rows.get(name, 0) + counts.sizes[path]
    yield from rows.items()


def _groups(tensors: Iterable[Tensor], counts: Counts, depth: int) -> Iterable[tuple[str, int]]:
    """Yield parameters by the first parts of their paths, what lies below a path right after it; steps of a loop are one row."""
    rows: dict[tuple[str, ...], set[str]] = {}
    for tensor in tensors:
        if not tensor.buffer:
            parts = _parts(tensor.path)[:depth]
            for length in range(1, len(parts) + 1):
                rows.setdefault(parts[:length], set()).add(tensor.path)
    born = {row: number for number, row in enumerate(rows)}
    for row in sorted(rows, key=lambda row: [born[row[:length]] for length in range(1, len(row) + 1)]):
        yield ".".join(row), counts.total(counts.paths(rows[row]))


def _parts(path: str) -> tuple[str, ...]:
    """Split a parameter's path into its modules, a number staying with the name before it as `*`.

    >>> _parts("lm.trunk.12.attn.weight")
    ('lm', 'trunk.*', 'attn')
    """
    *modules, tensor = path.split(".")
    kept: list[str] = []
    for part in modules:
        if part.isdigit() and kept:
            kept[-1] += ".*"
        else:
            kept.append(part)
    return tuple(kept) or (tensor,)
