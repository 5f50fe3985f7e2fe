"""Making one box of what is alike: operations on each member, inputs, outputs and losses of families."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .figure import Cell, Kind, Value
from .readers import readers

TARGET = "target "
MANY = 4
"""As many results of a family as stand by themselves."""


def join_sums(cells: list[Cell]) -> list[Cell]:
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


def join_alike(cells: list[Cell], tasks: Sequence[str]) -> list[Cell]:
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
            return bundled(join_inputs(cells, tasks))
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


def bundled(cells: list[Cell]) -> list[Cell]:
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


def join_inputs(cells: list[Cell], tasks: Sequence[str]) -> list[Cell]:
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


def join_outputs(cells: list[Cell]) -> list[Cell]:
    """Make one box of the outputs of a long family."""
    families: dict[tuple[str | None, str], list[Cell]] = {}
    for cell in cells:
        if cell.kind is Kind.OUTPUT and cell.members:
            families.setdefault((cell.task, cell.name), []).append(cell)
    gone = _join_losses(cells)
    for family in families.values():
        if len(family) > MANY:
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
            families.setdefault((cell.task, *(cell.measures or cell.parts), *cell.notes, cell.name.rpartition(".")[0]), []).append(cell)
    return [family for family in families.values() if len(family) >= MANY]


def name_targets(cells: Sequence[Cell]) -> None:
    """Write the targets of each loss in one line, those of a family as one."""
    for cell in cells:
        targets = [note.removeprefix(TARGET) for note in cell.notes if note.startswith(TARGET)]
        if targets and cell.kind is Kind.LOSS:
            stems = Counter(name.partition(".")[0] for name in targets)
            said = dict.fromkeys(f"{stem} ×{stems[stem]}" if stems[stem] > 1 else name for name in targets if (stem := name.partition(".")[0]))
            cell.notes = [*(note for note in cell.notes if not note.startswith(TARGET)), TARGET + ", ".join(said)]
