"""Where everything stands: each frame is laid out by itself, then as one box of the level above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .boxes import STACK, frame_lines, is_marked, size_of
from .figure import Cell, Figure, Group, Kind, outer
from .level import Net, Place, order_rows, rows_of, set_across, spread, straighten
from .text import SMALL, width
from .wires import TRACK, Turn, Wire, turns_of, wires_of

GAP = 26.0  # between boxes of one row
PAD = 18.0  # inside a frame
HEAD = 44.0  # a frame's title
NUDGE = 14.0
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
    return _Layouter(figure, list(values.values())).frame(None)[0]


class _Layouter:
    def __init__(self, figure: Figure, values: list[Value]) -> None:
        self.values = values
        self.loops = figure.loops
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
        everything = [*entries, *places.values(), *exits]
        rows = rows_of(everything, nets)
        order_rows(rows, nets)
        _spread_outputs(nets)
        set_across(rows, nets, GAP)
        straighten(rows, nets, GAP / 2)
        return self._finish(group, children, places, inner, rows, nets)

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
                target = Place(max(24.0, _label_width(value.label)), 0, is_exit=True)
                exits.append(target)
                nets.append(Net(value.key, source, [*targets, target], value.label if targets else ""))
            elif targets:
                nets.append(Net(value.key, source, targets, value.label if source_child is not None else ""))
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

    def _finish(
        self,
        group: Group | None,
        children: dict[int, Cell | Group],
        places: dict[int, Place],
        inner: dict[int, Layout],
        rows: list[list[Place]],
        nets: list[Net],
    ) -> tuple[Layout, Place]:
        _set_inputs(nets)
        _align_outputs(nets)
        found = Layout()
        bottom = _set_down(rows, nets, HEAD if group is not None else 0.0, found)
        boxes = [(places[key], child) for key, child in children.items()]
        self._lanes(children, places, found)
        left = min([place.x - place.width / 2 for row in rows for place in row], default=0.0) - PAD
        extents = [place.x + max(place.width / 2, place.reach) for row in rows for place in row]
        right = max([*extents, *(x for wire in found.wires for x, _ in wire.points)], default=0.0) + PAD
        place, title = Place(right - left, bottom, fixed=True), 0.0
        if group is not None:
            ports = sorted(entry.x - left for row in rows for entry in row if entry.is_entry)
            title = _title_at(group, ports, right - left)
            if title is None:
                # as much on both sides, so that what comes in stays in the middle
                need = _title_width(group) + 24
                more = max(0.0, need - min(ports)) if ports else max(0.0, need - (right - left)) / 2
                left, right, title = left - more, right + more, 12.0
            middle = (left + right) / 2
            place = Place(right - left, bottom, fixed=True)
            for net in nets:
                if net.source.is_entry:
                    place.ports_in[net.key] = net.source.x - middle
                for target in net.targets:
                    if target.is_exit:
                        place.ports_out[net.key] = target.x - middle
            if group.times > 1:
                place.width += 2 * STACK
                place.height += 2 * STACK
                for ports_ in (place.ports_in, place.ports_out):
                    for key in ports_:
                        ports_[key] -= STACK
        shift = -left
        for own, child in boxes:
            x, y = own.x - own.width / 2, own.y
            if isinstance(child, Group):
                deep = inner[id(child)]
                frame = deep.boxes[0]
                found.boxes.append(frame)
                frame.x, frame.y = x, y
                deep.boxes = deep.boxes[1:]
                found.take(deep, x, y)
            else:
                stack = 2 * STACK if child.is_stack else 0.0
                found.boxes.append(Box(x, y, own.width - stack, own.height - stack, cell=child))
        whole = Layout(right - left, bottom)
        if group is not None:
            whole.boxes.append(Box(0, 0, right - left, bottom, group=group, title=title))
        whole.take(found, shift, 0)
        return whole, place

    def _lanes(self, children: dict[int, Cell | Group], places: dict[int, Place], found: Layout) -> None:
        edge = max((place.x + max(place.width / 2, place.reach) for place in places.values()), default=0.0)
        for number, (sink, source) in enumerate((a, b) for a, b in self.loops if id(a) in children and id(b) in children):
            low, high = places[id(sink)], places[id(source)]
            lane = edge + LANE + 10 * number
            y, end = low.y + low.height / 2, high.y + high.height / 2
            points = [(low.x + low.width / 2, y), (lane, y), (lane, end), (high.x + high.width / 2, end)]
            found.wires.append(Wire(points, True, is_memory=True))


def _place(cell: Cell) -> Place:
    wide, high = size_of(cell)
    stack = 2 * STACK if cell.is_stack else 0.0
    return Place(wide + stack, high + stack, last=cell.kind is Kind.MEMORY)


def _label_width(label: str) -> float:
    return width(label, SMALL) + 14 if label else 0.0


def _spread_outputs(nets: Sequence[Net]) -> None:
    """Set the lower ports of boxes with several outputs, and the space that labels need."""
    out: dict[int, list[Net]] = {}
    for net in nets:
        out.setdefault(id(net.source), []).append(net)
    for found in out.values():
        place = found[0].source
        if len(found) > 1 and not place.fixed:
            step = max(18.0, *(_label_width(net.label) + 8 for net in found))
            place.width = max(place.width, step * len(found))
            for number, net in enumerate(found):
                place.ports_out[net.key] = step * (number - (len(found) - 1) / 2) - (step / 4 if step > 18 else 0.0)
        place.reach = max([place.reach, *(place.ports_out.get(net.key, 0.0) + 6 + _label_width(net.label) for net in found)])


def _set_inputs(nets: Sequence[Net]) -> None:
    """Set the upper ports of boxes under the lines that come in."""
    coming: dict[int, list[tuple[Place, Net, Place]]] = {}
    for net in nets:
        for target in net.targets:
            above = net.upper(target.row - 1)
            coming.setdefault(id(target), []).append((target, net, above))
    for found in coming.values():
        target = found[0][0]
        if target.fixed or target.is_exit:
            continue
        half = target.width / 2 - 9
        lines = sorted(
            ((above.x + above.ports_out.get(net.key, 0.0), number, net) for number, (_, net, above) in enumerate(found)), key=lambda f: f[:2]
        )
        gap = min(14.0, 2 * half / max(1, len(lines) - 1))
        wishes = [min(max(x - target.x, -half), half) for x, _, _ in lines]
        offsets = spread(wishes, [1.0] * len(lines), [gap] * (len(lines) - 1))
        over = max(0.0, offsets[-1] - half) or min(0.0, offsets[0] + half)
        for (_, _, net), offset in zip(lines, offsets, strict=True):
            target.ports_in[net.key] = offset - over


def _align_outputs(nets: Sequence[Net]) -> None:
    """Move the lower port of a box a little where that makes its one line straight."""
    alone: dict[int, int] = {}
    for net in nets:
        alone[id(net.source)] = alone.get(id(net.source), 0) + 1
    for net in nets:
        source = net.source
        ends = [place.x + place.ports_in.get(net.key, 0.0) for place in net.lower(source.row + 1)]
        if source.fixed or source.is_entry or len(ends) != 1:
            continue
        off = ends[0] - source.x - source.ports_out.get(net.key, 0.0)
        if abs(off) < NUDGE and (alone[id(source)] == 1 or abs(off) < NUDGE / 2):
            source.ports_out[net.key] = ends[0] - source.x


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


def _title_width(group: Group) -> float:
    return max(line.width for line in frame_lines(group)) + (18 if is_marked(group) else 0)


def _title_at(group: Group, ports: Sequence[float], wide: float) -> float | None:
    """Return where a title crosses no line that comes in; None where there is no such place."""
    need = _title_width(group)
    for start in (12.0, *(port + 10 for port in ports)):
        if start + need <= wide - 8 and not any(start - 4 <= port <= start + need + 4 for port in ports):
            return start
    return None
