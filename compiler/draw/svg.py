"""A layout as SVG: text that can be read and searched, colours by style sheet, no script and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from html import escape

from .boxes import LOOP, SLIM, STACK, Line, frame_lines, is_marked, lines_of
from .figure import Cell, Figure, Flow, Group, Kind, Share
from .layout import Box, Layout
from .legend import HATCH, flake, legend_of, write_legend
from .text import SMALL, short_count, width
from .theme import TASKS, style_sheet
from .wires import Point, Wire

MARGIN = 8.0
TITLE_SPACE = 34.0
RADIUS = 6.0


def write_svg(figure: Figure, layout: Layout, theme: str = "auto") -> str:
    """Return the picture as one SVG document."""
    return _Writer(figure, layout, theme).document()


class _Writer:
    def __init__(self, figure: Figure, layout: Layout, theme: str) -> None:
        self.figure = figure
        self.layout = layout
        self.theme = theme

    def document(self) -> str:
        """Return the whole text."""
        figure = self.figure
        heading = _heading_of(figure)
        wide = max(self.layout.width, width(heading, 15, True) + 24) + 2 * MARGIN
        legend = legend_of(figure, wide - 2 * MARGIN - 20)
        wide = max(wide, legend.width + 2 * MARGIN + 20)
        high = self.layout.height + TITLE_SPACE + legend.height + MARGIN
        inside = [
            f'<rect class="back" width="{_n(wide)}" height="{_n(high)}" rx="8"/>',
            f'<text class="model" x="{_n(MARGIN + 10)}" y="24" font-size="15">{escape(figure.name)}'
            f'<tspan class="kind" font-weight="400" font-size="12"> {escape(heading[len(figure.name) :])}</tspan></text>',
            f'<g transform="translate({_n((wide - self.layout.width) / 2)} {_n(TITLE_SPACE)})">',
            *self._body(),
            "</g>",
            f'<g transform="translate({_n(MARGIN + 10)} {_n(high - legend.height)})">',
            *write_legend(legend, figure.tasks),
            "</g>",
        ]
        text = "\n".join(filter(None, inside))
        name = "a" + sha256(f"{self.theme}{text}".encode()).hexdigest()[:8]
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" id="{name}" width="{_n(wide)}" height="{_n(high)}" viewBox="0 0 {_n(wide)} {_n(high)}" '
            f'style="max-width: 100%; height: auto" role="img" aria-labelledby="{name}-title {name}-desc">',
            f'<title id="{name}-title">{escape(heading)}</title>',
            f'<desc id="{name}-desc">{escape(self._description())}</desc>',
            f"<style>\n{style_sheet(self.theme, len(figure.tasks), '#' + name)}\n</style>",
            f'<defs><pattern id="{name}-hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<path class="still" d="M0 0V7"/></pattern></defs>'
            if HATCH in text
            else "",
            text.replace(HATCH, f"url(#{name}-hatch)"),
        ]
        return "\n".join([*filter(None, parts), "</svg>"]) + "\n"

    def _description(self) -> str:
        figure = self.figure
        said = [figure.doc.strip().splitlines()[0]] if figure.doc.strip() else []
        for kind, word in ((Kind.INPUT, "inputs"), (Kind.MODULE, "modules"), (Kind.OUTPUT, "outputs"), (Kind.LOSS, "losses")):
            names = dict.fromkeys(cell.title for cell in figure.cells if cell.kind is kind)
            said += [f"{word}: {', '.join(names)}"] if names else []
        said += [f"tasks: {', '.join(figure.tasks)}"] if figure.tasks else []
        return ". ".join(said)

    # -------------------------------------------------------------------------------------------------------- body

    def _body(self) -> Iterator[str]:
        for box in self.layout.boxes:
            if box.group is not None:
                yield from self._frame(box, box.group)
        for wire in self.layout.wires:
            yield from _wire(wire)
        for label in self.layout.labels:
            yield f'<text class="type" x="{_n(label.x)}" y="{_n(label.y)}" font-size="{_n(SMALL)}">{escape(label.text)}</text>'
        for box in self.layout.boxes:
            if box.group is not None:
                yield from self._heading(box, box.group)
                yield from self._loop(box, box.group)
            elif box.cell is not None:
                yield from self._cell(box, box.cell)
                yield from self._loop(box, box.cell)

    def _loop(self, box: Box, holder: Cell | Group) -> Iterator[str]:
        """Yield the line of what the steps of a stack hand on: from its foot to its head."""
        if not holder.carried:
            return
        x, y, foot = box.x + box.width + 2 * STACK, box.y + 2 * STACK + 8, box.y + box.height
        yield f'<path class="wire lane" d="{_rounded([(x, foot), (x + LOOP, foot), (x + LOOP, y), (x, y)])}"/>'
        yield f'<path class="head lane" d="M{_n(x)} {_n(y)}l6.5 -3.5v7z"/>'
        yield f'<text class="type" x="{_n(x + LOOP + 5)}" y="{_n((y + foot) / 2 + 4)}" font-size="{_n(SMALL)}">{escape(holder.carried)}</text>'

    def _tone(self, task: str | None) -> int | None:
        return self.figure.tasks.index(task) % len(TASKS) if task in self.figure.tasks else None

    def _frame(self, box: Box, group: Group) -> Iterator[str]:
        tone = self._tone(group.task) if group.is_task else None
        style = "group" + (f" t{tone}" if tone is not None else "")
        yield from _sheets(box, group.times, style, 10)

    def _heading(self, box: Box, group: Group) -> Iterator[str]:
        title, rest = frame_lines(group)
        x, y = box.x + box.title, box.y + 20
        tone = self._tone(group.task)
        word = f"frame w{tone}" if tone is not None and group.is_task else "frame"
        if group.share is not None and is_marked(group):
            yield flake(x + 6, y - 5, group.share)
            x += 18
        yield f'<text class="{word}" x="{_n(x)}" y="{_n(y)}" font-size="{_n(title.size)}">{escape(title.text)}</text>'
        if rest.text:
            yield (
                f'<text class="kind" x="{_n(box.x + box.title)}" y="{_n(y + 15)}" font-size="{_n(rest.size)}">{escape(rest.text)}'
                f"<title>{escape(_exact(group.title, group.count, group.share))}</title></text>"
            )

    def _cell(self, box: Box, cell: Cell) -> Iterator[str]:
        yield '<g class="off">' if not cell.active else "<g>"
        yield f"<title>{escape(_tip(cell))}</title>"
        tone = self._tone(cell.colour)
        radius = box.height / 2 if cell.kind in SLIM and box.height < 34 else 12 if cell.kind in SLIM else 7
        yield from _sheets(box, cell.times if cell.is_stack else 1, _style(cell, tone), radius)
        if cell.share in (Share.FROZEN, Share.PART):
            if cell.share is Share.FROZEN:
                yield _rect(box.x, box.y, box.width, box.height, radius, "", f' fill="{HATCH}"')
            yield flake(box.x + 13, box.y + 13, cell.share)
        yield from _text(box, lines_of(cell), tone if cell.kind in (Kind.OUTPUT, Kind.LOSS) else None)
        yield "</g>"


def _heading_of(figure: Figure) -> str:
    task = f" · task {figure.tasks[0]}" if len(figure.tasks) == 1 else ""
    stage = f" · stage {figure.stage.name}" if figure.stage else ""
    return f"{figure.name} · {short_count(figure.count)} parameters{task}{stage}"


def _style(cell: Cell, tone: int | None) -> str:
    if cell.kind is Kind.MEMORY:
        return "memory"
    if cell.kind is Kind.GAP:
        return "gap"
    base = "given" if cell.kind in (Kind.INPUT, Kind.PARAMETER) else "box"
    return f"{base} t{tone}" if tone is not None else base


def _tip(cell: Cell) -> str:
    paths = ", ".join(cell.paths[:3]) + (f" … {cell.paths[-1]}" if len(cell.paths) > 3 else "")
    return _exact(paths or cell.title, cell.count, cell.share)


def _exact(name: str, count: int, share: Share | None) -> str:
    return name + (f": {count:,} parameters" if count else "") + (f", {share.value}" if share else "")


def _text(box: Box, lines: list[Line], tone: int | None) -> Iterator[str]:
    y = box.y + (box.height - sum(line.height for line in lines)) / 2
    middle = _n(box.x + box.width / 2)
    for line in lines:
        y += line.height
        style = f"{line.style} w{tone}" if tone is not None and line.style == "name" else line.style
        yield f'<text class="{style}" x="{middle}" y="{_n(y - 5)}" font-size="{_n(line.size)}" text-anchor="middle">{escape(line.text)}</text>'


def _sheets(box: Box, times: int, style: str, radius: float) -> Iterator[str]:
    for sheet in (2, 1) if times > 1 else ():
        yield _rect(box.x + sheet * STACK, box.y + sheet * STACK, box.width, box.height, radius, style)
    yield _rect(box.x, box.y, box.width, box.height, radius, style)


def _rect(x: float, y: float, wide: float, high: float, radius: float, style: str, more: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<rect{named} x="{_n(x)}" y="{_n(y)}" width="{_n(wide)}" height="{_n(high)}" rx="{_n(radius)}"{more}/>'


def _wire(wire: Wire) -> Iterator[str]:
    style = " lane" if wire.net.flow is not Flow.DATA else " side" if wire.net.is_side else ""
    yield f'<path class="wire{style}" d="{"".join(map(_rounded, wire.branches))}"/>'
    heads = [f"M{_n(x)} {_n(y)}l-3.5 -6.5h7z" for x, y in wire.down] + [f"M{_n(x)} {_n(y)}l-3.5 6.5h7z" for x, y in wire.up]
    if heads:
        yield f'<path class="head{style}" d="{"".join(heads)}"/>'


def _rounded(points: list[Point]) -> str:
    path = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for (ax, ay), (bx, by), (cx, cy) in zip(points, points[1:], points[2:], strict=False):
        before, after = abs(bx - ax) + abs(by - ay), abs(cx - bx) + abs(cy - by)
        r = min(RADIUS, before / 2, after / 2)
        if before and after:
            path += f"L{_n(bx - (bx - ax) / before * r)} {_n(by - (by - ay) / before * r)}"
            path += f"Q{_n(bx)} {_n(by)} {_n(bx + (cx - bx) / after * r)} {_n(by + (cy - by) / after * r)}"
    return f"{path}L{_n(points[-1][0])} {_n(points[-1][1])}"


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
