"""What a finished body shows to be an oversight: words bound by mistake, things never read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import ast
from ..parse.gaps import NAME
from ..source import Span
from .bound import names_planned, names_read, parts_read
from .context import Problem, fail, suggest
from .expressions import visible
from .scope import Frame
from .statements import FINISHERS, WORDS
from .statics import listed

PLANS = ("train", "weights", "preset", "golden")
"""Words of the items that say something about a model, in whose parameters they are read."""


def _words(frame: Frame, item: Any) -> None:
    """A value bound to a statement's word and never read is a statement misspelt."""
    builder = frame.builder
    for name, span in builder.words.items():
        if name not in builder.read and not (builder.poisoned and name in builder.context.files.once(names_read, item)):
            _report(frame, "A113", f"`{name}` is bound here but never read", span, f"write `{WORDS[name]}` for the statement")


def _silent(frame: Frame, item: Any) -> None:
    """A body that gives nothing could as well not be there."""
    builder, body = frame.builder, frame.builder.body
    if builder.poisoned or builder.context.entry is not None:
        return
    kept = bool(builder.outs) if not builder.model else bool(body.outputs or body.losses or builder.tasks or builder.entries)
    if not kept:
        _report(frame, "A502", f"`{item.name}` has no `out`", item.span, "end it with `out y = ...`")
    for name, span in (
        *((o.name, o.span) for o in body.outputs if builder.model and o.task is None),
        *((n, t.span) for n, t in builder.tasks.items()),
    ):
        if name in ("loss", "losses"):
            _report(frame, "A105", f"`{name}` is what a model calls its own losses in what it returns", span, f"call it `{name}_value`")
    giving, own = {given.task for given in (*body.outputs, *body.losses)}, {out.name for out in body.outputs if out.task is None}
    for name in builder.tasks:
        if name not in giving:
            _report(frame, "A502", f"the task `{name}` has neither an output nor a loss", builder.tasks[name].span, "end it with `out y = ...`")
        if name in own:
            help = "results are read by their names: rename one of them"
            _report(frame, "A105", f"`{name}` is an output of the model and a task", builder.tasks[name].span, help)


def _maps(frame: Frame, item: Any) -> None:
    """A map's type names an index set, which must be there in the end."""
    if not frame.builder.poisoned:
        for keyed in frame.builder.maps:
            help = suggest(keyed.set, visible(frame), f"declare it: `index {keyed.set} = {keyed.name}`")
            _report(frame, "A102", f"there is no index set `{keyed.set}`", keyed.declared, help)


def _report(frame: Frame, code: str, message: str, span: Span, help: str | None) -> None:
    try:
        fail(code, message, span, help)
    except Problem as problem:
        frame.builder.context.report(problem.diagnostic)


def _unread(frame: Frame, item: Any) -> None:
    """Warn of inputs, parameters and modules that nothing reads; the library's own blocks are spared."""
    builder = frame.builder
    if builder.poisoned or not frame.file.local or builder.context.entry is not None or isinstance(item, ast.ExternBlock):
        return
    warn, named = builder.context.warn, builder.context.files.once(names_read, item)
    for inp in builder.body.inputs:
        from_outside = inp.task is not None and inp.name in builder.context.files.once(parts_read, item)
        if not inp.is_state and inp.name not in named and not from_outside:
            warn("A120", f"the {'target' if inp.is_target else 'input'} `{inp.name}` is never read", inp.span, "read it or remove it")
    unread_parameters(item, frame)
    modules = builder.body.modules.values()
    used = builder.used.union(*(module.modules.values() for module in modules))  # a module that is handed on may be called there
    called = {module.name for module in modules if module.path in used}
    idle: dict[Span, list[str]] = {}
    for module in modules:
        spared = module.name not in called and module.name in named
        if module.path not in used and not spared:
            idle.setdefault(module.span, []).append(module.path)
    for span, paths in idle.items():
        subject = f"the module {listed(paths)} is" if len(paths) == 1 else f"the modules {listed(paths, 4)} are"
        warn("A122", f"{subject} never called", span, "call it or remove it: its parameters get no gradient")


def unread_parameters(item: ast.Block | ast.Model | ast.Fn, frame: Frame) -> None:
    """Warn of what an item takes and never reads, in arms that are not taken either; the library's own items are spared."""
    context = frame.builder.context
    read = context.files.once(names_read, item)
    unread = [parameter for parameter in item.parameters if parameter.name not in read] if frame.file.local else []
    planned = _names_in_plans(item, frame) if unread and isinstance(item, ast.Model) else frozenset[str]()
    for parameter in unread:
        if parameter.name not in planned:
            context.warn("A121", f"the parameter `{parameter.name}` is never read", parameter.span, "use it or remove it")


def _names_in_plans(model: ast.Model, frame: Frame) -> frozenset[str]:
    """Return the names that stages, weights maps, presets and goldens of a model read, of those that don't parse all words."""
    files, found = frame.builder.context.files, set[str]()
    others = {raw.name for raw in frame.file.parsed.items if raw.word == "model"} - {model.name}
    for raw in frame.file.parsed.items:
        if raw.word in PLANS:
            tree = raw.tree
            if not isinstance(tree, (ast.Train, ast.Weights, ast.Preset, ast.Golden)):
                found.update(NAME.findall(raw.span.text))
            elif tree.model not in others:
                found |= files.once(names_planned, tree)
    return frozenset(found)


def _share_names(frame: Frame, item: Any) -> None:
    """Inputs of one name in several tasks are one family over those tasks."""
    body = frame.builder.body
    tasks: dict[str, set[str | None]] = {}
    for inp in body.inputs:
        if not (inp.task is not None and inp.members):
            tasks.setdefault(inp.name, set()).add(inp.task)
    for place, inp in enumerate(body.inputs):
        if inp.task is not None and None in tasks.get(inp.name, ()):
            help = f"read the model's `{inp.name}` in the task, or rename one of them"
            _report(frame, "A105", f"`{inp.name}` is an input of the model and of the task `{inp.task}`", inp.span, help)
        elif inp.task is not None and not inp.members and len(tasks[inp.name]) > 1:
            keyed = replace(inp, members=(inp.task,))
            body.inputs[place] = keyed
            body.nodes[inp.node].target = keyed.key


FINISHERS.extend([_words, _silent, _maps, _share_names, _unread])
