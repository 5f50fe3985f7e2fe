"""Frames: those of loops that are one box, those of tasks, and what stands in them in their colours."""

from __future__ import annotations

from collections.abc import Sequence

from .figure import Cell, Group, Kind, outer


def collapse(cells: Sequence[Cell]) -> None:
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


def frame_tasks(cells: Sequence[Cell], tasks: Sequence[str]) -> None:
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
        if cell.is_shared:
            found[own].add(None)
        for value in cell.sources:
            after[id(unit[id(value.cell)])].add(own)
    changed = True
    while changed:
        before = sum(map(len, found.values()))
        for key, followers in after.items():
            found[key] = found[key].union(*(found[follower] for follower in followers))
        changed = sum(map(len, found.values())) != before
    return [(child, found[key]) for key, child in units.items()]


def colour(cells: Sequence[Cell], tasks: Sequence[str]) -> None:
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


def name_parts(cells: Sequence[Cell]) -> None:
    """Call the one part of a Sequential that is drawn by the name of the whole."""
    parts: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        if cell.is_part:
            parts.setdefault((id(cell.group), cell.name, cell.members[:-1]), []).append(cell)
    for found in parts.values():
        if len(found) == 1:
            found[0].members = found[0].members[:-1]
            found[0].is_part = False
