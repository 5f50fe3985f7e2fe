"""Making a figure smaller and plainer: losses swallow what only they need, chains become one box, tasks get a frame."""

from __future__ import annotations

from collections.abc import Sequence

from .figure import Cell, Group, Kind, Value, outer

PARTS = 8
"""As many parts as are written in one box."""


def tidy(cells: Sequence[Cell], tasks: Sequence[str]) -> list[Cell]:
    """Return the cells that are drawn, in order; groups are changed in place."""
    found = _swallow(list(cells))
    found = _join_sums(found)
    found = _join_alike(found)
    found = _join_parts(found)
    found = _join_outputs(found)
    _collapse(found)
    if len(tasks) > 1:
        _frame(found, tasks)
    _colour(found)
    return found


def readers(cells: Sequence[Cell]) -> dict[int, list[Cell]]:
    """Return who reads each cell, by `id`."""
    found: dict[int, list[Cell]] = {id(cell): [] for cell in cells}
    for cell in cells:
        for source in dict.fromkeys(id(value.cell) for value in cell.sources):
            found.setdefault(source, []).append(cell)
    return found


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
            elif len(owners) == 1 and owners[0].kind is Kind.LOSS and (cell.kind is Kind.OPERATION or cell.is_target):
                _into_loss(cell, owners[0])
                cells.remove(cell)
                swallowed = True
        if not swallowed:
            return cells


def _into_loss(cell: Cell, loss: Cell) -> None:
    if cell.is_target:
        loss.notes.append(f"target {cell.title if cell.task == loss.task else '.'.join([cell.name, *cell.members])}")
    else:
        loss.parts = [*cell.parts, *loss.parts]
    rest = [value for value in loss.sources if value.cell is not cell]
    known = {(id(value.cell), value.index) for value in rest}
    loss.sources = rest + [value for value in cell.sources if (id(value.cell), value.index) not in known]


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


def _join_sums(cells: list[Cell]) -> list[Cell]:
    """Make one box of additions that only feed each other."""
    read = readers(cells)
    gone: set[int] = set()
    for cell in cells:
        if cell.parts != ["+"] and cell.parts != ["Σ"]:
            continue
        sources: list[Value] = []
        for value in cell.sources:
            before = value.cell
            if before.parts in (["+"], ["Σ"]) and len(read[id(before)]) == 1 and before.group is cell.group and len(before.sources) > 1:
                gone.add(id(before))
                cell.parts = ["Σ"]
                sources += before.sources
            else:
                sources.append(value)
        cell.sources = list({(id(value.cell), value.index): value for value in sources}.values())
    return [cell for cell in cells if id(cell) not in gone]


def _join_alike(cells: list[Cell]) -> list[Cell]:
    """Make a stack of equal operations that all feed one box alone: what is done to each member before a sum."""
    while True:
        read = readers(cells)
        alike: dict[tuple[object, ...], list[Cell]] = {}
        for cell in cells:
            if cell.kind is Kind.OPERATION and len(read[id(cell)]) == 1:
                alike.setdefault((id(read[id(cell)][0]), id(cell.group), *cell.parts), []).append(cell)
        family = next((found for found in alike.values() if len(found) > 2 and not _depend(found)), None)
        if family is None:
            return cells
        stays = family[-1]  # after everything that any of them reads
        (reader,) = read[id(stays)]
        stays.sources = list({(id(value.cell), value.index): value for cell in family for value in cell.sources}.values())
        stays.times = sum(cell.times for cell in family)
        label = next(value.label for value in reader.sources if value.cell is stays)
        others = {id(cell) for cell in family}
        reader.sources = [value for value in reader.sources if id(value.cell) not in others] + [Value(stays, 0, label)]
        cells = [cell for cell in cells if cell is stays or id(cell) not in others]


def _depend(family: Sequence[Cell]) -> bool:
    return any(value.cell in family for cell in family for value in cell.sources)


def _joins(before: Cell, cell: Cell) -> bool:
    if (
        before.kind not in (Kind.MODULE, Kind.OPERATION)
        or before.is_block
        or before.times != cell.times
        or len(before.parts) + len(cell.parts) > PARTS
    ):
        return False
    if cell.kind is Kind.OPERATION:
        return True
    if not cell.is_part or cell.is_block or before.kind is not Kind.MODULE or before.name != cell.name:
        return False
    return cell.members[:-1] == (before.members[:-1] if before.is_part else before.members)


def _join_outputs(cells: list[Cell]) -> list[Cell]:
    """Make one box of the outputs of a long family."""
    families: dict[tuple[str | None, str], list[Cell]] = {}
    for cell in cells:
        if cell.kind is Kind.OUTPUT and cell.members:
            families.setdefault((cell.task, cell.name), []).append(cell)
    gone: set[int] = set()
    for family in families.values():
        if len(family) > 4:
            first, *rest = family
            first.members, first.times = (), len(family)
            known = {(id(value.cell), value.index) for value in first.sources}
            for cell in rest:
                first.sources += [value for value in cell.sources if (id(value.cell), value.index) not in known]
                known |= {(id(value.cell), value.index) for value in cell.sources}
                gone.add(id(cell))
    return [cell for cell in cells if id(cell) not in gone]


def _collapse(cells: Sequence[Cell]) -> None:
    """Let a frame of a loop around one box be that box, stacked; and around one block be that block."""
    while True:
        inside: dict[int, dict[int, Cell | Group]] = {}
        groups: dict[int, Group] = {}
        for cell in cells:
            child: Cell | Group = cell
            for group in outer(cell.group):
                groups[id(group)] = group
                inside.setdefault(id(group), {})[id(child)] = child
                child = group
        lone = next((group for key, group in groups.items() if group.is_loop and len(inside[key]) == 1), None)
        if lone is None:
            return
        (child,) = inside[id(lone)].values()
        child.times *= lone.times
        child.paths = lone.paths or child.paths
        if isinstance(child, Group):
            child.parent, child.title = lone.parent, lone.title or child.title
            child.is_loop = False
            child.note = ", ".join(filter(None, [child.note, lone.note]))
        else:
            child.group = lone.parent
            child.notes += [lone.note] if lone.note else []


def _frame(cells: Sequence[Cell], tasks: Sequence[str]) -> None:
    """Put into a frame what one task alone needs."""
    units: dict[int, Cell | Group] = {}
    of: dict[int, int] = {}
    for cell in cells:
        groups = outer(cell.group)
        unit: Cell | Group = groups[-1] if groups else cell
        units[id(unit)] = unit
        of[id(cell)] = id(unit)
    needed: dict[int, set[str | None]] = {key: set() for key in units}
    after: dict[int, set[int]] = {key: set() for key in units}
    for cell in cells:
        if cell.kind in (Kind.OUTPUT, Kind.LOSS, Kind.MEMORY):
            needed[of[id(cell)]].add(cell.task)
        for value in cell.sources:
            if of[id(value.cell)] != of[id(cell)]:
                after[of[id(value.cell)]].add(of[id(cell)])
    changed = True
    while changed:
        changed = False
        for key, followers in after.items():
            new = needed[key].union(*(needed[follower] for follower in followers))
            if new != needed[key]:
                needed[key], changed = new, True
    frames = {task: Group(task, "task", task=task, is_task=True) for task in tasks}
    for key, unit in units.items():
        (task, *rest) = needed[key] or {None}
        if task is None or rest or (isinstance(unit, Cell) and unit.kind is Kind.INPUT and unit.task != task):
            continue
        if isinstance(unit, Cell):
            unit.group = frames[task]
        else:
            unit.parent = frames[task]


def _colour(cells: Sequence[Cell]) -> None:
    """Tell cells and frames which task they are in."""
    for cell in cells:
        groups = outer(cell.group)
        task = next((group.task for group in groups if group.is_task), None)
        if task is not None:
            cell.task = task
            for group in groups:
                group.task = task
