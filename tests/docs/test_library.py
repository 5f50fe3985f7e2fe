"""The page of the library lists every operation, leaf module and block, as they describe themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from archloom.blocks.registry import primitives
from archloom.compiler.check import library
from archloom.dsl import ast
from archloom.dsl.parser import parse

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
HEAD = """# The library

What a file may use without writing it.  `archloom explain NAME` shows the arguments of each, its shapes, its source and an example. Written by
`pytest tests/docs/test_library.py --update-golden` from what each says of itself.

## Operations and leaf modules

Capital names are modules, made and then called; they need no import.
"""
BLOCKS = """
## Blocks and functions

Written in the language, in `blocks/`: `import ffn.Mlp`.
"""


def said(doc: str) -> str:
    """Return what a docstring says first, on one line and without the shapes."""
    first = " ".join(doc.strip().split("\n\n")[0].split("\n")).replace(".  ", ".\0").split("\0")[0]
    return " ".join(first.split()).rstrip(".")


def operations() -> Iterator[str]:
    """Yield the operations and modules, under what their file says."""
    files: dict[str, list[str]] = {}
    for entry in primitives().values():
        files.setdefault(entry.shape_rule.__module__, []).append(f"- `{entry.name}`: {said(entry.doc)}")
    for file, rows in sorted(files.items()):
        yield from ["", f"### {said(sys.modules[file].__doc__ or '')}", "", *rows]


def blocks() -> Iterator[str]:
    """Yield the blocks and functions of each file."""
    for module in library().modules():
        source = library().load((module,))
        assert source is not None
        trees = list(parse(source).tree())
        yield from ["", f"### {module}", ""]
        yield from (said(tree.value.value) for tree in trees if isinstance(tree, ast.Bare) and isinstance(tree.value, ast.String))
        yield ""
        for tree in trees:
            if isinstance(tree, (ast.Block, ast.Fn)):
                yield f"- `{module}.{tree.name}`: {said(tree.doc or '')}"
            elif isinstance(tree, ast.Definition):
                yield f"- `{module}.{tree.name}`: `{' '.join(tree.value.span.text.split())}`"


def test_the_page_lists_the_library(request: pytest.FixtureRequest) -> None:
    text = "\n".join([HEAD.rstrip(), *operations(), BLOCKS.rstrip(), *blocks(), ""])
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, "run it with --update-golden and read what it writes"
