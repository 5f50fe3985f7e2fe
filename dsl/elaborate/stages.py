"""`train MODEL { stage ... }`: what each stage trains, from where it starts, its tasks and losses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .. import ast
from ..diagnostics import Diagnostic, Label, Severity
from ..inspector import Reached
from ..plans import StagePlan
from ..program import Body, EntryPlan, Program
from ..selection import Tree
from ..source import Span
from . import statics
from .aside import aside
from .below import frozen_paths
from .context import Poisoned, Problem, fail, suggest
from .expressions import evaluate, evaluate_whole
from .losses import loss_tree, of_tasks
from .scope import Frame
from .selecting import selected, tree_of
from .signals import Signals
from .tied import one_sided
from .values import EnumValue, IndexSet, MemberOf, Value, is_list, is_map
from .variants import evaluate_settings, variant
from .weightmaps import stored_file

T = TypeVar("T")
Rows = tuple[tuple[str, int, int], ...]
Clause = TypeVar("Clause", bound=ast.StageClause)


@dataclass(slots=True, eq=False)
class View:
    """The model as a stage sees it: as it is, or elaborated anew with what the stage sets."""

    frame: Frame
    training: Body
    tree: Tree
    losses: Tree
    tasks: tuple[str, ...]
    still: Mapping[int, Span]  # what is frozen for good, and where that is said


@dataclass(slots=True, eq=False)
class Stages:
    """The stages of one model, in order."""

    program: Program
    frame: Frame
    model: ast.Model | None
    maps: Sequence[str]  # names of the model's weights maps
    names: Sequence[str]  # of all its stages
    signals: Signals = field(default_factory=Signals)
    spans: dict[str, Span] = field(default_factory=dict[str, Span])
    view: View | None = None

    def add(self, item: ast.Train) -> None:
        """Check the stages of a `train` and put them into the program."""
        for stage in item.stages:
            if isinstance(stage, ast.Reserved):
                message = "stages made by a loop are reserved and not available yet"
                self._report(Diagnostic("A901", message, stage.span, help="write the stages one by one"))
            elif stage.name in self.spans:
                first = Label(self.spans[stage.name], "the first one")
                self._report(Diagnostic("A521", f"the stage `{stage.name}` is declared twice", stage.span, (first,), "rename one of them"))
            else:
                self.spans[stage.name] = stage.span
                plan = self._stage(stage)
                if plan is not None:
                    self.program.stages[stage.name] = plan

    def _report(self, diagnostic: Diagnostic) -> None:
        self.frame.builder.context.report(diagnostic)

    def _try(self, step: Callable[[], T], otherwise: T) -> T:
        """Run one part of a stage; an error in it leaves the others to be checked."""
        try:
            return step()
        except Problem as problem:
            self._report(problem.diagnostic)
        except Poisoned:
            pass
        return otherwise

    # ------------------------------------------------------------------------------------------------------- a stage

    def _stage(self, stage: ast.Stage) -> StagePlan | None:
        settings: dict[str, Any] = self._try(lambda: self._settings(stage), {})
        view = self._try(lambda: self._view(stage, settings), None)
        if view is None:
            return None
        tasks = self._try(lambda: _tasks(stage, view), view.tasks)
        losses = self._losses(stage, view, tasks)
        tuned, rows = self._try(lambda: self._tuned(stage, view, losses), (frozenset[int](), ()))
        uses: dict[str, str] = self._try(lambda: self.signals.uses(stage, view.training), {})
        emits: dict[str, str] = self._try(lambda: self.signals.emits(stage, view.frame), {})
        paths = list(view.tree.by_path)
        self.frame.builder.context.step(stage.span, len(paths) // 16)  # each of them is looked at
        moved = {view.tree.entries[n].path for n in view.tree.spread(tuned)}
        others = [path for path in self.base.tree.by_path if path not in view.tree.by_path] if view is not self.base else []
        return StagePlan(
            stage.name,
            tuple(path for path in paths if path in moved),
            tuple(path for path in (*paths, *others) if path not in moved),
            any(clause.rest_in_eval for clause in _of(stage, ast.Tune)),
            tasks,
            losses or {},
            self._try(lambda: self._sources(stage), ()),
            emits,
            uses,
            settings,
            self._try(lambda: _options(stage, view.frame), {}),
            rows,
            stage.span,
        )

    @property
    def base(self) -> View:
        """The model without any setting."""
        if self.view is None:
            self.view = _view_of(self.frame, self.program.eval, self.program.training, self.program.tasks)
        return self.view

    def _settings(self, stage: ast.Stage) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for clause in _of(stage, ast.Set):
            for setting in clause.settings:
                if setting.name in found:
                    fail("A521", f"`{setting.name}` is set twice in the stage `{stage.name}`", setting.span, "keep one of them")
                found[setting.name] = setting.value
        return found

    def _view(self, stage: ast.Stage, settings: dict[str, Any]) -> View | None:
        """Return the model that a stage trains; `settings` become the values of their expressions."""
        if not settings or self.model is None:
            return self.base
        evaluate_settings(self.model, self.frame, settings)
        if all(self.frame.builder.arguments[name] == value for name, value in settings.items()):
            return self.base
        frame, train = variant(self.model, self.frame, settings, stage)
        view = _view_of(frame, frame.builder.body, train, tuple(frame.builder.tasks))
        _same_tensors(self.base.tree, view.tree, stage)
        self.program.variants[stage.name] = EntryPlan(stage.name, frame.builder.body, None if train is frame.builder.body else train)
        return view

    def _losses(self, stage: ast.Stage, view: View, tasks: tuple[str, ...]) -> dict[str, float] | None:
        """Return the active losses with their weights; None where a clause is wrong."""
        clauses = _of(stage, ast.Losses)
        chosen = [self._try(lambda n=node: _chosen(n, view, tasks, stage), None) for clause in clauses for node in clause.selectors]
        if not clauses:
            chosen = [frozenset(view.losses.by_path[loss.path] for loss in of_tasks(view.training, tasks, view.tasks))]
        active = sorted(frozenset[int]().union(*(found for found in chosen if found is not None)))
        weights = {view.losses.entries[n].path: 1.0 for n in active} if None not in chosen else None
        sound = [self._try(lambda c=clause: _weigh(c, stage, view, weights), False) for clause in _of(stage, ast.Weigh)]
        return weights if all(sound) else None

    def _sources(self, stage: ast.Stage) -> tuple[str, ...]:
        found: list[str] = []
        earlier = [name for name in self.spans if name != stage.name]
        for clause in _of(stage, ast.From):
            for node in clause.names:
                if isinstance(node, ast.String):
                    found.append(stored_file(node, self.frame))
                elif not isinstance(node, ast.Name):
                    help = "name a weights map, an earlier stage, or a file in quotes"
                    fail("A517", f"`{node.span.text}` is no place to start from", node.span, help)
                elif node.id == stage.name:
                    fail("A517", f"the stage `{stage.name}` can't start from itself", node.span, "name an earlier stage or a weights map")
                elif node.id in self.names and node.id not in earlier and node.id not in self.maps:
                    fail("A517", f"the stage `{node.id}` comes after `{stage.name}`", node.span, "start from an earlier stage, or change their order")
                elif node.id not in self.maps and node.id not in earlier:
                    otherwise = f"write `weights {node.id} for {self.program.name} from ...`, or name an earlier stage"
                    help = suggest(node.id, [*self.maps, *earlier], otherwise)
                    fail("A517", f"there is no weights map or earlier stage `{node.id}`", node.span, help)
                else:
                    found.append(node.id)
        return tuple(found)

    # ---------------------------------------------------------------------------------------------------- what moves

    def _tuned(self, stage: ast.Stage, view: View, losses: Mapping[str, float] | None) -> tuple[frozenset[int], Rows]:
        """Return what a stage trains, and a row for each selector; what is frozen for good stays so."""
        clauses = _of(stage, ast.Tune)
        if not clauses and not _of(stage, ast.Emit):
            fail("A523", f"the stage `{stage.name}` trains nothing", stage.span, "write `tune all`, or name what it trains")
        tuned: set[int] = set()
        rows: list[tuple[str, int, int]] = []
        named: list[tuple[ast.Expr, Frame]] = []
        for node in (node for clause in clauses for node in clause.selectors):
            found = self._try(lambda n=node: self._moving(n, view, losses), None)
            if found is not None:
                tuned |= found
                entries = [view.tree.entries[n] for n in found if not view.tree.entries[n].buffer]
                rows.append((" ".join(node.span.text.split()), len(entries), sum(own.size for own in entries)))
                named.append((node, view.frame))
        for diagnostic in one_sided("tune", "trains", named, view.tree, tuned, view.still):
            self._report(diagnostic)
        return frozenset(tuned), tuple(rows)

    def _moving(self, node: ast.Expr, view: View, losses: Mapping[str, float] | None) -> frozenset[int]:
        found, still = selected(node, view.frame, view.tree), view.still
        moving = found.difference(still)
        if found and not moving:
            spans = dict.fromkeys(still[n] for n in found)
            labels = [(span, "frozen for good here") for span in spans][:3]
            fail("A513", f"all that `{node.span.text}` selects is frozen for good", node.span, "leave it out, or take the `freeze` away", labels)
        if moving and all(view.tree.entries[n].buffer for n in moving):
            self._warn("A524", f"`{node.span.text}` selects buffers alone, which no optimiser trains", node.span, "select parameters")
        elif moving and losses is not None and view.losses.entries:
            self._reached(node, moving, view, [path for path, weight in losses.items() if weight])
        return moving

    def _reached(self, node: ast.Expr, moving: frozenset[int], view: View, losses: Sequence[str]) -> None:
        """Warn of parameters of a selector that get no gradient from any active loss: one with a weight other than 0."""
        inspector = self.frame.builder.context.inspector
        if inspector is None:
            return
        reached = inspector.losses_reach(view.training, losses)
        idle = [number for number in sorted(moving) if not view.tree.entries[number].buffer and not _gets(view.tree, number, reached)]
        if idle:
            used = inspector.results_reach(self._bodies(view))
            idle = [number for number in idle if _gets(view.tree, number, used)]  # what no result needs is said of the model
        if not idle:
            return
        text, active = " ".join(node.span.text.split()), _names(losses)
        if all(view.tree.entries[number].buffer for number in moving.difference(idle)):
            self._warn("A516", f"no loss of this stage depends on `{text}`: it gets no gradient", node.span, active)
        else:
            paths = statics.listed((view.tree.entries[number].path for number in idle), 3)
            message = f"{len(idle)} of the parameters that `{text}` trains get no gradient in this stage: {paths}"
            self._warn("A516", message, node.span, f"leave them out with `except`; {active}")

    def _bodies(self, view: View) -> list[Body]:
        entries = (body for plan in self.program.entries.values() for body in (plan.eval, plan.train))
        return [body for body in (view.frame.builder.body, view.training, *entries) if body is not None]

    def _warn(self, code: str, message: str, span: Span, help: str) -> None:
        self._report(Diagnostic(code, message, span, (), help, Severity.WARNING))


def _gets(tree: Tree, number: int, reached: Reached) -> bool:
    """Tell whether a parameter is reached by one of its names."""
    return any(reached.holds(tree.entries[n].path) for n in tree.alike(number))


def _of(stage: ast.Stage, kind: type[Clause]) -> list[Clause]:
    return [clause for clause in stage.clauses if isinstance(clause, kind)]


def _view_of(frame: Frame, eval_: Body, train: Body, tasks: tuple[str, ...]) -> View:
    tree = tree_of(frame, *dict.fromkeys((eval_, train)))
    still = {number: span for path, span in frozen_paths(frame.builder.body) for number in _under(path, tree)}
    return View(frame, train, tree, loss_tree(train, tasks), tasks, still)


def _under(path: str, tree: Tree) -> list[int]:
    if path in tree.by_path:
        return [tree.one(tree.by_path[path])]
    start = f"{path}."
    return [tree.one(number) for name, number in tree.by_path.items() if name.startswith(start)]


def _same_tensors(base: Tree, other: Tree, stage: ast.Stage) -> None:
    """Require that what a stage's model has in common with the model has the same shape, and is one tensor in both or in none."""
    both = [(own, base.entries[base.by_path[own.path]]) for own in other.entries if own.path in base.by_path]
    changed = [(new, old) for new, old in both if (new.shape, new.buffer) != (old.shape, old.buffer)]
    if changed:
        new, old = changed[0]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        message = f"with what the stage `{stage.name}` sets, `{new.path}` has the shape {list(new.shape)}, not {list(old.shape)}{more}"
        fail("A520", message, _of(stage, ast.Set)[0].span, "a stage may switch parts on and off; one parameter keeps its shape in all stages")
    tied = _tied(base, other), _tied(other, base)
    if tied[0] != tied[1]:
        paths = statics.listed(sorted(min(tied[0] ^ tied[1], key=sorted)))
        message = f"with what the stage `{stage.name}` sets, {paths} are {'not ' if tied[0] - tied[1] else ''}one tensor"
        fail("A520", message, _of(stage, ast.Set)[0].span, "parameters are one tensor in all stages, or in none")


def _tied(tree: Tree, other: Tree) -> set[frozenset[str]]:
    """Return the tensors with several paths, by those of them that another tree has too."""
    groups = (frozenset(path for n in group if (path := tree.entries[n].path) in other.by_path) for group in tree.ties)
    return {group for group in groups if len(group) > 1}


# ------------------------------------------------------------------------------------------------- tasks and losses


def _tasks(stage: ast.Stage, view: View) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for node in (node for clause in _of(stage, ast.Tasks) for node in clause.names):
        found.update(dict.fromkeys(_task_names(node, view)))
    return tuple(found) if _of(stage, ast.Tasks) else view.tasks


def _task_names(node: ast.Expr, view: View) -> list[str]:
    if isinstance(node, ast.Name):
        if node.id in view.tasks:
            return [node.id]
        bound = view.frame.find(node.id)
        if isinstance(bound, IndexSet) and all(str(member) in view.tasks for member in bound.members):
            return [str(member) for member in bound.members]
    there = f"its tasks are {statics.listed(view.tasks)}" if view.tasks else "the model has no tasks: leave `tasks` out"
    fail("A514", f"there is no task `{node.span.text}`", node.span, suggest(node.span.text, view.tasks, there))


def _chosen(node: ast.Expr, view: View, tasks: tuple[str, ...], stage: ast.Stage) -> frozenset[int]:
    found = selected(node, view.frame, view.losses, "A515")
    _active(node, found, view.losses, tasks, stage)
    return found


def _weigh(clause: ast.Weigh, stage: ast.Stage, view: View, weights: dict[str, float] | None) -> bool:
    """Multiply the weights of what a clause selects; without any only see that it selects something."""
    named = {view.losses.entries[n].path: n for n in sorted(selected(clause.selector, view.frame, view.losses, "A515"))}
    value = evaluate_whole(clause.value, view.frame)
    if weights is None:
        return True
    found = [path for path in named if path in weights]
    if named and not found:
        fail("A515", f"no active loss of the stage `{stage.name}` matches `{clause.selector.span.text}`", clause.selector.span, _names(weights))
    for path in found:
        weights[path] *= _weight(value, view.losses.entries[named[path]].tasks, path, clause)
    return True


def _names(paths: Collection[str]) -> str:
    return f"the active losses are {statics.listed(paths)}" if paths else "the stage has no loss"


def _active(node: ast.Expr, found: frozenset[int], tree: Tree, tasks: tuple[str, ...], stage: ast.Stage) -> None:
    for number in sorted(found):
        entry = tree.entries[number]
        if entry.tasks and entry.tasks[0] not in tasks:
            help = f"add `{entry.tasks[0]}` to the stage's `tasks`, or leave the loss out"
            message = f"the loss `{entry.path}` belongs to the task `{entry.tasks[0]}`, which the stage `{stage.name}` leaves out"
            fail("A515", message, node.span, help)


def _weight(value: Value, tasks: tuple[str, ...], path: str, clause: ast.Weigh) -> float:
    if is_map(value):
        keys = {str(key): number for key, number in value.items()}
        task = tasks[0] if tasks else ""
        if task not in keys:
            what = f"the task `{task}`" if task else f"`{path}`, which belongs to no task"
            fail("A522", f"the map has no weight for {what}", clause.value.span, f"its keys are {statics.listed(keys)}")
        value = keys[task]
    number = statics.number(value) if isinstance(value, MemberOf) else value
    if not statics.is_number(number):
        fail("A522", f"`{clause.value.span.text}` is no weight", clause.value.span, "a weight is a number, or a map from tasks to numbers")
    return float(number)


# ---------------------------------------------------------------------------------------------------------- options


def _options(stage: ast.Stage, frame: Frame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for setting in (setting for clause in _of(stage, ast.Options) for setting in clause.settings):
        if setting.name in found:
            fail("A521", f"the option `{setting.name}` is given twice in the stage `{stage.name}`", setting.span, "keep one of them")
        found[setting.name] = _option(setting.value, frame)
    return found


def _option(node: ast.Expr, frame: Frame) -> object:
    """Return the value of an option: a static one, else the words as they stand (`cosine(0.03)`), for the caller to read."""
    with aside(frame):
        try:
            value = evaluate(node, frame)
        except (Problem, Poisoned):
            value = ...
    value: object = value.name if isinstance(value, EnumValue) else statics.tidy(statics.number(value))
    plain = value is None or is_list(value) or is_map(value) or isinstance(value, (bool, int, float, str))
    return value if plain else " ".join(node.span.text.split())
