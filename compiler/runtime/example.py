"""Valid inputs and targets for a model: sizes that meet its conditions, values in their ranges, from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...dsl.diagnostics import closest
from ...dsl.dims import Dim, Symbol
from ...dsl.program import Body, Condition, InputDecl, Ref
from ...dsl.types import DType, TensorType, extent
from ..bounds import is_index, uses_below
from ..lower.builder import TORCH_DTYPES
from .border import holds, value_range
from .outputs import nested

SIZES = (*range(2, 11), 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 1024, 1)
MOST_STEPS = 200_000


def find_sizes(declared: Sequence[InputDecl], conditions: Sequence[Condition], given: Mapping[str, int], first: int = 0) -> dict[Symbol, int]:
    """Return a size for each symbol of the inputs that meets every condition; the `given` ones by name are kept.

    The sizes to try first are the smallest ones, or those from place `first` of SIZES.

    Raises ValueError for an unknown name, a given size that breaks a condition, and where no sizes are found.
    """
    symbols = {s: None for d in declared for axis in d.type.shape if isinstance(axis, Dim) for s in axis.symbols()}
    names = {symbol.name: symbol for symbol in symbols}
    for name in given:
        if name not in names:
            near = closest(name, names)
            raise ValueError(f"no input has a size `{name}`{f', did you mean `{near}`' if near else ''}: the sizes are {_listed(names)}")
    whole = [Condition("==", axis, axis, d.span, "") for d in declared for axis in d.type.shape if isinstance(axis, Dim) and axis.symbol is None]
    search = _Search([c for c in conditions if _symbols(c) <= symbols.keys()], whole)
    for place, symbol in enumerate(symbols):
        search.choices[symbol] = (given[symbol.name],) if symbol.name in given else _choices(symbol, first + min(place, 6))
    found = search.run({})
    if found is None:
        shown = "; ".join(c.text for c in search.conditions)
        raise ValueError(f"no sizes were found that meet {shown}: give them by name, example_inputs({', '.join(f'{n}=...' for n in names)})")
    return found


def _choices(symbol: Symbol, start: int) -> tuple[int, ...]:
    """Order the sizes to try, starting elsewhere for each symbol so that equal sizes hide no mistake."""
    return tuple(size for size in (*SIZES[start:], *SIZES[:start]) if size >= symbol.least)


class _Search:
    """Depth-first search over the symbols, checking each condition as soon as its symbols have sizes."""

    def __init__(self, conditions: Sequence[Condition], whole: Sequence[Condition]) -> None:
        self.conditions = conditions
        self.choices: dict[Symbol, tuple[int, ...]] = {}
        self._checks = [(frozenset(_symbols(c)), c) for c in (*conditions, *whole)]
        self._steps = 0

    def run(self, sizes: dict[Symbol, int]) -> dict[Symbol, int] | None:
        if len(sizes) == len(self.choices):
            return sizes
        symbol = next(s for s in self.choices if s not in sizes)
        for size in self.choices[symbol]:
            self._steps += 1
            if self._steps > MOST_STEPS:
                return None
            tried = {**sizes, symbol: size}
            if all(_met(c, tried) for needs, c in self._checks if symbol in needs and needs <= tried.keys()):
                found = self.run(tried)
                if found is not None:
                    return found
        return None


def _met(condition: Condition, sizes: Mapping[Symbol, int]) -> bool:
    """Tell whether a condition holds and its sides are whole numbers, at least 0."""
    sides = [side.value(sizes) if isinstance(side, Dim) else side for side in (condition.left, condition.right)]
    return all(isinstance(side, int) for side in sides) and holds(condition, sizes) and (condition.reason != "" or min(sides) >= 0)


def _symbols(condition: Condition) -> set[Symbol]:
    return {s for side in (condition.left, condition.right) if isinstance(side, Dim) for s in side.symbols()}


class Examples:
    """Makes values for the inputs of one body."""

    def __init__(self, body: Body, sizes: Mapping[Symbol, int], dtype: torch.dtype, device: torch.device, generator: torch.Generator) -> None:
        self.body = body
        self.sizes = sizes
        self.dtype = dtype
        self.device = device
        self.generator = generator

    def value(self, declared: InputDecl) -> Tensor:
        """Return one valid value."""
        shape = tuple(self._size(axis) for axis in map(extent, declared.type.shape))
        dtype = TORCH_DTYPES.get(declared.type.dtype, self.dtype)
        if self.device.type == "meta":
            return torch.empty(shape, dtype=dtype, device=self.device)
        return self._filled(declared, shape, dtype).to(self.device)

    def _filled(self, declared: InputDecl, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        whole = self._whole(declared)
        if whole is not None:
            low, high = whole
            return torch.randint(low, max(high, low + 1), shape, generator=self.generator, dtype=dtype)
        if declared.type.dtype is DType.BOOL:
            return torch.ones(shape, dtype=dtype)
        if declared.role is not None and declared.role.name == "picture":
            pixels = torch.rand(shape, generator=self.generator)
            mean, std = (self._channels(declared, name, default) for name, default in (("mean", 0.0), ("std", 1.0)))
            return ((pixels - mean) / std).to(dtype)
        bounds = value_range(declared)
        if bounds is not None:
            low, high = (self._size(edge) for edge in bounds)
            return (torch.rand(shape, generator=self.generator) * (high - low) + low).to(dtype)
        return torch.randn(shape, generator=self.generator).to(dtype)

    def _channels(self, declared: InputDecl, name: str, default: float) -> Tensor:
        value = torch.tensor(declared.role.arguments.get(name, default), dtype=torch.float32)
        return value.reshape(-1, 1, 1) if value.dim() else value

    def _whole(self, declared: InputDecl) -> tuple[int, int] | None:
        """Return the range of an input of whole numbers, or of floats that are read as such; None for another."""
        bounds, index = value_range(declared), is_index(declared.type)
        if bounds is not None:
            return (self._size(bounds[0]), self._size(bounds[1])) if index else None
        found = [self._size(bound) for bound in self._uses(declared)]
        return (0, min(found, default=2)) if index or found else None

    def _uses(self, declared: InputDecl) -> Iterator[int | Dim]:
        for bound in uses_below(self.body, Ref(declared.node)):
            if isinstance(bound, int) or all(symbol in self.sizes for symbol in bound.symbols()):
                yield bound

    def _size(self, size: int | Dim) -> int:
        return int(size.value(self.sizes)) if isinstance(size, Dim) else size


def example_inputs(
    body: Body,
    declared: Sequence[InputDecl],
    anchor: Tensor | None,
    seed: int,
    dims: Mapping[str, int],
    training: Body | None = None,
    states: bool = False,
) -> dict[str, Any]:
    """Return valid inputs by name for a body's declared inputs, on the device and in the dtype of `anchor`; caches too, with `states`.

    `training` is the body of the other mode, which may declare inputs of its own.
    """
    bodies = (body,) if training is None else (body, training)
    homes = {d.key: (d, home) for home in reversed(bodies) for d in home.inputs}
    wanted = [homes.get(d.key, (d, body)) for d in declared if not d.optional and (states or not d.is_state)]
    common = {s.name: s for home in reversed(bodies) for d in home.inputs for s in _type_symbols(d)}
    sizes = find_sizes([_renamed(d, common) for d, _ in wanted], body.conditions, dims)
    sizes |= {s: sizes[common[s.name]] for d, _ in wanted for s in _type_symbols(d) if common.get(s.name) in sizes}
    dtype = anchor.dtype if anchor is not None else torch.get_default_dtype()
    device = anchor.device if anchor is not None else torch.device("cpu")
    generator = torch.Generator().manual_seed(seed)
    makers = {id(home): Examples(home, sizes, dtype, device, generator) for _, home in wanted}
    return dict(nested(((d.name, *d.members), makers[id(home)].value(d)) for d, home in wanted))


def _type_symbols(declared: InputDecl) -> Iterator[Symbol]:
    return (s for axis in declared.type.shape if isinstance(axis, Dim) for s in axis.symbols())


def _renamed(declared: InputDecl, common: Mapping[str, Symbol]) -> InputDecl:
    """Write a declaration's sizes in the symbols that both bodies share by name."""
    mapping = {s: Dim.of(common[s.name]) for s in _type_symbols(declared) if s.name in common}
    shape = tuple(axis.substitute(mapping) if isinstance(axis, Dim) else axis for axis in declared.type.shape)
    return replace(declared, type=TensorType(declared.type.dtype, shape))


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
