"""What a compiled model raises, and how an error inside it finds its line of the text."""

from __future__ import annotations

from types import TracebackType

from ..lower.code import Place, place_of


class InputError(ValueError):
    """The inputs of a call don't fit their declarations; nothing was computed."""


class ModelError(RuntimeError):
    """An operation inside the model failed; the message names the line of the text."""

    def __init__(self, place: Place, error: BaseException) -> None:
        self.place = place
        line = place.stack_trace.rstrip("\n").rpartition("\n")[2].strip()
        super().__init__(f"{place.span}: in `{place.block}`: `{line}` failed: {error}")


def innermost(traceback: TracebackType | None) -> Place | None:
    """Return the place of the innermost generated line that a traceback went through."""
    found: Place | None = None
    while traceback is not None:
        place = place_of(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        found = place or found
        traceback = traceback.tb_next
    return found
