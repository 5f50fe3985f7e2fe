"""Letting go of parameters that are read for derived values alone: these are kept in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from ..lower.outlining import targets
from ..lower.unit import Unit
from ..passes.quantize import KINDS
from ..paths import covers, join
from .derived import Derived
from .rounded import Quantized
from .whole import Whole

Ties = tuple[tuple[str, str], ...]


def droppable(model: nn.Module, unit: Unit, ties: Ties) -> list[str]:
    """Return the paths of the parameters and buffers that only derived values are computed from, packed ones left out; of tied ones all or none."""
    named: list[tuple[str, Tensor]] = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    folded = {join(path.rpartition(".")[0], source) for path, each in _folded(model) for source in each.recipe.paths}
    read = set(_read(model, unit, ""))
    groups = [{first, *(other for start, other in ties if start == first)} for first, _ in ties]
    read |= {path for group in groups if group & read or not group <= folded for path in group}
    return [name for name, _ in named if name in folded and not any(covers(path, name) for path in read)]


def drop(model: nn.Module, paths: Iterable[str], quantized: Quantized) -> None:
    """Keep the derived values of a model, and set the parameters at the paths to None."""
    names = {name for row in quantized if KINDS[row.to].packs for name in row.stored}
    for path, each in list(_folded(model)):
        holder, _, name = path.rpartition(".")
        value = each().detach().clone()
        model.get_submodule(holder).add_module(name, Whole(value) if f"{path}.value" in names and value.dtype is torch.int8 else Constant(value))
    for path in paths:
        above, _, name = path.rpartition(".")
        setattr(model.get_submodule(above), name, None)


class Constant(nn.Module):
    """A value that was computed from parameters which are gone; called as what computed it was."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def __call__(self) -> Tensor:
        """Return it."""
        return self.value


def _folded(model: nn.Module) -> Iterator[tuple[str, Derived]]:
    modules: list[tuple[str, nn.Module]] = [*model.named_modules()]
    for path, module in modules:
        if isinstance(module, Derived) and not module.recipe.packed:
            yield path, module


def _read(model: nn.Module, unit: Unit, prefix: str) -> Iterator[str]:
    """Yield what the code of an instance and of all below it reads: paths of tensors, of modules that it calls, of what is packed."""
    for view in unit.views:
        for code in (view.eval, view.train):
            yield from (join(prefix, path) for path in targets(code.graph) if path not in unit.children)
    for path in unit.ops:
        module = model.get_submodule(join(prefix, path))
        if isinstance(module, Derived) and module.recipe.packed:
            yield from (join(prefix, source) for source in module.recipe.paths)
    for path, child in unit.children.items():
        yield from _read(model, child, join(prefix, path))
