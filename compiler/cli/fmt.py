"""`archloom fmt`: the one way to lay a file out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ...dsl.diagnostics import Diagnostic
from ..sources import find_files
from . import _options as options
from ._printing import show
from ._progress import busy
from ._writing import write_whole


@click.command("fmt", short_help="Lay files out in the one standard way.")
@options.files
@options.limit
@click.option("--check", "only_check", is_flag=True, help="Change nothing; name the files that would change and exit with 1.")
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], only_check: bool) -> None:
    """Rewrite FILEs in place (folders stand for the .arch files in them; - reads standard input and prints the result).

    A file with a syntax error is left as it is.
    """
    findings: list[Diagnostic] = []
    changed: list[str] = []
    with busy("formatting") as say:
        for path in find_files(paths):
            say(f"formatting {path if isinstance(path, str) else ''}")
            found = _format(path, only_check)
            if isinstance(found, str):
                changed.append(found)
            else:
                findings += found
    for name in changed:
        print(f"{'would format' if only_check else 'formatted'} {name}", file=sys.stderr)
    show(findings, sys.stderr)
    ctx.exit(bool(findings) or (only_check and bool(changed)))


def _format(path: str | Diagnostic, only_check: bool) -> str | Sequence[Diagnostic]:
    """Lay one file out; return its name if that is a change (standard input is printed), or what is wrong with it."""
    from ...dsl.format import format_source

    if isinstance(path, Diagnostic):
        return (path,)
    source = options.read(path)
    if isinstance(source, Diagnostic):
        return (source,)
    laid_out = format_source(source, options.asked_limits())
    if not isinstance(laid_out, str):
        return laid_out
    if path == "-" and not only_check:
        sys.stdout.buffer.write(laid_out.encode())
        return ()
    if not _differs(path, source.text, laid_out):
        return ()
    if not only_check:
        write_whole(path, laid_out.encode())
    return source.name


def _differs(path: str, text: str, laid_out: str) -> bool:
    """Tell whether a file's bytes would change; what was read has lost its line ends and byte-order mark."""
    if path == "-" or text != laid_out:
        return text != laid_out
    with open(path, "rb") as file:
        return file.read() != laid_out.encode()
