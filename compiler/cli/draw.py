"""`archloom draw`: the picture of a model."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from . import _options as options
from ._programs import checked
from ._progress import busy
from ._writing import write_whole


@click.command("draw", short_help="Draw a model as SVG.")
@options.one_model
@options.optimize
@click.option("--stage", metavar="NAME", help="Mark what this stage freezes.")
@click.option("--task", metavar="NAME", help="Leave out what other tasks alone give.")
@click.option("--entry", metavar="NAME", help="Draw this entry of the model, with its caches.")
@click.option("--depth", type=click.IntRange(1), help="How many levels to draw, 1 opens no block; without it, as many as stay easy to read.")
@click.option("--theme", type=click.Choice(["auto", "light", "dark"]), default="auto", show_default=True, help="Colours; auto follows the reader's.")
@click.option("-o", "--output", metavar="PATH", type=click.Path(dir_okay=False), help="The file to write; without it the SVG is printed.")
def command(
    path: str,
    param: Mapping[str, str],
    preset: str | None,
    model: str | None,
    stage: str | None,
    task: str | None,
    entry: str | None,
    depth: int | None,
    theme: str,
    output: str | None,
) -> None:
    """Draw the model of FILE (the last one, without --model) as an SVG picture.

    Modules stand with their parameters, lines with the shapes they carry, each task in its own colour; equal layers are one stack with
    its number.  Neither torch nor another program is needed.
    """
    with busy(f"drawing {path}"):
        program = list(checked(path, param, preset, model).values())[-1]
        from ..draw.drawing import draw_program

        try:
            drawing = draw_program(program, stage=stage, task=task, entry=entry, depth=depth, theme=theme)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
    if output is None:
        sys.stdout.write(drawing.svg)
    else:
        write_whole(output, drawing.svg.encode())
        print(f"wrote {output}", file=sys.stderr)
