"""An input that is read, and changes nothing that comes out."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from ...dsl.program import NodeKind
from ..graph import operands
from .view import View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the inputs that no output, loss, state or update depends on, though something reads them."""
    seen: set[str] = set()
    idle = view.names - view.used.inputs
    for root in view.roots if idle else ():
        read = {ref.node for node in root.nodes for _, ref in operands(node)}
        for declared in root.inputs:
            is_new = declared.key in idle and declared.path not in seen
            seen.add(declared.path)
            if is_new and root.nodes[declared.node].kind is NodeKind.INPUT and declared.node in read and not view.is_handed_on(root, declared):
                word = "target" if declared.is_target else "input"
                message = f"the {word} `{declared.key}` is read, but no output and no loss depends on it"
                yield warning("A120", message, declared.span, "use what is made of it, or remove both")
