"""`preset NAME for MODEL { ... }`: its settings name parameters, and with it its facts hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .. import ast
from ..diagnostics import Diagnostic, Label
from ..program import Program
from ..source import Span
from . import statics
from .arguments import checked, typed_expression
from .builder import Builder
from .context import Poisoned, Problem, suggest
from .scope import Frame
from .values import Value
from .verdicts import Watch, key_of, recall


def check_presets(program: Program, items: Sequence[ast.Preset], model: ast.Model, frame: Frame, chosen: ast.Preset | None, every: bool) -> None:
    """Report settings that name no parameter, and facts that don't hold: of the chosen preset, or of `every` one.

    Keeps in the program what each of these counts by `params`, and the claims that are open with another preset than the chosen one.
    """
    context = frame.builder.context
    first: dict[str, Span] = {}
    sound = not context.failed
    for item in items:
        if item.name in first:
            label = Label(first[item.name], "the first one")
            context.report(Diagnostic("A640", f"the preset `{item.name}` is declared twice", item.span, (label,), "rename one of them"))
        first.setdefault(item.name, item.span)
        for diagnostic in _settings(item, model):
            context.report(diagnostic)
    if chosen is not None:
        program.presets[chosen.name] = _facts(chosen, frame)
    elif every and items and sound:
        _check_all(program, items, model, frame)


def _check_all(program: Program, items: Sequence[ast.Preset], model: ast.Model, frame: Frame) -> None:
    """Check every preset, unless an earlier check with the same words found nothing to say of them."""
    context = frame.builder.context
    key = key_of(program.name, items, frame.file, context)
    found = recall(key, frame.file, context)
    if found is not None:
        program.presets.update((name, dict(counts)) for name, counts in found.counts.items())
        return
    watch = Watch(frame.file, context)
    for item in items:
        with_it = _elaborated(item, model, frame)
        if with_it is not None:
            program.presets[item.name] = _facts(item, with_it)
            own = [claim for claim in with_it.builder.body.claims if item.span.start <= claim.span.start < item.span.end]
            if own and with_it is not frame:
                program.open_in_presets[item.name] = own
    watch.end(key, program, [item.name for item in items])


def _elaborated(item: ast.Preset, model: ast.Model, base: Frame) -> Frame | None:
    """Return the model's frame with the settings of a preset, the one at hand where they change nothing; None where it has errors."""
    from .model import body_of  # which imports the plans

    types = {parameter.name: parameter.type for parameter in model.parameters}
    settings = [setting for setting in item.settings if isinstance(setting, ast.Setting)]
    known = {setting.name: setting for setting in settings if setting.name in types}
    values: dict[str, Value] = {}
    border = Frame("block", Builder(base.builder.context, model.name, model.span), base.file)  # no set of the body at hand is the preset's
    for name, setting in known.items():
        try:
            value = typed_expression(types[name], setting.value, base)
            depends = isinstance(types[name], ast.TypeChoice)  # on what the preset sets, perhaps
            values[name] = value if depends else checked(name, value, types[name], setting.value.span, border)
        except Problem as problem:
            base.builder.context.report(problem.diagnostic)
    if len(values) < len(settings):
        return None
    if all(value == base.builder.arguments[name] for name, value in values.items()):
        return base
    context = base.builder.context.mode()
    context.stack.append((f"preset {item.name}", item.span))
    frame = body_of(model, base.file, context, item, base.builder.explicit)
    return None if frame.builder.poisoned else frame


def _facts(item: ast.Preset, frame: Frame) -> dict[str, int]:
    """Check what a preset asserts; return what it counts.  What a body elaborated with it claims was checked with that body."""
    from .claims import check_assert  # which imports the plans

    own, frame.builder.counts = frame.builder.counts, dict[str, int]()
    for fact in item.settings:
        if isinstance(fact, ast.Assert) and not (fact.relation and frame.builder.preset is item):
            try:
                check_assert(fact, frame)
            except Problem as problem:
                frame.builder.context.report(problem.diagnostic)
            except Poisoned:
                pass
    counts, frame.builder.counts = frame.builder.counts, own
    return counts


def _settings(item: ast.Preset, model: ast.Model) -> Iterator[Diagnostic]:
    names = [parameter.name for parameter in model.parameters]
    given: dict[str, Span] = {}
    for setting in item.settings:
        if not isinstance(setting, ast.Setting):
            continue
        if setting.name not in names:
            help = suggest(setting.name, names, f"its parameters are {statics.listed(names)}" if names else "it has no parameters")
            yield Diagnostic("A201", f"`{model.name}` takes no `{setting.name}`", setting.span, help=help)
        elif setting.name in given:
            first = (Label(given[setting.name], "the first one"),)
            yield Diagnostic("A201", f"`{setting.name}` is given twice", setting.span, first, "keep one of them")
        given[setting.name] = setting.span
