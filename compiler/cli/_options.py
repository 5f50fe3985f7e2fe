"""Options and arguments that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from ...dsl.diagnostics import Diagnostic
from ...dsl.source import Source
from ..sources import MAX_BYTES, decode, read_source

STDIN = "<stdin>"


def _pairs(what: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], dict[str, str]]:
    def read(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
        pairs: dict[str, str] = {}
        for value in values:
            name, equals, text = value.partition("=")
            if not equals or not name.strip():
                raise click.BadParameter(f"`{value}` is not of the form {what}", ctx, parameter)
            if name.strip() in pairs:
                raise click.BadParameter(f"`{name.strip()}` is given twice", ctx, parameter)
            pairs[name.strip()] = text.strip()
        return pairs

    return read


def named_values(flag: str, metavar: str, help: str) -> Callable[[Any], Any]:
    """Return a repeatable option `FLAG name=value` that arrives as a mapping of texts."""
    return click.option(flag, multiple=True, metavar=metavar, callback=_pairs(metavar), help=help)


files = click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
file = click.argument("path", metavar="FILE", type=click.Path(allow_dash=True))
model = click.option("--model", metavar="NAME", help="The model to take, where the file has several.")
param = named_values("--param", "name=value", "Set a parameter of the model; may be repeated.")
preset = click.option("--preset", metavar="NAME", help="Take a named configuration of the file.")
json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def read(path: str) -> Source | Diagnostic:
    """Read a file, or standard input for `-`."""
    if path == "-":
        return decode(sys.stdin.buffer.read(MAX_BYTES + 1), STDIN)
    return read_source(path)
