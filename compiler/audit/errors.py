"""Why an audit can't be made, as diagnostics."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.source import Source, Span


def place(name: str) -> Span:
    """Return the span of something that has a name and no text."""
    return Span(Source(name, ""), 0, 0)


def failure(code: str, message: str, help: str | None = None, where: str = "audit") -> Failure:
    """Return the error to raise."""
    return Failure((Diagnostic(code, message, place(where), help=help),))


@contextmanager
def foreign(code: str, what: str) -> Generator[None]:
    """Turn whatever the caller's own code raises into a Failure that names its line; `what` says what was being done."""
    try:
        yield
    except Failure:
        raise
    except Exception as error:
        raise failure(code, f"{what} failed: {said(error)}", _line(error)) from error


def said(error: BaseException) -> str:
    """Return an exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _line(error: BaseException) -> str | None:
    """Return the innermost line that isn't of torch or of archloom, where the person who reads this can look."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((_TORCH, _OURS)) and not frame.filename.startswith("<")]
    return f"it happened in {own[-1].filename}:{own[-1].lineno}: {own[-1].line or own[-1].name}" if own else None


_OURS = str(Path(__file__).parents[1])
_TORCH = str(Path(torch.__file__).parent)
