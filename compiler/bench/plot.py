"""A report of measurements as a picture, by matplotlib: the one module that needs it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from .report import Report, Row

Axes = Any
"""matplotlib's own, most of whose methods are untyped."""

BLUE, ORANGE, GREEN, GREY = "#1d6fb8", "#c2410c", "#1a7f4b", "#59636e"
PALE = "#b9d4ec"
WIDTH, HEIGHT, MARGIN = 13.0, 0.36, 1.5
"""Inches: of the picture, of a row, and of what stands above and below the rows."""
STYLE = {"svg.hashsalt": "archloom", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def plot(report: Report, format: str) -> bytes:
    """Return a picture (svg, png, pdf) of times, memory, errors and shares of the ceilings, a row for each configuration."""
    untyped: Any = mpl
    with untyped.rc_context(STYLE):
        figure: Any = Figure(figsize=(WIDTH, MARGIN + HEIGHT * len(report.rows)), layout="constrained")
        panels = figure.subplots(1, 4, sharey=True, width_ratios=(3, 2.4, 1.6, 2))
        drawn: Sequence[Callable[[Axes, Sequence[Row]], None]] = (_times, _memory, _errors, _shares)
        for axes, draw in zip(panels, drawn, strict=True):
            draw(axes, report.rows)
            axes.tick_params(left=False)
            axes.grid(axis="x", color="#e3e7eb", linewidth=0.8)
            axes.set_axisbelow(True)
        panels[0].set_yticks(range(len(report.rows)), [row.name for row in report.rows])
        panels[0].set_ylim(len(report.rows) - 0.5, -0.5)
        figure.suptitle(_title(report), fontsize=11, x=0.01, ha="left")
        file = io.BytesIO()
        dates = {"Date": None} if format == "svg" else {"CreationDate": None} if format == "pdf" else {}
        figure.savefig(file, format=format, dpi=150, metadata=dates)
    return file.getvalue()


def _title(report: Report) -> str:
    what = "forward and backward" if report.train else f"entry {report.entry}" if report.entry is not None else "one evaluation"
    sizes = " ".join(f"{name}={size}" for name, size in report.sizes.items())
    named = report.model + (f" ({report.preset})" if report.preset is not None else "")
    return f"{named}, {what}, {sizes}, {report.machine.processor}, {report.machine.threads} threads".replace(" 1 threads", " 1 thread")


def _times(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw medians as bars with the quartiles on them, and write the ratios behind; say of what failed that it did."""
    longest = max((row.seconds.high for row in rows if row.seconds is not None), default=0.001)
    for place, row in enumerate(rows):
        if row.seconds is None or row.ratio is None:
            axes.text(0, place, "  failed", va="center", color=GREY, style="italic")
            continue
        low, middle, high = (1000 * each for each in (row.seconds.low, row.seconds.median, row.seconds.high))
        axes.barh(place, middle, height=0.6, color=BLUE if row.mode == "eager" else ORANGE)
        axes.plot([low, high], [place, place], color="#1f2328", linewidth=1.2)
        axes.text(max(high, middle) + 20 * longest, place, f"{row.ratio.median:.2f}", va="center")
    axes.set_xlim(0, 1160 * longest)
    axes.set_xlabel("ms, quartiles; ratio to the first")
    axes.set_title("time", loc="left")


def _memory(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw what weights, kept values and a call take, one behind the other."""
    known = [(place, row) for place, row in enumerate(rows) if row.peak is not None]
    largest = max((sum(_bytes(row)) for _, row in known), default=1)
    scale, unit = next((scale, unit) for scale, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")) if largest >= scale or scale == 1)
    start = [0.0] * len(known)
    for part, (label, colour) in enumerate((("weights", GREEN), ("kept", "#9bd3b3"), ("peak of a call", PALE))):
        widths = [_bytes(row)[part] / scale for _, row in known]
        axes.barh([place for place, _ in known], widths, left=start, height=0.6, color=colour, label=label)
        start = [a + b for a, b in zip(start, widths, strict=True)]
    axes.set_xlabel(unit)
    axes.set_title("memory", loc="left")
    _legend(axes)


def _bytes(row: Row) -> tuple[int, int, int]:
    return row.weights or 0, row.kept or 0, row.peak or 0


def _errors(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw errors on a logarithmic scale; none at all stands at the left edge."""
    known = [(place, row.error) for place, row in enumerate(rows) if row.error]
    exact = [place for place, row in enumerate(rows) if row.error == 0]
    if known:
        axes.set_xscale("log")
        axes.plot([error for _, error in known], [place for place, _ in known], "o", color=BLUE, markersize=5)
        low, high = min(error for _, error in known), max(error for _, error in known)
        axes.set_xlim(low / 5, high * 5)
    for place in exact:
        axes.text(0.02, place, "exact", va="center", color=GREY, transform=axes.get_yaxis_transform())
    axes.set_xlabel("relative to the largest entry")
    axes.set_title("largest error", loc="left")


def _shares(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the shares of both ceilings, one above the other."""
    for offset, label, colour in ((-0.18, "GEMM", BLUE), (0.18, "bandwidth", GREEN)):
        known = [(place, row.gemm_share if label == "GEMM" else row.bandwidth_share) for place, row in enumerate(rows)]
        axes.barh([place + offset for place, share in known if share], [100 * share for _, share in known if share], 0.32, color=colour, label=label)
    axes.set_xlabel("% of what the machine reaches")
    axes.set_title("ceilings", loc="left")
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Say above a panel what its colours mean, where no bar is."""
    axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1.02, 0.99), ncols=3, frameon=False, handlelength=1, columnspacing=1)
