"""`archloom fmt`: the one way to lay a file out."""

from __future__ import annotations

import sys

import click

from ...dsl.diagnostics import Diagnostic
from ..sources import find_files
from . import _options as options
from ._printing import show
from ._writing import write_whole


@click.command("fmt", short_help="Lay files out in the one standard way.")
@options.files
@click.option("--check", "only_check", is_flag=True, help="Change nothing; name the files that would change and exit with 1.")
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], only_check: bool) -> None:
    """Rewrite FILEs in place (folders stand for the .arch files in them; - reads standard input and prints the result).

    A file with a syntax error is left as it is.
    """
    from ...dsl.format import format_source

    findings: list[Diagnostic] = []
    changed: list[str] = []
    for path in find_files(paths):
        source = path if isinstance(path, Diagnostic) else options.read(path)
        if isinstance(source, Diagnostic) or isinstance(path, Diagnostic):
            findings += [source] if isinstance(source, Diagnostic) else []
            continue
        laid_out = format_source(source)
        if not isinstance(laid_out, str):
            findings += laid_out
            continue
        if path == "-" and not only_check:
            sys.stdout.buffer.write(laid_out.encode())
        if _differs(path, source.text, laid_out):
            changed.append(source.name)
            if path != "-" and not only_check:
                write_whole(path, laid_out.encode())
    for name in changed if paths != ("-",) or only_check else []:
        print(f"{'would format' if only_check else 'formatted'} {name}", file=sys.stderr)
    show(findings, sys.stderr)
    ctx.exit(bool(findings) or (only_check and bool(changed)))


def _differs(path: str, text: str, laid_out: str) -> bool:
    """Tell whether a file's bytes would change; what was read has lost its line ends and byte-order mark."""
    if path == "-" or text != laid_out:
        return text != laid_out
    with open(path, "rb") as file:
        return file.read() != laid_out.encode()
