"""Bounds that keep a text from taking the machine; each is named, with its value, by the error that it causes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from .diagnostics import Diagnostic, closest
from .record import record
from .source import Span


@record
class Limits:
    """What one text may take; `docs/language.md` says the same as a table.

    Counts are of the whole check of a file: all its models, presets, modes, entries and stages together.
    """

    bytes: int = 1 << 20  # of one file
    nesting: int = 200  # brackets within brackets
    depth: int = 250  # expressions and statements within each other
    imports: int = 200  # files
    blocks: int = 100  # blocks within blocks, definitions and model aliases made of each other
    members: int = 100_000  # of one index set, elements of one comprehension
    values: int = 1_000_000  # in one static value
    operations: int = 500_000
    modules: int = 200_000  # modules and parameters of one model, each instance counted
    steps: int = 1_500_000  # of elaboration, some 20 us each: statements, comprehension steps, operations, parts of long values
    errors: int = 1000


DEFAULT = Limits()

NAMES = tuple(field.name for field in fields(Limits))


def exceeded(name: str, message: str, span: Span, help: str, code: str = "A815") -> Diagnostic:
    """Return the error for a limit that is hit; the message names its value, the help how to raise it."""
    return Diagnostic(code, message, span, help=f"{help}; `--limit {name}=N` allows more")


def limits_of(given: Mapping[str, int] | Limits | None) -> Limits:
    """Return the limits with some replaced, or those that are given whole; raises ValueError for a name or number that is none."""
    if isinstance(given, Limits):
        return given
    given = given or {}
    for name, value in given.items():
        if name not in NAMES:
            near = closest(name, NAMES)
            raise ValueError(f"there is no limit `{name}`" + (f"; did you mean `{near}`?" if near else f": the limits are {', '.join(NAMES)}"))
        if value < 1:
            raise ValueError(f"the limit `{name}` is a whole number of at least 1, not {value}")
    return Limits(**given)
