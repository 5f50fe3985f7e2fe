# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The texts that the oracle reads: items and imports of a file, the names that an item binds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import archloom
from archloom.blocks.registry import primitives
from archloom.dsl import ast
from archloom.dsl.parse.pythonisms import walk
from archloom.dsl.parser import parse
from archloom.dsl.source import Source

from .checks import need
from .values import File


def wanted(body: Sequence[Any], inside: bool = False) -> list[tuple[str, bool, bool]]:
    """Return the inputs of a block in the order of its text: name, whether it may be left out, whether it is drawn."""
    found: list[tuple[str, bool, bool]] = []
    for statement in body:
        if isinstance(statement, (ast.In, ast.Draw)):
            draw = isinstance(statement, ast.Draw)
            found += [(d.name, inside or draw or statement.condition is not None, draw) for d in statement.names]
        elif isinstance(statement, ast.If):
            found += wanted(statement.then, True) + wanted(statement.otherwise or (), True)
        elif isinstance(statement, ast.For):
            found += wanted(statement.body, True)
    return found


# ---------------------------------------------------------------------------------------------------------------- files


@cache
def library_file(module: tuple[str, ...]) -> File | None:
    path = LIBRARY.joinpath(*module).with_suffix(".arch")
    return read(Source(f"blocks/{'/'.join(module)}.arch", path.read_text(encoding="utf-8"))) if path.is_file() else None


LIBRARY = Path(archloom.__file__).parent / "blocks"
TREES: dict[str, Any] = {}


def tree_of(raw: Any) -> Any:
    """Return the syntax tree of an item; one text is parsed once."""
    text = raw.span.text
    if raw.fault is not None:
        return None
    if text not in TREES:
        if len(TREES) > 1000:
            TREES.clear()
        TREES[text] = raw.tree
    return TREES[text]


def read(source: Source, known: bool = True) -> File:
    """Read the items of a text; a syntax error makes it wrong.  With `known` an item of the same text may be another file's tree."""
    items: dict[str, Any] = {}
    imports: dict[str, tuple[tuple[str, ...], str, bool]] = {}
    for place, raw in enumerate(parse(source).items):
        tree = tree_of(raw) if known else raw.tree
        need(tree is not None, "a syntax error")
        if isinstance(tree, ast.Import):
            for name in tree.names:
                key = name.alias or name.name
                need(key not in imports and key not in items, f"{key} is defined twice")
                imports[key] = (tree.module, name.name, tree.local)
        elif isinstance(tree, (ast.Block, ast.Model, ast.ModelAlias, ast.Fn, ast.ExternBlock, ast.ExternFn, ast.Definition)):
            need(tree.name not in items and tree.name not in imports, f"{tree.name} is defined twice")
            capital = tree.name[0].isupper()
            need(not (isinstance(tree, (ast.Block, ast.Model, ast.ExternBlock)) and not capital), "a block begins with a capital")
            need(not (isinstance(tree, (ast.Fn, ast.ExternFn)) and capital), "a fn begins with a small letter")
            items[tree.name] = tree
        elif isinstance(tree, ast.Edition):
            need(tree.number == 1 and place == 0, "no such edition, or below other items")
        elif isinstance(tree, ast.Bare):
            need(isinstance(tree.value, ast.String), "an expression does nothing")
    return File(source.name, items, imports)


def imported(file: File) -> None:
    """Require that what a file takes from the library is there."""
    for module, name, local in file.imports.values():
        other = None if local else library_file(module)
        known = other is not None and (name in other.items or name in other.imports or name in primitives())
        need(local or known, f"an import of nothing, {name}")


BOUND: dict[int, tuple[Any, frozenset[str]]] = {}


def _bound_in(item: Any) -> frozenset[str]:
    """Return the names that an item binds; one item, which is known by its identity, is looked through once."""
    known = BOUND.get(id(item))
    if known is None or known[0] is not item:
        if len(BOUND) > 1000:
            BOUND.clear()
        known = BOUND[id(item)] = (item, frozenset(_binds(item)))
    return known[1]


def _binds(item: Any) -> set[str]:
    found: set[str] = set()
    for inner in walk(item):
        if isinstance(inner, (ast.For, ast.Clause)):
            found |= set(inner.names)
        elif isinstance(inner, (ast.Repeat, ast.Binder, ast.Parameter, ast.Loss)):
            found.add(inner.name)
        elif isinstance(inner, ast.TypeRef):
            found |= {n.id for a in inner.arguments or () for n in walk(a) if isinstance(n, ast.Name) and n.id[0].isupper()}
        elif isinstance(inner, ast.Assign):
            found |= {g.name for g in inner.goals}
        elif isinstance(inner, (ast.In, ast.Target, ast.Draw)) or (isinstance(inner, ast.Out) and inner.value is not None):
            found |= {d.name for d in inner.names}
        elif isinstance(inner, (ast.IndexSet, ast.State)):
            found.add(inner.name.name)
    return found


def _words(node: Any) -> set[int]:
    """Return names that stand as words: members, keys, choices, names in selectors, named arguments of a callee that has choices."""
    found: set[int] = set()
    for inner in walk(node):
        for part in _spoken(inner):
            deep = isinstance(part, (ast.List, ast.Tuple, ast.Range, ast.Binary))
            found |= {id(n) for n in walk(part) if isinstance(n, ast.Name)} if deep else {id(part)}
    return found


def _spoken(node: Any) -> Sequence[Any]:
    if isinstance(node, (ast.SetLiteral, ast.Index)):
        return node.items
    if isinstance(node, ast.MapLiteral):
        return [k for k, _ in node.items]
    if isinstance(node, ast.Binary):
        return (node.left, node.right) if node.op in ("==", "!=", "in", "not in") else ()
    if isinstance(node, ast.Call):
        selects = isinstance(node.function, ast.Name) and node.function.id in ("params", "losses")
        return [n for a in node.arguments for n in walk(a)] if selects else [a.value for a in node.arguments if a.name is not None]
    if isinstance(node, (ast.Freeze, ast.Tie, ast.Renamed)) or (isinstance(node, ast.Assert) and node.relation):
        return list(walk(node))
    word = node.initial if isinstance(node, ast.State) else node.distribution if isinstance(node, ast.Draw) else getattr(node, "role", None)
    return [word.function if isinstance(word, ast.Call) else word] if word is not None else []
