"""What only the whole graph shows of a model that is without errors: parameters that nothing trains, inputs that change nothing.

A fact is one file here with a function `find(view)` that yields its diagnostics; it is found by lying here.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from ...dsl.diagnostics import Diagnostic
from ...dsl.program import Program
from ...dsl.source import Span
from .view import View

Fact = Callable[[View], Iterable[Diagnostic]]


@cache
def facts() -> Mapping[str, Fact]:
    """Return every fact by the name of its file."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name != "view")
    modules: dict[str, Any] = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: module.find for name, module in modules.items()}


def findings(program: Program, unread: frozenset[Span] = frozenset()) -> Iterator[Diagnostic]:
    """Yield what is found in one model; `unread` are the places of inputs that are told already to be never read."""
    view = View(program, unread)
    for find in facts().values():
        yield from find(view)
