"""Habits from PyTorch that parse, found on the syntax tree: `nn.Linear(8, 8)`, `self.fc`, `x.view(2, 3)`, `x.shape[0]`, `None`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .. import ast
from ..diagnostics import Diagnostic

SUSPECT: Final = re.compile(
    r"\b(?:nn|self|F|torch|np|numpy|None|True|False|super|print|isinstance)\b|\.\s*(?:shape|ndim|device|dtype)\b|\.\s*[a-z]\w*\s*\("
)
"""Items without any of this are not walked."""

CONSTANTS: Final = {"None": "none", "True": "true", "False": "false"}
MODULES: Final = frozenset(("nn", "F", "torch", "np", "numpy"))
FACTS: Final = {
    "shape": "name the dimensions where the value is declared, `in x: float[B, S, dim]`, and write `S`",
    "ndim": "the rank is known: it is what the declared type says",
    "device": "leave it out: the caller says where a model runs",
    "dtype": "leave it out: the declared type says it",
}
METHODS: Final = {
    "view": 'write `rearrange(x, "b (h d) -> b h d", h = heads)` or `reshape(x, [B, S, d])`',
    "reshape": "write `reshape(x, [B, S, d])`",
    "size": "name the dimensions where the value is declared, `in x: float[B, S, dim]`, and write `S`",
    "permute": 'write `rearrange(x, "b s d -> b d s")`',
    "transpose": "write `transpose(x, 1, 2)`",
    "unsqueeze": "write `x[:, none]`",
    "squeeze": "write `x[:, 0]`",
    "forward": "call the module: `layer(x)`",
    "contiguous": "leave it out: layout is the compiler's",
    "cuda": "leave it out: the caller says where a model runs",
    "to": "leave it out: the caller says where a model runs",
    "item": "a value stays a tensor",
    "append": "a name bound in a loop is a family afterwards: `h[i]`, `h[*]`",
}
FUNCTIONS: Final = frozenset((
    "abs", "argmax", "bmm", "bool", "chunk", "clamp", "clone", "cumsum", "detach", "exp", "expand", "flatten", "float", "gather", "int", "log",
    "log_softmax", "long", "masked_fill", "matmul", "max", "mean", "min", "norm", "pow", "relu", "repeat", "sigmoid", "softmax", "split", "sqrt",
    "std", "sum", "tanh", "topk", "tril", "triu", "type_as", "var",
))  # fmt: skip
"""Methods of a tensor that are functions here."""


def pythonisms(item: ast.Item) -> list[Diagnostic]:
    """Return an error for each habit from PyTorch in an item, with its spelling here."""
    if not SUSPECT.search(item.span.text):
        return []
    return [found for node in walk(item) if (found := judge(node))]


def walk(root: ast.Node) -> Iterator[ast.Node]:
    """Yield a node and all below it, parents first; nothing below a node that was found wrong would say more."""
    waiting: list[object] = [root]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, tuple):
            waiting.extend(reversed(thing))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        elif isinstance(thing, ast.Node):
            yield thing
            if not (isinstance(thing, ast.Call | ast.Attribute) and judge(thing)):
                waiting.extend(getattr(thing, field) for field in reversed(thing.__dataclass_fields__))


def judge(node: ast.Node) -> Diagnostic | None:
    """Return what is wrong with one node."""
    if isinstance(node, ast.Name) and node.id in CONSTANTS:
        return Diagnostic("A025", f"`{node.id}` is written in lower case", node.span, help=f"write `{CONSTANTS[node.id]}`")
    if isinstance(node, ast.Call):
        return method(node)
    if isinstance(node, ast.Attribute):
        return member(node)
    return None


def method(node: ast.Call) -> Diagnostic | None:
    """Judge `x.view(2, 3)`: operations are functions."""
    called = node.function
    if not isinstance(called, ast.Attribute) or not isinstance(called.part, str):
        return None
    if isinstance(called.object, ast.Name) and (called.object.id in MODULES or called.object.id == "self"):
        return None
    owner = called.object.span.text
    if called.part in METHODS:
        return Diagnostic("A026", f"`{owner}.{called.part}(...)` is a method of PyTorch", node.span, help=METHODS[called.part])
    if called.part in FUNCTIONS:
        help = f"write `{called.part}({owner}{', ...' if node.arguments else ''})`"
        return Diagnostic("A026", f"`{owner}.{called.part}(...)` is a method of PyTorch", node.span, help=help)
    return None


def member(node: ast.Attribute) -> Diagnostic | None:
    """Judge `nn.Linear`, `F.relu`, `self.fc` and `x.shape`."""
    if not isinstance(node.part, str):
        return None
    written = node.span.text
    root = node.object.id if isinstance(node.object, ast.Name) else ""
    if root == "self":
        return Diagnostic("A022", f"`{written}`: there is no `self`", node.span, help=f"write `{node.part}`: names of a block are known in all of it")
    if root in MODULES:
        code = "A021" if root == "nn" else "A028"
        help = f"write `{node.part}`: layers and operations are always there"
        return Diagnostic(code, f"`{written}`: there are no Python modules", node.span, help=help)
    if node.part in FACTS:
        return Diagnostic("A027", f"`{written}`: a value has no `.{node.part}`", node.span, help=FACTS[node.part])
    return None
