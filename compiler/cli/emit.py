"""`archloom emit`: a model as a Python file of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from ...dsl.diagnostics import Diagnostic, Severity
from . import _options as options
from ._printing import show
from ._progress import busy
from ._writing import write_whole


@click.command("emit", short_help="Write a model as Python that imports torch alone.")
@options.file
@options.param
@options.preset
@options.model
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Take only what this task needs; may be repeated.")
@click.option("-o", "--output", metavar="PATH", type=click.Path(dir_okay=False), help="The file to write; without it the text is printed.")
@click.pass_context
def command(
    ctx: click.Context,
    path: str,
    param: Mapping[str, str],
    preset: str | None,
    model: str | None,
    tasks: tuple[str, ...],
    output: str | None,
) -> None:
    """Write the model of FILE as one Python file: classes with official parameter names that need torch and nothing else."""
    from ..check import check_text

    source = options.read(path)
    if isinstance(source, Diagnostic):
        show([source], sys.stderr)
        ctx.exit(1)
    with busy(f"writing {source.name}"):
        result = check_text(source, param, preset, model)
        show(result.diagnostics, sys.stderr)
        if any(diagnostic.severity is Severity.ERROR for diagnostic in result.diagnostics):
            ctx.exit(1)
        if not result.programs:
            raise click.ClickException(f"there is no model in `{source.name}`")
        from ..emit.file import emit

        try:
            text = emit(list(result.programs.values())[-1], tasks or None)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
    if output is None:
        sys.stdout.write(text)
    else:
        write_whole(output, text.encode())
        print(f"wrote {output}", file=sys.stderr)
