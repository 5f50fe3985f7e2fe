"""From dotted names to the Python objects that they mean."""

from __future__ import annotations

import keyword
from functools import cache
from importlib import import_module
from typing import Any


@cache
def imported(dotted: str) -> Any:
    """Return the object with a dotted name: the longest importable part, then attributes.

    Raises AttributeError or ModuleNotFoundError if there is none.
    """
    parts = dotted.split(".")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            found: Any = import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                raise
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(f"nothing is called `{dotted}`")


def identifier(name: str) -> str:
    """Return a Python identifier for a flat name.

    >>> identifier("x.understand"), identifier("lambda"), identifier("3.text")
    ('x_understand', 'lambda_', '_3_text')
    """
    plain = "".join(char if char.isalnum() or char == "_" else "_" for char in name)
    if not plain or plain[0].isdigit():
        plain = "_" + plain
    return plain + "_" if keyword.iskeyword(plain) or plain == "self" else plain
