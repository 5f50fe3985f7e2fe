"""What a file says about a model beside its body: stages, weights maps, golden files, renames."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ast
from ..diagnostics import Diagnostic
from ..inspector import Inspector
from ..program import Program
from . import statics
from .context import Poisoned, Problem, suggest
from .goldens import add_golden
from .renames import renamed
from .scope import Frame
from .stages import Stages
from .weightmaps import Maps


def plan(program: Program, frame: Frame, trees: Sequence[ast.Item], inspector: Inspector) -> None:
    """Check all that is said about a model whose body is whole, and put it into the program; errors go to the frame's context."""
    context = frame.builder.context
    context.inspector = context.inspector or inspector
    models = {item.name: item for item in trees if isinstance(item, ast.Model)}
    _known_models(trees, frame)
    own = {program.name, frame.builder.body.name}
    about = [i for i in trees if isinstance(i, (ast.Weights, ast.Train, ast.Golden)) and i.model in own]
    model = models.get(frame.builder.body.name)
    try:
        program.renamed = renamed(frame, program)
    except Problem as problem:
        context.report(problem.diagnostic)
    except Poisoned:
        pass
    maps = Maps(program, frame, trees)
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


def _known_models(trees: Sequence[ast.Item], frame: Frame) -> None:
    """Report what is said about a model that the file doesn't have."""
    names = [item.name for item in trees if isinstance(item, (ast.Model, ast.ModelAlias))]
    words = {ast.Weights: "weights", ast.Train: "train", ast.Golden: "golden", ast.Preset: "preset"}
    for item in trees:
        if isinstance(item, (ast.Weights, ast.Train, ast.Golden, ast.Preset)) and item.model not in names:
            help = suggest(item.model, names, f"the models of this file are {statics.listed(names)}")
            message = f"this `{words[type(item)]}` is for a model `{item.model}`, which is not in this file"
            frame.builder.context.report(Diagnostic("A526", message, item.span, help=help))
