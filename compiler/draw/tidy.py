"""Making a figure smaller and plainer: losses swallow what only they need, chains become one box, tasks get a frame."""

from __future__ import annotations

from collections.abc import Sequence

from .families import bundled, join_alike, join_inputs, join_outputs, join_sums
from .figure import Cell, Kind
from .frames import collapse, colour, frame_tasks, name_parts
from .readers import readers
from .sharing import share

PARTS = 8
"""As many parts as are written in one box."""


def tidy(cells: Sequence[Cell], tasks: Sequence[str]) -> list[Cell]:
    """Return the cells that are drawn, in order; groups are changed in place."""
    found = _swallow(list(cells))
    found = join_sums(found)
    found = join_alike(found, tasks)
    found = _join_parts(found)
    found = join_outputs(found)
    collapse(found)
    found = join_alike(join_inputs(bundled(share(found)), tasks), tasks)
    if len(tasks) > 1:
        frame_tasks(found, tasks)
    colour(found, tasks)
    name_parts(found)
    return found


def alone(cells: Sequence[Cell], task: str) -> list[Cell]:
    """Return the cells without the results of other tasks, and mark what those have in common with the task."""
    others = [cell for cell in cells if cell.kind in (Kind.OUTPUT, Kind.LOSS) and cell.task not in (None, task)]
    waiting = list(others)
    for cell in waiting:
        if not cell.is_shared:
            cell.is_shared = True
            waiting += [value.cell for value in cell.sources]
    used = {path for cell in waiting for path in cell.paths}
    for cell in cells:
        cell.is_shared = cell.is_shared or not used.isdisjoint(cell.paths)
    return [cell for cell in cells if cell not in others]


def _swallow(cells: list[Cell]) -> list[Cell]:
    """Put operations, targets and parameters that only one loss needs into its box; drop cells that nothing needs."""
    while True:
        read = readers(cells)
        swallowed = False
        for cell in reversed(cells):
            owners = read[id(cell)]
            if cell.kind in (Kind.OUTPUT, Kind.LOSS, Kind.MEMORY):
                continue
            if not owners:
                cells.remove(cell)
                swallowed = True
            elif len(owners) == 1 and owners[0].kind is Kind.LOSS and (cell.kind is Kind.OPERATION or cell.is_target or cell.is_bare):
                _into_loss(cell, owners[0])
                cells.remove(cell)
                swallowed = True
            elif len(owners) == 1 and owners[0].kind is Kind.GAP and (cell.kind in (Kind.OPERATION, Kind.PARAMETER) or cell.is_drawn):
                _replace_source(owners[0], cell)
                cells.remove(cell)
                swallowed = True
        if not swallowed:
            return cells


def _into_loss(cell: Cell, loss: Cell) -> None:
    if cell.is_target:
        loss.notes.append(f"target {cell.title if cell.task == loss.task else '.'.join([cell.name, *cell.members])}")
    else:
        loss.parts = [*cell.parts, *loss.parts]
        loss.measures = [*cell.measures, *loss.measures]
    _replace_source(loss, cell)


def _replace_source(reader: Cell, cell: Cell) -> None:
    """Let a cell read what one of its sources reads instead of that."""
    rest = [value for value in reader.sources if value.cell is not cell]
    known = {(id(value.cell), value.index) for value in rest}
    reader.sources = rest + [value for value in cell.sources if (id(value.cell), value.index) not in known]


def _join_parts(cells: list[Cell]) -> list[Cell]:
    """Append operations and further parts of a Sequential to the box that alone feeds them."""
    read = readers(cells)
    gone: set[int] = set()
    for cell in cells:
        if len(cell.sources) != 1:
            continue
        before = cell.sources[0].cell
        if len(read[id(before)]) == 1 and before.group is cell.group and _joins(before, cell):
            before_sources = before.sources
            cell.sources = before_sources
            cell.parts = [*before.parts, *cell.parts]
            if before.kind is Kind.MODULE:
                both = cell.kind is Kind.MODULE
                cell.kind, cell.name = Kind.MODULE, before.name
                cell.members = cell.members[:-1] if both else before.members
                cell.is_part = before.is_part and not both
                cell.paths = [*before.paths, *cell.paths]
                cell.is_block = before.is_block
            gone.add(id(before))
            read[id(cell)] = read.get(id(cell), [])
            for value in before_sources:
                read[id(value.cell)] = [cell if reader is before else reader for reader in read[id(value.cell)]]
    return [cell for cell in cells if id(cell) not in gone]


def _joins(before: Cell, cell: Cell) -> bool:
    if (
        before.kind not in (Kind.MODULE, Kind.OPERATION)
        or before.is_block
        or before.times != cell.times
        or before.is_shared != cell.is_shared
        or len(before.parts) + len(cell.parts) > PARTS
    ):
        return False
    if cell.kind is Kind.OPERATION:
        return True
    if not cell.is_part or cell.is_block or before.kind is not Kind.MODULE or before.name != cell.name:
        return False
    return cell.members[:-1] == (before.members[:-1] if before.is_part else before.members)
