"""From a source to its formatted text."""

from __future__ import annotations

from ..diagnostics import Diagnostic
from ..findings import Findings
from ..limits import DEFAULT, Limits
from ..parser import parse
from ..source import Source
from .layout import layout
from .tree import build


def format_source(source: Source, limits: Limits = DEFAULT) -> str | tuple[Diagnostic, ...]:
    """Return the text laid out anew, with the same meaning and the same comments, or what keeps it from being parsed.

    One statement a line, two spaces for each body, at most `WIDTH` columns (only comments and strings may be longer), at most one
    blank line in a row.  A body of one statement stays on the line of its header if it was written there and fits.
    """
    parsed, errors = parse(source, limits), Findings(limits)
    if parsed.fault:
        return (parsed.fault,)
    for item in parsed.items:
        for diagnostic in (*item.diagnostics, *item.idle):
            errors.add(diagnostic)
        if errors.full:
            break
    return tuple(errors.all) or format_text(source.text)


def format_text(text: str) -> str:
    """Return a text that parses, laid out anew."""
    lines = layout(build(text))
    return "\n".join(lines) + "\n" if lines else ""
