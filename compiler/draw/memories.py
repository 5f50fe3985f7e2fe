"""Memories: a state or buffer is one box, and the line to what changes it runs both ways."""

from __future__ import annotations

from collections.abc import Sequence

from .figure import Cell, Flow, Value
from .sharing import runs_in_a_circle


def write_back(cells: Sequence[Cell], loops: Sequence[tuple[Cell, Cell]]) -> list[Cell]:
    """Return the cells with each memory written by a line from what changes it, and without the boxes for what is written.

    `loops` are pairs of such a box and its memory.  A box stays where the line back would run in a circle.
    """
    kept = list(cells)
    for sink, memory in loops:
        if sink not in kept or memory not in kept or not sink.sources:
            continue
        writer = sink.sources[0].cell
        rest = [cell for cell in kept if cell is not sink]
        before = writer.sources
        writer.sources = _with_memory(writer, memory)
        if runs_in_a_circle(rest):
            writer.sources = before
        else:
            kept = rest
    return kept


def _with_memory(writer: Cell, memory: Cell) -> list[Value]:
    if any(value.cell is memory for value in writer.sources):
        return [Value(memory, value.index, value.label, Flow.BOTH) if value.cell is memory else value for value in writer.sources]
    return [*writer.sources, Value(memory, 0, "", Flow.BACK)] if writer is not memory else writer.sources
