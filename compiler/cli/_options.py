"""Options and arguments that several commands share."""

from __future__ import annotations

import sys

import click

from ...dsl.diagnostics import Diagnostic
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
        if not text.isdecimal():
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
json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def read(path: str) -> Source | Diagnostic:
    """Read a file, or standard input for `-`."""
    if path == "-":
        return read_stream(sys.stdin.buffer, STDIN)
    return read_source(path)
