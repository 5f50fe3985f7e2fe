"""What stands below a picture: the marks that it uses, and the table of a stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from ...dsl.plans import StagePlan
from ..graph import Graph
from ..summary import Counts
from .boxes import is_marked
from .figure import Cell, Figure, Group, Kind, Share, StageNote, outer
from .text import short_count, width
from .theme import TASKS

HATCH = "url(#hatch)"
"""Stands for the pattern of what is frozen until the picture has its name."""
SIZE = 12.0
ROW = 18.0
INDENT = 62.0
"""Where the words of a stage's row begin."""


@dataclass(slots=True)
class Legend:
    """The marks in one line, with their words, and the lines of the table."""

    marks: list[tuple[Share | Kind, str]] = field(default_factory=list[tuple[Share | Kind, str]])
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def height(self) -> float:
        """Return the space that it takes up, nothing where it is empty."""
        return 12 + (ROW + 6 if self.marks else 0) + ROW * len(self.lines) if self.marks or self.lines else 0.0

    @property
    def width(self) -> float:
        """Return how wide its widest line is."""
        marks = sum(_mark_width(word) for _, word in self.marks)
        return max([marks, *(INDENT + width(text, SIZE) for _, text in self.lines)], default=0.0)


def stage_note(graph: Graph, plan: StagePlan) -> StageNote:
    """Return the table of a stage: what it trains and freezes, by the first words of paths, with its tasks and losses."""
    counts = Counts(graph.parameters(), graph.census.tie_groups)
    everything, tuned = counts.paths(counts.sizes), counts.paths(plan.tuned)
    frozen = everything - tuned
    moving, still = _words(counts, tuned), _words(counts, frozen)
    rows: list[tuple[str, tuple[str, ...]]] = []
    for label, own, other, paths in (("trained", moving, still, tuned), ("frozen", still, moving, frozen)):
        if paths:
            named = tuple(f"{word} (in part)" if word in other else word for word in own)
            rows.append((label, (f"{short_count(counts.total(paths))} in {named[0]}", *named[1:])))
    if plan.sources:
        rows.append(("from", plan.sources))
    if plan.tasks:
        rows.append(("tasks", plan.tasks))
    if plan.losses:
        rows.append(("losses", tuple(path if weight == 1 else f"{weight:g} × {path}" for path, weight in plan.losses.items())))
    return StageNote(plan.name, tuple(rows))


def _words(counts: Counts, paths: frozenset[str]) -> list[str]:
    """Return the first words of the paths, those of tied tensors too."""
    return list(dict.fromkeys(path.partition(".")[0] for path in counts.sizes if counts.paths((path,)) <= paths))


def legend_of(figure: Figure, limit: float) -> Legend:
    """Return the legend of a figure, its lines as wide as the picture where that has room."""
    found = Legend()
    groups: dict[int, Cell | Group] = {id(group): group for cell in figure.cells for group in outer(cell.group)}
    shares = {holder.share for holder in (*figure.cells, *groups.values()) if is_marked(holder)}
    in_stage = f"in stage {figure.stage.name}" if figure.stage else "for good"
    found.marks += [(Share.FROZEN, f"frozen {in_stage}")] if Share.FROZEN in shares else []
    found.marks += [(Share.PART, f"frozen in part {in_stage}")] if Share.PART in shares else []
    found.marks += [(Kind.MEMORY, "memory")] if any(cell.kind is Kind.MEMORY for cell in figure.cells) else []
    for label, pieces in figure.stage.rows if figure.stage else ():
        joint = " + " if label == "losses" else ", "
        found.lines += [(label if not number else "", line) for number, line in enumerate(_wrapped(pieces, joint, limit - INDENT))]
    return found


def _wrapped(pieces: Sequence[str], joint: str, limit: float) -> list[str]:
    lines: list[str] = []
    for piece in pieces:
        if lines and width(lines[-1] + joint + piece, SIZE) <= limit:
            lines[-1] += joint + piece
        else:
            lines = [*lines[:-1], lines[-1] + joint.rstrip()] if lines else lines
            lines.append(piece)
    return lines


def write_legend(legend: Legend, tasks: Sequence[str]) -> Iterator[str]:
    """Yield the elements of a legend, from its upper left corner."""
    x = 0.0
    for mark, word in legend.marks:
        yield from _mark(mark, x)
        yield f'<text class="kind" x="{x + 33:g}" y="12.5" font-size="{SIZE:g}">{escape(word)}</text>'
        x += _mark_width(word)
    y = (ROW + 6 if legend.marks else 0) + 12
    for label, text in legend.lines:
        tone = tasks.index(text) % len(TASKS) if text in tasks else None
        style = f' class="w{tone}"' if tone is not None else ""
        yield f'<text class="kind" y="{y:g}" font-size="{SIZE:g}">{escape(label)}</text>' if label else ""
        yield f'<text{style} x="{INDENT:g}" y="{y:g}" font-size="{SIZE:g}">{escape(text)}</text>'
        y += ROW


def _mark_width(word: str) -> float:
    return 52 + width(word, SIZE)


def _mark(mark: Share | Kind, x: float) -> Iterator[str]:
    place = f'x="{x:g}" y="0" width="26" height="16" rx="4"'
    if mark is Kind.MEMORY:
        yield f'<rect class="memory" {place}/>'
        return
    yield f'<rect class="box" {place}/>'
    if isinstance(mark, Share):
        if mark is Share.FROZEN:
            yield f'<rect {place} fill="{HATCH}"/>'
        yield flake(x + 13, 8, mark)


def flake(x: float, y: float, share: Share) -> str:
    """Return a snow crystal; half of one for what is frozen in part."""
    arms = ((0.0, 5.0), (4.33, 2.5), (4.33, -2.5)) if share is Share.FROZEN else ((0.0, 5.0),)
    paths = "".join(f"M{x - dx:.4g} {y - dy:.4g}L{x + dx:.4g} {y + dy:.4g}" for dx, dy in arms)
    if share is Share.PART:
        paths += f"M{x:.4g} {y:.4g}L{x - 4.33:.4g} {y - 2.5:.4g}M{x:.4g} {y:.4g}L{x - 4.33:.4g} {y + 2.5:.4g}"
    return f'<path class="flake" d="{paths}"/>'
