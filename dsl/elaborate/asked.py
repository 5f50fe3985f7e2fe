"""Selectors that a caller gives as text, outside of any file: they name what a finished model owns."""

from __future__ import annotations

from ..diagnostics import Diagnostic
from ..parser import parse_expression
from ..selection import Tree, select
from ..selectors import Miss
from ..source import Source
from .builder import Builder
from .context import Context, Problem
from .files import Files, Library
from .scope import Frame
from .selecting import SELECTION, selector


def asked(name: str, text: str, tree: Tree, library: Library) -> frozenset[int] | Diagnostic:
    """Return the entries of a tree that a selector matches; a diagnostic for one that matches nothing or is none.  `name` says where it stands."""
    source = Source(name, text)
    node, problems = parse_expression(source)
    if node is None:
        return problems[0]
    files = Files(library, lambda source, module: None)
    frame = Frame("block", Builder(Context(library, files), name, node.span), files.open(Source(name, "arch 1\n")))
    try:
        found = select(selector(node, frame), tree)
    except Problem as problem:
        return problem.diagnostic
    return Diagnostic(SELECTION, found.message, found.span, help=found.help) if isinstance(found, Miss) else found
