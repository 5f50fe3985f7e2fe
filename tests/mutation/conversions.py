# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's arguments: bound by name and place, and turned into what an operation takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from archloom.blocks.initialisers import INITIALISERS
from archloom.dsl import ast
from archloom.dsl.primitive import MISSING as NO_DEFAULT
from archloom.dsl.primitive import Argument, Kind

from .arithmetic import is_number
from .checks import need
from .expressions import evaluate
from .scopes import Frame
from .values import Family, Late, Maker, Member, Set, Wrong, now, number, size, tidy, whole

DTYPES = {
    "float": torch.float64, "float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16,
    "int": torch.int64, "int32": torch.int32, "bool": torch.bool, "complex": torch.complex64,
}  # fmt: skip


class Slot:
    """One argument that a callee takes."""

    def __init__(self, name: str, required: bool, keyword: bool = False, several: bool = False) -> None:
        self.name, self.required, self.keyword, self.several = name, required, keyword, several


def slots(arguments: Sequence[Argument]) -> list[Slot]:
    return [Slot(a.name, a.default is NO_DEFAULT, a.keyword, a.kind is Kind.TENSORS) for a in arguments]


def bind(arguments: Sequence[ast.Argument], taken: Sequence[Slot], skip: Sequence[str] = ()) -> tuple[dict[str, Any], list[str] | None]:
    """Match arguments to slots; return the expressions by name, and the slots left open by `_` or `...`."""
    given: dict[str, Any] = {}
    several: dict[str, list[Any]] = {}
    left: list[str] = []
    rest = False
    free = [s for s in taken if not s.keyword and s.name not in skip]
    names = {s.name: s for s in taken}
    for argument in arguments:
        if isinstance(argument.value, ast.Ellipsis) and argument.name is None:
            rest = True
            continue
        if argument.name is not None:
            need(argument.name in names, f"no argument {argument.name}")
            need(argument.name not in given, f"{argument.name} is given twice")
            free = [s for s in free if s.name != argument.name]
            slot = names[argument.name]
        else:
            need(bool(free), "an argument too much")
            slot = free[0]
            if not slot.several:
                free.pop(0)
        if isinstance(argument.value, ast.Open):
            left.append(slot.name)
        elif slot.several and argument.name is None:
            several.setdefault(slot.name, []).append(argument.value)
            given[slot.name] = several[slot.name]
        else:
            given[slot.name] = argument.value
    for name, values in several.items():
        if len(values) == 1:
            given[name] = values[0]
    if rest:
        left += [s.name for s in taken if s.name not in given and s.name not in left]
    else:
        missing = [s.name for s in taken if s.required and s.name not in given and s.name not in left and s.name not in skip]
        need(not missing, f"{missing} are missing")
    return given, left if rest or left else None


# ----------------------------------------------------------------------------------------------- arguments of primitives


def initialiser(node: Any, frame: Frame) -> Any:
    """Return the name and arguments of an initialiser, or what the expression is."""
    call = node if isinstance(node, ast.Call) else None
    function = call.function if call is not None else node
    if isinstance(function, ast.Name) and function.id in INITIALISERS and frame.owner(function.id) is None:
        row = INITIALISERS[function.id]
        given, _ = bind(call.arguments if call else (), slots(row.arguments))
        by_name = {a.name: a for a in row.arguments}
        return Start(function.id, {k: convert(by_name[k], evaluate(v, frame)) for k, v in given.items()})
    return evaluate(node, frame)


class Start:
    """How a parameter starts."""

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self.name, self.arguments = name, arguments

    def fits(self, shape: Sequence[int], dtype: torch.dtype) -> None:
        row = INITIALISERS[self.name]
        need(not row.floats or dtype.is_floating_point, f"{self.name} fills floats")
        need(row.ranks[0] <= len(shape) <= row.ranks[1], f"{self.name} fills other shapes")
        value = self.arguments.get("value")
        need(dtype.is_floating_point or not isinstance(value, float) or value.is_integer(), "a fraction in a tensor of ints")


def start_of(value: Any) -> Start:
    if isinstance(value, Start):
        return value
    value = number(value)
    need(is_number(value), f"{value!r} starts nothing")
    return Start("constant", {"value": float(value)})


def _axis(value: Any) -> int:
    """Return one entry of a shape."""
    if isinstance(value, Set):
        return len(value.members)
    return size(value, "a size")


def _ints(value: Any) -> Any:
    return tuple(_int(v) for v in value) if isinstance(value, (list, tuple)) else _int(value)


def _int(value: Any) -> int:
    return len(value.members) if isinstance(value, Set) else whole(value, "an argument")


def _static(value: Any) -> Any:
    if isinstance(value, Member):
        return value.key
    if isinstance(value, Fraction):
        return tidy(value) if value.denominator == 1 else float(value)
    if isinstance(value, Late):
        return tidy(value).value
    return [_static(v) for v in value] if isinstance(value, (list, tuple)) else value


def convert(argument: Argument, value: Any) -> Any:
    """Return a value as the kind that an argument takes."""
    if value is None and (argument.optional or argument.default is None):
        return None
    converted = _converted(argument, value)
    if argument.choices and converted not in argument.choices:
        raise Wrong(f"no choice of {argument.name}")
    return converted


def _converted(argument: Argument, value: Any) -> Any:
    converter = _CONVERTERS.get(argument.kind)
    return _static(value) if converter is None else converter(argument, value)


def _tensors(argument: Argument, value: Any) -> list[Any]:
    items = list(value.members.values()) if isinstance(value, Family) else [value] if isinstance(value, Tensor) else value
    need(isinstance(items, (list, tuple)) and bool(items), "no tensors")
    return [_tensor(argument, item) for item in items]


def _float(argument: Argument, value: Any) -> Any:
    value = now(value, argument.name)
    need(is_number(value), f"{argument.name} is no number")
    return float(value) if isinstance(value, Fraction) else value


def _plain(argument: Argument, value: Any) -> Any:
    need(isinstance(value, bool if argument.kind is Kind.BOOL else str), f"{argument.name} is of another kind")
    return value


def _shape(argument: Argument, value: Any) -> Any:
    found = [_axis(v) for v in (value if isinstance(value, (list, tuple)) else [value])]
    return found if isinstance(value, (list, tuple)) or argument.name != "sizes" else found[0]


def _dtype(argument: Argument, value: Any) -> torch.dtype:
    need(isinstance(value, Maker) and value.name in DTYPES, f"{argument.name} is no dtype")
    return DTYPES[value.name]


def _tensor(argument: Argument, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value
    value = number(value)
    late = isinstance(value, Late)
    value = tidy(value).value if isinstance(value, Late) else value
    need(isinstance(value, (bool, int, float, Fraction)), f"{argument.name} is no tensor: {value!r}")
    if argument.literal:
        return int(value) if late and isinstance(value, Fraction) and value.denominator == 1 else value
    value = float(value) if isinstance(value, Fraction) else value
    return torch.tensor(value, dtype=torch.bool if isinstance(value, bool) else torch.float64 if isinstance(value, float) else torch.int64)


_CONVERTERS: dict[Kind, Callable[[Argument, Any], Any]] = {
    Kind.TENSOR: _tensor, Kind.TENSORS: _tensors, Kind.INT: lambda a, v: _int(v), Kind.FLOAT: _float, Kind.BOOL: _plain, Kind.STR: _plain,
    Kind.DIM: lambda a, v: _axis(v), Kind.SHAPE: _shape, Kind.AXES: lambda a, v: _ints(v), Kind.INTS: lambda a, v: _ints(v), Kind.DTYPE: _dtype,
    Kind.INIT: lambda a, v: start_of(v), Kind.SIZES: lambda a, v: {k: _axis(n) for k, n in v.items()},
}  # fmt: skip
