"""A value that is trained, given to an argument that torch can't differentiate by."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from ...dsl.program import Body, Node, Operand
from ..graph import operand_refs
from .view import View


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the losses whose weights get a gradient: running them fails."""
    for body in view.graph.bodies:
        for node in body.nodes:
            for name in _fixed(node):
                if _is_trained(view, body, node.inputs.get(name)):
                    message = f"`{node.target}` can't be differentiated by its `{name}`, which is computed from parameters"
                    help = f"write `{name} = detach(...)`, or compute the loss with `reduce = none` and multiply it"
                    yield Diagnostic("A327", message, node.span, (), help)


def _fixed(node: Node) -> list[str]:
    return [a.name for a in node.primitive.arguments if a.fixed] if node.primitive is not None else []


def _is_trained(view: View, body: Body, operand: Operand) -> bool:
    """Tell whether parameters that move give a value of a body a gradient, its caller's too."""
    refs = frozenset(operand_refs(operand))
    if not refs:
        return False
    origins = view.gradient.of(body, refs)
    if any(_moves(view, path) for path in origins.paths()):
        return True
    callers = ((caller, node) for caller in view.graph.bodies for node in caller.nodes if node.body is body) if origins.inputs else ()
    return any(_is_trained(view, caller, node.inputs.get(name)) for caller, node in callers for name in origins.inputs)


def _moves(view: View, path: str) -> bool:
    """Tell whether every tensor that a path of some body may be is a parameter that is not frozen for good."""
    found = [t.path for t in view.parameters if t.path == path or t.path.endswith(f".{path}")]
    return bool(found) and not any(map(view.is_still, found))
