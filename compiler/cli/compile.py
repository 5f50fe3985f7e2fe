"""`archloom compile`: a model with its weights as a folder that needs no spec."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from ...dsl.diagnostics import Diagnostic, Failure
from . import _options as options
from ._optimizing import chosen
from ._programs import checked
from ._progress import busy

DTYPES = ("float16", "bfloat16", "float32", "float64")


@click.command("compile", short_help="Write a model with its weights into a folder of its own.")
@options.one_model
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Take only what this task needs; may be repeated.")
@click.option("--weights", type=click.Path(), help="A folder or file of safetensors, read through the file's weights map.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True, help="What floats are.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the weights that no file gives.")
@options.extern
@options.optimize
@click.option("-o", "--output", required=True, metavar="DIR", type=click.Path(file_okay=False), help="The folder to write.")
def command(
    path: str,
    param: Mapping[str, str],
    preset: str | None,
    model: str | None,
    tasks: tuple[str, ...],
    weights: str | None,
    dtype: str,
    seed: int,
    extern: tuple[str, ...],
    output: str,
) -> None:
    """Compile the model of FILE and write DIR: its weights, and a manifest with the text, parameters, passes and versions.

    `archloom.load("DIR")` gives the model back in Python, on a machine that has archloom and no FILE.
    """
    from ..artifact.saving import write_artifact

    passes, source = chosen(), options.read(path)
    if isinstance(source, Diagnostic):
        raise Failure((source,))
    if passes.tells:
        checked(path, param, preset, model, tasks=tasks)  # which prints what the passes do
    with busy(f"compiling {source.name}"):
        try:
            manifest = write_artifact(
                source,
                output,
                param,
                preset=preset,
                model=model,
                tasks=tasks or None,
                weights=weights,
                dtype=dtype,
                optimize=passes.passes or "none",
                seed=seed,
                extern=extern or None,
                limits=options.asked_limits(),
                folders=options.asked_folders(),
            )
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            raise click.ClickException(f"`{output}` can't be written: {(error.strerror or str(error)).lower()}") from None
    if manifest.quantization:
        from ..artifact.loading import quantized

        print(quantized(manifest), file=sys.stderr)
    print(f"wrote {output}: {manifest.model}, {manifest.weights}", file=sys.stderr)
