"""A whole file: its models with their presets, both modes, entries and plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import ast
from ..diagnostics import Diagnostic, Severity, closest
from ..inspector import Inspector
from ..limits import Limits, exceeded
from ..parser import parse_expression
from ..primitive import Library
from ..program import Body, EntryPlan, Program
from ..record import record
from ..source import Source, Span
from .arguments import Slot, bind, static_arguments, typed_expression
from .builder import Builder
from .conditions import refuse_conflicts, settle_training
from .context import Context, Poisoned, Problem, fail, suggest
from .entries import needed, run_entry
from .files import File, Files, Loader
from .forms import finish, run
from .heads import check_heads
from .plans import Said, plan, said
from .presets import check_presets
from .references import Reference, chosen, configured, unread_of
from .scope import Frame
from .statics import listed
from .unreached import check_unreached, unreached
from .values import Value
from .verdicts import forget


class Text(str):
    """An argument as it is written in a file or on a command line: read as an expression of the parameter's type."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Elaboration:
    """All that came of a file: programs by model name, and everything that was found wrong."""

    programs: dict[str, Program] = field(default_factory=dict[str, Program])
    diagnostics: list[Diagnostic] = field(default_factory=list[Diagnostic])
    files: list[str] = field(default_factory=list[str])
    unreached: tuple[str, ...] = ()  # items that no model elaborates: only their syntax, names, types and arguments were checked

    @property
    def ok(self) -> bool:
        return all(d.severity is not Severity.ERROR for d in self.diagnostics)


@record
class Request:
    """What the caller asks for besides the text: other arguments, a preset, one model of several."""

    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    preset: str | None = None
    model: str | None = None
    presets: bool = False  # a model that only its presets give all values is elaborated with each of them
    reference: Reference | None = None  # a case whose configuration gives the arguments, by the `param` clauses of a `golden`
    limits: Limits = field(default_factory=Limits)


def elaborate(source: Source, library: Library, inspector: Inspector, beside: Loader, request: Request | None = None) -> Elaboration:
    """Elaborate every model of a file (or the one asked for) and check all that is said about it."""
    asked_for = request = request or Request()
    files = Files(library, beside, request.limits)
    result = Elaboration(diagnostics=files.findings.all)
    try:
        file = files.open(source)
        files.check_imports(file)
        trees = _trees(file, files)
        _warn_of_transforms(trees, files)
        about = said(trees, file, files)
        golden = None
        if request.reference is not None:
            request, golden = _configured(file, trees, files, request, request.reference)
        for name, tree, given in _models(file, trees, about, files, request, library):
            own = _own(name, tree, about)
            for asked in _asked(tree, given, own, request):
                program = _model(name, tree, given, file, own, files, library, inspector, asked)
                if program is not None:
                    program.golden = golden.name if golden is not None else None
                    key = name if asked is request else f"{name}, preset {asked.preset}"
                    result.programs[key] = program
                else:
                    check_heads(own, tree, file, files)
        if golden is not None and request.reference is not None and any(d.severity is Severity.ERROR for d in result.diagnostics):
            unread = unread_of(golden, trees, request.reference.config)
            if unread is not None:
                files.report(unread)
        result.unreached = _unreached(trees, file, files, request)
    except Problem as problem:
        files.report(problem.diagnostic)
    except Poisoned:
        pass
    if files.spent.exhausted and files.spent.recalled:
        forget()
        return elaborate(source, library, inspector, beside, asked_for)
    result.files = [f.name for f in files.opened.values()]
    return result


def _trees(file: File, files: Files) -> list[ast.Item]:
    """Parse all items of a file, and stop where there are too many errors."""
    trees: list[ast.Item] = []
    for item in file.parsed.items:
        tree = files.tree(item)
        if tree is not None:
            trees.append(tree)
        if files.spent.exhausted:
            raise Poisoned
    return trees


def _unreached(trees: list[ast.Item], file: File, files: Files, request: Request) -> tuple[str, ...]:
    """Check the items that nothing elaborated; return the names of those that only a model could elaborate."""
    items = unreached(trees, files)
    context = Context(files.library, files)
    check_unreached(items, file, context)
    return tuple(item.name for item in items if not isinstance(item, ast.Definition))


def _warn_of_transforms(trees: list[ast.Item], files: Files) -> None:
    for tree in trees:
        if isinstance(tree, ast.Transform):
            message = f"`transform {tree.name}` is reserved: it is kept as it is written, and not run"
            files.report(Diagnostic("A901", message, tree.span, help="do this step in Python for now", severity=Severity.WARNING))


def _configured(file: File, trees: list[ast.Item], files: Files, request: Request, reference: Reference) -> tuple[Request, ast.Golden]:
    """Return the request with the arguments that a `golden` reads from a configuration, for its model; all that is wrong is reported."""
    item = chosen(file, trees, reference)
    frame = Frame("block", Builder(Context(files.library, files), item.name, item.span), file)
    models = [tree for tree in trees if isinstance(tree, ast.Model) and tree.name == item.model]
    types = {parameter.name: parameter.type for model in models for parameter in model.parameters}
    arguments, problems = configured(item, trees, types, frame, reference.config)
    for problem in problems:
        files.report(problem)
    if problems:
        raise Poisoned
    return replace(request, arguments={**arguments, **request.arguments}, model=item.model), item


def _own(name: str, tree: ast.Model, about: Mapping[str, Sequence[Said]]) -> Sequence[Said]:
    """Return what is said about a model, by its own name or by that of the model that it is made of."""
    found = about.get(tree.name, ())
    return found if name == tree.name else sorted((*found, *about.get(name, ())), key=lambda item: item.span.start)


def _asked(tree: ast.Model, given: Mapping[str, Value], own: Sequence[Said], request: Request) -> list[Request]:
    """Return what to elaborate of a model: what is asked for, or each preset where the model has no values without one."""
    lacking = [p for p in tree.parameters if p.default is None and p.name not in given]
    if not request.presets or request.preset is not None or request.arguments or not lacking:
        return [request]
    return [replace(request, preset=item.name) for item in _presets(own)] or [request]


def _presets(own: Sequence[Said]) -> list[ast.Preset]:
    return [item for item in own if isinstance(item, ast.Preset)]


def _models(
    file: File, trees: list[ast.Item], about: Mapping[str, Sequence[Said]], files: Files, request: Request, library: Library
) -> list[tuple[str, ast.Model, dict[str, Value]]]:
    """Return the models to elaborate: their name, tree and the arguments that an alias gives."""
    found: list[tuple[str, ast.Model, dict[str, Value]]] = []
    for tree in trees:
        if isinstance(tree, ast.Model):
            found.append((tree.name, tree, {}))
        elif isinstance(tree, ast.ModelAlias):
            try:
                found.append(alias(tree, (), file, files, library))
            except Problem as problem:
                files.report(problem.diagnostic)
            except Poisoned:
                continue
    if request.model is not None:
        chosen = [m for m in found if m[0] == request.model]
        if not chosen:
            near = closest(request.model, [m[0] for m in found])
            fail("A811", f"`{file.name}` has no model `{request.model}`", Span(file.parsed.source, 0, 0), f"did you mean `{near}`?" if near else None)
        return chosen
    if request.preset is None:
        return found
    having = [m for m in found if any(item.name == request.preset for item in _presets(_own(m[0], m[1], about)))]
    return having or found  # a preset says which of several models is meant


def alias(
    tree: ast.ModelAlias, trail: tuple[ast.ModelAlias, ...], file: File, files: Files, library: Library
) -> tuple[str, ast.Model, dict[str, Value]]:
    """Return the model that `model Small = Big(dim = 64)` means, with the arguments that it gives."""
    call = tree.value if isinstance(tree.value, ast.Call) else None
    target = call.function if call is not None else tree.value
    item = file.items.get(target.id) if isinstance(target, ast.Name) else None
    found = files.tree(item) if item is not None else None
    if item is not None and found is None:
        raise Poisoned  # its errors are reported
    if not isinstance(target, ast.Name) or not isinstance(found, (ast.Model, ast.ModelAlias)):
        help = suggest(target.span.text, file.models(), "a model is made of another")
        fail("A102", f"`{target.span.text}` is no model of this file", target.span, help)
    if len(trail) >= files.limits.blocks:
        message = f"more than {files.limits.blocks} models are made of each other"
        raise Problem(exceeded("blocks", message, target.span, "write one of them out", "A805"))
    if found is tree or any(found is other for other in trail):
        fail("A905", f"`{tree.name}` is made of itself", target.span, "name the model that is written out")
    model, given = found, dict[str, Value]()
    if isinstance(found, ast.ModelAlias):
        _, model, given = alias(found, (*trail, tree), file, files, library)
    assert isinstance(model, ast.Model)
    frame = Frame("block", Builder(Context(library, files), tree.name, tree.span), file)
    types = {p.name: p.type for p in model.parameters}
    bound = bind(target.id, call.arguments if call is not None else (), [Slot(name, False) for name in types], tree.value.span)
    return tree.name, model, {**given, **{name: typed_expression(types[name], node, frame) for name, node in bound.given.items()}}


def _model(
    name: str, tree: ast.Model, given: Mapping[str, Value], file: File, own: Sequence[Said], files: Files, library: Library, inspector: Inspector,
    request: Request,
) -> Program | None:  # fmt: skip
    context = Context(library, files)
    context.inspector = inspector
    presets = _presets(own)
    arguments = {**given, **request.arguments}
    preset = _preset(request.preset, presets, name, tree)
    frame = body_of(tree, file, context, preset, arguments)
    if context.failed or frame.builder.poisoned:
        return None
    train = None
    if frame.builder.body.uses_training:
        trained = body_of(tree, file, context.mode(training=True), preset, arguments).builder
        if trained.poisoned:
            return None
        train = trained.body
    if file.items[tree.name].tree is None:
        return None  # a statement that doesn't parse, in an arm that isn't taken
    entries = {e.name: _entry(e, tree, file, context, preset, arguments, frame.builder.body) for e in frame.builder.entries}
    if context.failed:
        return None
    program = Program(
        name, frame.builder.body, train, tuple(frame.builder.tasks), {}, {}, {k: v for k, v in entries.items() if v is not None},
        frame.builder.arguments, {}, {}, (), tuple(f.name for f in files.opened.values()), tree.doc,
    )  # fmt: skip
    program.preset = request.preset
    check_presets(program, presets, tree, frame, preset, every=request.preset is None and not request.arguments)
    plan(program, frame, tree, own)
    program.counts.update(frame.builder.counts)
    return None if context.failed else program


def _preset(asked: str | None, presets: list[ast.Preset], name: str, tree: ast.Model) -> ast.Preset | None:
    if asked is None:
        return None
    named = {preset.name: preset for preset in presets}
    if asked not in named:
        help = suggest(asked, named, f"its presets are {', '.join(f'`{p}`' for p in named)}" if named else "it has no presets")
        fail("A605", f"`{name}` has no preset `{asked}`", tree.span, help)
    return named[asked]


def body_of(
    tree: ast.Model,
    file: File,
    context: Context,
    preset: ast.Preset | None,
    given: Mapping[str, Value],
    entry: ast.Entry | None = None,
    model_body: Body | None = None,
) -> Frame:
    """Elaborate a model's body at its border, or an entry beside its model's; the frame holds its names."""
    builder = Builder(context, tree.name, tree.span)
    builder.model, builder.model_body = True, model_body
    if entry is not None:
        builder.overrides = {d.name: s for s in entry.body if isinstance(s, (ast.In, ast.Target)) for d in s.names}
    builder.explicit, builder.preset = given, preset
    frame = Frame("block", builder, file)
    context.enter(tree.name, tree)
    try:
        _arguments(tree, frame, preset, given)
        if entry is not None:
            context.step(entry.span, len(tree.body) // 32)  # each statement is looked at
        run(tree.body if entry is None else needed(tree.body, entry), frame)
        own: Mapping[str, Value] = run_entry(entry, frame).names if entry is not None else {}
        finish(frame, tree)
        trains = entry is None and (context.training or not builder.body.uses_training)
        if trains:
            settle_training(builder)
        refuse_conflicts(builder, trains)
        builder.body.names = {**frame.names, **builder.tasks, **own}
    except Problem as problem:
        context.report(problem.diagnostic)
        builder.poisoned = True
    except Poisoned:
        builder.poisoned = True
    finally:
        context.active.pop()
    return frame


def _entry(
    entry: ast.Entry, tree: ast.Model, file: File, context: Context, preset: ast.Preset | None, given: Mapping[str, Value], model_body: Body
) -> EntryPlan | None:
    frame = body_of(tree, file, context.mode(entry=entry.name), preset, given, entry, model_body)
    return None if frame.builder.poisoned else EntryPlan(entry.name, frame.builder.body, None)


def _arguments(tree: ast.Model, frame: Frame, preset: ast.Preset | None, given: Mapping[str, Value]) -> None:
    types = {p.name: p for p in tree.parameters}
    values: dict[str, Value] = {}
    spans: dict[str, Span] = {}
    for setting in preset.settings if preset is not None else ():
        if not isinstance(setting, ast.Setting):
            continue
        if setting.name not in types:
            fail("A201", f"`{tree.name}` takes no `{setting.name}`", setting.span, suggest(setting.name, types))
        values[setting.name] = typed_expression(types[setting.name].type, setting.value, frame)
        spans[setting.name] = setting.value.span
    for name, value in given.items():
        if name not in types:
            fail(
                "A201",
                f"`{tree.name}` takes no `{name}`",
                tree.span,
                suggest(name, types, f"its parameters are {', '.join(f'`{t}`' for t in types)}" if types else "it has no parameters"),
            )
        values[name] = _read(name, value, types[name], frame) if isinstance(value, Text) else value
        spans[name] = types[name].span
    missing = [p for p in tree.parameters if p.default is None and p.name not in values]
    if missing:
        presets = listed(item.name for item in frame.file.parsed.items if item.word == "preset")
        choice = f", or choose a preset: {presets}" if presets else ""
        help = f"give it a default{',' if choice else ' or'} `--param {missing[0].name}=...`{choice}"
        fail("A202", f"`{tree.name}` needs a value for {listed(p.name for p in missing)}", missing[0].span, help)
    frame.builder.arguments = dict(static_arguments(tree.parameters, values, spans, frame))


def _read(name: str, text: Text, parameter: ast.Parameter, frame: Frame) -> Value:
    """Read a `--param` value as an expression; a bare word is a string where one is wanted."""
    tree, diagnostics = parse_expression(Source(f"--param {name}", str(text)))
    if tree is None:
        raise Problem(diagnostics[0])
    if isinstance(parameter.type, ast.TypeRef) and parameter.type.name == "str" and isinstance(tree, ast.Name):
        return str(text)
    return typed_expression(parameter.type, tree, frame)
