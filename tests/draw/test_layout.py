"""What is true of every picture: of each example, of each sketch that checks, and of small specs of all shapes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

from archloom.compiler.check import check_text
from archloom.compiler.draw.boxes import frame_lines, lines_of
from archloom.compiler.draw.drawing import Drawing, draw_program
from archloom.compiler.draw.figure import Cell, Flow, Kind, outer
from archloom.compiler.draw.layout import Box
from archloom.compiler.draw.text import SMALL, width
from archloom.dsl.diagnostics import Severity
from archloom.dsl.program import Program
from archloom.dsl.source import Source
from archloom.tests.examples.sketch_sizes import TINY

from .specs import SPECS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted([*EXAMPLES.glob("*.arch"), *EXAMPLES.glob("sketches/*.arch")])
NAMES = [*SPECS, *(path.stem for path in FILES if path.parent == EXAMPLES), *(f"sketch {path.stem}" for path in FILES if path.parent != EXAMPLES)]
NEAR = 0.7
"""Lines are drawn to a tenth of a pixel, and those that are nearly straight as if they were."""


def path_of(name: str) -> Path:
    """Return the file that a name stands for; of a spec its name."""
    if name in SPECS:
        return Path(name)
    return EXAMPLES / ("sketches" if name.startswith("sketch ") else "") / f"{name.removeprefix('sketch ')}.arch"


@cache
def programs(name: str) -> tuple[Program, ...]:
    """Return the models of a spec, a sketch that needs values with those of its test; none of one that waits for a reserved construct."""
    path = path_of(name)
    source = Source(str(path), SPECS[name] if name in SPECS else path.read_text(encoding="utf-8"))
    result = check_text(source, {}, None, None)
    if any(d.code == "A202" for d in result.diagnostics) and path.stem in TINY:
        result = check_text(source, TINY[path.stem].params, None, TINY[path.stem].model)
    return () if any(d.severity is Severity.ERROR for d in result.diagnostics) else tuple(result.programs.values())


@cache
def drawings(name: str) -> tuple[Drawing, ...]:
    return tuple(draw_program(program) for program in programs(name))


Law = Callable[[str], None]
LAWS: list[Law] = []


def law(check: Law) -> Law:
    """Make a function one of those that look at every picture."""
    LAWS.append(check)
    return check


def cell_boxes(drawing: Drawing) -> dict[int, Box]:
    return {id(box.cell): box for box in drawing.layout.boxes if box.cell is not None}


def meet(a: Box, b: Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def holds(outside: Box, inside: Box) -> bool:
    return (
        outside.x <= inside.x
        and outside.y <= inside.y
        and inside.x + inside.width <= outside.x + outside.width
        and inside.y + inside.height <= outside.y + outside.height
    )


def around(box: Box) -> list[int]:
    """Return the frames that a box stands in, by `id`."""
    if box.cell is not None:
        return [id(group) for group in outer(box.cell.group)]
    return [id(group) for group in outer(box.group.parent)] if box.group is not None else []


@pytest.mark.slow
def test_most_of_them_check() -> None:
    assert sum(map(bool, map(programs, NAMES))) >= 58
    assert all(map(programs, [*SPECS, "scene", "minilm", "minilm_tasks", "unifork"]))


@law
def it_is_xml_whose_words_are_its_names(name: str) -> None:
    for program, drawing in zip(programs(name), drawings(name), strict=True):
        root = ET.fromstring(drawing.svg)
        assert root.attrib["role"] == "img"
        words = " ".join(root.itertext())
        names = {task for task in program.tasks} | {output.name for output in program.eval.outputs} | {program.name}
        names |= {loss.path.rpartition(".")[2] for loss in program.eval.losses if not loss.path.rpartition(".")[2].isdigit() and "*" not in words}
        assert [missing for missing in sorted(names) if missing not in words] == []


@law
def boxes_stand_apart_and_in_their_frames(name: str) -> None:
    for drawing in drawings(name):
        boxes = drawing.layout.boxes
        frames = {id(box.group): box for box in boxes if box.group is not None}
        for box in boxes:
            assert 0 <= box.x <= box.x + box.width <= drawing.layout.width
            assert 0 <= box.y <= box.y + box.height <= drawing.layout.height
            assert all(holds(frames[key], box) for key in around(box))
        for a, b in combinations(boxes, 2):
            nested = id(a.group) in around(b) if a.group is not None else b.group is not None and id(b.group) in around(a)
            nested = nested or (b.group is not None and id(b.group) in around(a))
            assert nested or not meet(a, b), (a.cell or a.group, b.cell or b.group)


@law
def texts_stand_in_their_boxes(name: str) -> None:
    for drawing in drawings(name):
        for box in drawing.layout.boxes:
            lines = lines_of(box.cell) if box.cell is not None else frame_lines(box.group) if box.group is not None else []
            assert all(box.title + line.width <= box.width for line in lines)
            assert sum(line.height for line in lines) <= box.height
        for label in drawing.layout.labels:
            assert label.x + width(label.text, SMALL) <= drawing.layout.width
            ground = Box(label.x, label.y - SMALL, width(label.text, SMALL), SMALL)
            assert [box.cell.title for box in drawing.layout.boxes if box.cell is not None and meet(box, ground)] == []


def ends(drawing: Drawing, cell: Cell, index: int, flow: Flow) -> tuple[set[tuple[float, float]], list[tuple[float, float]]]:
    """Return all points that the lines of a value reach from their box, and the heads of its arrows."""
    wires = [wire for wire in drawing.layout.wires if wire.net.key == (id(cell), index, flow)]
    pieces = [piece for wire in wires for branch in wire.branches for piece in zip(branch, branch[1:], strict=False)]
    box = cell_boxes(drawing)[id(cell)]
    foot = box.y + box.height + (8.0 if cell.is_stack else 0.0)
    reached = {point for piece in pieces for point in piece if abs(point[1] - foot) < NEAR and box.x <= point[0] <= box.x + box.width + 8}
    while more := {b for piece in pieces for a, b in (piece, piece[::-1]) if b not in reached and any(close(a, point) for point in reached)}:
        reached |= more
    return reached, [point for wire in wires for point in (wire.up if flow is Flow.BACK else wire.down)]


def close(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return abs(a[0] - b[0]) < NEAR and abs(a[1] - b[1]) < NEAR


def values(drawing: Drawing) -> Iterator[tuple[Cell, Cell, int, Flow]]:
    for cell in drawing.figure.cells:
        for value in cell.sources:
            yield cell, value.cell, value.index, value.flow


@law
def every_line_runs_from_its_box_to_its_readers(name: str) -> None:
    for drawing in drawings(name):
        boxes = cell_boxes(drawing)
        assert set(boxes) == {id(cell) for cell in drawing.figure.cells}
        for reader, source, index, flow in values(drawing):
            reached, heads = ends(drawing, source, index, flow)
            box = boxes[id(reader)]
            arrived = [(x, y) for x, y in reached if abs(y - box.y) < NEAR and box.x <= x <= box.x + box.width]
            assert arrived, (name, source.title, reader.title)
            assert flow is Flow.BACK or any(close(point, head) for point in arrived for head in heads)
            assert heads


@law
def lines_run_down_and_cross_no_box(name: str) -> None:
    for drawing in drawings(name):
        boxes = [box for box in drawing.layout.boxes if box.cell is not None]
        for wire in drawing.layout.wires:
            for branch in wire.branches:
                for (ax, ay), (bx, by) in zip(branch, branch[1:], strict=False):
                    assert ay <= by + NEAR
                    line = Box(min(ax, bx), min(ay, by) + NEAR, abs(ax - bx), max(by - ay - 2 * NEAR, 0.0))
                    assert [box.cell.title for box in boxes if box.cell is not None and meet(box, line)] == []


@law
def inputs_are_above_and_results_below(name: str) -> None:
    for drawing in drawings(name):
        boxes = cell_boxes(drawing)
        for reader, source, _, _ in values(drawing):
            assert boxes[id(source)].y + boxes[id(source)].height <= boxes[id(reader)].y
        given = [cell for cell in drawing.figure.cells if cell.kind is Kind.INPUT and cell.group is None]
        inputs = [boxes[id(cell)] for cell in given if not cell.is_target and not cell.is_drawn]
        if inputs:
            highest = min(box.y for box in boxes.values())
            assert all(box.y < highest + 60 for box in inputs)


@law
def tasks_stand_in_their_order(name: str) -> None:
    for drawing in drawings(name):
        frames = {box.group.task: box for box in drawing.layout.boxes if box.group is not None and box.group.is_task}
        shown = [frames[task] for task in drawing.figure.tasks if task in frames]
        for left, right in zip(shown, shown[1:], strict=False):
            assert left.y != right.y or left.x + left.width < right.x


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", NAMES)
def test_every_picture_keeps_the_laws(name: str) -> None:
    """All of them in one test, so that a picture is made once, whichever worker has it."""
    for check in LAWS:
        check(name)


@pytest.mark.parametrize("name", ["unifork", "fork", "caches", "sketch CoLM"])
def test_it_is_the_same_each_time(name: str) -> None:
    assert [draw_program(program).svg for program in programs(name)] == [drawing.svg for drawing in drawings(name)]


LAYERS = """
model M(n: int = 1000) {
  in x: float[B, 8]
  h = x
  repeat i in 0..n carry h { norm, f = LayerNorm(8), Linear(8, 8); h = h + f(norm(h)) }
  out y = h
}
"""
EXPERTS = "model M(n: int = 300) { in x: float[B, 8]; for e in 0..n { f = Linear(8, 8); y = f(x) }; out y = sum(y[*]) }"


@pytest.mark.parametrize("text", [LAYERS, EXPERTS], ids=["a thousand layers", "three hundred experts"])
def test_many_parts_are_drawn_as_few_boxes(text: str) -> None:
    [program] = check_text(Source("many", text), {}, None, None).programs.values()
    drawing = draw_program(program)
    assert len(drawing.figure.cells) < 10
