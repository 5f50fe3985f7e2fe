"""Dotted paths of modules and parameters, and how a body names the modules that it was handed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

HANDED = "@"
"""The mark of a module argument: `@router.gate` is below the module that came in as `router`."""


def join(prefix: str, path: str) -> str:
    """Return `path` below `prefix`; either may be empty.

    >>> join("trunk.0", "attn")
    'trunk.0.attn'
    """
    return f"{prefix}.{path}" if prefix and path else prefix or path


def covers(path: str, other: str) -> bool:
    """Tell whether `other` is `path` or lies below it."""
    return not path or other == path or other.startswith(path + ".")


def is_handed(target: str) -> bool:
    """Tell whether a node's target is a module argument or lies below one."""
    return target.startswith(HANDED)


def resolve(target: str, modules: Mapping[str, str]) -> str:
    """Turn a handed target into a path of the body that made the module; `modules` maps the names of module arguments.

    >>> resolve("@layer.3.attn", {"layer": "block"})
    'block.3.attn'
    """
    parts = target.removeprefix(HANDED).split(".")
    for length in range(len(parts), 0, -1):
        found = modules.get(".".join(parts[:length]))
        if found is not None:
            return join(found, ".".join(parts[length:]))
    raise KeyError(f"no module was handed in for `{target}`")


def tops(paths: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Return for each path the highest one at or above it that has none of the others at or below it.

    >>> tops(["a.b.weight", "a.b.bias", "c.weight"], ["a.d.weight"])
    {'a.b.weight': 'a.b', 'a.b.bias': 'a.b', 'c.weight': 'c'}
    """
    above = {other[:at] for other in others for at, letter in enumerate(other) if letter == "."}
    found: dict[str, str] = {}
    for path in paths:
        ends = (at for at, letter in enumerate(f"{path}.") if letter == ".")
        found[path] = next(path[:at] for at in ends if path[:at] not in above)
    return found
