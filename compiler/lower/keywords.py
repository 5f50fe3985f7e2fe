"""Code for modules whose names are Python's own words: `head.global` is read by `getattr(self.head, "global")`."""

from __future__ import annotations

import keyword
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import fx
from torch.fx.graph import CodeGen, PythonCode

MARK = "!"
"""Added to a word while code is generated: what is no identifier is read by `getattr`."""


class KeywordSafe(CodeGen):
    """Generates code as usual, but for paths that hold Python's own words."""

    def _gen_python_code(self, nodes: Any, *args: Any, **kwargs: Any) -> PythonCode:
        plain: Any = super()
        changed = {node: str(node.target) for node in nodes if has_keyword(node)}
        try:
            for node, target in changed.items():
                node.target = ".".join(word + MARK if keyword.iskeyword(word) else word for word in target.split("."))
            code: PythonCode = plain._gen_python_code(nodes, *args, **kwargs)
        finally:
            for node, target in changed.items():
                node.target = target
        words = {word for target in changed.values() for word in target.split(".") if keyword.iskeyword(word)}
        source = code.src
        for word in words:
            source = source.replace(f'"{word}{MARK}"', f'"{word}"')
        return replace(code, src=source)


def has_keyword(node: fx.Node) -> bool:
    """Tell whether a node reads a path with one of Python's own words in it."""
    return node.op in ("call_module", "get_attr") and any(keyword.iskeyword(word) for word in str(node.target).split("."))


def guard(graph: fx.Graph, nodes: Iterable[fx.Node]) -> None:
    """Give a graph the code generator that it needs."""
    if any(has_keyword(node) for node in nodes):
        graph.set_codegen(KeywordSafe())
