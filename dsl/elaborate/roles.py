"""What a border says of the values of a tensor: roles of inputs, ranges, distributions of draws, each checked against the declared type."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from .. import ast
from ..dims import Dim
from ..program import Role
from ..source import Span
from ..types import DType, TensorType, extent
from . import statics
from .arguments import Slot, bind
from .context import fail, suggest
from .expressions import evaluate, evaluate_whole
from .inputs import settle
from .operations import REFUSED, axis
from .scope import Frame
from .values import IndexSet, Value, describe, is_list

_ROLES: dict[str, tuple[str, ...]] = {"picture": ("mean", "std"), "tokens": ("vocab",)}


def _called(node: ast.Expr, table: dict[str, tuple[str, ...]], what: str, plural: str, frame: Frame) -> Role:
    """Return the row of a table that a call names, with its arguments as static values."""
    call = node if isinstance(node, ast.Call) else None
    function = call.function if call is not None else node
    if not isinstance(function, ast.Name) or function.id not in table:
        help = suggest(function.span.text, table, f"the {plural} are {statics.listed(table)}")
        fail("A501", f"`{node.span.text}` is no {what}", node.span, help)
    bound = bind(function.id, call.arguments if call else (), [Slot(name, False) for name in table[function.id]], node.span)
    return Role(function.id, {key: _plain(evaluate(value, frame)) for key, value in bound.given.items()})


def _plain(value: Value) -> Value:
    return [_plain(v) for v in value] if is_list(value) else statics.tidy(statics.number(value))


# ---------------------------------------------------------------------------------------------------------- roles


def role(node: ast.Expr, type_: TensorType, frame: Frame) -> Role:
    """Return what `as picture(...)` or `as tokens(...)` says of an input of this type."""
    found = _called(node, _ROLES, "role of an input", "roles", frame)
    if found.name == "tokens":
        if not type_.dtype.is_int:
            fail("A305", f"tokens are numbers of words, not `{type_.dtype}`", node.span, "declare the input as `int[B, S]`")
        vocab = found.arguments.get("vocab", 1)
        if isinstance(vocab, bool) or not isinstance(vocab, int) or vocab < 1:
            fail("A501", f"`vocab` is the number of tokens, not {describe(vocab)}", node.span, "give a whole number, at least 1")
        return found
    channels = type_.shape[1] if len(type_.shape) == 4 else None
    if not type_.dtype.is_float or not isinstance(channels, int):
        fail("A306", f"`{type_}` is no batch of pictures", node.span, "a picture is `float[B, 3, H, W]` (or 1 or 4 channels)")
    for name, value in found.arguments.items():
        values: list[Any] = list(value) if is_list(value) else [value]
        if not all(map(statics.is_number, values)) or (is_list(value) and len(values) != channels):
            fail("A501", f"`{name}` is a number, or a list of {channels}: one for each channel", node.span, f"write `{name} = 0.5`")
        if name == "std" and min(values) <= 0:
            fail("A501", "`std` must be positive: values are divided by it", node.span, "write `std = 0.5`, or the numbers of the data set")
    return found


# --------------------------------------------------------------------------------------------------------- ranges


def value_range(node: ast.Expr, type_: TensorType, frame: Frame) -> tuple[int | Dim, int | Dim]:
    """Return the lowest value and one past the highest of `in 0..n`."""
    if not type_.dtype.is_int and not type_.dtype.is_float:
        fail("A305", f"`{type_.dtype}` has no range of values", node.span, "a range is for `int` and `float`")
    if isinstance(node, ast.Range) and node.start is not None and node.stop is not None:
        low, high = (_edge(e, frame) for e in (node.start, node.stop))
        high = high + 1 if node.inclusive else high
        if isinstance(low, int) and isinstance(high, int) and high <= low:
            fail("A406", f"no value lies in `{node.span.text}`", node.span, "write the lower end first; the upper one counts only in `a..=b`")
        if not (isinstance(low, int) and isinstance(high, int)):
            settle(frame.builder, lambda rule: rule.at_least(high, low + 1, f"the end of the range `{node.span.text}`"), node.span)
        return low, high
    value = evaluate_whole(node, frame)
    if isinstance(value, IndexSet):
        return 0, len(value)
    fail("A501", f"`{node.span.text}` is no range of values", node.span, "write `in 0..n`")


def _edge(node: ast.Expr, frame: Frame) -> int | Dim:
    value = axis(evaluate(node, frame))
    if value is REFUSED:
        fail("A501", f"`{node.span.text}` is no end of a range", node.span, "an end is a whole number or a size")
    return extent(value)


# -------------------------------------------------------------------------------------------------- distributions

_DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "normal": ("mean", "std"),
    "uniform": ("low", "high"),
    "bernoulli": ("p",),
    "permutation": ("n",),
    "gumbel": (),
}


def distribution(node: ast.Expr, type_: TensorType, frame: Frame) -> Role:
    """Return the distribution of a draw of this type."""
    found = _called(node, _DISTRIBUTIONS, "distribution", "distributions", frame)
    dtype, numbers = type_.dtype, found.arguments
    if found.name in ("normal", "gumbel") and not dtype.is_float:
        fail("A305", f"`{found.name}` draws floats, not `{dtype}`", node.span, "declare the draw as `float[...]`, or draw from `uniform`")
    if found.name == "permutation":
        _permutation(numbers.get("n"), type_, node.span, frame)
        return found
    for name, value in numbers.items():
        if not isinstance(value, (int, float, Fraction)) or isinstance(value, bool):
            fail("A203", f"`{name}` of `{found.name}` is a number, not {describe(value)}", node.span, "draw, then scale what was drawn")
    if found.name == "uniform" and (dtype is DType.BOOL or not numbers.get("low", 0) < numbers.get("high", 1)):
        fail("A501", f"`{node.span.text}` holds no value of `{dtype}`", node.span, "write `uniform(low, high)` with the lower one first")
    if numbers.get("std", 0) < 0 or not 0 <= numbers.get("p", 0) <= 1:
        fail("A501", f"`{node.span.text}` is no distribution", node.span, "`std` is not negative, `p` lies between 0 and 1")
    return found


def _permutation(count: Any, type_: TensorType, span: Span, frame: Frame) -> None:
    """Require an order of whole numbers along the last axis, each below `count`, or below the length of that axis."""
    if not type_.dtype.is_int or not type_.shape:
        fail("A305", f"a permutation is of whole numbers, not `{type_}`", span, "declare the draw as `int[B]`")
    if count is None:
        return
    size = axis(count)
    if size is REFUSED:
        fail("A501", f"`n` is a whole number or a size, not {describe(count)}", span, "write `permutation(n)` with how many numbers there are")
    settle(frame.builder, lambda rule: rule.at_least(extent(size), extent(type_.shape[-1]), "the numbers of the permutation"), span)
