"""Calls that make modules and fill tensors, without what is the default."""

from __future__ import annotations

import inspect
from typing import Any

from ...blocks.initialisers import filling
from ...dsl.primitive import Initialiser
from ..lower.names import imported
from .expressions import Expressions
from .steps import Access, Hole, Real, Text


def made(target: str, arguments: dict[str, Any], expressions: Expressions) -> str:
    """Return a call of a class: what it needs by position, the rest by name where it isn't the default."""
    known = inspect.signature(imported(target)).parameters
    needed = [name for name, parameter in known.items() if parameter.default is inspect.Parameter.empty and name in arguments]
    first = [name for name in list(known)[: len(needed)] if name in needed] if list(known)[: len(needed)] == needed else []
    if not needed and len(arguments) == 1 and next(iter(known)) in arguments:
        first = list(arguments)
    rest = {name: value for name, value in arguments.items() if name not in first and not _default(known.get(name), value, expressions)}
    return expressions.function(target) + expressions.arguments([arguments[name] for name in first], rest)


def fill(access: Access, initialiser: Initialiser, expressions: Expressions) -> str:
    """Return the call that gives a tensor its first values."""
    target, keywords = filling(initialiser)
    known = inspect.signature(imported(target)).parameters
    rest = {name: value for name, value in keywords.items() if not _default(known.get(name), value, expressions)}
    alone = len(known) == 2 and len(rest) == 1  # nn.init.constant_(tensor, value)
    return expressions.function(target) + expressions.arguments([access, *(rest.values() if alone else ())], {} if alone else rest)


def _default(parameter: inspect.Parameter | None, value: Any, expressions: Expressions) -> bool:
    """Tell whether a value is what is taken when nothing is said, and the text doesn't name it either."""
    if parameter is None or isinstance(value, Text):
        return False
    default = parameter.default
    if isinstance(value, (Hole, Real)):
        number = repr(int(value) if isinstance(value, int) else float(value))
        return not isinstance(default, bool) and default == value and expressions.value(value) == number
    if isinstance(value, (list, tuple)) or isinstance(default, bool) != isinstance(value, bool):
        return False
    return default is not inspect.Parameter.empty and (value is default or type(value) is type(default) and value == default)
