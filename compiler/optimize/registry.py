"""Which passes there are, and how one is asked for by text: `batch_families(least = 3)`."""

from __future__ import annotations

import ast
import pkgutil
import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from functools import cache
from importlib import import_module
from typing import Any, cast, get_args, get_type_hints

from ...dsl.diagnostics import closest
from .interface import Pass

_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", re.DOTALL)


@cache
def passes() -> Mapping[str, type[Pass]]:
    """Return every pass by name; raises TypeError for a file that doesn't hold exactly one."""
    package = import_module("archloom.compiler.passes")
    found: dict[str, type[Pass]] = {}
    for name in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        module = import_module(f"{package.__name__}.{name}")
        own = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Pass) and v.__module__ == module.__name__]
        if len(own) != 1:
            raise TypeError(f"`compiler/passes/{name}.py` holds {len(own)} passes: it is to hold one")
        found[name] = own[0]
    return found


def make(text: str) -> Pass:
    """Return the pass that a text names, with its options: `cse` or `batch_families(least = 3)`.

    Raises ValueError, with a suggestion, for a pass or an option that there isn't, and for a value of the wrong type.
    """
    match = _CALL.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` names no pass: write `name` or `name(option = value)`")
    name, options = match[1], match[2]
    class_ = passes().get(name)
    if class_ is None:
        near = closest(name, passes())
        raise ValueError(f"there is no pass `{name}`{f', did you mean `{near}`' if near else ''}: there are {', '.join(passes())}")
    return class_(**_options(class_, options or ""))


def _options(class_: type[Pass], text: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        given = {word.arg or "**": ast.literal_eval(word.value) for word in call.keywords} if isinstance(call, ast.Call) and not call.args else None
    except (SyntaxError, ValueError):
        given = None
    if given is None:
        raise ValueError(f"`{text}` isn't a list of options: write `option = value`, separated by commas")
    known = {f.name: f for f in fields(class_)}
    for name, value in given.items():
        _check(class_, known, name, value)
    return given


def _check(class_: type[Pass], known: Mapping[str, Field[Any]], name: str, value: Any) -> None:
    if name not in known:
        near = closest(name, known)
        have = ", ".join(known) or "none"
        raise ValueError(f"the pass `{class_.name()}` has no option `{name}`{f', did you mean `{near}`' if near else ''}: it has {have}")
    default = known[name].default
    if not _fits(value, get_type_hints(class_)[name]):
        raise ValueError(f"`{name}` of the pass `{class_.name()}` is {known[name].type}, not `{value!r}`")
    if isinstance(value, (int, float)) and isinstance(default, (int, float)) and value < 0 <= default:
        raise ValueError(f"`{name}` of the pass `{class_.name()}` is no negative number, as `{value!r}` is")


def _fits(value: object, wanted: Any) -> bool:
    """Tell whether a value is of a type: a plain one, or a tuple of such; a whole number is a float, too."""
    inner = get_args(wanted)
    if not inner:
        return type(value) is wanted or (wanted is float and type(value) is int)
    if not isinstance(value, tuple):
        return False
    values = cast("tuple[object, ...]", value)
    types = (inner[0],) * len(values) if inner[-1] is Ellipsis else inner
    return len(values) == len(types) and all(map(_fits, values, types))


def split(text: str) -> Sequence[str]:
    """Split a list of passes at the commas outside parentheses.

    >>> split("cse, batch_families(least = 3, most = 8)")
    ['cse', 'batch_families(least = 3, most = 8)']
    """
    found, depth, start = list[str](), 0, 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            found.append(text[start:place].strip())
            start = place + 1
    return [*found, text[start:].strip()]
