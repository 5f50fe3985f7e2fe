"""From units to modules: every parameter and buffer at its dotted path, on the meta device, without allocation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ...blocks.registry import Entry
from ...dsl.dims import Dim
from ...dsl.extern import ExternFunction
from ...dsl.program import ModuleDecl
from ...dsl.types import DType
from ..census import Tensor, leaf_specs
from .block import Block, Family
from .builder import TORCH_DTYPES
from .names import identifier, imported
from .unit import Unit

META = torch.device("meta")
Maker = tuple[ModuleDecl, type[nn.Module], dict[str, Any]]
"""A leaf module's declaration (kept, as makers are known by its identity), class and arguments."""


class ExternMaker(Protocol):
    """Makes what is wrapped, if the caller allows it."""

    def __call__(self, declared: ModuleDecl) -> nn.Module:
        """Return a new module; raises Failure."""
        ...

    def function(self, declared: ExternFunction) -> Callable[..., Any]:
        """Return the Python function; raises Failure."""
        ...

    def at(self, dtype: torch.dtype) -> ExternMaker:
        """Return one that allows the same in another dtype."""
        ...


class Statics:
    """The builder for making arguments of leaf modules: sizes and dtypes only, no value is computed."""

    def dim(self, extent: int | Dim) -> int:
        """Return a size, which is a number wherever a module is made."""
        if isinstance(extent, Dim):
            raise TypeError(f"the size `{extent}` isn't static")
        return extent

    def dtype(self, dtype: DType) -> torch.dtype | None:
        """Return a torch dtype; None for `float`, which the model decides."""
        return TORCH_DTYPES.get(dtype)

    def device(self) -> torch.device:
        """Return the meta device."""
        return META

    def call(self, target: str, *args: Any, **kwargs: Any) -> Any:
        """Refuse: nothing is computed when a module is made."""
        raise TypeError(f"`{target}` can't be called when a module is made")

    def method(self, handle: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """Refuse: nothing is computed when a module is made."""
        raise TypeError(f"`{name}` can't be called when a module is made")

    def item(self, handle: Any, index: int) -> Any:
        """Return one of several static values."""
        return handle[index]

    def child(self, target: str, arguments: Mapping[str, Any], *inputs: Any, idle: bool = False) -> Any:
        """Refuse: a leaf module has no children."""
        raise TypeError(f"`{target}` can't be made inside a leaf module")


FILLING = frozenset(
    ("normal_", "uniform_", "fill_", "zero_", "erfinv_", "mul_", "add_", "clamp_", "copy_", "random_", "exponential_", "bernoulli_")
    + ("ones_", "zeros_", "constant_")
)


class Unfilled(TorchFunctionMode):
    """Skips what a class fills its tensors with: on the meta device it has no effect, and it takes torch a second to find that out."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given: dict[str, Any] = kwargs or {}
        if getattr(func, "__name__", "") in FILLING:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


@dataclass(slots=True)
class Builder:
    """Makes instances of units; equal leaf modules are described once."""

    dtype: torch.dtype
    extern: ExternMaker
    _makers: dict[int, Maker] = field(default_factory=dict[int, "Maker"])

    def instance(self, unit: Unit) -> Block:
        """Return a new block instance with everything that it holds."""
        block = unit.type()
        self.fill(block, unit)
        return block

    def fill(self, module: nn.Module, unit: Unit) -> None:
        """Register in `module` what the unit holds, in order of birth."""
        for path in unit.order:
            if path in unit.tensors:
                self._own(module, path, unit.tensors[path])
            elif path in unit.leaves:
                place(module, path, self.leaf(unit.leaves[path]))
            elif path in unit.children:
                place(module, path, self.instance(unit.children[path]))
            else:
                place(module, path, type(identifier(unit.in_place[path].kind), (Family,), {})())
        fill_ops(module, unit, self.dtype)

    def leaf(self, declared: ModuleDecl) -> nn.Module:
        """Return a leaf module on the meta device, or an extern one."""
        if declared.extern is not None:
            return self.extern(declared)
        found = self._makers.get(id(declared))
        if found is None:
            found = self._makers[id(declared)] = (declared, *self._maker(declared))
        _, class_, arguments = found
        with Unfilled():
            return class_(**arguments)

    def _maker(self, declared: ModuleDecl) -> tuple[type[nn.Module], dict[str, Any]]:
        if not isinstance(declared.primitive, Entry):
            raise TypeError(f"`{declared.path}` can't be made: `{declared.kind}` isn't a leaf module of the library")
        target, arguments = declared.primitive.constructor(Statics(), declared.arguments)
        specs = leaf_specs(declared)
        if specs:
            arguments["device"] = META
            exact = next((spec.dtype for spec in specs if spec.dtype.is_float), DType.FLOAT)
            arguments["dtype"] = TORCH_DTYPES.get(exact, self.dtype)
        return imported(target), arguments

    def _own(self, module: nn.Module, path: str, tensor: Tensor) -> None:
        value = torch.empty(tensor.shape, dtype=TORCH_DTYPES.get(tensor.dtype, self.dtype), device=META)
        holder, name = holder_of(module, path)
        if tensor.buffer:
            holder.register_buffer(name, value)
        else:
            holder.register_parameter(name, nn.Parameter(value, requires_grad=value.is_floating_point() or value.is_complex()))


def fill_ops(module: nn.Module, unit: Unit, dtype: torch.dtype) -> None:
    """Add the modules without parameters that an instance lacks, in its mode; an anchor holds the dtype."""
    for path, (target, arguments) in unit.ops.items():
        holder, name = holder_of(module, path)
        if not isinstance(getattr(holder, name, None), nn.Module):
            holder.add_module(name, imported(target)(**arguments).to(dtype).train(holder.training))


def complete(module: nn.Module, unit: Unit, dtype: torch.dtype) -> None:
    """Add what views made later need to an instance and all below it."""
    fill_ops(module, unit, dtype)
    for path, child in unit.children.items():
        complete(module.get_submodule(path), child, dtype)


def holder_of(module: nn.Module, path: str) -> tuple[nn.Module, str]:
    """Return the module that holds the last word of a path, making families on the way."""
    *above, name = path.split(".")
    for part in above:
        inner = getattr(module, part, None)
        if not isinstance(inner, nn.Module):
            inner = Family()
            module.add_module(part, inner)
        module = inner
    return module, name


def place(module: nn.Module, path: str, child: nn.Module) -> None:
    """Register a module at a dotted path."""
    holder, name = holder_of(module, path)
    holder.add_module(name, child)
