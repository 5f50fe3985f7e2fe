"""`archloom.draw`: the picture of a model, for notebooks, pages and papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from ...dsl.diagnostics import closest
from ...dsl.program import Program
from ..api import load_program
from ..optimize.interface import ONLY_EVALUATES
from .figure import Figure
from .layout import Layout
from .opening import opened
from .reading import Wanted
from .svg import write_svg

THEMES = ("auto", "light", "dark")


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
    limits: Mapping[str, int] | None = None,
    folders: Sequence[str | PathLike[str]] = (),
) -> Drawing:
    """Return the picture of a model in a file or text, without torch.

    `stage` marks what that stage freezes, `task` leaves out what other tasks give, `entry` draws another signature, `depth` is how many
    levels of blocks are opened (1: none; as many as stay easy to read, if None); `limits` and `folders` are those of `load_program`.  Raises
    Failure for what is wrong in the text, ValueError for wrong arguments.
    """
    program = load_program(path_or_text, params, preset, model, limits, folders)
    return draw_program(program, stage=stage, task=task, entry=entry, depth=depth, theme=theme)


def draw_program(
    program: Program, *, stage: str | None = None, task: str | None = None, entry: str | None = None, depth: int | None = None, theme: str = "auto"
) -> Drawing:
    """Return the picture of a checked program; ValueError for a name that it hasn't."""
    if stage is not None and program.only_evaluates:
        raise ValueError(f"there is no stage `{stage}`: this model {ONLY_EVALUATES}")
    _known("stage", stage, tuple(program.stages))
    _known("task", task, program.tasks)
    _known("entry", entry, tuple(program.entries))
    _known("theme", theme, THEMES)
    if depth is not None and depth < 1:
        raise ValueError(f"`depth` is 1 or more, not {depth}")
    return Drawing(*opened(Wanted(program, stage, task, entry), depth), theme)


def _known(what: str, name: str | None, names: tuple[str, ...]) -> None:
    if name is not None and name not in names:
        near = closest(name, names)
        advice = f"; did you mean `{near}`?" if near else ""
        has = ", ".join(f"`{known}`" for known in names) or "none"
        raise ValueError(f"there is no {what} `{name}`{advice} (known: {has})")
