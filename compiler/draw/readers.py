"""Who reads what in a figure."""

from __future__ import annotations

from collections.abc import Sequence

from .figure import Cell


def readers(cells: Sequence[Cell]) -> dict[int, list[Cell]]:
    """Return who reads each cell, by `id`."""
    found: dict[int, list[Cell]] = {id(cell): [] for cell in cells}
    for cell in cells:
        for source in dict.fromkeys(id(value.cell) for value in cell.sources):
            found.setdefault(source, []).append(cell)
    return found
