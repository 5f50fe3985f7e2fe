"""Bodies of library blocks, kept by the process from one check to the next.

What a body is depends on its block, the arguments, the types of its inputs and the mode alone; the library's blocks stay the same while a
process lives.  A body that was elaborated without a word is taken as it is by later checks, together with those in it, as if each were
elaborated there: its steps are counted, the files that it comes from are opened, and what would be refused there is elaborated, and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from .. import ast
from ..primitive import Initialiser
from ..program import Body
from ..source import Source
from .context import Context
from .values import EnumValue, Function, IndexSet, MemberOf, Module, Template, Unborn, Value, is_list, is_map

Key = tuple[object, ...]

MOST = 512
"""So many bodies are kept; then all are forgotten."""


@dataclass(slots=True, eq=False)
class Elaborated:
    """A body with the values that its `out`s have, as its own tensors; `failed` ones are not called again."""

    item: ast.Item
    body: Body
    outs: dict[str, Value]
    failed: bool = False
    borrowed: Mapping[str, list[Body]] = field(default_factory=dict[str, list[Body]])  # how its module arguments are called in it
    quiet: bool = False  # nothing was said of it
    steps: int = 0  # that it took to elaborate, and the operations in it, without the blocks that it calls
    nodes: int = 0
    inner: dict[Key, Elaborated] = field(default_factory=dict[Key, "Elaborated"])  # the blocks that it calls
    sources: dict[str, Source] = field(default_factory=dict[str, Source])  # the library files that names in it led to, in order


@dataclass(slots=True, eq=False)
class _Kept:
    """What is kept of a block; a key names parts of the template and the arguments by their identity, so they live with it."""

    found: Elaborated
    template: Template
    arguments: Mapping[str, Value]


_kept: dict[Key, _Kept] = {}


def keep(key: Key, found: Elaborated, module: Module) -> None:
    """Keep a body in which only the library has a part."""
    if found.quiet and not found.failed and _is_library(module.template) and all(map(_is_library, module.arguments.values())):
        if len(_kept) >= MOST:
            _kept.clear()
        _kept[key] = _Kept(found, module.template, module.arguments)


def recall(key: Key, context: Context) -> Elaborated | None:
    """Return a body that an earlier check elaborated, and take it over into this one with those in it."""
    kept = _kept.get(key)
    if kept is None:
        return None
    found = kept.found
    taken: dict[Key, Elaborated] = {}
    _gather(key, found, context, taken)
    steps, nodes = sum(f.steps for f in taken.values()), sum(f.nodes for f in taken.values())
    limits = context.limits
    spent = context.spent
    if spent.steps + steps > limits.steps or spent.nodes + nodes > limits.operations or len(context.stack) > limits.blocks // 2:
        return None
    if not {id(f.item) for f in taken.values()}.isdisjoint(id(item) for _, item in context.active):
        return None  # a block in itself
    for source in found.sources.values():
        context.files.open(source, local=False)
    spent.steps += steps
    spent.nodes += nodes
    context.memo |= taken
    return found


def _gather(key: Key, found: Elaborated, context: Context, taken: dict[Key, Elaborated]) -> None:
    """List a body, and those in it that this check does not know yet."""
    if key not in taken and key not in context.memo:
        taken[key] = found
        for inner_key, inner in found.inner.items():
            _gather(inner_key, inner, context, taken)


def _is_library(value: Value) -> bool:
    """Say whether a value is the same in every check: nothing of a user's file is in it, nor of one body."""
    if value is None or isinstance(value, (bool, int, float, str, Fraction, EnumValue, IndexSet, MemberOf)):
        return True
    if is_list(value):
        return all(map(_is_library, value))
    if is_map(value):
        return all(map(_is_library, value.values()))
    if isinstance(value, (Template, Function)):
        return (value.file is None or not value.file.local) and all(map(_is_library, value.given.values()))
    if isinstance(value, Unborn):
        return _is_library(value.template) and all(map(_is_library, value.arguments.values()))
    return isinstance(value, Initialiser) and all(map(_is_library, value.arguments.values()))
