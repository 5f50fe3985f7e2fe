"""`archloom emit`: a model as a Python file of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

import click

from . import _options as options
from ._programs import checked
from ._progress import busy
from ._writing import write_whole


@click.command("emit", short_help="Write a model as Python that imports torch alone.")
@options.one_model
@options.optimize
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Take only what this task needs; may be repeated.")
@click.option("--entries", is_flag=True, help="Write the model's entries too, each as a method with its caches.")
@click.option("-o", "--output", metavar="PATH", type=click.Path(dir_okay=False), help="The file to write; without it the text is printed.")
def command(
    path: str,
    param: Mapping[str, str],
    preset: str | None,
    model: str | None,
    tasks: tuple[str, ...],
    entries: bool,
    output: str | None,
) -> None:
    """Write the model of FILE as one Python file: classes with official parameter names that need torch and nothing else."""
    with busy(f"writing {path}"):
        program = list(checked(path, param, preset, model, tasks=tasks).values())[-1]
        from ..emit.file import emit

        left_out = () if entries else tuple(program.entries)
        text = emit(replace(program, entries=program.entries if entries else {}))
    if left_out:
        print(f"left out: the entries {', '.join(left_out)}; --entries writes them, too", file=sys.stderr)
    if output is None:
        sys.stdout.write(text)
    else:
        write_whole(output, text.encode())
        print(f"wrote {output}", file=sys.stderr)
