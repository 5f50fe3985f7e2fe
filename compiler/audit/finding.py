"""One finding of an audit, and the words that findings share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from ...dsl.diagnostics import Diagnostic, Severity
from ...dsl.record import record
from .errors import place
from .inventory import Inventory

SHOWN = 4


@record
class Finding:
    """What is wrong, as a diagnostic whose place is a path in the model, and the paths of all that it is about."""

    diagnostic: Diagnostic
    paths: tuple[str, ...]

    @property
    def code(self) -> str:
        """The code of its kind, which `archloom explain` explains."""
        return self.diagnostic.code

    @property
    def message(self) -> str:
        """What is wrong, in a sentence."""
        return self.diagnostic.message


Fact = Callable[[Any], Iterator[Finding]]
"""Takes an `Observed`."""


def warning(code: str, message: str, where: str, paths: tuple[str, ...], help: str) -> Finding:
    """Return a finding that may be meant."""
    return Finding(Diagnostic(code, message, place(where or "model"), (), help, Severity.WARNING), paths)


def error(code: str, message: str, where: str, paths: tuple[str, ...], help: str) -> Finding:
    """Return a finding that can't be meant."""
    return Finding(Diagnostic(code, message, place(where or "model"), (), help), paths)


def listed(names: Collection[str]) -> str:
    """Return names in quotes, not too many of them."""
    given = list(names)
    shown = ", ".join(f"`{name}`" for name in given[:SHOWN])
    return shown if len(given) <= SHOWN else f"{shown} and {len(given) - SHOWN} more"


def plural(number: int, noun: str) -> str:
    """Return `1 buffer`, `2 buffers`."""
    return f"{number:,} {noun}" + ("s" if number != 1 else "")


def amount(inventory: Inventory, paths: Collection[str]) -> str:
    """Return how much parameters are, with their names where there are few and they are tied."""
    tied = [path for path in paths if path in inventory.aliases]
    also = f"; {inventory.names(tied[0])}" if tied else ""
    return f"{plural(len(paths), 'tensor')}, {plural(inventory.size(paths), 'number')}{also}"
