"""What a misspelt name was to be: only names that fit where it stands are suggested, a size for a size, a block where something is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from numbers import Number
from typing import Final

from .. import ast
from ..diagnostics import closest
from ..dims import Dim
from ..primitive import Kind
from .aside import aside
from .context import Poisoned, Problem
from .expressions import evaluate, evaluate_whole, undefined, visible
from .scope import Frame
from .values import Chain, EnumValue, Family, Function, IndexSet, MemberOf, Module, ModuleChain, Record, Template, Tensor, Unborn, Value, is_list

CALLED: Final = frozenset({"called"})
SIZE: Final = frozenset({"size"})
SET: Final = frozenset({"set"})
MOST_TRIED: Final = 4
"""How many near names are tried in an expression."""

VALUE: Final = frozenset({"value", "size"})

KINDS: Final = {
    Kind.INT: SIZE, Kind.FLOAT: SIZE, Kind.DIM: SIZE, Kind.BOOL: SIZE, Kind.AXES: SIZE, Kind.SET: SET, Kind.TENSOR: VALUE,
}  # fmt: skip
"""What may stand as an argument of a primitive."""

DECLARED: Final = {"int": SIZE, "float": SIZE, "bool": SIZE, "index": SET, "list": SET, "set": SET, "map": SET, "block": CALLED, "fn": CALLED}
"""What may stand as an argument of a block, by the type of its parameter."""


def refitted(problem: Problem, node: ast.Expr, frame: Frame, wanted: frozenset[str] | None) -> Problem:
    """Return the problem of a name that stands for nothing with a suggestion that fits where `node` stands; others as they are."""
    found = problem.diagnostic
    if wanted is None or found.code != "A102":
        return problem
    name = next((operand for operand in operands(node) if operand.span == found.span), None)
    if name is None:
        return problem
    message, span, help = undefined(name, lambda: [known for known in visible(frame) if sort(known, frame) in (None, *wanted)], frame)
    return Problem(replace(found, message=message, span=span, help=help))


def equated(problem: Problem, node: ast.Call, taken: frozenset[str]) -> Problem:
    """Return the problem of `f(x, dim == 1)`, where `dim` stands for nothing and is an argument, with what to write; others as they are."""
    found = problem.diagnostic
    for value in (argument.value for argument in node.arguments if argument.name is None and found.code == "A102"):
        if isinstance(value, ast.Binary) and value.op == "==" and isinstance(value.left, ast.Name) and value.left.span == found.span:
            name = value.left.id
            help = f"`==` compares, and an argument is given by `=`: write `{name} = {value.right.span.text}`"
            return Problem(replace(found, help=help)) if name in taken else problem
    return problem


def of_operand(problem: Problem, statement: ast.Statement, frame: Frame) -> Problem:
    """Return the problem of a misspelt operand with a suggestion that the other operands go with; others as they are."""
    node, found = getattr(statement, "value", None), problem.diagnostic
    if found.code != "A102" or not isinstance(node, (ast.Binary, ast.Unary)):
        return problem
    name = next((operand for operand in operands(node) if operand.span == found.span), None)
    if name is None:
        return problem
    known = {known for known in visible(frame) if sort(known, frame) in (None, *VALUE, *SET)}
    for _ in range(MOST_TRIED):
        near = closest(name.id, known)
        if near is None or goes(near, name, node, frame):
            break
        known.discard(near)
    message, span, help = undefined(name, lambda: known, frame)
    return Problem(replace(found, message=message, span=span, help=help))


def goes(near: str, name: ast.Name, node: ast.Expr, frame: Frame) -> bool:
    """Tell whether an expression of names, numbers and operators has a type with one name in place of another."""
    home = frame.owner(near)
    if home is None or not is_plain(node):
        return True
    inner = frame.child("comprehension")
    inner.names[name.id] = home.names[near]
    try:
        with aside(frame):
            evaluate(node, inner)
    except (Problem, OverflowError, RecursionError):
        return False
    except Poisoned:
        pass
    return True


def is_plain(node: ast.Expr) -> bool:
    if isinstance(node, ast.Binary):
        return is_plain(node.left) and is_plain(node.right)
    return is_plain(node.operand) if isinstance(node, ast.Unary) else isinstance(node, (ast.Name, ast.Number))


def looped(node: ast.Expr, frame: Frame) -> Value:
    """Return what a loop runs over."""
    try:
        return evaluate_whole(node, frame)
    except Problem as problem:
        raise refitted(problem, node, frame, SIZE if isinstance(node, ast.Range) else SET) from None


def operands(node: ast.Expr) -> Iterator[ast.Name]:
    """Yield the names whose values an expression is computed from by signs and operators alone."""
    if isinstance(node, ast.Name):
        yield node
    elif isinstance(node, ast.Unary):
        yield from operands(node.operand)
    elif isinstance(node, ast.Binary):
        yield from operands(node.left)
        yield from operands(node.right)
    elif isinstance(node, ast.Range):
        for end in (node.start, node.stop):
            yield from operands(end) if end is not None else ()


def sort(name: str, frame: Frame) -> str | None:
    """Return what a known name is good for; None where only its evaluation would tell."""
    walk: Frame | None = frame
    while walk is not None:  # not `find`, which counts as reading the name
        if name in walk.names:
            return sort_of(walk.names[name])
        walk = walk.parent
    item = frame.file.items.get(name)
    if item is not None and item.word == "definition":
        return None
    return "called"


def sort_of(value: Value) -> str | None:
    if isinstance(value, Family):
        return next((sort_of(member) for member in value.members.values()), None)
    if isinstance(value, (Tensor, Record)):
        return "value"
    if isinstance(value, (Number, Dim, MemberOf)):
        return "size"
    if isinstance(value, (IndexSet, dict)) or is_list(value):
        return "set"
    if isinstance(value, (Template, Unborn, Chain, Module, ModuleChain, Function)):
        return "called"
    return "word" if isinstance(value, (EnumValue, str)) else None
