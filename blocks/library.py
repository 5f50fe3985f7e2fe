"""The library that the elaborator is given: primitives, initialisers and the `.arch` files of this package."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from ..dsl.primitive import Argument
from ..dsl.source import Source
from ..dsl.types import DType
from .initialisers import INITIALISERS, MOST
from .registry import Entry, primitives

SUFFIX = ".arch"
BEGINS = re.compile(r"^(?:(?:block|fn) (?=\w)|(?=\w+ = ))(\w+)", re.MULTILINE)
"""How a block, a function or another name for one begins in a file."""


class StandardLibrary:
    """Implements the `Library` protocol over `blocks/`."""

    def primitive(self, name: str) -> Entry | None:
        """Return a primitive by name, or None."""
        return primitives().get(name)

    def primitive_names(self) -> Sequence[str]:
        """Return the names of all primitives, sorted."""
        return tuple(primitives())

    def initialisers(self) -> Mapping[str, tuple[Argument, ...]]:
        """Return the arguments of every initialiser by name."""
        return _initialisers()

    def unfit(self, initialiser: str, shape: Sequence[object], dtype: DType) -> str | None:
        """Say why an initialiser can't fill such a tensor; None where it can."""
        row = INITIALISERS[initialiser]
        least, most = row.ranks
        if row.floats and not dtype.is_float:
            return f"`{initialiser}` fills floats, not `{dtype}`"
        if not least <= len(shape) <= most:
            wanted = str(least) if least == most else f"{least} or more" if most == MOST else f"{least} to {most}"
            return f"`{initialiser}` fills a tensor of {wanted} dimensions, not one of {len(shape)}"
        return None

    def load(self, module: tuple[str, ...]) -> Source | None:
        """Return the text of a library file, or None: `("norm",)` is `blocks/norm.arch`."""
        return _load(module)

    def modules(self) -> Sequence[str]:
        """Return the dotted names of all library files, sorted."""
        return _modules()

    def offers(self, name: str) -> Sequence[str]:
        """Return the dotted names of the blocks and functions of library files that are called so, by file."""
        return _offered().get(name, ())


@cache
def _initialisers() -> Mapping[str, tuple[Argument, ...]]:
    return {name: row.arguments for name, row in INITIALISERS.items()}


def _root() -> Traversable:
    return files(__package__ or "archloom.blocks")


@cache
def _modules() -> tuple[str, ...]:
    return tuple(sorted(_walk(_root(), "")))


@cache
def _offered() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for module in _modules():
        source = _load(tuple(module.split(".")))
        for name in BEGINS.findall(source.text) if source is not None else ():
            found[name] = (*found.get(name, ()), f"{module}.{name}")
    return found


def _walk(folder: Traversable, prefix: str) -> Iterator[str]:
    for item in folder.iterdir():
        if item.name.endswith(SUFFIX):
            yield prefix + item.name.removesuffix(SUFFIX)
        elif item.is_dir() and not item.name.startswith(("_", ".")):
            yield from _walk(item, f"{prefix}{item.name}.")


@cache
def _load(module: tuple[str, ...]) -> Source | None:
    if not module or not all(part.isidentifier() for part in module):
        return None
    *folders, name = module
    place = _root().joinpath(*folders, name + SUFFIX)
    if not place.is_file():
        return None
    return Source("/".join(("blocks", *folders, name + SUFFIX)), place.read_text(encoding="utf-8"))
