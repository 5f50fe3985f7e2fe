"""Selectors from their syntax: names, members and ranges are evaluated in the frame where the selector stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from .. import ast
from ..program import Body, NodeKind
from ..selection import Tree, select
from ..selectors import Anchor, Between, Deep, Either, Every, Exactly, Except, Item, Miss, OfKind, Part, Path, Selector, Variable, Word
from ..source import Span
from ..types import SetAxis
from . import statics
from .below import ties
from .context import Problem, fail
from .expressions import evaluate, evaluate_whole, lookup
from .scope import Frame
from .values import Family, IndexSet, MemberOf, Module, ModuleChain, Tensor, Value, describe, is_list

SELECTION = "A510"
"""The code of a selector that matches nothing."""


MOST_PATHS = 10_000
"""How many paths the braces of one selector may stand for."""


def selector(node: ast.Expr, frame: Frame, variables: bool = False) -> Selector:
    """Return the selector that an expression is; in a weights map unbound names in brackets are index variables.

    Raises Problem for an expression that is no selector.
    """
    if isinstance(node, ast.Name) and node.id == "all" and frame.owner("all") is None:
        return Path((), node.span)
    if isinstance(node, ast.Binary) and node.op == "except":
        return Except(selector(node.left, frame, variables), selector(node.right, frame, variables), node.span)
    if isinstance(node, ast.OfKind):
        inner = node.selector
        if isinstance(inner, ast.Binary) and inner.op == "except" and not inner.span.text.startswith("("):  # the kind goes with what stands nearer
            right = ast.OfKind(inner.right.span.to(node.span), inner.right, node.kinds)
            return Except(selector(inner.left, frame, variables), selector(right, frame, variables), node.span)
        return OfKind(selector(node.selector, frame, variables), tuple((kind.id, kind.span) for kind in node.kinds), node.span)
    if isinstance(node, ast.SetLiteral) and node.items:
        return Either(tuple(selector(item, frame, variables) for item in node.items), node.span)
    paths = tuple(Path(parts, node.span) for parts in _paths(node, frame, variables))
    return paths[0] if len(paths) == 1 else Either(paths, node.span)


def _paths(node: ast.Expr, frame: Frame, variables: bool) -> list[tuple[Part, ...]]:
    """Return the parts of a path; alternatives that are paths themselves make several."""
    if isinstance(node, ast.Name):
        return [(_first(node, node, frame),)]
    if isinstance(node, ast.AnyPath):
        return [(Deep(node.span),)]
    if isinstance(node, ast.Whole):
        return [(Word(None, node.span),)]
    if isinstance(node, ast.SetLiteral) and node.items:
        return [path for item in node.items for path in _paths(item, frame, variables)]
    if isinstance(node, ast.Attribute):
        return _joined(_paths(node.object, frame, variables), _tails(node, frame, variables), node)
    if isinstance(node, ast.Index):
        if isinstance(node.object, ast.Name):
            first = _first(node.object, node, frame)
            if isinstance(first, Anchor):
                return [(first,)]
        items = tuple(_item(item, frame, variables) for item in node.items)
        return [_indexed(path, items, node) for path in _paths(node.object, frame, variables)]
    fail("A525", f"`{node.span.text}` is no selector", node.span, _meant(node))


def _meant(node: ast.Expr) -> str:
    """Say what to write for an expression that is no selector."""
    if isinstance(node, ast.String):
        return f"a path stands without quotes: `{node.value}`"
    if isinstance(node, ast.Binary) and node.op == "-":
        return f"what is left out stands after `except`: `{node.left.span.text} except {node.right.span.text}`"
    return "a selector is a path, such as `lm.fork[generate]`, `layers[*].attn.{q, v}` or `**.norm`"


def _joined(heads: Sequence[tuple[Part, ...]], tails: Sequence[tuple[Part, ...]], node: ast.Attribute) -> list[tuple[Part, ...]]:
    """Return each head with each tail: braces behind braces multiply."""
    if len(heads) * len(tails) > MOST_PATHS:
        fail("A815", f"`{node.span.text}` stands for more than {MOST_PATHS:,} paths", node.span, "select with `*` or `**` instead of braces")
    return [(*head, *tail) for head in heads for tail in tails]


def _tails(node: ast.Attribute, frame: Frame, variables: bool) -> list[tuple[Part, ...]]:
    part = node.part
    if isinstance(part, str):
        return [(Word(part, node.part_span),)]
    if isinstance(part, ast.Whole):
        return [(Word(None, node.part_span),)]
    if isinstance(part, ast.AnyPath):
        return [(Deep(node.part_span),)]
    return [tail for item in part.items for tail in _inner(item, frame, variables)]


def _inner(node: ast.Expr, frame: Frame, variables: bool) -> list[tuple[Part, ...]]:
    """Return the parts of an alternative inside a path: its first name is no name of the frame."""
    if isinstance(node, ast.Name):
        return [(Word(node.id, node.span),)]
    if isinstance(node, ast.Index):
        items = tuple(_item(item, frame, variables) for item in node.items)
        return [_indexed(path, items, node) for path in _inner(node.object, frame, variables)]
    if isinstance(node, ast.Attribute):
        return _joined(_inner(node.object, frame, variables), _tails(node, frame, variables), node)
    return _paths(node, frame, variables)


def _indexed(path: tuple[Part, ...], items: tuple[Item, ...], node: ast.Index) -> tuple[Part, ...]:
    last = path[-1]
    if isinstance(last, Word):
        return (*path[:-1], Word(last.name, last.span, (*last.items, *items)))
    if isinstance(last, Deep):
        for item in items:
            if isinstance(item, Variable):
                fail("A525", f"`{item.name}` can't be bound by `**`", item.span, f"name the part that it indexes, such as `**.norm[{item.name}]`")
        return (*path[:-1], Deep(node.span, (*last.items, *items)))
    fail("A525", f"`{node.span.text}` has too many indices", node.span, "a member is already chosen")


# ------------------------------------------------------------------------------------------------- the first name


def _first(name: ast.Name, whole: ast.Expr, frame: Frame) -> Part:
    """Return the part of a path's first name: a word, or the paths of the modules that the name stands for in this frame.

    Inside a loop a bare name is this step's member; a name bound to a module that bears another name stands for that module, and a loop's
    variable for the task of that name.
    """
    bound = frame.find(name.id)
    if isinstance(bound, MemberOf) and isinstance(bound.key, str) and not isinstance(whole, ast.Index):
        return Word(bound.key, name.span)
    declared = _paths_of(bound, frame)
    if declared is None:
        return Word(name.id, name.span)
    plain = all(own == name.id for own, _ in declared)
    if plain and (isinstance(bound, Family) or all(path == name.id for _, path in declared)):
        return Word(name.id, name.span)
    if isinstance(whole, ast.Index):
        declared = _paths_of(evaluate_whole(whole, frame), frame) or ()
    return Anchor(tuple(path for _, path in declared), whole.span if isinstance(whole, ast.Index) else name.span)


def _paths_of(value: Value, frame: Frame) -> tuple[tuple[str, str], ...] | None:
    """Return the name and path of each module or parameter that a value is; None for another value."""
    body = frame.builder.body
    if isinstance(value, (Module, ModuleChain)):
        declared = body.modules.get(value.path)
        return ((declared.name if declared is not None else value.path.split(".")[0], value.path),)
    if isinstance(value, Tensor):
        node = body.nodes[value.ref.node]
        own = body.parameters.get(node.target) if node.kind is NodeKind.PARAMETER else None
        return None if own is None else ((own.name, own.path),)
    if isinstance(value, Family):
        found = [_paths_of(member, frame) for member in value.members.values()]
        if found and all(f is not None for f in found):
            return tuple(pair for f in found if f is not None for pair in f)
    return None


# ----------------------------------------------------------------------------------------------------- index items


def _item(node: ast.Expr, frame: Frame, variables: bool) -> Item:
    if isinstance(node, ast.Whole) or (isinstance(node, ast.Range) and node.start is None and node.stop is None):
        return Every(node.span)
    if isinstance(node, ast.Range):
        fixed = isinstance(node.start, ast.Number) and isinstance(node.stop, ast.Number)
        return Between(_edge(node.start, frame), _edge(node.stop, frame), node.inclusive, node.span, fixed)
    if isinstance(node, (ast.Slice, ast.Ellipsis)) or (isinstance(node, ast.Constant) and node.value is None):
        fail("A525", f"`{node.span.text}` slices tensors, and a selector takes whole parameters", node.span, "cut a family by member: `layers[2..4]`")
    if isinstance(node, ast.Name):
        return _name_item(node, frame, variables)
    return _exactly(evaluate(node, frame), node.span, None)


def _name_item(node: ast.Name, frame: Frame, variables: bool) -> Item:
    try:
        value = lookup(node, frame)
    except Problem:
        return Variable(node.id, node.span) if variables else Exactly((node.id,), node.span, node.id)
    if isinstance(value, bool) or not (statics.is_static(value) and value is not None):
        return Variable(node.id, node.span) if variables else Exactly((node.id,), node.span, node.id)
    if isinstance(value, MemberOf) and frame.owner(node.id) is not None:
        return _exactly(value, node.span, None)  # a loop's variable means its member, whatever the members are called
    return _exactly(value, node.span, node.id)


def _exactly(value: Value, span: Span, literal: str | None) -> Exactly:
    if isinstance(value, MemberOf):
        return Exactly((value.key,), span, literal, SetAxis(value.set.name, value.set.declared))
    if isinstance(value, IndexSet):
        return Exactly(value.members, span, literal, SetAxis(value.name, value.declared))
    values = statics.elements(value, span) if is_list(value) else [value]
    for one in values:
        if not isinstance(one, (int, str, float, tuple, MemberOf)) or isinstance(one, bool):
            fail("A525", f"`{span.text}` is {describe(one)}, no member of a family", span, "an index is a member, a range of members or an index set")
    return Exactly(tuple(one.key if isinstance(one, MemberOf) else one for one in values), span, literal)


def _edge(node: ast.Expr | None, frame: Frame) -> object | None:
    if node is None:
        return None
    if isinstance(node, ast.Name):
        item = _name_item(node, frame, variables=False)
        assert isinstance(item, Exactly)
        return item.values[0] if len(item.values) == 1 else item.literal
    found = _exactly(evaluate(node, frame), node.span, None)
    return found.values[0]


# ---------------------------------------------------------------------------------------------------- what is owned


def owned_tree(frame: Frame) -> Tree:
    """Return the tree of what the body at hand owns; made once, when the body is whole."""
    body = frame.builder.body
    return tree_of(frame, body)


def tree_of(frame: Frame, *bodies: Body) -> Tree:
    """Return the tree of what some bodies of one model own together, in one context made once."""
    context = frame.builder.context
    key = tuple(map(id, bodies))
    found = context.trees.get(key)
    if found is None:
        inspector = context.inspector
        assert inspector is not None
        tree = Tree(inspector.holding(*bodies), tasks=frame.builder.tasks, bodies=bodies)
        for first, second in dict.fromkeys(pair for body in bodies for pair in ties(body)):
            tree.unite(first, second)
        found = context.trees[key] = (bodies, tree)
    return found[1]


def selected(node: ast.Expr, frame: Frame, tree: Tree, code: str = SELECTION) -> frozenset[int]:
    """Return the entries that a selector matches, none where all it names is absent with these arguments; raises Problem for what is nowhere."""
    frame.builder.context.step(node.span, len(tree))
    found = select(selector(node, frame), tree)
    if isinstance(found, Miss):
        fail_miss(found, code)
    return found


def fail_miss(miss: Miss, code: str = SELECTION) -> NoReturn:
    """Report why a selector matches nothing."""
    fail(code, miss.message, miss.span, miss.help)


__all__ = ["SELECTION", "Frame", "fail_miss", "owned_tree", "selected", "selector", "tree_of"]
