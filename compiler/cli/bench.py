"""`archloom bench`: a model's time, memory, error and size in several configurations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..bench.configuration import DTYPES, INT8, MODES, USUAL_DTYPES, Configuration, chosen, configurations, dtypes, pipelines
from ..optimize.pipelines import pipeline
from . import INTERRUPTED
from . import _given as given
from . import _options as options
from ._measured import text
from ._optimizing import Chosen, told
from ._printing import show_json, width_of
from ._programs import checked, only
from ._progress import Steps
from ._writing import write_whole

if TYPE_CHECKING:
    from ..bench.report import Report

PLOTS = ("pdf", "png", "svg")


def _names(what: str, there: Sequence[str]) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]:
    """Return what reads names from texts such as `a,b`."""

    def read(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return chosen(what, values, there)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, parameter) from None

    return read


def _plot(ctx: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """Refuse before anything is measured what could not be drawn afterwards."""
    if path is None:
        return None
    if Path(path).suffix.removeprefix(".").lower() not in PLOTS:
        raise click.BadParameter(f"`{path}` doesn't end in {', '.join(f'.{each}' for each in PLOTS)}: the end says how to write it", ctx, parameter)
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise click.BadParameter(f"`{path}` can't be written: there is no folder `{folder}`", ctx, parameter)
    try:
        import_module("matplotlib")
    except ImportError:
        raise click.ClickException('--plot needs matplotlib, which is not installed\n  = help: pip install "archloom[plot]"') from None
    return path


@click.command("bench", short_help="Measure a model in several configurations side by side.")
@options.one_model
@options.size
@click.option("--optimize", multiple=True, metavar="PASSES", help="Pipelines to compare, or passes; may be repeated.  [default: none,default,max]")
@options.print_between
@options.time_passes
@options.explain_passes
@click.option(
    "--mode", "modes", multiple=True, metavar="MODES", callback=_names("mode", MODES), default=MODES, help=f"{', '.join(MODES)}; all by default."
)
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    metavar="DTYPES",
    callback=_names("dtype", DTYPES),
    help=f"{', '.join(DTYPES)}.  [default: {','.join(USUAL_DTYPES)}, without {INT8} to train]",
)
@click.option("--train", is_flag=True, help="Measure forward and backward, instead of an evaluation.")
@click.option("--entry", metavar="NAME", help="Measure a call of this entry.")
@options.tasks
@given.option
@given.tokenizer
@click.option("--weights", type=click.Path(), help="A folder or file of safetensors, read through the file's weights map.")
@click.option("--pairs", type=click.IntRange(1), default=30, show_default=True, help="How often each configuration is timed.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of each operation.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of random weights and examples.")
@options.extern
@options.json
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", callback=_plot, help="Draw the results: .svg, .png or .pdf.")
@click.pass_context
def command(ctx: click.Context, path: str, **choices: Any) -> None:
    """Compare passes, eager and compiled calls, and dtypes, for the model of FILE.

    Every combination is timed in every round, one after the other, so that whatever else the machine does hits all alike.  Ratios are
    to the first combination; errors to the model without passes, eager, in float32.  Inputs that are not given are random values at the
    sizes that `--size` gives, or small ones.

    \b
    --optimize none,default            two pipelines
    --optimize none --optimize cse,pack    a pipeline, and a list of two passes

    Interrupted, it prints what it has, with the exit code 130.  The exit code is 1 if nothing could be measured.
    """
    try:
        passes, floats = pipelines(choices["optimize"], choices["train"]), dtypes(choices["dtypes"], choices["train"])
    except ValueError as error:
        raise click.UsageError(str(error), ctx) from None
    if choices["train"] and choices["entry"] is not None:
        raise click.UsageError("an entry has no losses: leave out --entry, or --train", ctx)
    report = _report(path, configurations(passes, choices["modes"], floats), choices)
    if choices["as_json"]:
        show_json(report.model_dump(mode="json"))
    else:
        print(text(report, width_of(sys.stdout) if sys.stdout.isatty() else None), end="")
    if choices["plot"] is not None:
        from ..bench.plot import plot

        write_whole(choices["plot"], plot(report, Path(choices["plot"]).suffix.removeprefix(".").lower()))
        print(f"saved {choices['plot']}", file=sys.stderr)
    sys.stdout.flush()
    ctx.exit(INTERRUPTED if report.interrupted else int(report.baseline is None))


def _report(path: str, asked: Sequence[Configuration], choices: dict[str, Any]) -> Report:
    """Read the file and measure its model."""
    program = only(path, checked(path, choices["param"], choices["preset"], choices["model"], tasks=choices["tasks"], passes=Chosen()))
    lists = dict.fromkeys(configuration.built[0] for configuration in asked)
    names = dict.fromkeys(one.name() for each in lists for one in pipeline(each))
    for each in lists:
        passes = told(each, tuple(names))
        if passes.tells and passes.passes:
            replace(passes, by=each).optimized(program)
    declared = given.inputs_of(program, choices["entry"])
    declared = {key: each for key, each in declared.items() if choices["train"] or not each.is_target}
    arrays = given.read(program, declared, choices["written"], choices["size"], choices["tokenizer"])
    with Steps("importing torch") as steps:
        try:
            torch: Any = import_module("torch")
        except ImportError:
            raise click.ClickException('`bench` needs torch, which is not installed\n  = help: pip install "archloom[torch]"') from None
        from ..bench.run import bench
        from ..bench.subject import Task
        from ..runtime.errors import ModelError

        task = Task(
            program,
            tasks=choices["tasks"],
            entry=choices["entry"],
            train=choices["train"],
            sizes=given.sizes_of(declared, arrays) | choices["size"],
            given={key: torch.from_numpy(array) for key, array in arrays.items()},
            weights=choices["weights"],
            extern=list(choices["extern"]) or None,
            device=choices["device"],
            seed=choices["seed"],
        )
        try:
            return bench(task, asked, choices["pairs"], choices["threads"], steps)
        except ModelError as error:
            given_all = all(key in arrays for key in declared)
            help = "" if given_all else "\n  = help: inputs that are not given are random values: --input gives others"
            raise click.ClickException(f"{error}{help}") from None
        except (ValueError, RuntimeError) as error:
            raise click.ClickException(str(error)) from None
