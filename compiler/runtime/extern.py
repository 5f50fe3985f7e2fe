"""Extern blocks and functions: any `nn.Module` or Python function, only if the caller allows it, with its declared signature verified."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any, cast

import torch
from torch import nn

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.dims import Dim, Symbol
from ...dsl.extern import ExternFunction
from ...dsl.program import Body, ModuleDecl
from ...dsl.source import Span
from ...dsl.types import DType, TensorType, extent
from ..graph import results
from ..lower.builder import TORCH_DTYPES
from ..lower.names import imported
from .example import find_sizes

Allowed = bool | Iterable[str] | Mapping[str, Callable[..., Any]] | None
"""What the caller allows: nothing, everything (True), names `package.module:Name`, or classes and functions by these names."""

FAULTS = (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError)
"""What a call that doesn't fit may raise."""


class Extern:
    """Makes extern modules, and gets at extern functions, for one model."""

    def __init__(self, allowed: Allowed, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.allowed = allowed
        self._all = allowed is True
        self._objects: Mapping[str, Callable[..., Any]] = allowed if isinstance(allowed, Mapping) else {}
        self._names = frozenset[str]() if allowed is None or isinstance(allowed, (bool, Mapping)) else frozenset(allowed)
        self._verified: set[int] = set()
        self._functions: dict[int, tuple[ExternFunction, Callable[..., Any]]] = {}

    def at(self, dtype: torch.dtype) -> Extern:
        """Return one that allows the same in another dtype."""
        return Extern(self.allowed, dtype)

    def __call__(self, declared: ModuleDecl) -> nn.Module:
        """Return a new module; raises Failure for one that isn't allowed, can't be made, or breaks its signature."""
        class_ = self._named(declared.extern or "", f"`{declared.path}` wraps", declared.span)
        if id(declared) not in self._verified:
            self._verify(declared, class_)
            self._verified.add(id(declared))
        return self._make(declared, class_)

    def function(self, declared: ExternFunction) -> Callable[..., Any]:
        """Return an extern function; raises Failure for one that isn't allowed, or breaks its signature."""
        found = self._functions.get(id(declared))
        if found is None:
            function = self._named(declared.origin, f"`{declared.name}` calls", declared.span)
            if not callable(function):
                raise _failure("A822", f"`{declared.origin}` is a {type(function).__name__}, and can't be called", declared.span, None)
            found = self._functions[id(declared)] = (declared, _plain(function, declared.name))
            verify_function(declared, function, self._dtype)
        return found[1]

    def _named(self, name: str, use: str, span: Span) -> Callable[..., Any]:
        """Return what the caller handed in, or allows to import."""
        if name in self._objects:
            return self._objects[name]
        if not self._all and name not in self._names:
            help = f'a text runs no Python unless the caller allows it: compile(..., extern={{"{name}"}}), --extern {name}'
            raise _failure("A821", f"{use} `{name}`, which isn't allowed", span, help)
        try:
            return imported(name.replace(":", "."))
        except (ImportError, AttributeError) as error:
            raise _failure("A822", f"`{name}` can't be imported: {error}", span, "install its package, or correct the name") from error

    def _make(self, declared: ModuleDecl, class_: Callable[..., Any]) -> nn.Module:
        try:
            module = class_(**declared.arguments)
        except (TypeError, ValueError, RuntimeError) as error:
            given = ", ".join(f"{name} = {value}" for name, value in declared.arguments.items())
            raise _failure("A822", f"`{declared.extern}` can't be made with ({given}): {error}", declared.span, None) from error
        if not isinstance(module, nn.Module):
            raise _failure("A822", f"`{declared.extern}` makes a {type(module).__name__}, not an `nn.Module`", declared.span, None)
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
            raise _failure("A823", f"`{declared.extern}` fails on ({types}): {error}", declared.span, help) from error
        values = tuple(cast("tuple[Any, ...]", found)) if isinstance(found, (tuple, list)) else (found,)
        wanted = [body.type(ref) for ref in results(body)]
        if len(values) != len(wanted) or not all(isinstance(value, torch.Tensor) for value in values):
            raise _failure(
                "A823", f"`{declared.extern}` returns {len(values)} results, `{declared.kind}` declares {len(wanted)}", declared.span, None
            )
        for output, type_, value in zip(body.outputs, wanted, values, strict=True):
            if tuple(value.shape) != _shape(type_, sizes) or value.dtype is not self._dtype(type_.dtype):
                at = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
                dtype = str(value.dtype).removeprefix("torch.")
                message = f"`{declared.extern}` returns {dtype} {list(value.shape)} for `{output.name}: {type_}`" + (f" at {at}" if at else "")
                raise _failure("A823", message, declared.span, "correct the `out` line")

    def _dtype(self, dtype: DType) -> torch.dtype:
        return TORCH_DTYPES.get(dtype, self.dtype)


def _shape(type_: TensorType, sizes: Mapping[Symbol, int]) -> tuple[int, ...]:
    extents = (extent(axis) for axis in type_.shape)
    return tuple(int(size.value(sizes)) if isinstance(size, Dim) else size for size in extents)


def _failure(code: str, message: str, span: Span, help: str | None) -> Failure:
    return Failure((Diagnostic(code, message, span, help=help),))


# ------------------------------------------------------------------------------------------------------------ functions


def _plain(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a function that a graph can name: an object that is only callable has no name."""
    if isinstance(function, (FunctionType, BuiltinFunctionType)):
        return function

    def call(**arguments: Any) -> Any:
        return function(**arguments)

    call.__name__ = call.__qualname__ = name
    return call


def verify_function(declared: ExternFunction, function: Callable[..., Any], dtype_of: Callable[[DType], torch.dtype]) -> None:
    """Run a function at two sets of sizes on the meta device, or, where it wants values, on small tensors; raises Failure if it gives others
    than declared."""
    for first in (0, 1):
        sizes = find_sizes(declared.takes, declared.conditions, {}, first)
        found = _called(declared, function, sizes, dtype_of)
        shape, dtype = _shape(declared.gives, sizes), dtype_of(declared.gives.dtype)
        at = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
        where = f" at {at}" if at else ""
        if not isinstance(found, torch.Tensor):
            message = f"`{declared.origin}` returns a {type(found).__name__} for `{declared.gives}`{where}, not a tensor"
            raise _failure("A823", message, declared.span, "an extern function returns one tensor: wrap one that returns several in a module")
        if tuple(found.shape) != shape or found.dtype is not dtype:
            name = str(found.dtype).removeprefix("torch.")
            message = f"`{declared.origin}` returns {name} {list(found.shape)} for `{declared.gives}`{where}"
            raise _failure("A823", message, declared.span, "correct the type after `->`")


def _called(declared: ExternFunction, function: Callable[..., Any], sizes: Mapping[Symbol, int], dtype_of: Callable[[DType], torch.dtype]) -> Any:
    """Call a function on meta tensors, and where it fails on those, on random floats, zeros and true."""
    shapes = {d.key: (_shape(d.type, sizes), dtype_of(d.type.dtype)) for d in declared.takes}
    statics, state = dict(declared.statics), torch.random.get_rng_state()
    try:
        with torch.no_grad():
            try:
                return function(**statics, **{key: torch.empty(shape, dtype=dtype, device="meta") for key, (shape, dtype) in shapes.items()})
            except FAULTS:
                return function(**statics, **{key: _filled(shape, dtype) for key, (shape, dtype) in shapes.items()})
    except FAULTS as error:
        types = ", ".join([*(f"{d.key}: {d.type}" for d in declared.takes), *(f"{name} = {value}" for name, value in statics.items())])
        help = "arguments go by name: the parameters are called as those of the function"
        raise _failure("A823", f"`{declared.origin}` fails on ({types}): {error}", declared.span, help) from error
    finally:
        torch.random.set_rng_state(state)


def _filled(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    if dtype.is_floating_point or dtype.is_complex:
        return torch.rand(shape, dtype=dtype, device="cpu")
    return torch.full(shape, dtype is torch.bool, dtype=dtype, device="cpu")
