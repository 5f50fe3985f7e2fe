"""Positions that are data, lengths that are not: windows, splices, sums over segments, writing at positions."""

from __future__ import annotations

from typing import Any

from ...dsl.dims import Dim
from ...dsl.primitive import Inputs, Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import axis, integer, number, size, tensor
from ..costs import moved
from ..lowering import COMPOSITES, Expansion, Given, Lowering, LoweringBuilder, call, expand, static
from ..operands import common_dtype
from ..ranges import along, keeps
from ..registry import operation
from ..samples import refused, sample

X = tensor("x", "the tensor")


def _starts(inputs: Inputs) -> Axis:
    return extent(inputs["x"].shape[inputs["dim"]]) - inputs["length"] + 1


def _gaps(inputs: Inputs) -> Axis:
    return extent(inputs["x"].shape[1]) - inputs["replace"] + 1


@operation(
    arguments=(
        X,
        tensor("start", "the first position, one for each row", within=_starts),
        size("length", "how many positions"),
        axis("dim", "the axis to read", 1),
    ),
    lowering=expand(lambda b, given: _window(b, given)),
    values=keeps("x"),
    cost=moved,
    good=(
        sample(x="float[B, 5, 3]", start="int[B] < 3", length=3),
        sample(x="float[B, S, 6]", start="int[B, S] < 3", length=2, dim=2),
        sample(x="int[B, 5]", start="int[B] < 3", length=2),
    ),
    bad=(
        refused("A305", x="float[B, 5]", start="float[B]", length=1),
        refused("A301", x="float[2, 5]", start="int[3]", length=1),
        refused("A303", x="float[B, 5]", start="int[B]", length=6),
        refused("A303", x="float[B, 5]", start="int[B]", length=0),
        refused("A324", x="float[B, 5]", start="int[]", length=1),
    ),
)
def window(rule: Rule, x: TensorType, start: TensorType, length: int | Dim, dim: int) -> TensorType:
    """Read a stretch that begins at a position of its own in each row: `y[a, i, b] = x[a, start[a] + i, b]`.

    x: any[A..., n, B...], start: int[A...] in 0..n - length + 1, y: any[A..., length, B...].
    """
    rule.dtype(start, [DType.INT], "`start`")
    at = rule.axis(dim, x.rank)
    if start.rank != at:
        raise rule.fail(f"`start` is {start} and `x` has {at} axes before axis {at}", "give one position for each of those rows", "A324")
    front = tuple(rule.same(a, s, f"axis {n} of `x` and of `start`") for n, (a, s) in enumerate(zip(x.shape[:at], start.shape, strict=True)))
    rule.at_least(length, 1, "`length`")
    rule.at_least(extent(x.shape[at]), length, f"axis {at} of `x`, of which `length` are read")
    return TensorType(x.dtype, (*front, length, *x.shape[at + 1 :]))


def _window(b: LoweringBuilder, given: Given) -> Any:
    return b.call(f"{COMPOSITES}.window", given["x"], given["start"], static(b, given["length"]))


@operation(
    arguments=(
        tensor("x", "the sequence"),
        tensor("part", "what is put in"),
        tensor("at", "the position of its first element, one for each row", within=_gaps),
        integer("replace", "how many elements of x go away there", 0),
    ),
    lowering=expand(lambda b, given: _splice(b, given)),
    values=keeps("x", "part"),
    cost=moved,
    good=(
        sample(x="float[B, 5, 3]", part="float[B, 2, 3]", at="int[B] < 4", replace=1),
        sample(x="float[B, S, 3]", part="float[B, N, 3]", at="int[B] < 1", replace=1),
        sample(x="int[B, 5]", part="int[B, 2]", at="int[B] < 5"),
    ),
    bad=(
        refused("A321", x="float[B, 5]", part="int[B, 2]", at="int[B]"),
        refused("A301", x="float[B, 5, 3]", part="float[B, 2, 4]", at="int[B]"),
        refused("A305", x="float[B, 5]", part="float[B, 2]", at="float[B]"),
        refused("A303", x="float[B, 5]", part="float[B, 2]", at="int[B]", replace=6),
        refused("A324", x="float[5]", part="float[2]", at="int[1]"),
    ),
)
def splice(rule: Rule, x: TensorType, part: TensorType, at: TensorType, replace: int) -> TensorType:
    """Put a stretch into each row at a position of its own: `y = x[:at], part, x[at + replace:]`.

    x: any[B, S, ...], part: any[B, N, ...], at: int[B] in 0..S - replace + 1, y: any[B, S + N - replace, ...].
    """
    rule.dtype(at, [DType.INT], "`at`")
    dtype = part.dtype if x.dtype is DType.BOOL and part.dtype is DType.BOOL else common_dtype(rule, {"x": x, "part": part})
    if x.rank < 2 or part.rank != x.rank or at.rank != 1:
        raise rule.fail(f"`x` is {x}, `part` is {part} and `at` is {at}", "`splice` takes any[B, S, ...], any[B, N, ...] and int[B]", "A324")
    batch = rule.same(rule.same(x.shape[0], part.shape[0], "the rows of `x` and of `part`"), at.shape[0], "the rows of `x` and of `at`")
    rest = tuple(rule.same(a, p, f"axis {n} of `x` and of `part`") for n, (a, p) in enumerate(zip(x.shape[2:], part.shape[2:], strict=True), 2))
    length = extent(x.shape[1])
    rule.at_least(length, replace, "axis 1 of `x`, of which `replace` go away")
    return TensorType(dtype, (batch, length + extent(part.shape[1]) - replace, *rest))


def _splice(b: LoweringBuilder, given: Given) -> Any:
    return b.call(f"{COMPOSITES}.splice", given["x"], given["part"], given["at"], **({"replace": given["replace"]} if given["replace"] else {}))


SEGMENT = tensor("segment", "the segment of each row", within=lambda inputs: inputs["count"])
COUNT = size("count", "how many segments there are")


def _segmentwise(name: str, *options: str) -> Expansion:
    return expand(lambda b, given: b.call(f"{COMPOSITES}.{name}", given["x"], given["segment"], static(b, given["count"]), *options))


def _segmented(rule: Rule, x: TensorType, segment: TensorType, count: int | Dim) -> None:
    rule.dtype(segment, [DType.INT], "`segment`")
    if x.rank < 1 or segment.rank != 1:
        raise rule.fail(f"`x` is {x} and `segment` is {segment}", "give x any[n, ...] and one segment for each of its n rows", "A324")
    rule.same(x.shape[0], segment.shape[0], "the rows of `x` and of `segment`")
    rule.at_least(count, 1, "`count`")


@operation(
    arguments=(X, SEGMENT, COUNT),
    lowering=_segmentwise("segment_sum"),
    cost=moved,
    good=(sample(x="float[S, 3]", segment="int[S] < 4", count=4), sample(x="int[S]", segment="int[S] < 2", count="B")),
    bad=(
        refused("A305", x="float[S]", segment="float[S]", count=2),
        refused("A301", x="float[3]", segment="int[4]", count=2),
        refused("A305", x="bool[S]", segment="int[S]", count=2),
        refused("A303", x="float[S]", segment="int[S]", count=0),
    ),
)
def segment_sum(rule: Rule, x: TensorType, segment: TensorType, count: int | Dim) -> TensorType:
    """Add up the rows of each segment: `y[s] = sum of x[i] where segment[i] = s`, zero for an empty one.

    x: number[n, ...], segment: int[n] in 0..count, y: number[count, ...].
    """
    rule.dtype(x, "number", "`x`")
    _segmented(rule, x, segment, count)
    return TensorType(x.dtype, (count, *x.shape[1:]))


def _segment_reduction(name: str, equation: str, empty: str, lowering: Lowering) -> None:
    def rule(rule: Rule, x: TensorType, segment: TensorType, count: int | Dim) -> TensorType:
        rule.dtype(x, "float", "`x`")
        _segmented(rule, x, segment, count)
        return TensorType(x.dtype, (count, *x.shape[1:]))

    operation(
        name=name,
        doc=f"{equation} over the rows i with `segment[i] = s`, {empty} for an empty one.\n\n"
        "x: float[n, ...], segment: int[n] in 0..count, y: float[count, ...].",
        arguments=(X, SEGMENT, COUNT),
        lowering=lowering,
        cost=moved,
        good=(sample(x="float[S, 3]", segment="int[S] < 4", count=4), sample(x="float[S]", segment="int[S] < 2", count="B")),
        bad=(
            refused("A305", x="int[S]", segment="int[S]", count=2),
            refused("A301", x="float[3]", segment="int[4]", count=2),
            refused("A324", x="float[3, 2]", segment="int[3, 2]", count=2),
        ),
    )(rule)


_segment_reduction("segment_mean", "Average the rows of each segment: `y[s] = mean of x[i]`", "zero", _segmentwise("segment_mean"))
_segment_reduction("segment_max", "Take the largest of each segment: `y[s] = max of x[i]`", "zero", _segmentwise("segment_extreme", "amax"))
_segment_reduction("segment_min", "Take the smallest of each segment: `y[s] = min of x[i]`", "zero", _segmentwise("segment_extreme", "amin"))


@operation(
    arguments=(X, SEGMENT, COUNT),
    lowering=_segmentwise("segment_softmax"),
    cost=moved,
    good=(sample(x="float[S, 3]", segment="int[S] < 4", count=4), sample(x="float[S]", segment="int[S] < 2", count="B")),
    bad=(refused("A305", x="int[S]", segment="int[S]", count=2), refused("A301", x="float[3]", segment="int[4]", count=2)),
)
def segment_softmax(rule: Rule, x: TensorType, segment: TensorType, count: int | Dim) -> TensorType:
    """Normalise exponentials within each segment: `y[i] = e^x[i] / sum of e^x[j] where segment[j] = segment[i]`.

    x: float[n, ...], segment: int[n] in 0..count, y: as x.
    """
    rule.dtype(x, "float", "`x`")
    _segmented(rule, x, segment, count)
    return x


def _along(rule: Rule, x: TensorType, index: TensorType, value: Any, dim: int) -> TensorType:
    rule.dtype(index, [DType.INT], "`index`")
    at = rule.axis(dim, x.rank)
    common_dtype(rule, {"x": x, "value": value}, "bool" if x.dtype is DType.BOOL else "number")
    if index.rank != x.rank:
        raise rule.fail(f"`x` is {x} and `index` is {index}", "they need as many axes", "A322")
    for n, (a, i) in enumerate(zip(x.shape, index.shape, strict=True)):
        if n != at:
            rule.same(a, i, f"axis {n} of `x` and of `index`")
    if isinstance(value, TensorType):
        if value.rank != index.rank:
            raise rule.fail(f"`index` is {index} and `value` is {value}", "they need the same shape", "A322")
        for n, (v, i) in enumerate(zip(value.shape, index.shape, strict=True)):
            rule.same(v, i, f"axis {n} of `value` and of `index`")
    return x


INDEX = tensor("index", "positions, with the axes of x", within=along())
VALUE = number("value", "what is written, with the shape of the index, or a number")

SCATTER_BAD = (
    refused("A305", x="float[B, 5]", index="float[B, 2]", value=1.0, dim=1),
    refused("A321", x="float[B, 5]", index="int[B, 2]", value="int[B, 2]", dim=1),
    refused("A301", x="float[2, 5]", index="int[3, 2]", value=1.0, dim=1),
    refused("A301", x="float[2, 5]", index="int[2, 2]", value="float[2, 3]", dim=1),
)


@operation(
    arguments=(X, INDEX, VALUE, axis("dim", "the axis they count in")),
    lowering=call("torch.scatter", "x", "dim", "index", "value"),
    cost=moved,
    good=(
        sample(x="float[B, 5]", index="int[B, 2] < 5", value=1.0, dim=1),
        sample(x="float[B, 5, 3]", index="int[B, S, 3] < 5", value="float[B, S, 3]", dim=1),
        sample(x="bool[B, 5]", index="int[B, 2] < 5", value=True, dim=1),
    ),
    bad=SCATTER_BAD,
)
def scatter(rule: Rule, x: TensorType, index: TensorType, value: Any, dim: int) -> TensorType:
    """Write at positions: `y[a, index[a, i, b], b] = value[a, i, b]`, else x; which of two writes to one place stays is open.

    x: any[A..., n, B...], index: int[A..., i, B...] in 0..n, value: as index or a number, y: as x.
    """
    return _along(rule, x, index, value, dim)


@operation(
    arguments=(X, INDEX, tensor("value", "what is added, with the shape of the index"), axis("dim", "the axis they count in")),
    lowering=call("torch.scatter_add", "x", "dim", "index", "value"),
    cost=moved,
    good=(sample(x="float[B, 5, 3]", index="int[B, S, 3] < 5", value="float[B, S, 3]", dim=1),),
    bad=(*SCATTER_BAD[1:2], SCATTER_BAD[3], refused("A305", x="float[B, 5]", index="float[B, 2]", value="float[B, 2]", dim=1)),
)
def scatter_add(rule: Rule, x: TensorType, index: TensorType, value: TensorType, dim: int) -> TensorType:
    """Add at positions: `y[a, n, b] = x[a, n, b] + sum of value[a, i, b] where index[a, i, b] = n`.

    x: number[A..., n, B...], index: int[A..., i, B...] in 0..n, value: as index, y: as x.
    """
    return _along(rule, x, index, value, dim)


@operation(
    arguments=(
        X,
        tensor("index", "positions, one for each slice of the value", within=along()),
        tensor("value", "what is added"),
        axis("dim", "the axis they count in", 0),
    ),
    lowering=call("torch.index_add", "x", "dim", "index", "value"),
    cost=moved,
    good=(sample(x="float[5, 3]", index="int[S] < 5", value="float[S, 3]"), sample(x="float[B, 5]", index="int[S] < 5", value="float[B, S]", dim=1)),
    bad=(
        refused("A305", x="float[5]", index="float[S]", value="float[S]"),
        refused("A321", x="float[5]", index="int[S]", value="int[S]"),
        refused("A301", x="float[5, 3]", index="int[S]", value="float[S, 4]"),
        refused("A324", x="float[5, 3]", index="int[S, 1]", value="float[S, 3]"),
    ),
)
def index_add(rule: Rule, x: TensorType, index: TensorType, value: TensorType, dim: int) -> TensorType:
    """Add slices at positions: `y[a, n, b] = x[a, n, b] + sum of value[a, i, b] where index[i] = n`.

    x: number[A..., n, B...], index: int[i] in 0..n, value: number[A..., i, B...], y: as x.
    """
    rule.dtype(index, [DType.INT], "`index`")
    common_dtype(rule, {"x": x, "value": value})
    at = rule.axis(dim, x.rank)
    if index.rank != 1 or value.rank != x.rank:
        raise rule.fail(
            f"`x` is {x}, `index` is {index} and `value` is {value}", "give one position for each slice of a value with the axes of x", "A324"
        )
    for n, (a, v) in enumerate(zip(x.shape, value.shape, strict=True)):
        rule.same(index.shape[0] if n == at else a, v, f"axis {n} of `value`")
    return x
