"""What several commands print alike: diagnostics, JSON, tables, counts."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from ...dsl.diagnostics import Diagnostic, Severity
from ...dsl.render import WIDTH, render_all, tally, wants_colour
from ...dsl.source import HIDDEN
from ..tables import table as table

MOST = 100
"""How many diagnostics are printed; JSON has all."""


def show(diagnostics: Sequence[Diagnostic], stream: TextIO) -> None:
    """Print diagnostics and their number, in colour on a terminal; errors first where there are too many for all."""
    if not diagnostics:
        return
    shown = diagnostics
    if len(diagnostics) > MOST:
        shown = sorted(diagnostics, key=lambda diagnostic: diagnostic.severity is not Severity.ERROR)[:MOST]
    stream.write(render_all(shown, colour=wants_colour(stream), width=width_of(stream)))
    more = len(diagnostics) - len(shown)
    stream.write(tally(diagnostics) + (f"; {more:,} are not shown\n" if more else "\n"))


def show_json(value: Any) -> None:
    """Print one JSON document."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def quantity(number: int | float, unit: str = "") -> str:
    """Return a number in at most four digits: `1.23 M`, `456`."""
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g} {prefix}{unit}"
    return f"{number:g} {unit}".rstrip()


def memory(number: int | float) -> str:
    """Return bytes as `12.3 MiB`."""
    for size, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{int(number)} B"


def width_of(stream: TextIO) -> int:
    """Return how wide lines are to be: as the terminal, if there is one."""
    try:
        return max(60, os.get_terminal_size(stream.fileno()).columns) if stream.isatty() else WIDTH
    except (OSError, ValueError):
        return WIDTH
