"""Stages: what is trained and what stands still, and keeps standing still whatever calls `.train()`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from ...dsl.plans import StagePlan
from ..paths import covers, join
from .border import Names
from .errors import InputError
from .outputs import Record
from .parts import BufferUpdate

Emit = Callable[[StagePlan, Sequence[Any], Mapping[str, Any]], Record]
"""How the model computes what a stage emits, from inputs by position and by name."""


class Stillness:
    """Which modules of a tree stand still, from the paths of tensors that are frozen."""

    def __init__(self, model: nn.Module, frozen: Iterable[str], tuned: Iterable[str] = ()) -> None:
        self.frozen = frozenset(frozen)
        self.tuned = frozenset(tuned)
        self._parameters: dict[str, bool] = {}  # by module path: all parameters below are frozen
        self._has: set[str] = set()
        for path, _ in model.named_parameters(remove_duplicate=False):
            still = path in self.frozen
            above = path
            while above:
                above = above.rpartition(".")[0]
                self._has.add(above)
                self._parameters[above] = self._parameters.get(above, True) and still

    def modules(self, model: nn.Module) -> list[tuple[nn.Module, bool]]:
        """Return the frozen modules, each with whether it holds buffers that would move in training."""
        found: list[tuple[nn.Module, bool]] = []
        still: dict[str, bool] = {}
        tree: Any = model
        for path, module in tree.named_modules():  # parents first
            still[path] = path != "" and self._is_still(path, module, still.get(path.rpartition(".")[0], False))
            if still[path]:
                found.append((module, _moves(module)))
        return found

    def _is_still(self, path: str, module: nn.Module, above: bool) -> bool:
        if path in self._has:
            return self._parameters[path]
        buffers = [join(path, name) for name, _ in module.named_buffers()]
        if isinstance(module, BufferUpdate):
            buffers = [join(path.rpartition(".")[0], module.name)]
        if buffers and all(name in self.frozen for name in buffers):
            return True
        return above and not any(name in self.tuned for name in buffers)


def live_dropout(model: nn.Module, frozen: Iterable[nn.Module]) -> tuple[str, ...]:
    """Return the parts of the model, by the first word of their paths, in which frozen modules drop at random while they train."""
    drawing = {id(module) for module in frozen if isinstance(p := getattr(module, "p", None), float) and p > 0}
    tree: Any = model
    return tuple(dict.fromkeys(path.split(".")[0] for path, module in tree.named_modules() if id(module) in drawing))


def _moves(module: nn.Module) -> bool:
    """Tell whether a module by itself changes buffers when it runs in training mode."""
    return isinstance(module, BufferUpdate) or any(True for _ in module.named_buffers(recurse=False))


class Stage:
    """One stage of training, set on a model: parameter groups for an optimiser, and a table of what moves."""

    def __init__(self, model: nn.Module, plan: StagePlan, rows: Sequence[tuple[str, int, int, bool]], emit: Emit) -> None:
        self._model = model
        self.plan = plan
        self.rows = tuple(rows)
        self._emit = emit
        self.live: tuple[str, ...] = ()  # the frozen parts whose dropout draws in training

    def __deepcopy__(self, memo: dict[int, Any]) -> Stage:
        model: Any = copy.deepcopy(self._model, memo)
        made = Stage(model, self.plan, self.rows, copy.deepcopy(self._emit, memo))
        made.live = self.live
        return made

    def emitted(self, *args: Any, **kwargs: Any) -> Record:
        """Return what this stage emits for a batch, by name; a later stage takes it as it is: `model(**batch, **soft)`.

        Takes the model's inputs, of which those that aren't needed (targets, other tasks' inputs) are only checked.  Nothing else is
        computed, in eval mode and without gradient; the modes of all modules are as before afterwards, whatever stage is set.  Raises
        ValueError for a stage that emits nothing, InputError and ModelError as the model does.
        """
        if not self.plan.emits:
            raise ValueError(f"the stage `{self.name}` emits nothing: write `emit soft = answer.logits` in it")
        return self._emit(self.plan, args, kwargs)

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.plan.name

    @property
    def tasks(self) -> tuple[str, ...]:
        """The active tasks."""
        return self.plan.tasks

    @property
    def losses(self) -> Mapping[str, float]:
        """The losses by path with their weights."""
        return self.plan.losses

    @property
    def options(self) -> Mapping[str, Any]:
        """What the text says for the training loop."""
        return self.plan.options

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters that are trained, tied ones once."""
        return [value for value in self._model.parameters() if value.requires_grad]

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups for an optimiser, `torch.optim.AdamW(stage.groups)`: those with two dimensions or more, and the others."""
        matrices = [value for value in self.parameters() if value.dim() >= 2]
        others = [value for value in self.parameters() if value.dim() < 2]
        named = {"matrices": matrices, "vectors": others}
        return [{"params": values, "name": f"{self.name}.{kind}"} for kind, values in named.items() if values]

    def __str__(self) -> str:
        trained = sum(count for _, _, count, moves in self.rows if moves)
        frozen = sum(count for _, _, count, moves in self.rows if not moves)
        width = max([len(path) for path, *_ in self.rows], default=4)
        lines = [f"stage {self.name}: {trained:,} numbers trained, {frozen:,} frozen"]
        for path, tensors, count, moves in self.rows:
            lines.append(f"  {path:<{width}}  {'trained' if moves else 'frozen':<7}  {tensors:>5} tensors  {count:>15,}")
        rest = "in eval mode" if self.plan.rest_in_eval else "with its dropout, norm statistics stand still"
        lines.append(f"  what isn't tuned runs {rest}")
        if self.live:
            lines.append(f"  dropout draws in what is frozen: {', '.join(self.live)}")
        if self.plan.tasks:
            lines.append(f"  tasks: {', '.join(self.plan.tasks)}")
        if self.plan.losses:
            lines.append("  losses: " + " + ".join(path if weight == 1 else f"{weight:g} * {path}" for path, weight in self.plan.losses.items()))
        if self.plan.sources:
            lines.append(f"  starts from: {', '.join(self.plan.sources)}")
        if self.plan.emits:
            lines.append("  emits: " + ", ".join(f"{name} = {path}" for name, path in self.plan.emits.items()))
        if self.plan.uses:
            lines.append("  uses: " + ", ".join(f"{target} = {source}" for target, source in self.plan.uses.items()))
        return "\n".join(lines)

    __repr__ = __str__


def check_used(plan: StagePlan, missing: Iterable[str], names: Names) -> None:
    """Raise InputError if a target that the stage uses is among the missing ones (flat names): it says which stage emits it."""
    sources = {target.rpartition(".")[::2]: source for target, source in plan.uses.items()}  # by task and name
    problems: dict[str, str] = {}
    for key in sorted(missing):
        declared = names.by_key[key]
        source = sources.get((declared.task or "", declared.name))
        if source is not None:
            stage, _, name = source.rpartition(".")
            how = f'{name} = model.stage("{stage}").emitted(**batch)'
            problems.setdefault(source, f"`{key}` is missing: the stage `{plan.name}` uses what the stage `{stage}` emits, `{how}`")
    if problems:
        raise InputError("\n".join(problems.values()))


def rows(named: Iterable[tuple[str, nn.Parameter]], tuned: frozenset[str]) -> list[tuple[str, int, int, bool]]:
    """Return the table: a line for each run of parameters under one first word that is trained alike."""
    table: dict[tuple[str, bool], list[int]] = {}
    for path, value in named:
        entry = table.setdefault((path.partition(".")[0], path in tuned), [0, 0])
        entry[0] += 1
        entry[1] += value.numel()
    return [(path, tensors, count, moves) for (path, moves), (tensors, count) in table.items()]


def expand(paths: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """Return the tensor paths at or below any of the given ones."""
    wanted = list(paths)
    exact = frozenset(wanted)
    return frozenset(name for name in known if name in exact or any(covers(path, name) for path in wanted))
