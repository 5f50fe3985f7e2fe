"""All error codes, by hundred: `archloom explain CODE` prints their entries.  Nothing else imports this package."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from .entry import Entry

__all__ = ["HUNDREDS", "Entry", "catalogue"]

HUNDREDS: Final = ("syntax", "names", "statics", "types", "families", "training", "weights", "contracts", "files", "reserved")
"""The modules, A0xx to A9xx, each with a tuple `ENTRIES`."""


def catalogue() -> dict[str, Entry]:
    """Return the entries of all codes, in order.  Raises ValueError for a code given twice or in another hundred's module."""
    entries: dict[str, Entry] = {}
    for hundred, name in enumerate(HUNDREDS):
        listed: tuple[Entry, ...] = import_module(f".{name}", __name__).ENTRIES
        for entry in listed:
            if entry.code in entries:
                raise ValueError(f"{entry.code} is in the catalogue twice")
            if not (len(entry.code) == 4 and entry.code[1:].isdigit() and entry.code.startswith(f"A{hundred}")):
                raise ValueError(f"{entry.code} doesn't belong in {name}.py")
            entries[entry.code] = entry
    return dict(sorted(entries.items()))
