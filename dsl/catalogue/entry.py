"""What the catalogue says about one code."""

from __future__ import annotations

from ..record import record


@record
class Entry:
    """One error code: what it is called, what it means, a text that causes it and one that is right.

    `wrong` and `right` are whole specs, or fragments where a whole one would hide the point.  With `python` they are Python that ends in
    a function `subject`, for `archloom audit` to be run on.
    """

    code: str
    title: str
    meaning: str
    wrong: str
    right: str
    python: bool = False
