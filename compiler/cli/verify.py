"""`archloom verify`: a model held against reference tensors."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from ...dsl.diagnostics import Diagnostic, Failure
from . import _options as options
from ._optimizing import chosen
from ._printing import show_json, table
from ._progress import busy

if TYPE_CHECKING:
    from ..golden.compare import Row
    from ..golden.verify import Report
    from ..optimize.manager import Step


EVALUATION = "passes keep numbers in evaluation alone: the rule that every gradient is compared doesn't apply"


@click.command("verify", short_help="Hold a model against reference tensors.")
@options.file
@options.limit
@options.folder
@click.option("--against", "folder", required=True, metavar="DIR", type=click.Path(), help="The folder of the case: config.json and safetensors.")
@click.option("--golden", metavar="NAME", help="The golden clause to use, where several of FILE fit the case.")
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True, help="What to compute in.")
@click.option("--source", is_flag=True, help="Compute with the emitted Python instead of the compiled module.")
@click.option("--all", "everything", is_flag=True, help="List every tensor, not only the worst of each kind and those that differ.")
@options.optimize
@options.json
@click.pass_context
def command(ctx: click.Context, path: str, folder: str, golden: str | None, dtype: str, source: bool, everything: bool, as_json: bool) -> None:
    """Compute what a case stores and compare: outputs, inner values, gradients, moved buffers.

    FILE says by a `golden` clause how the case's configuration, inputs and values are called in its model.  The exit code is 1 if a
    difference is above its limit, or if too little was compared.  After passes that keep numbers in evaluation alone, no gradient is compared;
    after passes that round, as `quantize` does, their stated error is the limit.
    """
    passes = chosen()
    text = options.read(path)
    if isinstance(text, Diagnostic):
        raise Failure((text,))
    with busy("importing torch") as say:
        try:
            import_module("torch")
        except ImportError:
            raise click.ClickException('`verify` needs torch, which is not installed\n  = help: pip install "archloom[torch]"') from None
        from ..golden.verify import verify

        say(f"computing {folder}")
        report = verify(
            text,
            folder,
            golden=golden,
            dtype=dtype,
            source=source,
            optimize=passes.passes or (),
            watch=passes.watch,
            limits=options.asked_limits(),
            folders=options.asked_folders(),
        )
    if passes.passes is not None:
        passes.tell(report.spec, report.passes.steps)
    if as_json:
        show_json(_document(report))
    else:
        print(_text(report, everything), end="")
    sys.stdout.flush()
    ctx.exit(not report.ok)


def _text(report: Report, everything: bool) -> str:
    rows = [row for row in report.rows if everything or not row.holds] + ([] if everything else _worst(report))
    lines = [[row.kind, row.stored, row.ours, _difference(row), f"{row.limit:.0e}" if row.limit else "equal", _verdict(row)] for row in rows]
    parts = [table([["kind", "stored", "in the model", "largest difference", "limit", ""], *lines], (3, 4))]
    if report.left_out:
        parts.append(table([["not compared", "why"], *map(list, report.left_out)]))
    if report.beyond:
        parts.append(table([["not compared", "why"], [f"{len(report.beyond)} gradients", EVALUATION]]))
    wrong = sum(not row.holds for row in report.rows)
    compared = len({row.stored for row in report.rows})
    share = f"{compared} of {compared + len(report.left_out)} stored tensors compared ({100 * report.share:.0f} %)"
    parts.append(f"{report.spec} against {report.case} in {report.dtype}: {share}, {wrong or 'none'} above the limit\n")
    parts += [f"`{name}` rounds: the limit is its stated error, {error:.0e}; layers add theirs up\n" for name, error in report.stated.items()]
    parts += [f"`{step.name}` found nothing to round, so it isn't verified{_because(step)}\n" for step in report.nothing]
    if report.unread:
        parts.append(f"read by no clause: {', '.join(report.unread)}\n")
    if report.idle:
        parts.append(f"inputs that nothing reads: {', '.join(report.idle)}\n")
    return "\n".join(parts)


def _because(step: Step) -> str:
    return f": {step.declined[0].what}" if step.declined else ""


def _worst(report: Report) -> list[Row]:
    """Return, for each kind, the row that is nearest to its limit."""
    held = [row for row in report.rows if row.holds]
    kinds = dict.fromkeys(row.kind for row in held)
    return [max((row for row in held if row.kind == kind), key=lambda row: row.difference / (row.limit or 1)) for kind in kinds]


def _difference(row: Row) -> str:
    return "" if row.reason else f"{row.difference:.1e}"


def _verdict(row: Row) -> str:
    if row.holds:
        return f"ok {row.note}".rstrip()
    return row.reason or (f"above; {row.note}" if row.note else "above")


def _document(report: Report) -> dict[str, object]:
    rows = [
        {
            "kind": r.kind,
            "stored": r.stored,
            "ours": r.ours,
            "difference": r.difference,
            "limit": r.limit,
            "note": r.note,
            "ok": r.holds,
            "reason": r.reason,
        }
        for r in report.rows
    ]
    return {
        "ok": report.ok,
        "spec": report.spec,
        "golden": report.golden,
        "case": report.case,
        "dtype": report.dtype,
        "share": report.share,
        "rows": rows,
        "not_compared": dict(report.left_out),
        "unread": list(report.unread),
        "idle": list(report.idle),
        "passes": [step.name for step in report.passes],
        "gradients_not_compared": list(report.beyond),
        "stated_errors": dict(report.stated),
        "nothing_to_round": [step.name for step in report.nothing],
    }
