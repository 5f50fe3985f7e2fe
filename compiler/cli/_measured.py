"""A report of measurements as text."""

from __future__ import annotations

from ..bench.configuration import REFERENCE
from ..bench.report import Quartiles, Report, Row
from ._printing import memory, quantity, table

NAMES = 3
"""How many columns name a configuration."""

TOGETHER = ((3, 4), (5, 6))
"""Columns of a number and its quartiles."""


def text(report: Report, width: int | None = None) -> str:
    """Return the table of a report, with what it was measured on, and why what failed did; in several tables where one is too wide."""
    return "\n".join([_head(report), *_tables([_heads(report), *(_cells(row, report) for row in report.rows)], width), *_below(report)]) + "\n"


def _tables(rows: list[list[str]], width: int | None) -> list[str]:
    """Part the columns into as few tables as fit, each with the names."""
    parts: list[list[int]] = [[]]
    for group in (*TOGETHER, *((place,) for place in range(TOGETHER[-1][-1] + 1, len(rows[0])))):
        if width is not None and parts[-1] and max(map(len, _table(rows, [*parts[-1], *group]).splitlines())) > width:
            parts.append([])
        parts[-1] += group
    return [_table(rows, part) for part in parts]


def _table(rows: list[list[str]], columns: list[int]) -> str:
    """Return the table of some columns; what failed stands in the first one alone."""
    found = [row[:NAMES] + [row[place] for place in columns if place < len(row)] for row in rows if len(row) > columns[0]]
    return table(found, range(NAMES, NAMES + len(columns)))


def _head(report: Report) -> str:
    what = "forward and backward" if report.train else f"entry {report.entry}" if report.entry is not None else "one evaluation"
    parts = [
        f"{report.model}, preset {report.preset}" if report.preset is not None else report.model,
        what,
        f"tasks {', '.join(report.tasks)}" if report.tasks else "",
        " ".join(f"{name}={size}" for name, size in report.sizes.items()),
        f"weights {report.weights}" if report.weights is not None else f"random weights, seed {report.seed}",
    ]
    return ", ".join(filter(None, parts)) + "\n"


def _heads(report: Report) -> list[str]:
    kept = ["kept"] if _keeps(report) else []
    return ["passes", "mode", "dtype", "ms", "quartiles", "ratio", "quartiles", "error", "weights", *kept, "peak", "GEMM", "bandwidth", "prepare s"]


def _keeps(report: Report) -> bool:
    """Tell whether anything is kept between calls: else there is no column of it."""
    return any(row.kept for row in report.rows)


def _cells(row: Row, report: Report) -> list[str]:
    name = [row.passes, row.mode, row.dtype]
    if row.failed is not None:
        return [*name, "failed"]
    return [
        *name,
        *_quartiles(row.seconds, 1000, ".4g"),
        *_quartiles(row.ratio, 1, ".3f"),
        f"{row.error:.1e}" if row.error is not None else "",
        _bytes(row.weights),
        *([_bytes(row.kept)] if _keeps(report) else []),
        _bytes(row.peak),
        _share(row.gemm_share),
        _share(row.bandwidth_share),
        f"{row.prepare:.1f}" if row.prepare is not None else "",
    ]


def _quartiles(found: Quartiles | None, factor: float, format_: str) -> list[str]:
    if found is None:
        return ["", ""]
    median, low, high = (f"{factor * number:{format_}}" for number in (found.median, found.low, found.high))
    return [median, f"{low} to {high}"]


def _bytes(number: int | None) -> str:
    return memory(number) if number is not None else ""


def _share(share: float | None) -> str:
    return f"{100 * share:.1f} %" if share is not None else ""


def _below(report: Report) -> list[str]:
    machine, found = report.machine, report.ceilings
    rates = ", ".join(f"{quantity(rate, 'FLOP/s')} in {dtype}" for dtype, rate in found.gemm.items())
    place = machine.processor if machine.device == "cpu" else machine.device
    threads = f", {machine.threads} thread{'s' if machine.threads > 1 else ''}" if machine.device == "cpu" else ""
    lines = [f"ceilings of {place}{threads}, in this run: GEMM {rates}; bandwidth {quantity(found.bandwidth, 'B/s')}"]
    if report.baseline is not None:
        stopped = ", then interrupted" if report.interrupted else ""
        both = report.baseline == str(REFERENCE)
        ratios = "ratios and errors are to" if both else f"ratios are to `{report.baseline}`, errors to"
        lines.insert(0, f"{report.pairs} round{'s' if report.pairs > 1 else ''}{stopped}; {ratios} `{REFERENCE}`")
    lines += [f"{row.name}: {note}" for row in report.rows for note in row.notes]
    lines += report.notes
    lines += [f"{row.name} failed: {row.failed}" for row in report.rows if row.failed is not None]
    return lines
