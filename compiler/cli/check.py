"""`archloom check`: what is wrong with a file, or what its models are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ...dsl.diagnostics import Diagnostic, Failure, Severity
from ...dsl.record import record
from ...dsl.render import tally, to_json
from ..sources import find_files
from . import _options as options
from ._optimizing import Chosen, chosen
from ._printing import show, show_json
from ._progress import busy

if TYPE_CHECKING:
    from ...dsl.program import Program
    from ..check import CheckResult
    from ..runtime.claims import Tested


@record
class Choices:
    """What is asked of every file."""

    param: Mapping[str, str]
    preset: str | None
    model: str | None
    gradients: bool
    size: Mapping[str, int]
    extern: Sequence[str]
    passes: Chosen


@click.command("check", short_help="Check files and print what their models take, give and own.")
@options.files
@options.limit
@options.folder
@options.param
@options.preset
@options.model
@click.option("--gradients", is_flag=True, help="Test claims about parts of tensors too; needs torch.")
@options.size
@options.extern
@options.optimize
@options.json
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Check FILEs (folders stand for the .arch files in them, - for standard input).

    All errors of all files are printed; the exit code is 1 if there is one.  Neither torch nor weights are needed, but for
    --gradients, which builds the models in float64 with random parameters, and to which --size and --extern belong.  With --optimize
    the passes are run over what has no error, and what they leave is checked too.
    """
    choices = Choices(**given, passes=chosen())
    if (choices.size or choices.extern) and not choices.gradients:
        raise click.UsageError("--size and --extern belong to --gradients", ctx)
    results: list[tuple[str, list[Diagnostic], list[str], Sequence[str]]] = []
    with busy("checking") as say:
        for path in find_files(paths):
            say(f"checking {path if isinstance(path, str) else ''}, {len(results)} done")
            results.append(_check(path, choices))
    findings = [diagnostic for result in results for diagnostic in result[1]]
    if as_json:
        show_json(
            [
                {"file": name, "diagnostics": [to_json(d) for d in found], "report": report, "unreached": unreached}
                for name, found, report, unreached in results
            ]
        )
    else:
        for name, found, report, unreached in results:
            if all(diagnostic.severity is not Severity.ERROR for diagnostic in found):
                print(f"{name}: {tally(found) or 'ok'}{'' if report else ', no model'}", *(f"  {line}" for line in report), sep="\n")
                if unreached:
                    print(_left(unreached))
        show(findings, sys.stdout)
    ctx.exit(any(diagnostic.severity is Severity.ERROR for diagnostic in findings))


def _left(unreached: Sequence[str]) -> str:
    from ...dsl.elaborate.statics import listed

    return f"  no model elaborates {listed(unreached, 5)}: only syntax, names, types and arguments were checked"


def _check(path: str | Diagnostic, choices: Choices) -> tuple[str, list[Diagnostic], list[str], Sequence[str]]:
    """Return the name of a file, what was found in it, the lines about it where it has no error, and the items that no model elaborates."""
    from ..check import check_text

    source = path if isinstance(path, Diagnostic) else options.read(path)
    if isinstance(source, Diagnostic):
        return source.span.source.name, [source], [], ()
    limits, folders = options.asked_limits(), options.asked_folders()
    result = check_text(source, choices.param, choices.preset, choices.model, presets=True, limits=limits, folders=folders)
    for program in result.programs.values() if result.ok else ():
        choices.passes.optimized(program)
    if not choices.gradients or not result.ok:
        return source.name, list(result.diagnostics), list(result.report), result.unreached
    return source.name, *_tested(result, choices), result.unreached


def _tested(result: CheckResult, choices: Choices) -> tuple[list[Diagnostic], list[str]]:
    """Test the open claims of a file's models; return all findings, and the lines about the models."""
    from ..check import describe
    from ..claims import open_claims

    findings, report = list(result.diagnostics), list[str]()
    for program in result.programs.values():
        try:
            report.extend(describe(program, _claims(program, choices) if open_claims(program) else None))
        except Failure as failure:
            findings.extend(failure.diagnostics)
    return findings, report


def _claims(program: Program, choices: Choices) -> tuple[Tested, ...]:
    try:
        torch: Any = import_module("torch")
    except ImportError:
        raise click.ClickException('`check --gradients` needs torch, which is not installed\n  = help: pip install "archloom[torch]"') from None
    from ..runtime.claims import check_claims
    from ..runtime.errors import ModelError
    from ..runtime.extern import Extern

    try:
        return check_claims(program, Extern(choices.extern or None, torch.float64), dims=choices.size)
    except (ModelError, ValueError) as error:
        raise click.ClickException(str(error)) from None
