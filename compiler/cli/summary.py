"""`archloom summary`: a model in numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import click

from . import _options as options
from ._printing import memory, quantity, show_json, table
from ._programs import checked
from ._progress import busy

if TYPE_CHECKING:
    from ..cost import Expense
    from ..summary import Summary

RIGHT = (1, 2, 3, 4)


@click.command("summary", short_help="Count parameters, multiply-adds and memory.")
@options.one_model
@options.size
@click.option("--depth", type=click.IntRange(1), default=2, show_default=True, help="How deep the paths go.")
@options.optimize
@options.json
def command(
    path: str,
    param: Mapping[str, str],
    preset: str | None,
    model: str | None,
    size: Mapping[str, int],
    depth: int,
    as_json: bool,
) -> None:
    """Print the parameters of FILE in all, by path, by task and by stage, and the cost of one evaluation.

    Multiply-adds and activation memory are counted for given sizes; memory is that of all values made, at 4 bytes a float.
    """
    from ..summary import summarise

    with busy(f"counting {path}"):
        programs = checked(path, param, preset, model, presets=True)
        summaries = {name: summarise(program, size, depth) for name, program in programs.items()}
    _refuse_unknown(size, summaries.values())
    if as_json:
        show_json({name: _document(summary) for name, summary in summaries.items()})
    else:
        print("\n".join(_text(name, summary) for name, summary in summaries.items()), end="")


def _refuse_unknown(size: Mapping[str, int], summaries: Collection[Summary]) -> None:
    known = sorted({name for summary in summaries for name in summary.symbols})
    unknown = [name for name in size if name not in known]
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise click.ClickException(f"there is no open size `{unknown[0]}`; {has}")


def _text(name: str, summary: Summary) -> str:
    owned = f"{name}: {summary.parameters:,} parameters in {summary.distinct:,} tensors"
    parts = [f"{owned}, {summary.buffers:,} numbers in buffers\n" if summary.buffers else f"{owned}\n"]
    if summary.groups:
        rows = [[_indented(name), f"{number:,}", _share(number, summary.parameters)] for name, number in summary.groups]
        parts.append(table([["path", "parameters", "share"], *rows], RIGHT))
    if summary.unread:
        parts.append(table([["read by no output or loss", "parameters"], *([path, f"{number:,}"] for path, number in summary.unread)], RIGHT))
    counted = {"counted in the file": summary.counts, **{f"counted in preset {preset}": counts for preset, counts in summary.presets.items()}}
    for head, counts in counted.items():
        if counts:
            parts.append(table([[head, "parameters"], *([path or "all", f"{number:,}"] for path, number in counts.items())], RIGHT))
    if summary.tasks:
        rows = [[task.name, f"{task.parameters:,}", f"{task.alone:,}", *_costs(task.expense)] for task in summary.tasks]
        heads = ["task", "reaches", "it alone", "multiply-adds", "activations"]
        parts.append(table([heads[: max(map(len, rows))], *rows], RIGHT))
    if summary.stages:
        rows = [[stage.name, f"{stage.trained:,}", f"{stage.frozen:,}", ", ".join(stage.tasks)] for stage in summary.stages]
        parts.append(table([["stage", "trained", "frozen", "tasks"], *rows], (1, 2)))
    parts.append(_cost_line(summary))
    return "\n".join(parts)


def _cost_line(summary: Summary) -> str:
    if summary.expense is None:
        sizes = " ".join(f"--size {name}=..." for name in summary.missing)
        return f"cost: add {sizes} for multiply-adds and activation memory\n"
    adds, activations = _costs(summary.expense)
    unknown = sorted(summary.expense.unknown)
    rest = f", without {', '.join(f'`{name}`' for name in unknown)}, of unknown cost" if unknown else ""
    return f"one evaluation: {adds} multiply-adds, {activations} of activations{rest}\n"


def _costs(expense: Expense | None) -> list[str]:
    return [quantity(expense.multiply_adds), memory(expense.activations)] if expense is not None else []


def _indented(name: str) -> str:
    depth = name.replace(".*", "").count(".")
    return "  " * depth + name if depth else name


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _document(summary: Summary) -> dict[str, Any]:
    first = {path: group[0] for group in summary.ties for path in group}
    paths: dict[str, Any] = {}
    for tensor in summary.tensors:
        entry: dict[str, Any] = {"shape": list(tensor.shape), "dtype": tensor.dtype.value, "size": tensor.size}
        entry |= {"buffer": True} if tensor.buffer else {}
        entry |= {"tied_to": first[tensor.path]} if first.get(tensor.path, tensor.path) != tensor.path else {}
        paths[tensor.path] = entry
    return {
        "parameters": summary.parameters,
        "buffers": summary.buffers,
        "unread": dict(summary.unread),
        "counts": dict(summary.counts),
        "presets": {preset: dict(counts) for preset, counts in summary.presets.items()},
        "paths": paths,
        "tasks": {task.name: {"parameters": task.parameters, "alone": task.alone, **_cost_document(task.expense)} for task in summary.tasks},
        "stages": {
            stage.name: {"trained": stage.trained, "frozen": stage.frozen, "tasks": list(stage.tasks), "losses": dict(stage.losses)}
            for stage in summary.stages
        },
        "sizes": list(summary.symbols),
        **_cost_document(summary.expense),
    }


def _cost_document(expense: Expense | None) -> dict[str, Any]:
    if expense is None:
        return {}
    unknown = {"unknown": sorted(expense.unknown)} if expense.unknown else {}
    return {"multiply_adds": expense.multiply_adds, "activation_bytes": expense.activations, **unknown}
