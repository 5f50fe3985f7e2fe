"""Where everything stands: each frame is laid out by itself, then as one box of the level above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .boxes import STACK, size_of
from .figure import Cell, Figure, Group, Kind, outer
from .level import Net, Place, order_rows, rows_of, set_across, straighten
from .ports import align_outputs, label_width, set_inputs, spread_outputs, title_at, title_width
from .wires import TRACK, Turn, Wire, turns_of, wires_of

GAP = 26.0  # between boxes of one row
PAD = 18.0  # inside a frame
HEAD = 44.0  # a frame's title
PASSES = 5
LANE = 22.0  # of a memory, at the right

Key = tuple[int, int]
"""A value: `id` of its cell and which of its outputs."""


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
            wire.points = [(a + x, b + y) for a, b in wire.points]
        self.boxes += other.boxes
        self.wires += other.wires
        self.labels += other.labels


@dataclass(slots=True, eq=False)
class Value:
    """A value of the figure with all its readers."""

    key: Key
    cell: Cell
    label: str
    readers: list[Cell]


def lay_out(figure: Figure) -> Layout:
    """Return where everything stands."""
    values: dict[Key, Value] = {}
    for cell in figure.cells:
        for source in cell.sources:
            key = (id(source.cell), source.index)
            values.setdefault(key, Value(key, source.cell, source.label, [])).readers.append(cell)
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
        self.loops = figure.loops
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
        nets, entries, exits = self._nets(group, places)
        rows = rows_of([*entries, *places.values(), *exits], nets)
        order_rows(rows, nets, keep=bool(entries) and bool(self.coming))
        spread_outputs(nets)
        set_across(rows, nets, GAP)
        straighten(rows, nets, GAP / 2)
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
                target = Place(max(24.0, label_width(value.label)), 0, is_exit=True)
                exits.append(target)
                nets.append(Net(value.key, source, [*targets, target], value.label if targets else ""))
            elif targets:
                nets.append(Net(value.key, source, targets, value.label if source_child is not None else ""))
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
        found = Layout()
        bottom = _set_down(level.rows, level.nets, HEAD if group is not None else 0.0, found)
        self._lanes(level, found)
        everything = [place for row in level.rows for place in row]
        left = min([place.x - place.width / 2 for place in everything], default=0.0) - PAD
        ends = [place.x + max(place.width / 2, place.reach) for place in everything] + [x for wire in found.wires for x, _ in wire.points]
        right = max(ends, default=0.0) + PAD
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
            found.take(inner, x, y)
        elif isinstance(child, Cell):
            stack = 2 * STACK if child.is_stack else 0.0
            found.boxes.append(Box(x, y, place.width - stack, place.height - stack, cell=child))

    def _remember(self, level: _Level) -> None:
        """Keep from where lines come to each frame: its own order follows that when all is laid out again."""
        for net in level.nets:
            for target in net.targets:
                if target.fixed:
                    above = net.upper(target.row - 1)
                    self.coming[level.keys[id(target)], net.key] = above.x + above.ports_out.get(net.key, 0.0)

    def _lanes(self, level: _Level, found: Layout) -> None:
        children, places = level.children, level.places
        edge = max((place.x + max(place.width / 2, place.reach) for place in places.values()), default=0.0)
        for number, (sink, source) in enumerate((a, b) for a, b in self.loops if id(a) in children and id(b) in children):
            low, high = places[id(sink)], places[id(source)]
            lane = edge + LANE + 10 * number
            y, end = low.y + low.height / 2, high.y + high.height / 2
            points = [(low.x + low.width / 2, y), (lane, y), (lane, end), (high.x + high.width / 2, end)]
            found.wires.append(Wire(points, True, is_memory=True))


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
    stack = 2 * STACK if group.times > 1 else 0.0
    place = Place(right - left + stack, bottom + stack, fixed=True)
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
    stack = 2 * STACK if cell.is_stack else 0.0
    return Place(wide + stack, high + stack, last=cell.kind is Kind.MEMORY)


def _set_down(rows: list[list[Place]], nets: Sequence[Net], head: float, found: Layout) -> float:
    """Give every row its height and every line its way; return the lower edge."""
    first_is_port = bool(rows) and any(place.is_entry for place in rows[0])
    y = 0.0 if first_is_port else head or PAD
    passing: list[tuple[list[Turn], float]] = []
    for number, row in enumerate(rows):
        high = max((place.height for place in row), default=0.0)
        for place in row:
            place.y = y + (high - place.height) / 2
        y += high
        if number == len(rows) - 1:
            break
        turns, tracks = turns_of(nets, number)
        labelled = any(turn.net.label and turn.upper is turn.net.source for turn in turns)
        top = y + (head - 4 if number == 0 and first_is_port else 0.0) + (20 if labelled else 7)
        passing.append((turns, top))
        y = top + max(0, tracks - 1) * TRACK + (7 if all(place.is_exit for place in rows[number + 1]) else 14)
    for turns, top in passing:
        found.wires += wires_of(turns, top)
    for net in nets:
        if net.label:
            place = net.source
            found.labels.append(Label(net.label, place.x + place.ports_out.get(net.key, 0.0) + 6, place.y + place.height + 13))
    return y if rows and any(place.is_exit for place in rows[-1]) else y + PAD
