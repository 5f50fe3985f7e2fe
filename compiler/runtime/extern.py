"""Extern blocks: any `nn.Module`, only if the caller allows it, with its declared signature verified on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from torch import nn

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.dims import Dim, Symbol
from ...dsl.program import Body, ModuleDecl
from ...dsl.types import DType, TensorType, extent
from ..graph import results
from ..lower.body import TORCH_DTYPES
from ..lower.names import imported

Allowed = bool | Iterable[str] | Mapping[str, type[nn.Module]] | None
"""What the caller allows: nothing, everything (True), names `package.module:Class`, or classes by these names."""


class Extern:
    """Makes extern modules for one model."""

    def __init__(self, allowed: Allowed, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.allowed = allowed
        self._all = allowed is True
        self._classes = cast("Mapping[str, Callable[..., Any]]", allowed if isinstance(allowed, Mapping) else {})
        self._names = frozenset[str]() if allowed is None or isinstance(allowed, (bool, Mapping)) else frozenset(allowed)
        self._verified: set[int] = set()

    def at(self, dtype: torch.dtype) -> Extern:
        """Return one that allows the same in another dtype."""
        return Extern(self.allowed, dtype)

    def __call__(self, declared: ModuleDecl) -> nn.Module:
        """Return a new module; raises Failure for one that isn't allowed, can't be made, or breaks its signature."""
        class_ = self._class(declared)
        if id(declared) not in self._verified:
            self._verify(declared, class_)
            self._verified.add(id(declared))
        return self._make(declared, class_)

    def _class(self, declared: ModuleDecl) -> Callable[..., Any]:
        name = declared.extern or ""
        if name in self._classes:
            return self._classes[name]
        if self._all or name in self._names:
            return self._imported(declared, name)
        help = f'a text runs no Python unless the caller allows it: compile(..., extern={{"{name}"}})'
        raise _failure("A821", f"`{declared.path}` wraps `{name}`, which isn't allowed", declared, help)

    def _imported(self, declared: ModuleDecl, name: str) -> Callable[..., Any]:
        try:
            return imported(name.replace(":", "."))
        except (ImportError, AttributeError) as error:
            raise _failure("A822", f"`{name}` can't be imported: {error}", declared, "install its package, or correct the name") from error

    def _make(self, declared: ModuleDecl, class_: Callable[..., Any]) -> nn.Module:
        try:
            module = class_(**declared.arguments)
        except (TypeError, ValueError, RuntimeError) as error:
            given = ", ".join(f"{name} = {value}" for name, value in declared.arguments.items())
            raise _failure("A822", f"`{declared.extern}` can't be made with ({given}): {error}", declared, None) from error
        if not isinstance(module, nn.Module):
            raise _failure("A822", f"`{declared.extern}` makes a {type(module).__name__}, not an `nn.Module`", declared, None)
        return module.to(self.dtype)

    def _verify(self, declared: ModuleDecl, class_: Callable[..., Any]) -> None:
        """Run the module on the meta device at two sets of sizes and compare with the declared results."""
        state = torch.random.get_rng_state()
        with torch.device("meta"):
            module = self._make(declared, class_)
        torch.random.set_rng_state(state)
        module.to("meta").eval()
        for body in declared.bodies:
            for base in (3, 5):
                self._verify_at(declared, module, body, base)

    def _verify_at(self, declared: ModuleDecl, module: nn.Module, body: Body, base: int) -> None:
        symbols = {s for d in body.inputs for axis in d.type.shape if isinstance(axis, Dim) for s in axis.symbols()}
        sizes = {symbol: base + 2 * i for i, symbol in enumerate(sorted(symbols, key=str))}
        given = [torch.empty(_shape(d.type, sizes), dtype=self._dtype(d.type.dtype), device="meta") for d in body.inputs]
        try:
            with torch.no_grad():
                found = module(*given)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            types = ", ".join(f"{d.key}: {d.type}" for d in body.inputs)
            help = "compare its `forward` with the `in` lines"
            raise _failure("A823", f"`{declared.extern}` fails on ({types}): {error}", declared, help) from error
        values = tuple(cast("tuple[Any, ...]", found)) if isinstance(found, (tuple, list)) else (found,)
        wanted = [body.type(ref) for ref in results(body)]
        if len(values) != len(wanted) or not all(isinstance(value, torch.Tensor) for value in values):
            raise _failure("A823", f"`{declared.extern}` returns {len(values)} results, `{declared.kind}` declares {len(wanted)}", declared, None)
        for output, type_, value in zip(body.outputs, wanted, values, strict=True):
            if tuple(value.shape) != _shape(type_, sizes) or value.dtype is not self._dtype(type_.dtype):
                at = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
                dtype = str(value.dtype).removeprefix("torch.")
                message = f"`{declared.extern}` returns {dtype} {list(value.shape)} for `{output.name}: {type_}`" + (f" at {at}" if at else "")
                raise _failure("A823", message, declared, "correct the `out` line")

    def _dtype(self, dtype: DType) -> torch.dtype:
        return TORCH_DTYPES.get(dtype, self.dtype)


def _shape(type_: TensorType, sizes: Mapping[Symbol, int]) -> tuple[int, ...]:
    extents = (extent(axis) for axis in type_.shape)
    return tuple(int(size.value(sizes)) if isinstance(size, Dim) else size for size in extents)


def _failure(code: str, message: str, declared: ModuleDecl, help: str | None) -> Failure:
    return Failure((Diagnostic(code, message, declared.span, help=help),))
