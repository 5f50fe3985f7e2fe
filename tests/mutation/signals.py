# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's signals: the outputs that a stage hands on, and the targets of later stages that take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from archloom.dsl import ast
from archloom.dsl.parse.pythonisms import walk

from .checks import need
from .paths import text
from .scopes import Body
from .values import Family, Wrong

Members = dict[str, Tensor]
"""A value, or the members of a family of values by their names."""


@dataclass(slots=True, eq=False)
class Signals:
    """What the stages so far hand on, by stage and name; None where these arguments give no such output."""

    emitted: dict[tuple[str, str], Members | None] = field(default_factory=dict[tuple[str, str], Members | None])

    def judge(self, stage: str, uses: Sequence[ast.Use], emits: Sequence[ast.Emit], body: Body) -> None:
        """Judge what a stage takes, then note what it hands on."""
        taken: dict[tuple[str | None, str], str] = {}
        for use in uses:
            key = self._source(use)
            made, targets = self.emitted[key], _targets(use.name, body)
            if made is None and not targets and use.name.rpartition(".")[2] in _named(ast.Target, body):
                continue
            need(made is not None and bool(targets), "an output and a target stand under one condition")
            need(len(targets) == 1, "several tasks have the target")
            place, wanted = next(iter(targets.items()))
            need(wanted.keys() == made.keys(), "a signal has other members")
            for name, value in made.items():
                need(value.dtype == wanted[name].dtype and value.dim() == wanted[name].dim(), "a signal of another type")
                need(value.shape == wanted[name].shape, "a signal of another shape", "run")
            need(place not in taken, "a target is used twice")
            need(key[1] == use.name or not any(label.split(".")[0] == key[1] for label, _ in body.inputs), "a signal is called as an input")
            need(key[1] not in taken.values(), "two signals of one name")
            taken[place] = key[1]
        names: set[str] = set()
        for emit in emits:
            need(emit.name not in names, "emitted twice")
            names.add(emit.name)
            self.emitted[stage, emit.name] = _output(emit.value, body)

    def _source(self, use: ast.Use) -> tuple[str, str]:
        value = use.value
        if isinstance(value, ast.Attribute) and isinstance(value.object, ast.Name):
            keys = [(value.object.id, str(value.part))] if (value.object.id, value.part) in self.emitted else []
        else:
            word = use.name if value is None else value.id if isinstance(value, ast.Name) else ""
            keys = [k for k in self.emitted if k[1] == word]
        need(bool(keys), "nothing of that name is emitted")
        return keys[-1]


def _targets(name: str, body: Body) -> dict[tuple[str | None, str], Members]:
    """Return the targets of a name, by task."""
    found: dict[tuple[str | None, str], Members] = {}
    for (task, label), value in body.world.borders.items():
        word, _, member = label.partition(".")
        if name in (word, f"{task}.{word}"):
            found.setdefault((task, word), {})[member] = value
    return found


def _named(kind: Any, body: Body) -> set[str]:
    """Return the targets or outputs that a model's text names, in arms that are not taken, too."""
    return {d.name for s in walk(body.made.maker.tree) if isinstance(s, kind) for d in s.names}


def _output(node: Any, body: Body) -> Members | None:
    chosen: tuple[str, ...] = ()
    if isinstance(node, ast.Index):
        chosen, node = tuple(i.span.text for i in node.items), node.object
    task = None
    if isinstance(node, ast.Attribute) and isinstance(node.object, ast.Name) and isinstance(node.part, str):
        task, name = node.object.id, node.part
    elif isinstance(node, ast.Name):
        name = node.id
    else:
        raise Wrong("no output is emitted")
    outs = body.results.get(task, {})
    tasks = {None, *(s.name for s in walk(body.made.maker.tree) if isinstance(s, ast.Task))}
    if name not in outs and name in _named(ast.Out, body) and task in tasks:
        return None
    need(name in outs, "no output is emitted")
    members = {path: value for path, value in _members((), outs[name]) if path[: len(chosen)] == chosen}
    need(bool(members), "no such member of an output")
    return {".".join(path[len(chosen) :]): value for path, value in members.items()}


def _members(path: tuple[str, ...], value: Any) -> list[tuple[tuple[str, ...], Tensor]]:
    if isinstance(value, Family):
        return [found for member, part in value.members.items() for found in _members((*path, text(member)), part)]
    return [(path, value)]
