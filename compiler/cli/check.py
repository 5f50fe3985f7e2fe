"""`archloom check`: what is wrong with a file, or what its models are."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from ...dsl.diagnostics import Diagnostic, Severity
from ...dsl.render import tally, to_json
from ..sources import find_files
from . import _options as options
from ._printing import show, show_json
from ._progress import busy


@click.command("check", short_help="Check files and print what their models take, give and own.")
@options.files
@options.param
@options.preset
@options.model
@options.json
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], param: Mapping[str, str], preset: str | None, model: str | None, as_json: bool) -> None:
    """Check FILEs (folders stand for the .arch files in them, - for standard input).

    All errors of all files are printed; the exit code is 1 if there is one.  Neither torch nor weights are needed.
    """
    results: list[tuple[str, list[Diagnostic], list[str]]] = []
    with busy("checking") as say:
        for path in find_files(paths):
            say(f"checking {path if isinstance(path, str) else ''}, {len(results)} done")
            results.append(_check(path, param, preset, model))
    findings = [diagnostic for result in results for diagnostic in result[1]]
    if as_json:
        show_json([{"file": name, "diagnostics": [to_json(d) for d in found], "report": report} for name, found, report in results])
    else:
        for name, found, report in results:
            if all(diagnostic.severity is not Severity.ERROR for diagnostic in found):
                print(f"{name}: {tally(found) or 'ok'}{'' if report else ', no model'}", *(f"  {line}" for line in report), sep="\n")
        show(findings, sys.stdout)
    ctx.exit(any(diagnostic.severity is Severity.ERROR for diagnostic in findings))


def _check(path: str | Diagnostic, param: Mapping[str, str], preset: str | None, model: str | None) -> tuple[str, list[Diagnostic], list[str]]:
    """Return the name of a file, what was found in it, and the lines about it where it has no error."""
    from ..check import check_text

    source = path if isinstance(path, Diagnostic) else options.read(path)
    if isinstance(source, Diagnostic):
        return source.span.source.name, [source], []
    result = check_text(source, param, preset, model, presets=True)
    return source.name, list(result.diagnostics), list(result.report)
