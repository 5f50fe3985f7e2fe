"""Drawing a module once, however many calls it has: what comes to it and goes from it runs through one box.

A module that is called on its own result keeps a box for each call: one box would lie on a circle.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from .figure import Cell, Group, Kind, Value, outer


def share(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with calls of one module as one; where they are blocks that were opened, so is what is in them."""
    kept = list(cells)
    refused: set[tuple[int, int]] = set()
    while True:
        pair = _next_pair(kept, refused)
        if pair is None:
            return kept
        first, second = pair
        merged = _merged(kept, first, second)
        if merged is None:
            refused.add((id(first), id(second)))
        else:
            kept = merged


def _next_pair(cells: Sequence[Cell], refused: set[tuple[int, int]]) -> tuple[Cell | Group, Cell | Group] | None:
    """Return two calls of the same module in the same frame, outer ones first."""
    found: dict[Hashable, list[Cell | Group]] = {}
    seen: set[int] = set()
    depths: list[tuple[int, Cell | Group]] = []
    for cell in cells:
        around = outer(cell.group)
        depths.append((len(around), cell))
        for number, group in enumerate(reversed(around)):
            if id(group) not in seen:
                seen.add(id(group))
                depths.append((number, group))
    for _, holder in sorted(depths, key=lambda entry: entry[0]):
        key = _key(holder)
        if key is None:
            continue
        for other in found.setdefault(key, []):
            if (id(other), id(holder)) not in refused:
                return other, holder
        found[key].append(holder)
    return None


def _key(holder: Cell | Group) -> Hashable | None:
    if isinstance(holder, Group):
        return (id(holder.parent), holder.times, *holder.paths) if holder.paths else None
    if holder.kind is not Kind.MODULE or not holder.paths:
        return None
    return id(holder.group), holder.times, *holder.parts, *holder.paths


def _merged(cells: list[Cell], first: Cell | Group, second: Cell | Group) -> list[Cell] | None:
    """Return the cells with the second call in the first; None, with all as it was, where lines would run in a circle."""
    undo = [(cell, cell.group, cell.sources, cell.calls) for cell in cells]
    groups = {id(group): group for cell in cells for group in outer(cell.group)}
    parents = [(group, group.parent, group.calls) for group in groups.values()]
    into: dict[int, Cell] = {}
    if isinstance(first, Group) and isinstance(second, Group):
        _join_groups(cells, first, second, into)
    elif isinstance(first, Cell) and isinstance(second, Cell):
        into[id(second)] = first
        first.calls += second.calls
    found = _redirected(cells, into)
    if runs_in_a_circle(found):
        for cell, group, sources, calls in undo:
            cell.group, cell.sources, cell.calls = group, sources, calls
        for group, parent, calls in parents:
            group.parent, group.calls = parent, calls
        return None
    return found


def _join_groups(cells: Sequence[Cell], first: Group, second: Group, into: dict[int, Cell]) -> None:
    """Move what is in the second frame into the first; what is alike in both, place by place, becomes one."""
    own = [cell for cell in cells if first in outer(cell.group)]
    other = [cell for cell in cells if second in outer(cell.group)]
    first.calls += second.calls
    if [_look(cell, first) for cell in own] == [_look(cell, second) for cell in other]:
        into.update((id(b), a) for a, b in zip(own, other, strict=True))
        return
    for cell in other:
        if cell.group is second:
            cell.group = first
        for group in outer(cell.group):
            if group.parent is second:
                group.parent = first


def _look(cell: Cell, within: Group) -> Hashable:
    around = outer(cell.group)
    return cell.kind, cell.title, tuple(cell.parts), tuple(cell.paths), cell.times, [group.title for group in around[: around.index(within)]]


def _redirected(cells: Sequence[Cell], into: dict[int, Cell]) -> list[Cell]:
    """Return the cells that stay; they read and feed what those that go read and fed."""
    outputs: dict[int, int] = {}
    for cell in cells:
        for value in cell.sources:
            outputs[id(value.cell)] = max(outputs.get(id(value.cell), 0), value.index + 1)

    def moved(value: Value) -> Value:
        target = into.get(id(value.cell))
        return value if target is None else Value(target, value.index + outputs.get(id(target), 0), value.label)

    for cell in cells:
        cell.sources = list(map(moved, cell.sources))
    for cell in cells:
        target = into.get(id(cell))
        if target is not None:
            known = {(id(value.cell), value.index) for value in target.sources}
            target.sources = target.sources + [value for value in cell.sources if (id(value.cell), value.index) not in known]
    return [cell for cell in cells if id(cell) not in into]


def runs_in_a_circle(cells: Sequence[Cell]) -> bool:
    """Tell whether on some level, its frames taken as boxes, lines run in a circle."""
    levels: dict[int, dict[int, set[int]]] = {}
    chains = {id(cell): [id(cell), *map(id, outer(cell.group))] for cell in cells}
    for cell in cells:
        own = chains[id(cell)]
        for value in cell.sources:
            before = chains[id(value.cell)]
            common = 0
            while common < min(len(own), len(before)) and own[-1 - common] == before[-1 - common]:
                common += 1
            if common == len(own) or common == len(before):
                return True
            level = own[-common] if common else 0
            levels.setdefault(level, {}).setdefault(before[-1 - common], set()).add(own[-1 - common])
    return any(_is_circular(after) for after in levels.values())


def _is_circular(after: dict[int, set[int]]) -> bool:
    waiting = {key: 0 for key in after}
    for followers in after.values():
        for key in followers:
            waiting[key] = waiting.get(key, 0) + 1
    ready = [key for key, count in waiting.items() if not count]
    for key in ready:
        for follower in after.get(key, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    return len(ready) != len(waiting)
