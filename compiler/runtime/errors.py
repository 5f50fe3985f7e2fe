"""What a compiled model raises, and how an error inside it finds its line of the text."""

from __future__ import annotations

from types import TracebackType

import torch

from ..lower.code import Place, place_of

LOCATED = (RuntimeError, IndexError, ValueError, TypeError, AssertionError)
"""What fails inside a model, of which the line of the text is told."""


class InputError(ValueError):
    """The inputs of a call don't fit their declarations; nothing was computed."""


class ModelError(RuntimeError):
    """An operation inside the model failed; the message names the line of the text."""

    def __init__(self, place: Place, error: BaseException) -> None:
        self.place = place
        line = place.stack_trace.rstrip("\n").rpartition("\n")[2].strip()
        super().__init__(f"{place.span}: in `{place.block}`: `{line}` failed: {error}")


def located(error: Exception) -> Exception:
    """Return what to raise for an error of a call: one that names the line of the text, or itself with a note, or as it is."""
    place = innermost(error.__traceback__)
    if place is None or isinstance(error, (ModelError, InputError)):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        error.add_note(f"{place.span}: in `{place.block}`")
        return error
    return ModelError(place, error)


def innermost(traceback: TracebackType | None) -> Place | None:
    """Return the place of the innermost generated line that a traceback went through."""
    found: Place | None = None
    while traceback is not None:
        place = place_of(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        found = place or found
        traceback = traceback.tb_next
    return found
