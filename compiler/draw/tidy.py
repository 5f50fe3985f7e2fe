"""Making a figure smaller and plainer: losses swallow what only they need, chains become one box, tasks get a frame."""

from __future__ import annotations

from collections.abc import Sequence

from .figure import Cell, Group, Kind, Value, outer
from .sharing import share

PARTS = 8
"""As many parts as are written in one box."""


def tidy(cells: Sequence[Cell], tasks: Sequence[str]) -> list[Cell]:
    """Return the cells that are drawn, in order; groups are changed in place."""
    found = _swallow(list(cells))
    found = _join_sums(found)
    found = _join_alike(found, tasks)
    found = _join_parts(found)
    found = _join_outputs(found)
    _collapse(found)
    found = _join_alike(_join_inputs(_bundled(share(found)), tasks), tasks)
    if len(tasks) > 1:
        _frame(found, tasks)
    _colour(found, tasks)
    _name_parts(found)
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
            feeds = len(read[id(before)]) == 1 and before.group is cell.group
            if feeds and before.parts in (["+"], ["Σ"]) and len(before.sources) > 1:
                gone.add(id(before))
                cell.parts = ["Σ"]
                sources += before.sources
            else:
                sources.append(value)
        cell.sources = list({(id(value.cell), value.index): value for value in sources}.values())
    return [cell for cell in cells if id(cell) not in gone]


def _join_alike(cells: list[Cell], tasks: Sequence[str]) -> list[Cell]:
    """Make a stack of equal operations that all feed one box alone: what is done to each member before a sum."""
    while True:
        read = readers(cells)
        alike: dict[tuple[object, ...], list[Cell]] = {}
        for cell in cells:
            if cell.kind is Kind.OPERATION and len(read[id(cell)]) == 1:
                (reader,) = read[id(cell)]
                labels = [value.label for value in reader.sources if value.cell is cell]
                alike.setdefault((id(reader), id(cell.group), *labels, *cell.parts), []).append(cell)
        family = next((found for found in alike.values() if len(found) > _alone(read[id(found[0])][0]) and not _depend(found)), None)
        if family is None:
            return _bundled(_join_inputs(cells, tasks))
        stays = family[-1]  # after everything that any of them reads
        (reader,) = read[id(stays)]
        stays.sources = list({(id(value.cell), value.index): value for cell in family for value in cell.sources}.values())
        stays.times = sum(cell.times for cell in family)
        label = next(value.label for value in reader.sources if value.cell is stays)
        others = {id(cell) for cell in family}
        reader.sources = [value for value in reader.sources if id(value.cell) not in others] + [Value(stays, 0, label)]
        cells = [cell for cell in cells if cell is stays or id(cell) not in others]


def _alone(reader: Cell) -> int:
    """Return how many equal operations before a box stand by themselves: one for each call of a module, two before a sum."""
    return 1 if reader.calls > 1 or reader.is_stack else 2


def _bundled(cells: list[Cell]) -> list[Cell]:
    """Draw outputs of one box that are of one shape and go to the same places as one line."""
    met: dict[tuple[int, int], tuple[str, list[int]]] = {}
    for cell in cells:
        for value in cell.sources:
            met.setdefault((id(value.cell), value.index), (value.label, []))[1].append(id(cell))
    first: dict[tuple[int, str, tuple[int, ...]], int] = {}
    for (source, index), (label, going) in met.items():
        key = (source, label, tuple(going))
        first[key] = min(index, first.get(key, index))
    for cell in cells:
        sources: dict[tuple[int, int], Value] = {}
        for value in cell.sources:
            label, going = met[id(value.cell), value.index]
            index = first[id(value.cell), label, tuple(going)]
            sources.setdefault((id(value.cell), index), Value(value.cell, index, value.label))
        cell.sources = list(sources.values())
    return cells


def _join_inputs(cells: list[Cell], tasks: Sequence[str]) -> list[Cell]:
    """Make one box of the inputs of a family that go to one place."""
    read = readers(cells)
    into: dict[int, Cell] = {}
    families: dict[tuple[str, str], list[Cell]] = {}
    labels = {id(value.cell): value.label for cell in cells for value in cell.sources}
    for cell in cells:
        if cell.kind is Kind.INPUT and cell.members:
            families.setdefault((cell.name, labels.get(id(cell), "")), []).append(cell)
    for first, *rest in families.values():
        shared = {id(reader) for reader in read[id(first)]}
        if rest and all(shared & {id(reader) for reader in read[id(cell)]} for cell in rest):
            members = [".".join(cell.members) for cell in (first, *rest)]
            first.notes += ["one for each task" if members == list(tasks) else ", ".join(members)]
            first.times, first.members, first.task = len(rest) + 1, (), None
            into.update((id(cell), first) for cell in rest)
    for cell in cells:
        sources = [Value(into.get(id(value.cell), value.cell), value.index, value.label) for value in cell.sources]
        cell.sources = list({(id(value.cell), value.index): value for value in sources}.values())
    return [cell for cell in cells if id(cell) not in into]


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
    gone = _join_losses(cells)
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


def _join_losses(cells: Sequence[Cell]) -> set[int]:
    """Make one box of the losses that the steps of a folded loop give; return those that are gone, by `id`."""
    families: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        if cell.kind is Kind.LOSS:
            sources = tuple((id(value.cell), value.index) for value in cell.sources)
            families.setdefault((cell.task, sources, *cell.parts, *cell.notes, cell.name.count(".")), []).append(cell)
    gone: set[int] = set()
    for first, *rest in [*families.values(), *_long_families(cells)]:
        if id(first) in gone or any(id(cell) in gone for cell in rest):
            continue
        if rest and first.sources:
            first.sources = list({(id(value.cell), value.index): value for cell in (first, *rest) for value in cell.sources}.values())
            words = zip(*(cell.name.split(".") for cell in (first, *rest)), strict=True)
            first.name = ".".join(word[0] if len(set(word)) == 1 else "*" for word in words)
            first.times = len(rest) + 1
            gone |= {id(cell) for cell in rest}
    return gone


def _long_families(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the losses of one name that are computed alike, where they are many."""
    families: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        if cell.kind is Kind.LOSS and "." in cell.name:
            families.setdefault((cell.task, *cell.parts, *cell.notes, cell.name.rpartition(".")[0]), []).append(cell)
    return [family for family in families.values() if len(family) >= PARTS / 2]


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
        child.carried = child.carried or lone.carried
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
    unit: dict[int, Cell | Group] = {id(cell): (outer(cell.group) or [cell])[-1] for cell in cells}
    frames = {task: Group(task, "task", task=task, is_task=True) for task in tasks}
    for child, needed in _needed(cells, unit):
        if len(needed) != 1:
            continue
        (task,) = needed
        if task is None or (isinstance(child, Cell) and child.kind is Kind.INPUT and child.task != task):
            continue
        if isinstance(child, Cell):
            child.group = frames[task]
        else:
            child.parent = frames[task]


def _needed(cells: Sequence[Cell], unit: dict[int, Cell | Group]) -> list[tuple[Cell | Group, set[str | None]]]:
    """Return for each cell or frame of the first level the tasks that need it; None for what is of no task."""
    units = {id(child): child for child in unit.values()}
    found: dict[int, set[str | None]] = {key: set() for key in units}
    after: dict[int, set[int]] = {key: set() for key in units}
    for cell in cells:
        own = id(unit[id(cell)])
        if cell.kind in (Kind.OUTPUT, Kind.LOSS, Kind.MEMORY):
            found[own].add(cell.task)
        for value in cell.sources:
            after[id(unit[id(value.cell)])].add(own)
    changed = True
    while changed:
        before = sum(map(len, found.values()))
        for key, followers in after.items():
            found[key] = found[key].union(*(found[follower] for follower in followers))
        changed = sum(map(len, found.values())) != before
    return [(child, found[key]) for key, child in units.items()]


def _colour(cells: Sequence[Cell], tasks: Sequence[str]) -> None:
    """Tell cells and frames which task they are in; a part with a task's name in its path has that task's colour too."""
    for cell in cells:
        groups = outer(cell.group)
        task = next((group.task for group in groups if group.is_task), None)
        if task is not None:
            cell.task = task
        named = [member for member in cell.members if member in tasks]
        cell.colour = cell.task or (named[0] if len(named) == 1 else None)
        if task is not None:
            for group in groups:
                group.task = task


def _name_parts(cells: Sequence[Cell]) -> None:
    """Call the one part of a Sequential that is drawn by the name of the whole."""
    parts: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        if cell.is_part:
            parts.setdefault((id(cell.group), cell.name, cell.members[:-1]), []).append(cell)
    for found in parts.values():
        if len(found) == 1:
            found[0].members = found[0].members[:-1]
            found[0].is_part = False
