"""The sixty sketches: real systems in the language, which it must go on taking."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from archloom.dsl.format import WIDTH, format_source
from archloom.dsl.parser import parse
from archloom.dsl.source import Source

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "sketches"
SKETCHES = sorted(FOLDER.glob("*.arch"))


def read(path: Path) -> Source:
    return Source(path.name, path.read_text(encoding="utf-8"))


def test_there_are_sixty() -> None:
    assert len(SKETCHES) == 60


@pytest.mark.parametrize("path", SKETCHES, ids=lambda path: path.stem)
def test_sketch_parses(path: Path) -> None:
    file = parse(read(path))
    assert [f"{d.span}: {d.message}" for d in file.diagnostics] == []
    assert len(file.tree()) == len(file.items)


@pytest.mark.parametrize("path", SKETCHES, ids=lambda path: path.stem)
def test_sketch_is_formatted(path: Path) -> None:
    source = read(path)
    assert format_source(source) == source.text
    assert all(len(line) <= WIDTH for line in source.text.splitlines())


def test_sketches_begin_with_what_they_are() -> None:
    for path in SKETCHES:
        assert read(path).text.startswith('"""'), path.name


def test_sketches_use_the_whole_language() -> None:
    words = Counter(item.word for path in SKETCHES for item in parse(read(path)).items)
    expected = {"block", "model", "fn", "extern block", "extern fn", "weights", "train", "preset", "transform", "import", "definition", "doc"}
    assert expected <= set(words)
