"""`archloom.draw`: the picture of a model, for notebooks, pages and papers."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from ...dsl.diagnostics import closest
from ...dsl.program import Body, NodeKind, Program
from ..api import load_program
from .figure import Figure
from .layout import Layout, lay_out
from .reading import read_figure
from .svg import write_svg

THEMES = ("auto", "light", "dark")
LEVELS = 3
ENOUGH = 26
"""Without a depth, blocks are opened while the picture has at most so many boxes."""


class Drawing:
    """A picture.  Notebooks show it; `save` writes it; `svg` is its text."""

    def __init__(self, figure: Figure, layout: Layout, theme: str) -> None:
        self.figure = figure
        self.layout = layout
        self.svg = write_svg(figure, layout, theme)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the SVG to a file, whole or not at all; raises OSError where that can't be done."""
        from ..writing import write_file

        write_file(path, self.svg.encode())

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Drawing of {self.figure.name}, {self.layout.width:.0f} x {self.layout.height:.0f}>"


def draw(
    path_or_text: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    model: str | None = None,
    stage: str | None = None,
    task: str | None = None,
    entry: str | None = None,
    depth: int | None = None,
    theme: str = "auto",
) -> Drawing:
    """Return the picture of a model in a file or text, without torch.

    `stage` marks what that stage freezes, `task` leaves out what other tasks give, `entry` draws another signature, `depth` is how many
    levels of blocks are opened (1: none; as many as stay easy to read, if None).  Raises Failure for what is wrong in the text,
    ValueError for wrong arguments.
    """
    program = load_program(path_or_text, params, preset, model)
    return draw_program(program, stage=stage, task=task, entry=entry, depth=depth, theme=theme)


def draw_program(
    program: Program, *, stage: str | None = None, task: str | None = None, entry: str | None = None, depth: int | None = None, theme: str = "auto"
) -> Drawing:
    """Return the picture of a checked program; ValueError for a name that it hasn't."""
    _known("stage", stage, tuple(program.stages))
    _known("task", task, program.tasks)
    _known("entry", entry, tuple(program.entries))
    _known("theme", theme, THEMES)
    if depth is not None and depth < 1:
        raise ValueError(f"`depth` is 1 or more, not {depth}")
    figure = _figure(program, depth, stage, task, entry)
    return Drawing(figure, lay_out(figure), theme)


def _figure(program: Program, depth: int | None, stage: str | None, task: str | None, entry: str | None) -> Figure:
    if depth is not None:
        return read_figure(program, lambda _, level: level < depth, stage, task, entry)
    opened: set[str] = set()
    found = read_figure(program, lambda _body, _level: False, stage, task, entry)
    for _ in range(LEVELS):
        met: dict[str, Body] = {}

        def opens(body: Body, _level: int, met: dict[str, Body] = met) -> bool:
            met.setdefault(body.name, body)
            return body.name in opened

        read_figure(program, opens, stage, task, entry)
        for body in sorted((met[name] for name in met if name not in opened), key=lambda body: not _forks(body, program.tasks)):
            if _is_structured(body):
                opened.add(body.name)
                deeper = read_figure(program, opens, stage, task, entry)
                if len(deeper.cells) <= ENOUGH:
                    found = deeper
                else:
                    opened.remove(body.name)
    return found


def _forks(body: Body, tasks: tuple[str, ...]) -> bool:
    """Tell whether a block has parts that belong to tasks."""
    return any(member in tasks for declared in body.modules.values() for member in declared.members)


def _is_structured(body: Body) -> bool:
    """Tell whether a block is made of blocks: then it is worth opening."""
    return any(node.kind is NodeKind.CALL for node in body.nodes)


def _known(what: str, name: str | None, names: tuple[str, ...]) -> None:
    if name is not None and name not in names:
        near = closest(name, names)
        advice = f"; did you mean `{near}`?" if near else ""
        has = ", ".join(f"`{known}`" for known in names) or "none"
        raise ValueError(f"there is no {what} `{name}`{advice} (known: {has})")
