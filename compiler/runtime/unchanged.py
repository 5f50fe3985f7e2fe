"""What is looked at before each call of a model, written out as one function: a loop over the same takes three times as long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Link = tuple[dict[str, Any], str, Any]
"""A dictionary of a module, a key in it, and what was found there."""


def unchanged(links: Iterable[Link], without: Iterable[Mapping[str, Any]] = ()) -> Callable[[], bool]:
    """Return a function that tells whether each dictionary still holds what was there, and those in `without` no `forward`."""
    scope: dict[str, Any] = {}
    terms = ["True"]
    for number, (held, name, known) in enumerate({(id(held), name): (held, name, known) for held, name, known in links}.values()):
        scope[f"held_{number}"], scope[f"known_{number}"] = held, known
        terms.append(f"held_{number}[{name!r}] is known_{number}")
    for number, held in enumerate({id(held): held for held in without}.values()):
        scope[f"skipped_{number}"] = held
        terms.append(f"'forward' not in skipped_{number}")
    text = f"def asked():\n    try:\n        return {' and '.join(terms)}\n    except KeyError:\n        return False\n"
    exec(compile(text, "<archloom unchanged>", "exec", dont_inherit=True), scope)  # names and numbers of ours, and keys quoted
    return scope["asked"]
