# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's stages: what each trains, its tasks and losses, what it hands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archloom.dsl import ast

from .arithmetic import is_number
from .checks import need
from .expressions import loosely
from .facts import leaves, reaches
from .oracle import run_model
from .parameters import typed
from .paths import Holdings, Owned, Selection, owned
from .scopes import Body, Frame
from .signals import Signals
from .values import File, Outside, Set, Unknown, Wrong, number

# ----------------------------------------------------------------------------------------------------------------- stages


def _comes(loss: Owned, active: Sequence[str], body: Body, frame: Frame) -> bool:
    """Tell whether a loss of no task counts with some tasks: where its call is needed for what they give."""
    made = next((c for c in body.made.children.values() if c.words == loss.parts[:1]), None)
    if made is None or not any(True for _ in owned(made)):
        raise Unknown("whether a loss of no task that is in no module with parameters comes with some tasks")
    given = [v for t in active for out in body.results.get(t, {}).values() for v in leaves(out)]
    needed = any(reaches(v, [made], frame) for v in [*given, *(v for v, t in body.losses.values() if t in active)])
    if needed and made.calls > 1:
        raise Unknown("which call of several some tasks need")
    return needed


def loss_entries(body: Body) -> list[Owned]:
    """Return the losses of a body as selectors look at them."""
    found = []
    for path, (value, task) in body.losses.items():
        parts, kinds = body.parts[path]
        found.append(Owned(tuple(parts), tuple(kinds), value, (task,) if task else ()))
    return found


@dataclass(slots=True, eq=False)
class Stages:
    """The stages of one model, judged in order."""

    plans: Any
    body: Body
    frame: Frame
    file: File
    params: Mapping[str, Any]
    names: list[str] = field(default_factory=list[str])
    signals: Signals = field(default_factory=Signals)

    def judge(self, stage: Any) -> None:
        if isinstance(stage, ast.Reserved):
            raise Wrong("stages made by a loop are reserved")
        need(stage.name not in self.names, "two stages of one name")
        body, frame = self._view(stage)

        def of(kind: Any) -> list[Any]:
            return [c for c in stage.clauses if isinstance(c, kind)]

        active = self._tasks(of(ast.Tasks), body, frame)
        self._losses(of(ast.Losses), of(ast.Weigh), active, body, frame)
        selection = Selection(body.holdings or Holdings.of(body.made), list(body.tasks), frame)
        need(bool(of(ast.Tune)) or bool(of(ast.Emit)), "a stage that trains nothing")
        for clause in of(ast.Tune):
            for node in clause.selectors:
                found = selection.select(node)
                frozen = body.world.frozen
                need(not found or any(id(o.value) not in frozen for o in found), "all of it is frozen for good")
        maps = {w.name for w in self.plans.weights}
        for node in (n for c in of(ast.From) for n in c.names):
            need(isinstance(node, ast.String) or (isinstance(node, ast.Name) and node.id in maps | set(self.names)), "no place to start from")
        for clause in of(ast.Options):
            keys = [s.name for s in clause.settings]
            need(len(set(keys)) == len(keys), "an option stands twice")
        keys = [s.name for c in of(ast.Options) for s in c.settings]
        need(len(set(keys)) == len(keys), "an option stands twice")
        self.signals.judge(stage.name, of(ast.Use), of(ast.Emit), body)
        self.names.append(stage.name)

    def _view(self, stage: ast.Stage) -> tuple[Body, Frame]:
        settings = [s for c in stage.clauses if isinstance(c, ast.Set) for s in c.settings]
        if not settings:
            return self.body, self.frame
        types = {p.name: p.type for p in self.body.made.maker.tree.parameters}
        need(len({s.name for s in settings}) == len(settings) and all(s.name in types for s in settings), "a stage sets parameters, once each")
        given = {s.name: typed(types[s.name], s.value, self.frame) for s in settings}
        world = self.body.world
        before = {o.path: (tuple(o.value.shape), o.buffer) for o in owned(self.body.made)}
        try:
            _, body, frame = run_model(self.file, self.plans.model, world.sizes, world.training, {**self.params, **given})
        except Outside:
            raise Unknown("other arguments need other sizes") from None
        for one in owned(body.made):
            need(before.get(one.path, (tuple(one.value.shape), one.buffer)) == (tuple(one.value.shape), one.buffer), "a stage changes a shape")
        return body, frame

    def _tasks(self, chosen: Sequence[ast.Tasks], body: Body, frame: Frame) -> list[str]:
        found: list[str] = []
        for node in (n for c in chosen for n in c.names):
            need(isinstance(node, ast.Name), "no task")
            if node.id in body.tasks:
                found.append(node.id)
                continue
            bound = frame.find(node.id)
            need(isinstance(bound, Set) and all(str(m) in body.tasks for m in bound.members), f"no task {node.id}")
            found += map(str, bound.members)
        return found if chosen else list(body.tasks)

    def _losses(self, chosen: Sequence[ast.Losses], weighs: Sequence[ast.Weigh], active: list[str], body: Body, frame: Frame) -> None:
        entries = loss_entries(body)
        selection = Selection(Holdings(lambda: entries), list(body.tasks), frame, losses=True)
        if chosen:
            kept = []
            for node in (n for c in chosen for n in c.selectors):
                found = selection.select(node)
                need(all(not o.tasks or o.tasks[0] in active for o in found), "a loss of a task that is left out")
                kept += found
        else:
            kept = [o for o in entries if not o.tasks or o.tasks[0] in active]
        for clause in weighs:
            named = selection.select(clause.selector)
            found = [o for o in named if any(o is k for k in kept)]
            if not chosen and len(active) < len(body.tasks):
                found = [o for o in found if o.tasks or _comes(o, active, body, frame)]
            need(bool(found) or not named, "no active loss is weighed")
            value = loosely(clause.value, frame)
            for one in found:
                self._weight(value, one)

    def _weight(self, value: Any, loss: Owned) -> None:
        if isinstance(value, dict):
            table = {str(k): v for k, v in value.items()}
            need(bool(loss.tasks) and loss.tasks[0] in table, "no weight for a task")
            value = table[loss.tasks[0]]
        need(is_number(number(value)), "no weight")
