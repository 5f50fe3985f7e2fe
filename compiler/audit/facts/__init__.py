"""Facts about a model in training, one in each module: `find` takes what was observed and yields findings.

A new fact is a new module here, an entry in the catalogue, and a planted defect in `tests/audit/defects.py`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ..finding import Fact


def facts() -> dict[str, Fact]:
    """Return every fact by the name of its module."""
    names = sorted(module.name for module in iter_modules(__path__))
    return {name: import_module(f".{name}", __name__).find for name in names}
