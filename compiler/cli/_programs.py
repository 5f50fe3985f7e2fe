"""The checked models of the file that a command was given."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import click

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.program import Program
from . import _options as options
from ._optimizing import Chosen, chosen
from ._printing import show


def checked(
    path: str,
    param: Mapping[str, str],
    preset: str | None,
    model: str | None,
    *,
    presets: bool = False,
    tasks: Sequence[str] = (),
    passes: Chosen | None = None,
) -> dict[str, Program]:
    """Read and check a file, print its warnings, and return its programs by name, cut to `tasks`, after the passes that are asked for, or `passes`.

    See `check_text` for `presets`.  Raises Failure with everything that is wrong, ClickException where there is no model.
    """
    from ..check import check_text

    passes = passes or chosen()
    source = options.read(path)
    if isinstance(source, Diagnostic):
        raise Failure((source,))
    result = check_text(source, param, preset, model, presets=presets, limits=options.asked_limits(), folders=options.asked_folders())
    if not result.ok:
        raise Failure(result.diagnostics)
    show(result.diagnostics, sys.stderr)
    if not result.programs:
        raise click.ClickException(f"there is no model in `{source.name}`")
    return {name: passes.optimized(program, tasks) for name, program in result.programs.items()}


def only(path: str, programs: Mapping[str, Program]) -> Program:
    """Return the one model of a file; ClickException where there are several."""
    if len(programs) > 1:
        raise click.ClickException(f"`{path}` holds the models {', '.join(programs)}: choose one with --model")
    return next(iter(programs.values()))
