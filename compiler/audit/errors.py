"""Why an audit can't be made, as diagnostics."""

from __future__ import annotations

import sysconfig
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
    """Turn whatever the caller's own code raises, its exit too, into a Failure that names its line; `what` says what was being done."""
    try:
        yield
    except (Failure, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise failure(code, f"{what} failed: {said(error)}", _line(error)) from error


@contextmanager
def own_code() -> Generator[None]:
    """Turn what code of the caller's raises where none of it is expected, such as a method of a module that was overridden, into a Failure."""
    try:
        yield
    except (Failure, KeyboardInterrupt):
        raise
    except BaseException as error:
        line = _line(error)
        if isinstance(error, RecursionError):
            raise failure("A561", "what is given nests too deep, or holds itself", "give plain lists and mappings of tensors") from None
        if isinstance(error, NotImplementedError) and line is None:
            what = str(error).partition("\n")[0]
            raise failure("A562", f"PyTorch can't do what an audit needs: {what[:300]}", "give dense tensors of plain types") from error
        if line is None:
            raise
        raise failure("A562", f"the code of the model failed: {said(error)}", line) from error


def said(error: BaseException) -> str:
    """Return an exception on one line; one may fail to say what it is."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - its own text may be made in any way
        text = ""
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _line(error: BaseException) -> str | None:
    """Return the innermost line that isn't of torch or of archloom, where the person who reads this can look."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_known(frame.filename)]
    return f"it happened in {own[-1].filename}:{own[-1].lineno}: {own[-1].line or own[-1].name}" if own else None


def _is_known(file: str) -> bool:
    return file.startswith((_TORCH, _OURS, "<")) or (file.startswith(_PYTHON) and "site-packages" not in file)


_PYTHON = sysconfig.get_paths()["stdlib"]
_OURS = str(Path(__file__).parents[1])
_TORCH = str(Path(torch.__file__).parent)
