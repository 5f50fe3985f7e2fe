"""All error codes, by what they are about: `archloom explain CODE` prints their entries.  Nothing else imports this package."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from .entry import Entry

__all__ = ["MODULES", "Entry", "catalogue"]

MODULES: Final = {
    "syntax": range(100),
    "names": range(100, 200),
    "statics": range(200, 300),
    "types": range(300, 400),
    "families": range(400, 500),
    "training": range(500, 550),
    "steps": range(550, 600),
    "weights": range(600, 700),
    "contracts": range(700, 800),
    "files": range(800, 900),
    "reserved": range(900, 1000),
}
"""The modules, each with a tuple `ENTRIES`, and the numbers of their codes."""


def catalogue() -> dict[str, Entry]:
    """Return the entries of all codes, in order.  Raises ValueError for a code given twice or in another module than its own."""
    entries: dict[str, Entry] = {}
    for name, numbers in MODULES.items():
        listed: tuple[Entry, ...] = import_module(f".{name}", __name__).ENTRIES
        for entry in listed:
            if entry.code in entries:
                raise ValueError(f"{entry.code} is in the catalogue twice")
            if not (len(entry.code) == 4 and entry.code[1:].isdigit() and int(entry.code[1:]) in numbers):
                raise ValueError(f"{entry.code} doesn't belong in {name}.py")
            entries[entry.code] = entry
    return dict(sorted(entries.items()))
