"""What the catalogue says about one code."""

from __future__ import annotations

from ..record import record


@record
class Entry:
    """One error code: what it is called, what it means, a text that causes it and one that is right.

    `wrong` and `right` are whole specs, or fragments where a whole one would hide the point.
    """

    code: str
    title: str
    meaning: str
    wrong: str
    right: str
