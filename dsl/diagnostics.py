"""Errors as values: a `Diagnostic` says what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from .record import record
from .source import Span


class Severity(Enum):
    """How bad it is: an error stops compilation, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@record
class Label:
    """A further place that explains the diagnostic, with a few words."""

    span: Span
    text: str


@record
class Diagnostic:
    """One finding: a catalogue code, a message that stands alone, a place, and help that says what to change."""

    code: str
    message: str
    span: Span
    labels: tuple[Label, ...] = ()
    help: str | None = None
    severity: Severity = Severity.ERROR


class Failure(Exception):
    """Carries diagnostics out of a Python call that can't return a value; the text shows them all."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(f"{d.span}: {d.severity.value}[{d.code}]: {d.message}" for d in diagnostics))


MOST_NAMES = 300
"""How many names a misspelt one is compared with."""


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate nearest to `word`, or None if none is near.

    >>> closest("hiden", ["hidden", "heads"])
    'hidden'
    """
    from difflib import get_close_matches

    names = sorted(set(candidates))
    if len(names) > MOST_NAMES:  # of very many only those of nearly its length
        names = sorted(sorted(names, key=lambda name: abs(len(name) - len(word)))[:MOST_NAMES])
    found = get_close_matches(word, names, n=3, cutoff=0.65)
    swapped = [name for name in found if sorted(name) == sorted(word)]  # `dmi` is `dim` rather than `min`
    return next(iter(swapped or found), None)


LONG = 80
"""From how many characters on a message shows the ends of a text alone."""


def shortened(text: str) -> str:
    """Return a text as a message shows it: of a long one the beginning and the end.

    >>> shortened("b c " * 100 + "-> b")
    'b c b c b c b c b c b c b c b c b c b c b c b c b c b c b c … b c b c -> b'
    """
    return text if len(text) <= LONG else f"{text[:60].rstrip()} … {text[-12:].lstrip()}"
