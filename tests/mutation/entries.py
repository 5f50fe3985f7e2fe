# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
"""The oracle's entries: another signature over a model's modules, with caches that hold something (docs/language.md, Randomness, buffers, caches)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from archloom.dsl import ast

from .checks import need
from .scopes import Body, Frame
from .statements import binds, run
from .values import File, Made, Maker

APART = (ast.Assert, ast.Loss, ast.Update, ast.Freeze, ast.Tie, ast.Renamed, ast.Entry)


def run_entries(file: File, name: str, world: Any, params: Mapping[str, Any]) -> None:
    """Run each entry of a model: what its outputs need of the model, on the inputs that it declares, then its own statements."""
    item: Any = file.items[name]
    for entry in (s for s in item.body if isinstance(s, ast.Entry)):
        torch.manual_seed(0)
        one = world()
        body = Body(one, Made(Maker(name, file, item), {}, ()), file, "model")
        frame = Frame("block", body)
        one.active.append(item)
        one.begin(item, params, frame)
        own = {d.name: s for s in entry.body if isinstance(s, (ast.In, ast.Target)) for d in s.names}
        run(_replaced(_needed(item.body, entry), own), frame)
        body.results.clear()
        present = {label.split(".")[0] for label, _ in body.inputs}
        run([s for s in entry.body if not (isinstance(s, (ast.In, ast.Target)) and all(d.name in present for d in s.names))], frame.child("task"))
        need(any(values for values in body.results.values()), f"the entry {entry.name} gives nothing")


def _replaced(statements: Sequence[Any], own: Mapping[str, Any]) -> list[Any]:
    """Return a model's statements with the inputs that an entry declares anew in place of its own."""
    found: list[Any] = []
    for statement in statements:
        if isinstance(statement, (ast.In, ast.Target)):
            found += [replace(own.get(d.name, statement), names=(d,)) for d in statement.names]
        else:
            found.append(statement)
    return found


def _needed(statements: Sequence[Any], entry: ast.Entry) -> list[Any]:
    """Return the statements that an entry may read from, by the words that stand in it and in those."""
    wanted = set(re.findall(r"[A-Za-z_]\w*", entry.span.text))
    kept: list[Any] = []
    for statement in reversed(statements):
        border = isinstance(statement, (ast.In, ast.Target, ast.Draw, ast.IndexSet, ast.Require))
        named = {statement.name} if isinstance(statement, ast.Task) else set(binds([statement]))
        if border or (not isinstance(statement, APART) and named & wanted):
            kept.append(statement)
            wanted |= set(re.findall(r"[A-Za-z_]\w*", statement.span.text))
    return kept[::-1]
