"""What one evaluation of a model costs at given sizes: multiply-adds, and the memory of the values that it makes.

Counted body by body: calls of one body with equal sizes cost the same, so a thousand equal layers are counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, cast

from ..dsl.dims import Dim, Symbol
from ..dsl.extern import ExternFunction
from ..dsl.program import Body, InputDecl, Node, NodeKind, Operand, Ref
from ..dsl.record import record
from ..dsl.types import DType, TensorType, extent
from .graph import module_at, operand_refs

Sizes = Mapping[Symbol, int]

WIDTH = {
    DType.FLOAT64: 8, DType.COMPLEX: 8, DType.INT: 8, DType.FLOAT: 4, DType.FLOAT32: 4, DType.INT32: 4, DType.FLOAT16: 2, DType.BFLOAT16: 2,
    DType.INT8: 1, DType.BOOL: 1,
}  # fmt: skip
"""Bytes of one number; `float` counts 4."""


@record
class Expense:
    """Multiply-adds, and bytes of all values made on the way (views hold none), as training may have to keep them."""

    multiply_adds: int = 0
    activations: int = 0
    unknown: frozenset[str] = frozenset()  # what is `extern`: not counted

    def __add__(self, other: Expense) -> Expense:
        added = (self.multiply_adds + other.multiply_adds, self.activations + other.activations)
        return Expense(*added, self.unknown | other.unknown)


class Unsized(Exception):
    """Some symbols have no size; `names` lists them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(dict.fromkeys(names))
        super().__init__(f"no size is given for {', '.join(self.names)}")


def model_expense(body: Body, sizes: Mapping[str, int]) -> Expense:
    """Count a model's body at sizes by name; raises Unsized where one is missing."""
    binding = {symbol: sizes[symbol.name] for symbol in symbols_of(body) if symbol.name in sizes}
    missing = [symbol.name for symbol in symbols_of(body) if symbol not in binding]
    if missing:
        raise Unsized(missing)
    return expense(body, binding)


def expense(body: Body, sizes: Sizes) -> Expense:
    """Count one call of a body, once for each set of sizes."""
    known: dict[tuple[tuple[Symbol, int], ...], Expense] = body.found.setdefault("expense", {})
    key = tuple(sorted(sizes.items(), key=lambda item: item[0].key))
    if key not in known:
        total = Expense()
        for node in body.nodes:
            total = total + node_expense(body, node, sizes)
        known[key] = total
    return known[key]


def node_expense(body: Body, node: Node, sizes: Sizes) -> Expense:
    """Count one step of a body."""
    if node.body is not None:
        return expense(node.body, inside(body, node, node.body, sizes))
    if node.kind is NodeKind.EXTERN:
        return Expense(unknown=frozenset((body.name,)))
    if isinstance(node.primitive, ExternFunction):
        return Expense(unknown=frozenset((node.primitive.name,)))
    if node.primitive is None or node.kind not in (NodeKind.OPERATION, NodeKind.LEAF, NodeKind.NORMS):
        return Expense()
    given: dict[str, Any] = {name: _sized(value, sizes) for name, value in node.attributes.items()}
    declared = module_at(body, node.target) if node.kind is not NodeKind.OPERATION else None
    if declared is not None:
        given = {name: _sized(value, sizes) for name, value in declared.arguments.items()} | given
    given |= {name: _types(body, operand, sizes) for name, operand in node.inputs.items()}
    outputs = tuple(_tensor(output, sizes) for output in node.outputs)
    cost = node.primitive.cost(given, outputs)
    made = sum(map(size_of, outputs)) if cost.bytes else 0
    return Expense(_number(cost.flops) // 2, made)


def size_of(type_: TensorType, sizes: Sizes | None = None) -> int:
    """Return the bytes of a value, whose symbols have sizes."""
    return prod(map(_number, _tensor(type_, sizes or {}).shape)) * WIDTH[type_.dtype]


def symbols_of(body: Body) -> tuple[Symbol, ...]:
    """Return the symbols of a body's inputs, in order."""
    axes = (axis for declared in body.inputs for axis in declared.type.shape)
    return tuple(dict.fromkeys(symbol for axis in axes if isinstance(axis, Dim) for symbol in axis.symbols()))


def inside(body: Body, node: Node, callee: Body, sizes: Sizes) -> Sizes:
    """Return the sizes of a callee's symbols, read off what the call hands it; the plain symbols first."""
    known: dict[Symbol, int] = {}
    pairs: list[tuple[Dim, int]] = []
    for declared in callee.inputs:
        given = _given(body, node, declared, sizes)
        for axis, size in zip(declared.type.shape, given, strict=False):
            if isinstance(axis, Dim):
                pairs.append((axis, size))
    for axis, size in sorted(pairs, key=lambda pair: pair[0].symbol is None):
        if axis.symbol is not None:
            known.setdefault(axis.symbol, size)
        else:
            _solve(axis, size, known)
    return known


def _given(body: Body, node: Node, declared: InputDecl, sizes: Sizes) -> tuple[int, ...]:
    refs = operand_refs(node.inputs.get(declared.key))
    return tuple(map(_number, _tensor(body.type(refs[0]), sizes).shape)) if refs else ()


def _solve(axis: Dim, size: int, known: dict[Symbol, int]) -> None:
    """Find the one unknown of `axis == size` where the axis is linear in it."""
    unknown = [symbol for symbol in axis.symbols() if symbol not in known]
    if len(unknown) == 1:
        low, high = (axis.evaluate({**known, unknown[0]: value}) for value in (0, 1))
        if high != low:
            known[unknown[0]] = int((size - low) / (high - low))


def _types(body: Body, operand: Operand, sizes: Sizes) -> TensorType | tuple[TensorType, ...] | None:
    if operand is None:
        return None
    if isinstance(operand, Ref):
        return _tensor(body.type(operand), sizes)
    return tuple(_tensor(body.type(ref), sizes) for ref in operand)


def _tensor(type_: TensorType, sizes: Sizes) -> TensorType:
    return TensorType(type_.dtype, tuple(int(axis.value(sizes)) if isinstance(axis, Dim) else axis for axis in type_.shape))


def _sized(value: Any, sizes: Sizes) -> Any:
    """Return a static argument with every dimension in it made a number."""
    if isinstance(value, Dim):
        return int(value.value(sizes))
    if isinstance(value, tuple):
        return tuple(_sized(item, sizes) for item in cast("tuple[Any, ...]", value))
    return value


def _number(size: Any) -> int:
    found = extent(size)
    if isinstance(found, Dim):
        raise Unsized(symbol.name for symbol in found.symbols())
    return found
