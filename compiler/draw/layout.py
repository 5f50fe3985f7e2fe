"""Where everything stands: each frame is laid out by itself, then as one box of the level above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .aligning import set_across
from .boxes import STACK, loop_width, size_of
from .figure import Cell, Figure, Flow, Group, Kind, outer
from .figure import Value as Source
from .level import Net, Place, order_rows, rows_of
from .ports import align_entries, align_outputs, label_width, set_inputs, spread_outputs, title_at, title_width
from .wires import TRACK, Turn, Wire, turns_of, wires_of

GAP = 26.0  # between boxes of one row
PAD = 18.0  # inside a frame
HEAD = 44.0  # a frame's title
PASSES = 5
MANY = 4
"""Of so many tasks each is made narrow: its losses stand under its outputs."""
TALL = 1.7
"""Frames of tasks are made as high as their neighbours that are not higher than so many times."""

Key = tuple[int, int, Flow]
"""A value: `id` of its cell, which of its outputs, and which way it runs."""


@dataclass(slots=True, eq=False)
class Box:
    """A rectangle with its upper left corner, for a cell or a frame."""

    x: float
    y: float
    width: float
    height: float
    cell: Cell | None = None
    group: Group | None = None
    title: float = 0.0  # where a frame's title starts, from its left edge


@dataclass(slots=True, eq=False)
class Label:
    """The type of a value, right of its line."""

    text: str
    x: float
    y: float


@dataclass(slots=True, eq=False)
class Layout:
    """All that is drawn, from the back to the front."""

    width: float = 0.0
    height: float = 0.0
    boxes: list[Box] = field(default_factory=list[Box])
    wires: list[Wire] = field(default_factory=list[Wire])
    labels: list[Label] = field(default_factory=list[Label])

    def take(self, other: Layout, x: float, y: float) -> None:
        """Add another layout, moved."""
        for box in other.boxes:
            box.x, box.y = box.x + x, box.y + y
        for label in other.labels:
            label.x, label.y = label.x + x, label.y + y
        for wire in other.wires:
            wire.move(x, y)
        self.boxes += other.boxes
        self.wires += other.wires
        self.labels += other.labels


@dataclass(slots=True, eq=False)
class Value:
    """A value of the figure with all its readers."""

    key: Key
    cell: Cell
    label: str
    flow: Flow
    readers: list[Cell]

    @property
    def shown(self) -> str:
        """Return the label, empty where it is that of what comes in."""
        return "" if self.label in (source.label for source in self.cell.sources) else self.label

    @property
    def is_side(self) -> bool:
        """Tell whether it only steers what its readers do with other values: a mask, a place."""
        beside = [self._is_beside(reader.sources) for reader in self.readers]
        return any(beside) if self.label.startswith("bool") else _steers(self.label) and all(beside)

    @property
    def is_minor(self) -> bool:
        """Tell whether it is not what flows through the network, but a mask, a memory, a parameter."""
        return self.is_side or self.flow is not Flow.DATA or self.cell.kind is Kind.PARAMETER or self.cell.is_drawn

    def _is_beside(self, sources: Sequence[Source]) -> bool:
        main = next((source for source in sources if not _steers(source.label)), sources[0])
        return (id(main.cell), main.index) != self.key[:2]


def _steers(label: str) -> bool:
    return label.startswith(("bool", "int"))


def lay_out(figure: Figure) -> Layout:
    """Return where everything stands."""
    values: dict[Key, Value] = {}
    for cell in figure.cells:
        for source in cell.sources:
            key = (id(source.cell), source.index, source.flow)
            values.setdefault(key, Value(key, source.cell, source.label, source.flow, [])).readers.append(cell)
    layouter = _Layouter(figure, list(values.values()))
    # lines enter a frame in the order in which they come to it: known level by level, from outside to inside
    for _ in range(min(PASSES, max((len(around) for around in layouter.around.values()), default=0))):
        layouter.frame(None)
    return layouter.frame(None)[0]


@dataclass(slots=True, eq=False)
class _Level:
    """The inside of one frame while it is laid out: by `id` of the child its place, and its layout where it is a frame."""

    children: dict[int, Cell | Group]
    places: dict[int, Place]
    inner: dict[int, Layout]
    rows: list[list[Place]]
    nets: list[Net]

    @property
    def keys(self) -> dict[int, int]:
        """Return the child of each place."""
        return {id(place): key for key, place in self.places.items()}


class _Layouter:
    def __init__(self, figure: Figure, values: list[Value]) -> None:
        self.values = values
        self.tasks = figure.tasks
        self.is_narrow = len({group.task for cell in figure.cells for group in outer(cell.group) if group.is_task}) >= MANY
        self.coming: dict[tuple[int, object], float] = {}
        self.children: dict[int, dict[int, Cell | Group]] = {}
        self.around = {id(cell): [id(group) for group in outer(cell.group)] for cell in figure.cells}
        for cell in figure.cells:
            child: Cell | Group = cell
            for group in [*outer(cell.group), None]:
                self.children.setdefault(id(group), {})[id(child)] = child
                child = group if group is not None else child

    def frame(self, group: Group | None) -> tuple[Layout, Place]:
        """Return a frame's layout and the box that it is on the level above."""
        children = self.children.get(id(group), {})
        places: dict[int, Place] = {}
        inner: dict[int, Layout] = {}
        for key, child in children.items():
            if isinstance(child, Group):
                inner[key], places[key] = self.frame(child)
            else:
                places[key] = _place(child)
                places[key].is_under = child.kind is Kind.LOSS and self.is_narrow
            task = child.colour if isinstance(child, Cell) else child.task
            places[key].task = self.tasks.index(task) if task in self.tasks else None
        nets, entries, exits = self._nets(group, places)
        rows = rows_of([*entries, *places.values(), *exits], nets)
        order_rows(rows, nets, keep=bool(entries) and bool(self.coming))
        spread_outputs(nets)
        set_across(rows, nets, GAP)
        level = _Level(children, places, inner, rows, nets)
        found = self._finish(group, level)
        self._remember(level)
        return found

    # ------------------------------------------------------------------------------------------------------ lines

    def _nets(self, group: Group | None, places: dict[int, Place]) -> tuple[list[Net], list[Place], list[Place]]:
        nets: list[Net] = []
        entries: list[Place] = []
        exits: list[Place] = []
        for value in self.values:
            source_child = self._child(group, value.cell)
            met = [self._child(group, reader) for reader in value.readers]
            targets = [places[key] for key in dict.fromkeys(met) if key is not None and key != source_child]
            if source_child is None:
                if not targets:
                    continue
                source = Place(24, 0, is_entry=True)
                entries.append(source)
            else:
                source = places[source_child]
            if source_child is not None and None in met:
                target = Place(max(24.0, label_width(value.shown)), 0, is_exit=True)
                exits.append(target)
                targets, label = [*targets, target], value.shown if targets else ""
            elif targets:
                label = value.shown if source_child is not None else ""
            else:
                continue
            nets.append(Net(value.key, source, targets, label, value.flow, value.is_side, value.is_minor))
        if self.coming:
            coming = {id(net.source): self.coming.get((id(group), net.key), 0.0) for net in nets}
            entries.sort(key=lambda entry: coming[id(entry)])
        return nets, entries, exits

    def _child(self, group: Group | None, cell: Cell) -> int | None:
        """Return the child of a frame that is or holds a cell; None for a cell outside."""
        around = self.around[id(cell)]
        if group is None:
            return around[-1] if around else id(cell)
        if id(group) not in around:
            return None
        at = around.index(id(group))
        return around[at - 1] if at else id(cell)

    # ------------------------------------------------------------------------------------------------------ places

    def _finish(self, group: Group | None, level: _Level) -> tuple[Layout, Place]:
        """Set a level down, and measure it as one box."""
        set_inputs(level.nets)
        align_outputs(level.nets)
        align_entries(level.rows[0] if level.rows else [], level.nets)
        found = Layout()
        bottom = _set_down(level, HEAD if group is not None else 0.0, _sheets(group), found)
        everything = [place for row in level.rows for place in row]
        left = min([place.x - place.width / 2 for place in everything], default=0.0) - PAD
        right = max([place.x + max(place.width / 2, place.reach) for place in everything], default=0.0) + PAD
        for key, child in level.children.items():
            self._put(child, level.places[key], level.inner.get(key), found)
        if group is None:
            whole = Layout(right - left, bottom)
            whole.take(found, -left, 0)
            return whole, Place(right - left, bottom)
        left, right, title = _with_title(group, sorted(place.x for place in everything if place.is_entry), left, right)
        whole = Layout(right - left, bottom, [Box(0, 0, right - left, bottom, group=group, title=title)])
        whole.take(found, -left, 0)
        return whole, _as_place(group, level.nets, left, right, bottom)

    def _put(self, child: Cell | Group, place: Place, inner: Layout | None, found: Layout) -> None:
        x, y = place.x - place.width / 2, place.y
        if inner is not None:
            inner.boxes[0].height = place.height - _sheets(child)
            found.take(inner, x, y)
        elif isinstance(child, Cell):
            stack = _sheets(child)
            found.boxes.append(Box(x, y, place.width - stack, place.height - stack, cell=child))

    def _remember(self, level: _Level) -> None:
        """Keep from where lines come to each frame: its own order follows that when all is laid out again."""
        for net in level.nets:
            for target in net.targets:
                if target.fixed:
                    above = net.upper(target.row - 1)
                    self.coming[level.keys[id(target)], net.key] = above.x + above.ports_out.get(net.key, 0.0)


def _with_title(group: Group, ports: Sequence[float], left: float, right: float) -> tuple[float, float, float]:
    """Return the edges of a frame that has room for its title, and where that starts."""
    title = title_at(group, [port - left for port in ports], right - left)
    if title is not None:
        return left, right, title
    # as much on both sides, so that what comes in stays in the middle
    need = title_width(group) + 24
    more = max(0.0, need - (min(ports) - left)) if ports else max(0.0, need - (right - left)) / 2
    return left - more, right + more, 12.0


def _as_place(group: Group, nets: Sequence[Net], left: float, right: float, bottom: float) -> Place:
    """Return a frame as a box of the level above it, its ports where lines come in and go out."""
    stack = _sheets(group)
    place = Place(right - left + stack, bottom + stack, fixed=True)
    place.reach = place.width / 2 + loop_width(group) if group.carried else 0.0
    middle = left + place.width / 2
    for net in nets:
        if net.source.is_entry:
            place.ports_in[net.key] = net.source.x - middle
        for target in net.targets:
            if target.is_exit:
                place.ports_out[net.key] = target.x - middle
    return place


def _place(cell: Cell) -> Place:
    wide, high = size_of(cell)
    place = Place(wide + _sheets(cell), high + _sheets(cell))
    place.reach = place.width / 2 + loop_width(cell) if cell.carried else 0.0
    place.is_first = cell.kind is Kind.INPUT and not cell.is_target and not cell.is_drawn
    place.is_light = cell.kind is Kind.OPERATION
    place.is_last = cell.kind in (Kind.OUTPUT, Kind.LOSS)
    return place


def _sheets(holder: Cell | Group | None) -> float:
    """Return how far the sheets of a stack look out."""
    is_stack = holder.is_stack if isinstance(holder, Cell) else holder is not None and holder.times > 1
    return 2 * STACK if is_stack else 0.0


def _set_down(level: _Level, head: float, below: float, found: Layout) -> float:
    """Give every row its height and every line its way; return the lower edge.  Lines go out through the sheets `below`."""
    rows, nets = level.rows, level.nets
    first_is_port = bool(rows) and any(place.is_entry for place in rows[0])
    y = 0.0 if first_is_port else head or PAD
    passing: list[tuple[list[Turn], float]] = []
    for number, row in enumerate(rows):
        high = _set_row(level, row, y, below)
        y += high
        if number == len(rows) - 1:
            break
        turns, tracks = turns_of(nets, number)
        labelled = any(turn.net.label and turn.upper is turn.net.source for turn in turns)
        top = y + (head - 4 if number == 0 and first_is_port else 0.0) + (20 if labelled else 9)
        passing.append((turns, top))
        y = top + max(0, tracks - 1) * TRACK + (7 if all(place.is_exit for place in rows[number + 1]) else 16)
    found.wires += wires_of(passing)
    for net in nets:
        if net.label:
            place = net.source
            found.labels.append(Label(net.label, place.x + place.ports_out.get(net.key, 0.0) + 6, place.y + place.height + 13))
    return y if rows and any(place.is_exit for place in rows[-1]) else y + PAD


def _set_row(level: _Level, row: Sequence[Place], y: float, below: float) -> float:
    """Give the places of a row their heights, frames of tasks one height; return that of the row."""
    high = max((place.height for place in row), default=0.0)
    has_frame = any(place.fixed for place in row)
    keys = level.keys
    for place in row:
        child = level.children.get(keys.get(id(place), 0))
        if isinstance(child, Group) and child.is_task and place.height * TALL > high:
            place.height = high
        place.y = y + (0.0 if has_frame else (high - place.height) / 2) + (below if place.is_exit else 0.0)
    return high
