"""Every node's span is exact: its text, read again, makes the same node; and it lies inside its parent's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import pytest

import archloom
from archloom.dsl import ast
from archloom.dsl.parser import parse, parse_expression, read_source
from archloom.dsl.source import Source

ROOT = Path(archloom.__file__).parent
FILES = sorted([*(ROOT / "examples").rglob("*.arch"), *(ROOT / "blocks").rglob("*.arch")])
STATEMENTS = get_args(ast.Statement)
ITEMS = get_args(ast.Item)
INDICES = (ast.Slice, ast.Ellipsis)
ARGUMENTS = (ast.OfKind, ast.Open)

TEXT = '''
model M(a: list[int] = [1, 2], b: {x, y} = x) {
  in x[c in s]: float[..., d[c]] if a[0] > 1 else int[B] as picture(mean = (0.5)) in 0..(S) if c
  (y) = (((a)) + b) * -(c ** (2)) if (not d) else {q: (1), r: 2}
  out z, w = f(x[.., a.., ..=(b), :, 1:2], (e for e in s where (k)), dim = (3), ...), [i for i in s if (i)]
  repeat i in {0,
    1} carry x { if (a) { b = 1 } else if c { } else { d = """x
y""" } }
  freeze lm.**[(a)].{q, v}, **: A | B
}
'''


def shown(thing: object) -> object:
    """A tree without its places."""
    if isinstance(thing, tuple):
        return tuple(shown(part) for part in cast("tuple[object, ...]", thing))
    if isinstance(thing, ast.Node):
        return type(thing).__name__, *(shown(getattr(thing, field)) for field in thing.__dataclass_fields__ if "span" not in field)
    return thing


def below(thing: object) -> Iterator[ast.Node]:
    if isinstance(thing, tuple):
        for part in cast("tuple[object, ...]", thing):
            yield from below(part)
    elif isinstance(thing, ast.Node):
        yield thing


def walk(node: ast.Node) -> Iterator[tuple[ast.Node, ast.Node]]:
    """Yield each node with its parent."""
    for field in node.__dataclass_fields__:
        for child in below(getattr(node, field)):
            yield node, child
            yield from walk(child)


def expression(text: str) -> Any:
    tree, diagnostics = parse_expression(Source("again", text))
    assert tree is not None, (text, diagnostics)
    return tree


def again(node: ast.Node) -> object:
    """Read the text of a node's span as what the node is."""
    text = node.span.text
    if isinstance(node, ast.Reserved) and "stage" in text:
        tree = parse(Source("again", "train M {\n" + text + "\n}")).items[0].tree
        assert isinstance(tree, ast.Train)
        return tree.stages[0]
    if isinstance(node, ast.Call) and "(" not in text:  # `family "adapters/{s}"`, one file for each member
        tree = parse(Source("again", f'weights w for M from {text} {{ a <- "b" }}')).items[0].tree
        assert isinstance(tree, ast.Weights)
        return tree.sources[0]
    if isinstance(node, STATEMENTS):
        tree: Any = parse(Source("again", "block B { 0; " + text + "\n}")).items[0].tree
        return tree.body[1]
    if isinstance(node, ITEMS):
        return parse(Source("again", text)).items[0].tree
    if isinstance(node, ast.TypeRef | ast.EnumType | ast.TypeChoice):
        tree = parse(Source("again", f"block B(x: {text}) {{ }}")).items[0].tree
        return tree.parameters[0].type
    if isinstance(node, INDICES) or isinstance(node, ast.Range) and not (node.start and node.stop):
        return expression(f"x[{text}]").items[0]
    if isinstance(node, ARGUMENTS) or isinstance(node, ast.Comprehension) and node.kind == "bare":
        return expression(f"f({text})").arguments[0].value
    return expression(f"({text})")


def check(item: ast.Item) -> int:
    checked = 0
    for parent, child in [(item, item), *walk(item)]:
        assert parent.span.start <= child.span.start < child.span.end <= parent.span.end, (parent, child)
        if isinstance(child, (*get_args(ast.Expr), *get_args(ast.Type), *STATEMENTS, *ITEMS)) and not isinstance(child, ast.Transform):
            assert shown(again(child)) == shown(child), child.span.text
            checked += 1
    return checked


def test_spans_of_hard_cases() -> None:
    file = parse(Source("t", TEXT.replace("(y) =", "y =")))
    assert file.diagnostics == ()
    assert sum(check(item) for item in file.tree()) > 100


@pytest.mark.parametrize("path", FILES[::4], ids=lambda path: path.stem)
def test_spans_of_real_files(path: Path) -> None:
    source = read_source(path)
    assert isinstance(source, Source)
    file = parse(source)
    assert file.diagnostics == ()
    assert sum(check(item) for item in file.tree()) > len(file.items)


def test_a_span_says_line_and_column() -> None:
    file = parse(Source("t.arch", "x = 1\nblock A {\n  y = f(\n    z)\n}"))
    block = file.items[1].tree
    assert isinstance(block, ast.Block)
    [statement] = block.body
    assert isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call)
    assert str(statement.value.arguments[0].span) == "t.arch:4:5"
    assert statement.span.text == "y = f(\n    z)"
