"""Where lines meet boxes and frames, and where a frame's title stands between them."""

from __future__ import annotations

from collections.abc import Sequence

from .boxes import frame_lines, is_marked
from .figure import Group
from .level import Net, Place, spread
from .text import SMALL, width

APART = 12.0
"""Lines that come into a frame are at least so far from each other."""
LABELLED = 5
"""As many outputs of one box are labelled."""
STILL = 0.01
NUDGE = 14.0
"""As far as a line's start is moved to make it straight."""


def label_width(label: str) -> float:
    return width(label, SMALL) + 14 if label else 0.0


def spread_outputs(nets: Sequence[Net]) -> None:
    """Set the lower ports of boxes with several outputs, and the space that labels need; equal labels beside each other are written once,
    and none where there are very many."""
    out: dict[int, list[Net]] = {}
    for net in nets:
        out.setdefault(id(net.source), []).append(net)
    for found in out.values():
        place = found[0].source
        if len(found) > 1 and not place.fixed:
            for net, after in zip(found, [*found[1:], None], strict=True):
                net.label = "" if len(found) > LABELLED or (after and net.label == after.label) else net.label
            places = [0.0]
            for net in found[:-1]:
                places.append(places[-1] + max(18.0, label_width(net.label) + 8))
            place.width = max(place.width, places[-1] + 36)
            for net, x in zip(found, places, strict=True):
                place.ports_out[net.key] = x - places[-1] / 2
        place.reach = max([place.reach, *(place.ports_out.get(net.key, 0.0) + 6 + label_width(net.label) for net in found)])


def set_inputs(nets: Sequence[Net]) -> None:
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
        # a line that is straight stays so, the others give way
        weights = [100.0 if abs(x - target.x) < STILL else 1.0 for x, _, _ in lines]
        offsets = spread(wishes, weights, [gap] * (len(lines) - 1))
        last = len(lines) - 1
        for number, ((_, _, net), offset) in enumerate(zip(lines, offsets, strict=True)):
            target.ports_in[net.key] = min(max(offset, number * gap - half), half - (last - number) * gap)


def align_outputs(nets: Sequence[Net]) -> None:
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


def title_width(group: Group) -> float:
    return max(line.width for line in frame_lines(group)) + (18 if is_marked(group) else 0)


def title_at(group: Group, ports: Sequence[float], wide: float) -> float | None:
    """Return where a title crosses no line that comes in; None where there is no such place."""
    need = title_width(group)
    for start in (12.0, *(port + 10 for port in ports)):
        if start + need <= wide - 8 and not any(start - 4 <= port <= start + need + 4 for port in ports):
            return start
    return None


def align_entries(row: Sequence[Place], nets: Sequence[Net]) -> None:
    """Move where lines come into a frame over the port of their one reader, where they keep their order and distance."""
    for net in nets:
        ends = [place.x + place.ports_in.get(net.key, 0.0) for place in net.lower(net.source.row + 1)]
        if not net.source.is_entry or len(ends) != 1:
            continue
        at = next(number for number, place in enumerate(row) if place is net.source)
        low = row[at - 1].x + APART if at else ends[0]
        high = row[at + 1].x - APART if at + 1 < len(row) else ends[0]
        if low <= ends[0] <= high:
            net.source.x = ends[0]
