"""Entries: the part of a model that an entry builds on, and its own statements after it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .. import ast
from ..diagnostics import Diagnostic
from ..parse.pythonisms import walk
from .arguments import static_arguments
from .bound import bound_names
from .builder import Builder
from .forms import run
from .scope import Frame
from .statics import listed

WORD = re.compile(r"(?P<member>(?<=[\[,])\s*(?P<name>[A-Za-z_]\w*)\s*(?=[\],]))|(?<![^.]\.)\b(?P<word>[A-Za-z_]\w*)")
"""A name that may be bound by a statement: not what follows a dot.  One alone in brackets is no task: there it is a member of a set."""
KEPT = (ast.In, ast.Target, ast.Draw, ast.IndexSet, ast.Require)
"""Statements of the border, what holds for it, and the sets whose members are words of their own."""
LEFT = (ast.Assert, ast.Loss, ast.Update, ast.Freeze, ast.Tie, ast.Renamed, ast.Entry)
"""Statements that say something of the model, and give an entry nothing."""


def needed(statements: Sequence[ast.Statement], entry: ast.Entry) -> tuple[ast.Statement, ...]:
    """Return the statements of a model that an entry may read from, directly or by others: a model may have many entries, each of a part."""
    names, tasks = set[str](), set[str]()
    _want(entry.span.text, names, tasks)
    kept: list[ast.Statement] = []
    for statement in reversed(statements):
        if isinstance(statement, KEPT) or (not isinstance(statement, LEFT) and _gives(statement, names, tasks)):
            kept.append(statement)
            _want(statement.span.text, names, tasks)
    return tuple(reversed(kept))


def _want(text: str, names: set[str], tasks: set[str]) -> None:
    """Add the names that a text may read, and those of them that may be tasks."""
    for found in WORD.finditer(text):
        names.add(found["name"] or found["word"])
        if found["word"]:
            tasks.add(found["word"])


def _gives(statement: ast.Statement, wanted: set[str], tasks: set[str]) -> bool:
    """Say whether a statement binds one of the names; the tasks of a loop are named by its members."""
    if isinstance(statement, ast.Task):
        return statement.name in tasks
    return not wanted.isdisjoint(bound_names(statement)) or any(isinstance(inner, ast.Task) for inner in walk(statement))


def _hold_as_the_model(builder: Builder) -> None:
    """Give the modules that an entry only looks into what their calls in the model say that they hold."""
    for path, declared in builder.body.modules.items():
        known = builder.model_body.modules.get(path) if builder.model_body is not None else None
        if not declared.bodies and known is not None:
            declared.bodies.extend(known.bodies)


def run_entry(entry: ast.Entry, frame: Frame) -> Frame:
    """Run an entry's own statements at the end of its model, and return their frame: only its `out`s are outputs then."""
    builder = frame.builder
    builder.body.outputs.clear()
    builder.body.losses.clear()
    builder.outs.clear()
    inner = frame.child("task")
    static_arguments(entry.parameters, {}, {}, inner)
    declared = set(builder.overrides)
    present = {i.name for i in builder.body.inputs if not i.is_state}
    for name in declared & present:
        inner.names[name] = frame.names[name]
    body = [s for s in entry.body if not (isinstance(s, (ast.In, ast.Target)) and all(d.name in present for d in s.names))]
    run(body, inner)
    _hold_as_the_model(builder)
    if not builder.poisoned and not builder.body.outputs:
        builder.context.report(Diagnostic("A502", f"the entry `{entry.name}` has no `out`", entry.span, help="end it with `out y = ...`"))
    for statement in entry.body:
        for name in statement.names if isinstance(statement, (ast.In, ast.Target)) else ():
            if not builder.poisoned and builder.body.outputs and name.name not in builder.read:
                help = f"read it or remove it; an input of the model is declared anew by its own name: {listed(sorted(present))}"
                builder.context.warn("A120", f"the input `{name.name}` of the entry `{entry.name}` is never read", name.span, help)
    return inner
