"""`archloom quantize`: which weights of a model to quantize, found by measuring."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

import click

from ..optimize.pipelines import pipeline
from ..passes.quantize import KINDS
from ..quantizing.targets import Target
from . import _options as options
from ._optimizing import Chosen, told
from ._printing import show_json
from ._programs import checked, only
from ._progress import Steps


def _target(ctx: click.Context, parameter: click.Parameter, value: float | None) -> Target | None:
    try:
        return Target(parameter.name or "", value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None


@click.command("quantize", short_help="Find which weights of a model to quantize, on data, under a target.")
@options.one_model
@click.option("--data", required=True, metavar="FILE", type=click.Path(), help="Safetensors with a tensor for each input, samples along axis 0.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="How many samples are taken at once.")
@click.option(
    "--error", type=float, metavar="E", callback=_target, help="Quantize as many weights as keep the outputs' relative error at most so high."
)
@click.option(
    "--share", "size", type=float, metavar="S", callback=_target, help="Quantize as few as bring the weights to at most this share of their bytes."
)
@click.option("--time", type=float, metavar="T", callback=_target, help="Quantize as few as bring the time to at most this share.")
@click.option("--to", multiple=True, type=click.Choice(list(KINDS)), help="What to quantize to; several are tried one after the other.")
@click.option("--optimize", default="inference", show_default=True, metavar="PASSES", help="The passes that run before.")
@options.print_between
@options.time_passes
@options.explain_passes
@click.option("--weights", type=click.Path(), help="A folder or file of safetensors, read through the file's weights map.")
@options.extern
@options.json
@click.pass_context
def command(
    ctx: click.Context, path: str, param: Mapping[str, str], preset: str | None, model: str | None, data: str, as_json: bool, **choices: Any
) -> None:
    """Quantize each weight of the model of FILE alone, measure the error on data, and print what to quantize together.

    One target is given: --error, --share or --time.  What is printed last is for `--optimize` of other commands.
    What is told of passes is of those and of these.  Without --weights they are random ones, which tells little of trained ones.
    """
    targets: list[Target] = [choices[name] for name in ("error", "size", "time") if choices[name] is not None]
    if len(targets) != 1:
        raise click.UsageError("give one target: --error, --share or --time", ctx)
    passes = told(choices["optimize"], ["quantize"])
    program = only(path, checked(path, param, preset, model, passes=Chosen()))
    with Steps("importing torch") as steps:
        try:
            torch: Any = import_module("torch")
        except ImportError:
            raise click.ClickException('`quantize` needs torch, which is not installed\n  = help: pip install "archloom[torch]"') from None
        from ..quantizing.run import choose

        kinds, extern = choices["to"] or ("int8_dynamic",), list(choices["extern"]) or None
        torch.manual_seed(0)  # for weights that are not given, as `archloom compile` draws them
        try:
            found = choose(program, data, targets[0], kinds, choices["optimize"], choices["weights"], extern, None, choices["batch"], steps)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
    if passes.tells:
        replace(passes, passes=pipeline(found.passes)).optimized(program)
    if as_json:
        show_json(found.json())
    else:
        print(found)
    sys.stdout.flush()
