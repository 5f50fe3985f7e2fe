"""What was parsed before is the same tree at its new place, and costs no parsing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import archloom
from archloom.dsl import ast
from archloom.dsl.parse import again
from archloom.dsl.parser import parse
from archloom.dsl.source import Source, Span

FOLDER = Path(archloom.__file__).parent
FILES = [*sorted((FOLDER / "examples").rglob("*.arch")), *sorted((FOLDER / "blocks").rglob("*.arch"))]


def shape(thing: Any) -> object:
    """Return a tree as plain data, with its places and what stands there."""
    if isinstance(thing, ast.Node):
        return (type(thing), *[shape(getattr(thing, field)) for field in thing.__dataclass_fields__])
    if isinstance(thing, Span):
        return id(thing.source), thing.start, thing.end, thing.text
    return tuple(map(shape, thing)) if isinstance(thing, tuple) else (type(thing), thing)


def trees(source: Source) -> list[object]:
    return [shape(item.tree) for item in parse(source).items]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem, marks=[] if path.stem == "unifork" else [pytest.mark.slow]) for path in FILES])
def test_a_tree_at_another_place_is_what_parsing_makes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "_kept", {})
    text = path.read_text("utf-8")
    trees(Source("one.arch", text))
    moved = Source("two.arch", f"# further down\n\n{text}")
    known = trees(moved)
    again._kept.clear()  # pyright: ignore[reportPrivateUsage] - a process that has parsed nothing
    assert known == trees(moved)


def test_few_and_short_items_are_kept_and_no_wrong_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[Any, Any] = {}
    monkeypatch.setattr(again, "_kept", kept)
    for number in range(again.MOST + 2):
        assert trees(Source("a.arch", f"width = {number}\nblock Own( {{ }}\n"))[1] == (type(None), None)
    trees(Source("a.arch", f"words = [{'1, ' * again.LONGEST}]"))
    assert [text for text, _ in kept] == [f"width = {number}" for number in (again.MOST, again.MOST + 1)]
