"""What is written in a box and on a frame, and how large that makes it."""

from __future__ import annotations

from dataclasses import dataclass

from .figure import Cell, Group, Kind, Share
from .text import PLAIN, SMALL, TITLE, clipped, short_count, width, wrapped

WIDEST = 210.0
SHORT = 130.0
"""As wide as it may be said how a loss is computed."""
SLIM = (Kind.INPUT, Kind.OUTPUT, Kind.PARAMETER, Kind.OPERATION)
LOOP = 16.0
"""How far the line of what is handed on runs beside a stack."""
STACK = 4.0
"""How far each sheet of a stack looks out."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text: its style is a class of the style sheet."""

    text: str
    style: str
    size: float

    @property
    def width(self) -> float:
        """Return about how wide the line is."""
        return width(self.text, self.size, self.style in ("name", "frame"))

    @property
    def height(self) -> float:
        """Return the height that the line takes up."""
        return self.size + 4


def lines_of(cell: Cell) -> list[Line]:
    """Return the text of a box, from above."""
    times = f" ×{cell.times}" if cell.times > 1 else ""
    if cell.kind is Kind.GAP:
        return [Line("⋯", "name", TITLE), Line(f"{cell.times} more", "kind", SMALL), *_count(cell.count, 1)]
    if cell.kind is Kind.OPERATION:
        return [
            Line(text, "op", PLAIN)
            for text in wrapped([*(cell.parts or [cell.name])[:-1], f"{(cell.parts or [cell.name])[-1]}{times}"], WIDEST, PLAIN)
        ]
    title = f"{cell.title}{times}"
    named = {Kind.LOSS: f"loss {title}", Kind.OUTPUT: f"out {title}"}.get(cell.kind, title)
    found = [Line(clipped(named, WIDEST, TITLE, True), "name", TITLE)]
    found += [Line(text, "kind", SMALL) for text in _parts(cell)]
    found += [Line(clipped(text, WIDEST, SMALL), "kind", SMALL) for text in cell.notes]
    found += [Line(f"{cell.calls} calls", "kind", SMALL)] if cell.calls > 1 else []
    if cell.kind in (Kind.MODULE, Kind.PARAMETER):
        found += _count(cell.count, cell.times)
    return found


def _parts(cell: Cell) -> list[str]:
    """Return the lines that say what runs in a box: of a loss in one line what it measures, else in short how it is computed."""
    if cell.kind is Kind.LOSS:
        said = list(dict.fromkeys(cell.measures or [part for part in cell.parts if not part.startswith(("×", "÷", "+", "−", "⊙"))]))
        return [clipped(" · ".join(said), SHORT, SMALL)] if said else []
    parts = [part for part, before in zip(cell.parts, [None, *cell.parts], strict=False) if part != before]
    if parts == [cell.name]:
        return []
    return [clipped(text, WIDEST, SMALL) for text in wrapped(parts, WIDEST)]


def _count(count: int, times: int) -> list[Line]:
    if not count:
        return []
    each = f"{times} × {short_count(count // times)}" if times > 1 and count % times == 0 else short_count(count)
    return [Line(each, "count", SMALL)]


def frame_lines(group: Group) -> list[Line]:
    """Return what stands at the head of a frame: its title, and what it is."""
    times = f" ×{group.times}" if group.times > 1 else ""
    title = f"{clipped(group.title, 260, TITLE, True)}{times}"
    rest = [group.note, f"{group.calls} calls" if group.calls > 1 else "", *(line.text for line in _count(group.count, group.times))]
    return [Line(title, "frame", TITLE), Line(" · ".join(filter(None, rest)), "kind", SMALL)]


def size_of(cell: Cell) -> tuple[float, float]:
    """Return the width and height of a box."""
    lines = lines_of(cell)
    slim = cell.kind in SLIM
    wide = max(line.width for line in lines) + (24 if slim else 28) + (16 if cell.share in (Share.FROZEN, Share.PART) else 0)
    return max(wide, 34 if slim else 84), sum(line.height for line in lines) + (9 if slim else 15)


def loop_width(holder: Cell | Group) -> float:
    """Return the space right of a box for the line of what its steps hand on, with its name."""
    return LOOP + 6 + width(holder.carried, SMALL) if holder.carried else 0.0


def is_marked(holder: Cell | Group) -> bool:
    """Tell whether a box or frame bears the mark of what is frozen."""
    return holder.share in (Share.FROZEN, Share.PART) and not (isinstance(holder, Group) and holder.is_task)
