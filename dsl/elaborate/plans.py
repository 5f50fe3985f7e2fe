"""What a file says about a model beside its body: stages, weights maps, golden files, renames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import ast
from ..diagnostics import Diagnostic
from ..program import Program
from . import statics
from .context import Poisoned, Problem, suggest
from .files import File, Files
from .goldens import add_golden
from .renames import renamed
from .scope import Frame
from .stages import Stages
from .weightmaps import Maps

Said = ast.Weights | ast.Train | ast.Golden | ast.Preset
"""An item that says something about a model, by its name."""


def said(trees: Sequence[ast.Item], file: File, files: Files) -> Mapping[str, Sequence[Said]]:
    """Return what a file says about models, by their names; what is about one that the file doesn't have is reported."""
    words = {ast.Weights: "weights", ast.Train: "train", ast.Golden: "golden", ast.Preset: "preset"}
    names = file.models()
    found: dict[str, list[Said]] = {name: [] for name in names}
    for item in trees:
        if isinstance(item, Said):
            if item.model in found:
                found[item.model].append(item)
                continue
            help = suggest(item.model, names, f"the models of this file are {statics.listed(names)}" if names else "write `model NAME { ... }`")
            message = f"this `{words[type(item)]}` is for a model `{item.model}`, which is not in this file"
            files.report(Diagnostic("A526", message, item.span, help=help))
    return found


def plan(program: Program, frame: Frame, model: ast.Model, about: Sequence[Said]) -> None:
    """Check all that is said about a model whose body is whole, and put it into the program; errors go to the frame's context."""
    context = frame.builder.context
    try:
        program.renamed = renamed(frame, program)
    except Problem as problem:
        context.report(problem.diagnostic)
    except Poisoned:
        pass
    maps = Maps(program, frame)
    for item in about:
        if isinstance(item, ast.Weights):
            maps.add(item)
    names = [stage.name for item in about if isinstance(item, ast.Train) for stage in item.stages if isinstance(stage, ast.Stage)]
    stored = [item.name for item in about if isinstance(item, ast.Weights)]
    stages = Stages(program, frame, model, stored, names)
    for item in about:
        if isinstance(item, ast.Train):
            stages.add(item)
    for item in about:
        if isinstance(item, ast.Golden):
            add_golden(item, program, model, frame, {*stored, *names})
