"""Options and arguments that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from ...dsl.diagnostics import Diagnostic
from ...dsl.limits import DEFAULT, Limits, limits_of
from ...dsl.source import Source
from ..sources import read_source, read_stream

STDIN = "<stdin>"


def pairs(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Turn `name=value` texts into a mapping; a name twice or a text without `=` is wrong usage."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        name = name.strip()
        if not equals or not name:
            raise click.BadParameter(f"`{value}` is not of the form name=value", ctx, parameter)
        if name in found:
            raise click.BadParameter(f"`{name}` is given twice", ctx, parameter)
        found[name] = text.strip()
    return found


def _sizes(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, text in pairs(ctx, parameter, values).items():
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise click.BadParameter(f"the size of `{name}` is a whole number, not `{text}`", ctx, parameter)
        sizes[name] = int(text)
    return sizes


files = click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
file = click.argument("path", metavar="FILE", type=click.Path(allow_dash=True))
model = click.option("--model", metavar="NAME", help="The model to take, where the file has several.")
param = click.option("--param", multiple=True, metavar="name=value", callback=pairs, help="Set a parameter of the model; may be repeated.")
preset = click.option("--preset", metavar="NAME", help="Take a named configuration of the file.")
size = click.option("--size", multiple=True, metavar="NAME=N", callback=_sizes, help="Give an open size of the inputs, as B=2; may be repeated.")
extern = click.option(
    "--extern", multiple=True, metavar="PKG.MODULE:NAME", help="Allow a file to wrap this Python class or function; may be repeated."
)
tasks = click.option("--task", "tasks", multiple=True, metavar="NAME", help="Run this task alone; may be repeated.")
json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


LIMITS, FOLDERS = "archloom.limits", "archloom.folders"


def _limits(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> None:
    """Keep what a text may take, for `asked`."""
    given: dict[str, int] = {}
    for name, text in pairs(ctx, parameter, values).items():
        digits = text.replace("_", "")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
            raise click.BadParameter(f"the limit `{name}` is a whole number, not `{text}`", ctx, parameter)
        given[name] = int(digits)
    try:
        ctx.meta[LIMITS] = limits_of(given)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, parameter) from None


def _folders(ctx: click.Context, _: click.Parameter, values: tuple[str, ...]) -> None:
    ctx.meta[FOLDERS] = values


limit = click.option(
    "--limit", multiple=True, metavar="NAME=N", callback=_limits, expose_value=False, help="Let a file take more, or less, as steps=10_000_000."
)
folder = click.option(
    "--folder",
    "import_folders",
    multiple=True,
    metavar="DIR",
    callback=_folders,
    expose_value=False,
    help="Let imports lead into this folder, too, by a link.",
)


def one_model(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which model of which file is meant."""
    for option in (model, preset, param, folder, limit, file):
        command = option(command)
    return command


PASSES = "archloom.passes"


def _kept(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep what is asked about passes, for `_optimizing`."""
    if parameter.name == "print_between" and value is not None and not value.isidentifier():  # a file, taken for the name of a pass
        raise click.BadParameter(f"`{value}` names no pass: write --print-between=PASS, =all, or nothing, with an option after it", ctx, parameter)
    ctx.meta.setdefault(PASSES, {})[parameter.name] = value


print_between = click.option(
    "--print-between",
    metavar="PASS",
    is_flag=False,
    flag_value="all",
    callback=_kept,
    expose_value=False,
    help="Print what each pass changed in the graph, or one pass alone.",
)
time_passes = click.option(
    "--time-passes", is_flag=True, callback=_kept, expose_value=False, help="Print how long each pass took, and the nodes it left."
)
explain_passes = click.option(
    "--explain-passes", is_flag=True, callback=_kept, expose_value=False, help="Print where each pass applied, and where not and why."
)
_optimize = click.option(
    "--optimize",
    metavar="PASSES",
    callback=_kept,
    expose_value=False,
    help="Run a pipeline (none, default, inference, max) or passes (cse,pack).",
)


def optimize(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of passes; what is printed of them goes to standard error."""
    return _optimize(print_between(time_passes(explain_passes(command))))


def asked_limits() -> Limits:
    """Return the limits that the command at hand was called with."""
    found: Limits = click.get_current_context().meta.get(LIMITS, DEFAULT)
    return found


def asked_folders() -> tuple[str, ...]:
    """Return the folders that imports may lead into besides the file's own."""
    found: tuple[str, ...] = click.get_current_context().meta.get(FOLDERS, ())
    return found


def read(path: str) -> Source | Diagnostic:
    """Read a file, or standard input for `-`, which is kept, as it can be read once."""
    if path == "-":
        known = click.get_current_context().meta
        if STDIN not in known:
            known[STDIN] = read_stream(sys.stdin.buffer, STDIN, asked_limits())
        found: Source | Diagnostic = known[STDIN]
        return found
    return read_source(path, asked_limits())
