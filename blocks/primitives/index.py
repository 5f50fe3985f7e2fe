"""Reading and writing at positions.  `x[...]` takes numbers and slices; positions that are data go through `take`, `gather` and kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ...dsl.dim_atoms import ceil_div
from ...dsl.dims import Dim
from ...dsl.facts import Facts
from ...dsl.primitive import Grid, Rule
from ...dsl.rule import ShapeRule
from ...dsl.types import Axis, DType, SetAxis, TensorType, extent
from ..arguments import anything, axis, dtype, size, tensor
from ..costs import moved, product, view
from ..exact import picked, strides
from ..lowering import Given, Handle, LoweringBuilder, expand, static
from ..ranges import along, keeps
from ..registry import operation
from ..samples import refused, sample

X = tensor("x", "the tensor")


def _items(rule: Rule, x: TensorType, items: Sequence[Any]) -> list[Any]:
    """Return one item for each axis and new axis: the ellipsis and what is left out as whole axes."""
    used = sum(1 for item in items if item is not None and item is not ...)
    if sum(1 for item in items if item is ...) > 1:
        raise rule.fail("`...` stands twice in an index", "write `:` for the axes that one of them covers", "A324")
    if used > x.rank:
        raise rule.fail(f"the index names {used} axes and `x` has {x.rank}", f"`x` is {x}", "A324")
    full = list(items) if any(item is ... for item in items) else [*items, ...]
    at = next(i for i, item in enumerate(full) if item is ...)
    return [*full[:at], *[slice(None)] * (x.rank - used), *full[at + 1 :]]


def _bound(rule: Rule, bound: Any, size_: int | Dim, default: int | Dim, what: str) -> int | Dim:
    """Return a slice's bound counted from the start, inside the axis."""
    if bound is None:
        return default
    if _from_end(rule, bound):
        rule.at_least(size_, -bound, what)
        return size_ + bound
    rule.at_least(bound, 0, f"a position in {what}")
    rule.at_least(size_, bound, what)
    return bound


def _from_end(rule: Rule, position: int | Dim) -> bool:
    """Tell whether a position is negative at every size: it counts from the end then."""
    return position < 0 if isinstance(position, int) else rule.reaches(-1, position) is True


def slice_bounds(item: Any) -> tuple[Any, Any, Any]:
    """Return start, stop and step of a slice, or of the three in a tuple."""
    if isinstance(item, tuple):
        start, stop, step = cast("tuple[Any, Any, Any]", item)
        return start, stop, step
    return item.start, item.stop, item.step


def _slice(rule: Rule, axis_: Axis, item: Any, what: str) -> Axis:
    start, stop, step = slice_bounds(item)
    if start is None and stop is None and step in (None, 1):
        return axis_
    if step is not None and (not isinstance(step, int) or step < 1):
        raise rule.fail(f"the step of a slice is {step}", "steps are 1 or more; turn an axis round with `flip`", "A324")
    whole = extent(axis_)
    first, last = _bound(rule, start, whole, 0, what), _bound(rule, stop, whole, whole, what)
    rule.at_least(last, first, f"the end of a slice of {what}, which is not before its start")
    return last - first if step in (None, 1) else ceil_div(last - first, step)


@operation(
    arguments=(X, anything("items", "numbers, dimensions, slices `(start, stop, step)`, `none` and `...`, one for each axis")),
    lowering=expand(lambda b, given: b.call("operator.getitem", given["x"], _subscript(b, given["items"]))),
    values=keeps("x"),
    exact=lambda inputs, shape: _read(inputs["x"], inputs["items"]),
    cost=view,
    good=(
        sample(x="float[B, S, 3]", items=[slice(None), 0]),
        sample(x="float[B, S, 3]", items=[..., -1]),
        sample(x="float[B, S, 3]", items=[slice(None), None, slice(None, -1), slice(0, 2)]),
        sample(x="float[B, S, 6]", items=[0, ..., slice(1, None, 2)]),
        sample(x="float[B, S]", items=[None, ..., None]),
        sample(x="float[B, S]", items=[(None, None, None), (1, None, None)]),
    ),
    bad=(
        refused("A303", x="float[B, 3]", items=[slice(None), 3]),
        refused("A303", x="float[B, 3]", items=[slice(None), slice(0, 4)]),
        refused("A324", x="float[B]", items=[0, 0]),
        refused("A324", x="float[B]", items=[slice(None, None, -1)]),
        refused("A324", x="float[B, S]", items=[..., ...]),
    ),
)
def index(rule: Rule, x: TensorType, items: Sequence[Any]) -> TensorType:
    """Read at fixed positions, `x[:, 0, none, a:b]`: a number drops its axis, a slice keeps a part, `none` makes an axis of size 1.

    x: any[...], y: any[...].  Positions lie inside the axis; -1 is the last.
    """
    result: list[Axis] = []
    at = 0
    for item in _items(rule, x, items):
        if item is None:
            result.append(1)
            continue
        what = f"axis {at} of `x`"
        if isinstance(item, (slice, tuple)):
            result.append(_slice(rule, x.shape[at], item, what))
        else:
            back = _from_end(rule, item)
            if not back:
                rule.at_least(item, 0, f"a position in {what}")
            rule.at_least(extent(x.shape[at]), -item if back else item + 1, f"{what}, read at {item}")
        at += 1
    return TensorType(x.dtype, tuple(result))


def _read(x: Grid, items: Sequence[Any]) -> Sequence[int] | None:
    whole = _items(ShapeRule(Facts()), TensorType(DType.INT, x.shape), items)
    axes = iter(zip(x.shape, strides(x.shape), strict=True))
    offsets: list[list[int]] = []
    for item in whole:
        if item is None:
            continue
        size_, step = next(axes)
        positions = range(size_)
        if isinstance(item, (slice, tuple)):
            bounds = slice_bounds(item)
            if not all(n is None or type(n) is int for n in bounds):
                return None
            positions = positions[slice(*bounds)]
        elif type(item) is int:
            positions = [positions[item]]
        else:
            return None
        offsets.append([step * i for i in positions])
    return picked(x, offsets)


def _subscript(b: LoweringBuilder, items: Sequence[Any]) -> Any:
    def one(item: Any) -> Any:
        if isinstance(item, (slice, tuple)):
            return slice(*(static(b, n) for n in slice_bounds(item)))
        return item if item is None or item is ... else static(b, item)

    found = tuple(map(one, items))
    return found[0] if len(found) == 1 else found


def _whole(rule: Rule, indices: TensorType, what: str = "`index`") -> None:
    rule.dtype(indices, [DType.INT], what)


@operation(
    arguments=(X, tensor("index", "positions", within=along()), axis("dim", "the axis they count in", 0)),
    lowering=expand(lambda b, given: _take(b, given)),
    values=keeps("x"),
    cost=moved,
    good=(
        sample(x="float[5, 3]", index="int[B, S] < 5"),
        sample(x="float[B, 5, 3]", index="int[S] < 5", dim=1),
        sample(x="float[B, 5]", index="int[] < 5", dim=-1),
        sample(x="int[5]", index="int[S] < 5"),
    ),
    bad=(refused("A305", x="float[5]", index="float[B]"), refused("A304", x="float[5]", index="int[B]", dim=1)),
)
def take(rule: Rule, x: TensorType, index: TensorType, dim: int) -> TensorType:
    """Read an axis at positions, the same for all the other axes: `y[a, i, j, b] = x[a, index[i, j], b]`.

    x: any[A..., n, B...], index: int[I...] in 0..n, y: any[A..., I..., B...].
    """
    _whole(rule, index)
    at = rule.axis(dim, x.rank)
    return TensorType(x.dtype, (*x.shape[:at], *index.shape, *x.shape[at + 1 :]))


def _take(b: LoweringBuilder, given: Given) -> Any:
    x, positions, at = given["x"], given["index"], given["dim"] % given.type("x").rank
    if at == 0 and given.type("x").dtype.is_float and given.type("x").rank == 2:
        return b.call("torch.nn.functional.embedding", positions, x)
    rank = given.type("index").rank
    if rank < 2:
        found = b.call("torch.index_select", x, at, positions)
        return found if rank else b.method(found, "squeeze", at)
    return b.call("operator.getitem", x, (*[slice(None)] * at, positions) if at else positions)


@operation(
    arguments=(X, tensor("index", "positions, with the axes of x before `dim`", within=along()), axis("dim", "the axis they count in")),
    lowering=expand(lambda b, given: _gather(b, given)),
    values=keeps("x"),
    cost=moved,
    good=(
        sample(x="float[B, 5, 3]", index="int[B, S] < 5", dim=1),
        sample(x="float[B, 5, 3]", index="int[B] < 5", dim=1),
        sample(x="float[B, 5]", index="int[B, S, 2] < 5", dim=-1),
        sample(x="float[B, S, 5, 3]", index="int[B, S, 2] < 5", dim=2),
        sample(x="float[5, 3]", index="int[S] < 5", dim=0),
    ),
    bad=(
        refused("A305", x="float[B, 5]", index="float[B]", dim=1),
        refused("A301", x="float[2, 5]", index="int[3]", dim=1),
        refused("A322", x="float[B, S, 5]", index="int[B]", dim=2),
    ),
)
def gather(rule: Rule, x: TensorType, index: TensorType, dim: int) -> TensorType:
    """Read an axis at positions of its own for each place before it: `y[a, i, b] = x[a, index[a, i], b]`.

    x: any[A..., n, B...], index: int[A..., I...] in 0..n, y: any[A..., I..., B...].
    """
    _whole(rule, index)
    at = rule.axis(dim, x.rank)
    if index.rank < at:
        raise rule.fail(f"`index` is {index} and lacks axes of `x` before axis {at}", "for the same positions everywhere write `take`", "A322")
    front = tuple(rule.same(a, i, f"axis {n} of `x` and of `index`") for n, (a, i) in enumerate(zip(x.shape[:at], index.shape[:at], strict=True)))
    return TensorType(x.dtype, (*front, *index.shape[at:], *x.shape[at + 1 :]))


def stretched(b: LoweringBuilder, value: Handle, have: Sequence[int | Dim], want: Sequence[int | Dim]) -> Handle:
    """Stretch axes of size 1, without copying."""
    return value if tuple(have) == tuple(want) else b.method(value, "expand", [-1 if h == w else b.dim(w) for h, w in zip(have, want, strict=True)])


def read_along(b: LoweringBuilder, x: Handle, index: Handle, have: Sequence[int | Dim], want: Sequence[int | Dim], dim: int) -> Handle:
    """Read x at positions of sizes `have`, stretched to those of the result.  `torch.take_along_dim` would fix all sizes under torch.compile."""
    return b.call("torch.gather", x, dim, stretched(b, index, have, want))


def _gather(b: LoweringBuilder, given: Given) -> Any:
    x, positions = given["x"], given["index"]
    x_type, index_type = given.type("x"), given.type("index")
    at = given["dim"] % x_type.rank
    own, behind = index_type.rank - at, x_type.rank - at - 1
    if at == 0 and own == 1:
        return b.call("torch.index_select", x, 0, positions)
    if own > 1:
        positions = b.method(positions, "flatten", at)
    if own == 0 or behind:
        positions = b.call("operator.getitem", positions, (..., *[None] * (behind + (own == 0))))
    sizes = tuple(extent(a) for a in x_type.shape)
    length = product(index_type.shape[at:])
    found = read_along(b, x, positions, (*sizes[:at], length, *[1] * behind), (*sizes[:at], length, *sizes[at + 1 :]), at)
    if own == 0:
        return b.method(found, "squeeze", at)
    return b.call("torch.unflatten", found, at, [b.dim(extent(a)) for a in index_type.shape[at:]]) if own > 1 else found


@operation(
    arguments=(X, tensor("index", "positions, with the rank of x", within=along()), axis("dim", "the axis they count in")),
    lowering=expand(lambda b, given: _take_along(b, given)),
    values=keeps("x"),
    cost=moved,
    good=(sample(x="float[B, 5]", index="int[B, S] < 5", dim=1), sample(x="float[B, 5, 3]", index="int[B, S, 1] < 5", dim=1)),
    bad=(
        refused("A305", x="float[B]", index="float[B]", dim=0),
        refused("A322", x="float[B, 5]", index="int[B]", dim=1),
        refused("A301", x="float[2, 5]", index="int[3, 1]", dim=1),
    ),
)
def take_along(rule: Rule, x: TensorType, index: TensorType, dim: int) -> TensorType:
    """Read an axis at positions that may differ at every place: `y[a, i, b] = x[a, index[a, i, b], b]`.

    x: any[A..., n, B...], index: int[A..., i, B...] in 0..n (axes of size 1 stretch), y: any[A..., i, B...].
    """
    _whole(rule, index)
    at = rule.axis(dim, x.rank)
    if index.rank != x.rank:
        raise rule.fail(f"`x` is {x} and `index` is {index}", "they need as many axes; `gather` takes an index without the last ones", "A322")
    others = rule.broadcast([(*x.shape[:at], 1, *x.shape[at + 1 :]), (*index.shape[:at], 1, *index.shape[at + 1 :])], "`x` and `index`")
    return TensorType(x.dtype, (*others[:at], index.shape[at], *others[at + 1 :]))


def _take_along(b: LoweringBuilder, given: Given) -> Any:
    result = tuple(extent(a) for a in given.outputs[0].shape)
    at: int = given["dim"] % len(result)
    source = (*result[:at], given.shape("x")[at], *result[at + 1 :])
    return read_along(b, stretched(b, given["x"], given.shape("x"), source), given["index"], given.shape("index"), result, at)


@operation(
    arguments=(
        tensor("index", "positions", within=lambda inputs: inputs["classes"]),
        size("classes", "how many there are; an index set for its members"),
        dtype("dtype", "the type of the result", DType.FLOAT),
    ),
    lowering=expand(
        lambda b, given: b.method(b.call("torch.nn.functional.one_hot", given["index"], static(b, given["classes"])), "to", b.dtype(given["dtype"]))
    ),
    cost=moved,
    good=(sample(index="int[B, S] < 4", classes=4), sample(index="int[] < 4", classes=5, dtype="bool")),
    bad=(refused("A305", index="float[B]", classes=3), refused("A214", index="int[B]", classes=0)),
)
def one_hot(rule: Rule, index: TensorType, classes: Axis, dtype: DType) -> TensorType:
    """Mark a position: `y[.., c] = [c = index[..]]`.  index: int[...] in 0..classes, y: dtype[..., classes]."""
    _whole(rule, index)
    if not isinstance(classes, SetAxis) and isinstance(classes, int) and classes < 1:
        raise rule.fail(f"`classes` is {classes}", "give 1 or more", "A214")
    return TensorType(dtype, (*index.shape, classes))
