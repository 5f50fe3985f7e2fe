"""First values: storage for what is on the meta device, then each tensor as the text says, or as its leaf's own class does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...blocks.initialisers import INITIALISERS, filling
from ...dsl.primitive import Initialiser
from ...dsl.program import ModuleDecl
from ..census import Tensor as Declared
from ..census import leaf_specs
from ..lower.names import imported
from ..lower.unit import Unit
from ..paths import join

DEFAULT = Initialiser("normal", {"mean": 0.0, "std": 0.02})
"""How a `Parameter` without `init` starts; a `Buffer` starts at zero."""


def fill(value: Tensor, initialiser: Initialiser) -> None:
    """Fill a tensor in place; ValueError for an initialiser that isn't in the table."""
    if initialiser.name not in INITIALISERS:
        raise ValueError(f"there is no initialiser `{initialiser.name}`")
    target, keywords = filling(initialiser)
    with torch.no_grad():
        imported(target)(value, **keywords)


def own_tensors(unit: Unit, prefix: str = "") -> Iterator[tuple[str, Declared]]:
    """Yield the `Parameter`s and `Buffer`s of an instance and all below it."""
    yield from ((join(prefix, path), tensor) for path, tensor in unit.tensors.items())
    for path, child in unit.children.items():
        yield from own_tensors(child, join(prefix, path))


def leaf_modules(unit: Unit, prefix: str = "") -> Iterator[tuple[str, ModuleDecl]]:
    """Yield the leaf and extern modules of an instance and all below it, in order of birth."""
    for path in unit.order:
        if path in unit.leaves:
            yield join(prefix, path), unit.leaves[path]
        elif path in unit.children:
            yield from leaf_modules(unit.children[path], join(prefix, path))


class Starter:
    """Gives a model its first values on a device."""

    def __init__(self, model: nn.Module, unit: Unit, extern: Callable[[ModuleDecl], nn.Module], device: torch.device) -> None:
        self.model = model
        self.unit = unit
        self.extern = extern
        self.device = device

    def start(self, given: Mapping[str, Tensor], tied: frozenset[str]) -> None:
        """Fill everything: `given` tensors by path as they are, `tied` ones left out (they will be another's)."""
        for path, declared in leaf_modules(self.unit):
            self._leaf(path, declared, given, tied)
        for path, tensor in own_tensors(self.unit):
            if path not in tied:
                self._own(path, tensor, given)
        modules: list[tuple[str, nn.Module]] = [*self.model.named_modules()]
        for path, module in modules:
            for name, value in list(module.named_buffers(recurse=False)):
                if value.is_meta:
                    stored = given.get(join(path, name))
                    setattr(module, name, torch.zeros_like(value, device=self.device) if stored is None else stored.to(self.device, value.dtype))

    def _leaf(self, path: str, declared: ModuleDecl, given: Mapping[str, Tensor], tied: frozenset[str]) -> None:
        module = self.model.get_submodule(path)
        if declared.extern is not None:
            if any(value.is_meta for value in (*module.parameters(), *module.buffers())):
                module = self.extern(declared)
                holder, _, name = path.rpartition(".")
                self.model.get_submodule(holder).add_module(name, module)
            module.to(self.device)
            names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
            self._put(module, {name: given[join(path, name)] for name in names if join(path, name) in given})
            return
        specs = [spec for spec in leaf_specs(declared) if not _is_dropped(module, spec.name)]
        missing = [spec for spec in specs if join(path, spec.name) not in given and join(path, spec.name) not in tied]
        self._allocate(module, {spec.name for spec in missing})
        if missing and not all(spec.init is not None for spec in missing):
            self._reset(module, path, len(missing) == len(specs))
        for spec in missing:
            if spec.init is not None:
                fill(module.get_parameter(spec.name) if not spec.buffer else module.get_buffer(spec.name), spec.init)
        if missing and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
        self._put(module, {spec.name: given[join(path, spec.name)] for spec in specs if join(path, spec.name) in given})

    def _reset(self, module: nn.Module, path: str, whole: bool) -> None:
        """Let the leaf's class fill itself; with some tensors left out these get storage for the moment."""
        reset = getattr(module, "reset_parameters", None)
        if reset is None:
            raise TypeError(f"`{path}` can't start: {type(module).__name__} has no `reset_parameters`, and no initialiser is given")
        if not whole:
            self._allocate(module, {name for name, _ in (*module.named_parameters(), *module.named_buffers())})
        reset()

    def _allocate(self, module: nn.Module, names: set[str]) -> None:
        for name, value in list(module.named_parameters(recurse=False)):
            if name in names:
                empty = torch.empty_like(value, device=self.device)
                setattr(module, name, nn.Parameter(empty, requires_grad=value.requires_grad))
        for name, value in list(module.named_buffers(recurse=False)):
            if name in names:
                setattr(module, name, torch.empty_like(value, device=self.device))

    def _own(self, path: str, tensor: Declared, given: Mapping[str, Tensor]) -> None:
        above, _, name = path.rpartition(".")
        holder = self.model.get_submodule(above)
        if _is_dropped(holder, name):
            return
        if path in given:
            self._put(holder, {name: given[path]})
            return
        self._allocate(holder, {name})
        initialiser = tensor.init or (Initialiser("zeros", {}) if tensor.buffer else DEFAULT)
        fill(getattr(holder, name), initialiser)

    def _put(self, module: nn.Module, values: Mapping[str, Tensor]) -> None:
        """Set tensors by relative name, in the dtype of those that they replace."""
        for name, value in values.items():
            above, _, last = name.rpartition(".")
            holder: Any = module.get_submodule(above)
            old: Tensor = getattr(holder, last)
            new = value.to(device=self.device, dtype=old.dtype)
            setattr(holder, last, nn.Parameter(new, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else new)


def _is_dropped(module: nn.Module, name: str) -> bool:
    """Tell whether a tensor has been let go: what was computed from it is kept."""
    above, _, last = name.rpartition(".")
    return getattr(module.get_submodule(above), last) is None
