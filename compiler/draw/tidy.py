"""Making a figure smaller and plainer: losses swallow what only they need, chains become one box, tasks get a frame."""

from __future__ import annotations

from collections.abc import Sequence

from .families import TARGET, bundled, join_alike, join_inputs, join_outputs, join_sums, name_targets
from .figure import Cell, Kind
from .frames import collapse, colour, frame_tasks, name_parts
from .readers import readers
from .sharing import share

PARTS = 8
"""As many parts as are written in one box."""


def tidy(cells: Sequence[Cell], tasks: Sequence[str]) -> list[Cell]:
    """Return the cells that are drawn, in order; groups are changed in place."""
    found = _swallow(list(cells))
    name_targets(found)
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
    """Put what only losses need, and what only the steps left out need, into their boxes; drop cells that nothing needs."""
    kept = list(cells)
    while True:
        read = readers(kept)
        gone: set[int] = set()
        for cell in reversed(kept):
            owners = read[id(cell)]
            if _goes_into(cell, {owner.kind for owner in owners}) and gone.isdisjoint(map(id, owners)):
                gone.add(id(cell))
                for owner in owners:
                    _into(cell, owner)
        if not gone:
            return kept
        kept = [cell for cell in kept if id(cell) not in gone]


def _goes_into(cell: Cell, owners: set[Kind]) -> bool:
    """Tell whether a cell goes into those that read it, of these kinds: also where there are none."""
    if cell.kind in (Kind.OUTPUT, Kind.LOSS, Kind.MEMORY):
        return False
    is_light = cell.kind is Kind.OPERATION or cell.is_drawn
    return not owners or (owners == {Kind.LOSS} and (is_light or cell.is_target or cell.is_bare)) or (owners == {Kind.GAP} and is_light)


def _into(cell: Cell, owner: Cell) -> None:
    if owner.kind is Kind.LOSS and cell.is_target:
        owner.notes.append(f"{TARGET}{cell.title if cell.task == owner.task else '.'.join([cell.name, *cell.members])}")
    elif owner.kind is Kind.LOSS and cell.is_drawn:
        owner.notes.append(f"{cell.title} {' '.join(cell.notes)}")
    elif owner.kind is Kind.LOSS:
        owner.parts = [*cell.parts, *owner.parts]
        owner.measures = [*cell.measures, *owner.measures]
    _replace_source(owner, cell)


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
