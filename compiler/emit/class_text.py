"""The text of a class: its head, its `__init__`, its functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...dsl.record import record
from .classes import Draft
from .expressions import plain
from .layout import docstring, signature, written
from .numbers import Numbers, listed
from .reckoning import Table, Value, Values
from .units import Line


@record
class Parameters:
    """The parameters of `__init__` with their defaults (None for none), those that others tell, with how, and what else is reckoned first.

    `free` tells that what others tell may still be given.
    """

    names: Mapping[str, Any]
    derived: Mapping[str, str]
    locals: Mapping[str, str]
    free: bool = False


NESTED = re.compile(r"self\.(\w+)\[[^\[\]]+\](?:\[|\.(?!children\b)\w+\b(?!\())")
"""A member of a family whose own parts are read: what a checker can't follow."""


def class_lines(draft: Draft, name: str, made: Parameters, numbers: Numbers, helper: Callable[[str], str]) -> list[str]:
    """Return the lines of a class."""
    init, functions = draft.text(numbers.show, helper)
    body = draft.instance.bodies[0]
    first, last = body.span.line, body.span.source.position(body.span.end)[0]
    where = body.span.source.name.rpartition("/")[2]
    lines = [f"# {where}, line{f's {first}-{last}' if last > first else f' {first}'}", f"class {name}(nn.Module):"]
    lines += docstring(draft.about(), 4)
    lines += _annotations(draft, functions)
    if init or made.names:
        lines += ["", *signature("__init__", ["self", *_parameters(made, numbers)], "None", 4), "        super().__init__()"]
        lines += written([*_derived(made), *((0, f"{name} = {text}") for name, text in made.locals.items())], 8)
        known = {**made.names, **made.derived, **made.locals}
        lines += [f"        self.{numbers.attribute(name)} = {name}" for name in known if name in numbers.stored]
        lines += written(init, 8)
    for head, inside in draft.methods(functions):
        lines += ["", *head, *written(inside or [(0, "pass")], 8)]
    return lines + draft.extra()


def _derived(parameters: Parameters) -> list[Line]:
    found: list[Line] = []
    for name, term in parameters.derived.items():
        if parameters.free and term.startswith("{"):
            found += [(0, f"if {name} is None:"), (1, f"{name} = {term}")]
        else:
            found.append((0, f"{name} = {term} if {name} is None else {name}" if parameters.free else f"{name} = {term}"))
    return found


def _parameters(parameters: Parameters, numbers: Numbers) -> list[str]:
    found: list[str] = []
    for name, default in parameters.names.items():
        kind = _kind(numbers.columns[name])
        if default is not None:
            found.append(f"{name}: {kind} = {_default(default)}")
        else:
            found.append(f"{name}: {kind} | None = None" if parameters.free else f"{name}: {kind}")
    return found


def _kind(values: Values) -> str:
    maps = [value for value in values if isinstance(value, Table)]
    if maps:
        return f"Mapping[str, {_kind(tuple(item for value in maps for _, item in value))}]"
    lists = [value for value in values if isinstance(value, tuple)]
    if lists:
        return f"Sequence[{_kind(tuple(item for value in lists for item in value))}]"
    return "float" if any(isinstance(value, float) for value in values) else "int"


def _default(value: Value) -> str:
    """Print a default; a list as what nobody can change."""
    if not isinstance(value, tuple):
        return repr(value)
    text = listed(value)
    return f"({text[1:-1]}{',' if len(value) == 1 else ''})" if text.startswith("[") else text


def _annotations(draft: Draft, functions: Sequence[Sequence[Line]]) -> list[str]:
    buffers = [path for path, tensor in draft.instance.tensors.items() if tensor.buffer and "." not in path]
    buffers += ["anchor"] if draft.needs_anchor else []
    nested = dict.fromkeys(word for lines in functions for _, text in lines for word in NESTED.findall(plain(text)))
    found = [*(f"    {name}: Tensor" for name in buffers), *(f"    {word}: Any  # modules in modules" for word in nested)]
    return ["", *found] if found else []
