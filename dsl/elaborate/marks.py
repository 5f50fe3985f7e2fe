"""What a body says of its own parameters: `freeze`, `tie`, and `params(...)`."""

from __future__ import annotations

from typing import Any

from .. import ast
from ..inspector import Owned
from ..program import Freeze
from ..selection import Tree
from .context import Poisoned, Problem, fail
from .scope import Frame
from .selecting import owned_tree, selected
from .statements import FINISHERS
from .tied import frozen_inside, one_sided


def _resolve(frame: Frame, item: Any) -> None:
    """Put what the body freezes and ties into it, now that it is whole."""
    builder = frame.builder
    marks, builder.selected = builder.selected, [mark for mark in builder.selected if mark[0] == "renamed"]
    if builder.poisoned:
        return
    for word, statement, inner in sorted(marks, key=lambda mark: mark[0] != "tie"):  # what is tied is frozen together
        try:
            if word == "freeze":
                _freeze(statement, inner)
            elif word == "tie":
                _tie(statement, inner)
            elif not builder.model:
                fail("A631", "`renamed` stands in a model, not in a block", statement.span, "write the paths as the model's state dict has them")
        except Problem as problem:
            builder.context.report(problem.diagnostic)
            builder.poisoned = True
        except Poisoned:
            builder.poisoned = True
    frozen = [(node, inner) for word, statement, inner in marks if word == "freeze" for node in statement.selectors]
    if (frozen or builder.body.ties) and not builder.poisoned:
        tree = owned_tree(frame)
        for diagnostic in (*one_sided("freeze", "freezes", frozen, tree), *frozen_inside(builder.body, tree)):
            builder.context.report(diagnostic)


def _freeze(statement: ast.Freeze, frame: Frame) -> None:
    tree = owned_tree(frame)
    for node in statement.selectors:
        found = selected(node, frame, tree)
        frame.builder.body.frozen.extend(Freeze(path, node.span) for path in tree.covers(found))


def _tie(statement: ast.Tie, frame: Frame) -> None:
    tree = owned_tree(frame)
    first, second = (_one(node, frame, tree) for node in (statement.first, statement.second))
    if first.path == second.path:
        fail("A630", f"`{first.path}` is tied to itself", statement.span, "name two parameters")
    if first.shape != second.shape:
        message = f"`{first.path}` has the shape {list(first.shape)}, `{second.path}` {list(second.shape)}: they can't be one parameter"
        fail("A630", message, statement.span, "tied parameters have the same shape")
    frame.builder.body.ties.append((first.path, second.path, statement.span))
    tree.unite(first.path, second.path)


def _one(node: ast.Expr, frame: Frame, tree: Tree) -> Owned:
    found = [tree.entries[n] for n in sorted(selected(node, frame, tree))]
    if len(found) != 1:
        paths = ", ".join(f"`{own.path}`" for own in found[:4])
        help = f"tie them one by one: {paths}" if found else "it isn't made with these arguments: tie it under the condition that makes it"
        fail("A630", f"`{node.span.text}` is {len(found)} tensors, not one", node.span, help)
    if found[0].buffer:
        fail("A630", f"`{found[0].path}` is a buffer", node.span, "only parameters can be tied")
    return found[0]


# ----------------------------------------------------------------------------------------------------------- counts


def count_parameters(selectors: list[ast.Expr], frame: Frame) -> int:
    """Count the numbers in the parameters that the selectors match (all, without any), tied ones once; buffers are none.

    Raises Problem for a selector that matches nothing.
    """
    tree = owned_tree(frame)
    if not selectors and not tree.ties:
        return sum(tree.holding.sizes)
    found = frozenset[int]().union(*(selected(node, frame, tree) for node in selectors)) if selectors else tree.everything
    return tree.size(found)


FINISHERS.append(_resolve)
