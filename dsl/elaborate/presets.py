"""`preset NAME for MODEL { ... }`: its settings name parameters, and with it its facts hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .. import ast
from ..diagnostics import Diagnostic, Label
from ..source import Span
from . import statics
from .context import Poisoned, Problem, suggest
from .scope import Frame


def check_presets(items: Sequence[ast.Preset], model: ast.Model, frame: Frame, chosen: ast.Preset | None) -> None:
    """Report settings of any preset that name no parameter, and facts of the chosen one that don't hold."""
    from .claims import check_assert  # which imports the plans

    context = frame.builder.context
    first: dict[str, Span] = {}
    for item in items:
        if item.name in first:
            label = Label(first[item.name], "the first one")
            context.report(Diagnostic("A640", f"the preset `{item.name}` is declared twice", item.span, (label,), "rename one of them"))
        first.setdefault(item.name, item.span)
        for diagnostic in _settings(item, model):
            context.report(diagnostic)
    for fact in chosen.settings if chosen is not None else ():
        if isinstance(fact, ast.Assert):
            try:
                check_assert(fact, frame)
            except Problem as problem:
                context.report(problem.diagnostic)
            except Poisoned:
                pass


def _settings(item: ast.Preset, model: ast.Model) -> Iterator[Diagnostic]:
    names = [parameter.name for parameter in model.parameters]
    given: dict[str, Span] = {}
    for setting in item.settings:
        if not isinstance(setting, ast.Setting):
            continue
        if setting.name not in names:
            help = suggest(setting.name, names, f"its parameters are {statics.listed(names)}")
            yield Diagnostic("A201", f"`{model.name}` takes no `{setting.name}`", setting.span, help=help)
        elif setting.name in given:
            first = (Label(given[setting.name], "the first one"),)
            yield Diagnostic("A201", f"`{setting.name}` is given twice", setting.span, first, "keep one of them")
        given[setting.name] = setting.span
