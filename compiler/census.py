"""What a model owns: every parameter, buffer and module by path, counted without expanding anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from math import prod
from typing import Any

from ..dsl.primitive import Initialiser, ParameterSpec
from ..dsl.program import Body, ModuleDecl, ParameterDecl
from ..dsl.record import changed, record
from ..dsl.source import Span
from ..dsl.types import Axis, DType, extent
from .paths import covers, join

Bodies = tuple[Body, ...]
"""The ways in which one module is called."""


@record
class Tensor:
    """A parameter or buffer of the expanded model."""

    path: str
    shape: tuple[int, ...]
    dtype: DType
    buffer: bool
    init: Initialiser | None
    kind: str  # the leaf module's kind, or `Parameter`, `Buffer`
    born: str  # the block that makes it
    task: str | None  # the task whose braces it was made in
    span: Span

    @property
    def size(self) -> int:
        """Return how many numbers it holds."""
        return prod(self.shape)


@record
class Count:
    """Numbers in parameters and in buffers, and how many tensors they are."""

    parameters: int = 0
    buffers: int = 0
    tensors: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.parameters + other.parameters, self.buffers + other.buffers, self.tensors + other.tensors)

    def times(self, factor: int) -> Count:
        """Return this count `factor` times."""
        return Count(self.parameters * factor, self.buffers * factor, self.tensors * factor)


@record
class Owned:
    """What a block instance holds directly, over all the ways in which it is called.

    `own` are its `Parameter`s and `Buffer`s, `tensors` these and those of its leaf modules, by relative path; `declared` are its
    modules in order of birth: `leaves`, and `blocks` with their bodies.
    """

    own: tuple[Tensor, ...]
    tensors: tuple[Tensor, ...]
    declared: Mapping[str, ModuleDecl]
    leaves: Mapping[str, ModuleDecl]
    blocks: Mapping[str, tuple[ModuleDecl, Bodies]]
    ties: tuple[tuple[str, str], ...]


Item = tuple[str, Tensor | Bodies]
"""A tensor or a block instance with its absolute path."""


def distinct(bodies: Iterable[Body | None]) -> Bodies:
    """Return the bodies without repetition (by identity), in order."""
    return tuple({id(body): body for body in bodies if body is not None}.values())


class Census:
    """The expanded ownership of a model, from the bodies of its root."""

    def __init__(self, roots: Bodies) -> None:
        self.roots = roots
        self._known: dict[object, Any] = {}

    def owned(self, bodies: Bodies) -> Owned:
        """Return the tensors and modules that an instance called in these ways holds directly."""
        known, key = self._place("census", bodies)
        if key not in known:
            known[key] = owned(bodies)
        return known[key]

    def _place(self, question: str, bodies: Bodies) -> tuple[dict[object, Any], object]:
        """Return where the answer about an instance is kept: with its body, if it is called in one way, else here."""
        return (bodies[0].found, question) if len(bodies) == 1 else (self._known, (question, *map(id, bodies)))

    # ------------------------------------------------------------------------------------------------- expansion

    def tensors(self, path: str = "") -> Iterator[Tensor]:
        """Yield every parameter and buffer at or below a path, by absolute path, in order of birth.

        Raises KeyError for a path that names nothing.
        """
        for prefix, item in self.items(path):
            if isinstance(item, Tensor):
                yield changed(item, path=prefix)
            else:
                yield from self._expand(prefix, item, None)

    def _expand(self, prefix: str, bodies: Bodies, task: str | None) -> Iterator[Tensor]:
        held = self.owned(bodies)
        for tensor in held.tensors:
            yield changed(tensor, path=join(prefix, tensor.path), task=tensor.task or task)
        for path, (declared, called) in held.blocks.items():
            yield from self._expand(join(prefix, path), called, declared.task or task)

    def modules(self) -> Iterator[tuple[str, ModuleDecl]]:
        """Yield every module of the expanded model by absolute path, a block before what it holds."""
        stack: list[tuple[str, Bodies]] = [("", self.roots)]
        while stack:
            prefix, bodies = stack.pop()
            held = self.owned(bodies)
            yield from ((join(prefix, path), declared) for path, declared in held.leaves.items())
            yield from ((join(prefix, path), declared) for path, (declared, _) in held.blocks.items())
            stack.extend((join(prefix, path), called) for path, (_, called) in reversed(list(held.blocks.items())))

    @cached_property
    def ties(self) -> tuple[tuple[str, str], ...]:
        """Every `tie` by absolute paths, the one that stays first."""
        return tuple(self._ties("", self.roots))

    @cached_property
    def tie_groups(self) -> tuple[tuple[str, ...], ...]:
        """Paths that are one parameter, the one that stays first."""
        group: dict[str, list[str]] = {}
        for first, second in self.ties:
            kept, gone = group.setdefault(first, [first]), group.setdefault(second, [second])
            if kept is not gone:
                kept.extend(gone)
                group.update((path, kept) for path in gone)
        return tuple(map(tuple, {id(paths): paths for paths in group.values()}.values()))

    def _ties(self, prefix: str, bodies: Bodies) -> Iterator[tuple[str, str]]:
        if self._has_ties(bodies):
            held = self.owned(bodies)
            for path, (_, called) in held.blocks.items():
                yield from self._ties(join(prefix, path), called)
            yield from ((join(prefix, first), join(prefix, second)) for first, second in held.ties)

    def _has_ties(self, bodies: Bodies) -> bool:
        known, key = self._place("has ties", bodies)
        if key not in known:
            held = self.owned(bodies)
            known[key] = bool(held.ties) or any(self._has_ties(called) for _, called in held.blocks.values())
        return known[key]

    # -------------------------------------------------------------------------------------------------- counting

    def items(self, path: str = "") -> tuple[Item, ...]:
        """Return what a path names: a block instance, or the tensors and instances of a leaf module or a family.

        Raises KeyError for a path that names nothing.
        """
        prefix, bodies, rest = "", self.roots, path
        while rest:
            held = self.owned(bodies)
            below = next((name for name in held.blocks if covers(name, rest)), None)
            if below is None:
                found = [item for item in self.inside(prefix, bodies) if covers(path, item[0])]
                if not found and rest not in held.leaves:
                    raise KeyError(path)
                return tuple(found)
            prefix, bodies, rest = join(prefix, below), held.blocks[below][1], rest[len(below) + 1 :]
        return ((path, bodies),)

    def inside(self, prefix: str, bodies: Bodies) -> Iterator[Item]:
        """Yield the tensors and block instances right in an instance at `prefix`, those of its leaf modules with them."""
        held = self.owned(bodies)
        yield from ((join(prefix, tensor.path), tensor) for tensor in held.tensors)
        yield from ((join(prefix, name), called) for name, (_, called) in held.blocks.items())

    def count(self, *paths: str) -> Count:
        """Count what lies at or below the paths (everything, without one), tied parameters once.

        Raises KeyError for a path that names nothing.
        """
        asked = tuple(dict.fromkeys(paths)) or ("",)
        kept = [path for path in asked if not any(covers(other, path) and other != path for other in asked)]
        total = sum((self._count_at(path) for path in kept), Count())
        for group in self.tie_groups:
            inside = sum(any(covers(path, member) for path in kept) for member in group)
            if inside > 1:
                total = total + self._count_at(group[0]).times(1 - inside)
        return total

    def children(self, path: str = "") -> dict[str, Count]:
        """Count by the tensors, leaf modules and block instances right below a path, by absolute path."""
        found = self.items(path)
        if len(found) == 1 and not isinstance(found[0][1], Tensor) and found[0][0] == path:
            bodies = found[0][1]
            leaves = [join(path, leaf) for leaf in self.owned(bodies).leaves]
            found = tuple(self.inside(path, bodies))
        else:
            leaves = list[str]()
        counts: dict[str, Count] = {}
        for name, item in found:
            leaf = next((leaf for leaf in leaves if covers(leaf, name)), name)
            counts[leaf] = counts.get(leaf, Count()) + self._count(item)
        return counts

    def _count_at(self, path: str) -> Count:
        return sum((self._count(item) for _, item in self.items(path)), Count())

    def _count(self, item: Tensor | Bodies) -> Count:
        if isinstance(item, Tensor):
            return Count(0, item.size, 1) if item.buffer else Count(item.size, 0, 1)
        known, key = self._place("count", item)
        if key not in known:
            known[key] = sum((self._count(inner) for _, inner in self.inside("", item)), Count())
        return known[key]


def owned(bodies: Bodies) -> Owned:
    """Return what an instance with these bodies holds directly."""
    tensors: dict[str, Tensor] = {}
    declared_: dict[str, ModuleDecl] = {}
    leaves: dict[str, ModuleDecl] = {}
    blocks: dict[str, tuple[ModuleDecl, list[Body]]] = {}
    for body in bodies:
        for own in body.parameters.values():
            tensors.setdefault(own.path, _own_tensor(own, body.name))
        for path, declared in body.modules.items():
            declared_.setdefault(path, declared)
            if is_block(declared):
                blocks.setdefault(path, (declared, []))[1].extend(declared.bodies)
            elif path not in leaves:
                leaves[path] = declared
                tensors.update((f"{path}.{spec.name}", _leaf_tensor(spec, declared, body.name)) for spec in leaf_specs(declared))
    return Owned(
        tuple(tensor for tensor in tensors.values() if tensor.kind in ("Parameter", "Buffer")),
        tuple(tensors.values()),
        declared_,
        leaves,
        {path: (declared, distinct(called)) for path, (declared, called) in blocks.items()},
        tuple(dict.fromkeys((first, second) for body in bodies for first, second, _ in body.ties)),
    )


def is_block(declared: ModuleDecl) -> bool:
    """Tell a block instance from a leaf or extern module."""
    return declared.primitive is None and declared.extern is None


def leaf_specs(declared: ModuleDecl) -> tuple[ParameterSpec, ...]:
    """Return the tensors of a leaf module; those of an extern one are known to its class alone."""
    return declared.primitive.parameters(declared.arguments) if declared.primitive is not None else ()


def _own_tensor(own: ParameterDecl, born: str) -> Tensor:
    kind = "Buffer" if own.buffer else "Parameter"
    return Tensor(own.path, sizes(own.shape), own.dtype, own.buffer, own.init, kind, born, None, own.span)


def _leaf_tensor(spec: ParameterSpec, leaf: ModuleDecl, born: str) -> Tensor:
    path = f"{leaf.path}.{spec.name}"
    return Tensor(path, sizes(spec.shape), spec.dtype, spec.buffer, spec.init, leaf.kind, born, leaf.task, leaf.span)


def sizes(shape: tuple[Axis, ...]) -> tuple[int, ...]:
    """Return a static shape as numbers; what the language lets a parameter be."""
    numbers = tuple(extent(axis) for axis in shape)
    if not all(isinstance(number, int) for number in numbers):
        raise TypeError(f"the shape {numbers} isn't static")
    return tuple(int(number) for number in numbers if isinstance(number, int))
