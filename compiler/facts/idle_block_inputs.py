"""An input of a block that is read, and changes nothing that the block gives."""

from __future__ import annotations

from collections.abc import Iterator

from ...dsl.diagnostics import Diagnostic
from .view import View, warning


def find(view: View) -> Iterator[Diagnostic]:
    """Yield the inputs that a block of the model's own file reads, and that nothing which it gives depends on in any of its calls."""
    for body, declared in view.idle_inside.values():
        if declared.span not in view.unread and not view.is_handed_on(body, declared):
            message = f"the input `{declared.name}` is read, but nothing that `{body.name}` gives depends on it"
            yield warning("A120", message, declared.span, "use what is made of it, or remove both")
