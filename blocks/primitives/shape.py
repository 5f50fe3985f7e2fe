"""Operations that only change the shape: mostly views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...dsl.dims import Dim
from ...dsl.primitive import Rule
from ...dsl.types import Axis, TensorType, extent
from ..arguments import axes, axis, ints, shape, tensor
from ..costs import moved, product, view
from ..exact import in_order, stretched
from ..lowering import COMPOSITES, Given, LoweringBuilder, call, expand, method, sizes, static
from ..operands import normal_axes
from ..ranges import keeps
from ..registry import operation
from ..samples import refused, sample

X = tensor("x", "the tensor")


def free_size(rule: Rule, total: int | Dim, wanted: Sequence[Axis], what: str) -> tuple[Axis, ...]:
    """Return `wanted` with its single -1 replaced so that the product is `total`, or report that the products differ."""
    free = [i for i, a in enumerate(wanted) if isinstance(a, int) and a == -1]
    if len(free) > 1:
        raise rule.fail("two sizes are -1", "only one can be found from the others", "A324")
    low = [a for a in wanted if isinstance(a, int) and a < -1]
    if low:
        raise rule.fail(f"{low[0]} is no size", "sizes are 0 or more, and -1 stands for one to be found", "A324")
    known = product(a for i, a in enumerate(wanted) if i not in free)
    if not free:
        rule.same(total, known, what)
        return tuple(wanted)
    return tuple(rule.divide(total, known, what) if i in free else a for i, a in enumerate(wanted))


def run_shape(b: LoweringBuilder, wanted: Sequence[Axis]) -> list[Any]:
    """Return a shape for `reshape`: a single symbolic size becomes -1, so that nothing is asked at run time."""
    symbolic = [i for i, a in enumerate(wanted) if isinstance(a, Dim)]
    if len(symbolic) == 1 and not any(isinstance(a, int) and a in (0, -1) for a in wanted):
        return [-1 if i in symbolic else static(b, a) for i, a in enumerate(wanted)]
    return [static(b, a) for a in wanted]


@operation(
    arguments=(X, shape("shape", "the new sizes; -1 for one that follows")),
    lowering=expand(lambda b, given: b.method(given["x"], "reshape", run_shape(b, sizes(given.outputs[0])))),
    values=keeps("x"),
    exact=in_order,
    cost=view,
    good=(
        sample(x="float[B, 6]", shape=["B", 2, 3]),
        sample(x="float[B, S, 6]", shape=["B", "S", 2, -1]),
        sample(x="float[B, S]", shape=[-1]),
        sample(x="float[4]", shape=[2, 2]),
        sample(x="float[1, 1]", shape=[]),
    ),
    bad=(refused("A301", x="float[4]", shape=[3]), refused("A324", x="float[4]", shape=[-1, -1]), refused("A302", x="float[5]", shape=[2, -1])),
)
def reshape(rule: Rule, x: TensorType, shape: Sequence[Axis]) -> TensorType:
    """Read the elements in another shape, in the same order: `flat(y) = flat(x)`.  x: any[...], y: any[shape] with as many elements."""
    return TensorType(x.dtype, free_size(rule, product(x.shape), shape, "the elements of `x` and of the new shape"))


@operation(
    arguments=(X, axis("start", "the first axis to join", 0), axis("end", "the last axis to join", -1)),
    lowering=method("flatten", "x", "start", "end"),
    values=keeps("x"),
    exact=in_order,
    cost=view,
    good=(sample(x="float[B, S, 3]"), sample(x="float[B, S, 3]", start=1), sample(x="float[B, S, 3]", start=-3, end=-2)),
    bad=(refused("A304", x="float[B]", start=1), refused("A324", x="float[B, S]", start=1, end=0)),
)
def flatten(rule: Rule, x: TensorType, start: int, end: int) -> TensorType:
    """Join neighbouring axes into one: `[a, b, c, d] -> [a, b * c, d]`.  x: any[...], y: axes `start` to `end` (inclusive) joined."""
    first, last = (rule.axis(start, x.rank, "start"), rule.axis(end, x.rank, "end")) if x.rank else (0, -1)
    if x.rank and last < first:
        raise rule.fail(f"`end` is {end}, before `start`, {start}", "name the first axis, then the last", "A324")
    return TensorType(x.dtype, (*x.shape[:first], product(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def _unflatten(b: LoweringBuilder, given: Given) -> Any:
    """One free size saves asking for it; a reshape by hand costs less than torch's own `unflatten` but asks for every other size."""
    at = given["dim"] % given.type("x").rank
    count = given.outputs[0].rank - given.type("x").rank + 1
    return b.call("torch.unflatten", given["x"], given["dim"], run_shape(b, sizes(given.outputs[0])[at : at + count]))


@operation(
    arguments=(X, axis("dim", "the axis to split"), shape("shape", "its parts; -1 for one that follows")),
    lowering=expand(_unflatten),
    values=keeps("x"),
    exact=in_order,
    cost=view,
    good=(
        sample(x="float[B, 6]", dim=1, shape=[2, 3]),
        sample(x="float[B, S, 6]", dim=-1, shape=[2, -1]),
        sample(x="float[2 * B, 6]", dim=0, shape=[2, "B"]),
    ),
    bad=(
        refused("A301", x="float[B, 6]", dim=1, shape=[4, 2]),
        refused("A304", x="float[B]", dim=1, shape=[1]),
        refused("A302", x="float[B, 6]", dim=1, shape=[4, -1]),
    ),
)
def unflatten(rule: Rule, x: TensorType, dim: int, shape: Sequence[Axis]) -> TensorType:
    """Split an axis: `[a, b * c] -> [a, b, c]`.  x: any[..., n, ...], y: `shape`, of product n, in the place of n."""
    at = rule.axis(dim, x.rank)
    parts = free_size(rule, extent(x.shape[at]), shape, f"axis {at} of `x` and the product of its parts")
    return TensorType(x.dtype, (*x.shape[:at], *parts, *x.shape[at + 1 :]))


@operation(
    arguments=(X, axis("a", "one axis"), axis("b", "the other axis")),
    lowering=method("transpose", "x", "a", "b"),
    values=keeps("x"),
    cost=view,
    good=(sample(x="float[B, S, 3]", a=1, b=2), sample(x="float[B, S]", a=-1, b=0)),
    bad=(refused("A304", x="float[B, S]", a=0, b=2),),
)
def transpose(rule: Rule, x: TensorType, a: int, b: int) -> TensorType:
    """Swap two axes: `y[.., j, .., i, ..] = x[.., i, .., j, ..]`.  x: any[...], y: axes `a` and `b` swapped."""
    first, second = rule.axis(a, x.rank, "a"), rule.axis(b, x.rank, "b")
    swapped = list(x.shape)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    return TensorType(x.dtype, tuple(swapped))


@operation(
    name="mT",
    arguments=(X,),
    lowering=expand(lambda b, given: b.method(given["x"], "transpose", -2, -1)),
    values=keeps("x"),
    cost=view,
    good=(sample(x="float[B, S, 3]"), sample(x="float[B, S]")),
    bad=(refused("A322", x="float[B]"),),
)
def matrix_transpose(rule: Rule, x: TensorType) -> TensorType:
    """Swap the last two axes: `y[.., j, i] = x[.., i, j]`, written `x.mT`.  x: any[..., n, m], y: any[..., m, n]."""
    if x.rank < 2:
        raise rule.fail(f"`mT` needs a matrix and `x` is {x}", "give it two axes or more", "A322")
    return TensorType(x.dtype, (*x.shape[:-2], x.shape[-1], x.shape[-2]))


@operation(
    arguments=(X, ints("order", "the old axes in their new order")),
    lowering=method("permute", "x", "order"),
    values=keeps("x"),
    cost=view,
    good=(sample(x="float[B, S, 3]", order=[2, 0, 1]), sample(x="float[B, S, 3, 4]", order=[0, -1, 1, 2])),
    bad=(refused("A324", x="float[B, S]", order=[0]), refused("A304", x="float[B, S]", order=[0, 2]), refused("A324", x="float[B, S]", order=[0, 0])),
)
def permute(rule: Rule, x: TensorType, order: Sequence[int]) -> TensorType:
    """Reorder the axes: `y.shape[i] = x.shape[order[i]]`.  x: any[...], y: any[...]."""
    found = normal_axes(rule, order, x.rank)
    if len(found) != x.rank:
        raise rule.fail(f"`order` names {len(found)} axes and `x` has {x.rank}", "name each axis once", "A324")
    return TensorType(x.dtype, tuple(x.shape[i] for i in found))


def _moved_axes(name: str, order: str, permutation: str, doc: str) -> None:
    def lower(b: LoweringBuilder, given: Given) -> Any:
        rank = given.type("x").rank
        return b.method(given["x"], "movedim", *((1, -1) if permutation == "last" else (-1, 1))) if rank > 2 else given["x"]

    def rule(rule: Rule, x: TensorType) -> TensorType:
        if x.rank < 2:
            raise rule.fail(f"`{name}` needs a batch and a channel axis and `x` is {x}", "give it two axes or more", "A322")
        first, second, *rest = x.shape
        swapped = (first, *rest, second) if permutation == "last" else (first, x.shape[-1], *x.shape[1:-1])
        return TensorType(x.dtype, swapped)

    operation(
        name=name,
        doc=f"{doc}: `y = x` with its axes in another order, `{order}`.  x: any[...], y: any[...].",
        arguments=(X,),
        lowering=expand(lower),
        values=keeps("x"),
        cost=view,
        good=(sample(x="float[B, 3, H, W]"), sample(x="float[B, 3, S]"), sample(x="float[B, 3]")),
        bad=(refused("A322", x="float[B]"),),
    )(rule)


_moved_axes("channels_last", "[B, C, ...] -> [B, ..., C]", "last", "Move the channel axis from the second place to the end")
_moved_axes("channels_first", "[B, ..., C] -> [B, C, ...]", "first", "Move the channel axis from the end to the second place")


@operation(
    arguments=(X,),
    lowering=call(f"{COMPOSITES}.in_channels_last", "x"),
    values=keeps("x"),
    cost=moved,
    good=(sample(x="float[B, 3, H, W]"), sample(x="int[B, 3, 4, 1]")),
    bad=(refused("A322", x="float[B, 3, S]"),),
)
def in_channels_last(rule: Rule, x: TensorType) -> TensorType:
    """Lay a map out in memory with its channels innermost, as torch's `channels_last` format: `y = x`, the order of axes is kept.

    x: any[B, C, H, W], y: as x.
    """
    if x.rank != 4:
        raise rule.fail(f"`x` is {x}", "give it [B, C, H, W]", "A322")
    return x


@operation(
    arguments=(X, axis("source", "the axis to move"), axis("to", "where it goes")),
    lowering=method("movedim", "x", "source", "to"),
    values=keeps("x"),
    cost=view,
    good=(sample(x="float[B, S, 3]", source=0, to=-1), sample(x="float[B, S, 3]", source=2, to=0)),
    bad=(refused("A304", x="float[B]", source=1, to=0),),
)
def movedim(rule: Rule, x: TensorType, source: int, to: int) -> TensorType:
    """Move one axis and keep the order of the others: `[a, b, c] -> [b, c, a]` is `y = movedim(x, 0, -1)`.  x: any[...], y: any[...]."""
    first, last = rule.axis(source, x.rank, "source"), rule.axis(to, x.rank, "to")
    rest = [*x.shape[:first], *x.shape[first + 1 :]]
    return TensorType(x.dtype, (*rest[:last], x.shape[first], *rest[last:]))


@operation(
    arguments=(X, shape("shape", "the new sizes, counted from the right; -1 keeps one")),
    lowering=expand(lambda b, given: _expand(b, given)),
    values=keeps("x"),
    exact=stretched,
    cost=view,
    good=(
        sample(x="float[1, S, 3]", shape=["B", "S", 3]),
        sample(x="float[3]", shape=["B", 3]),
        sample(x="float[1, S, 1]", shape=["B", -1, 4]),
    ),
    bad=(refused("A301", x="float[2, 3]", shape=[4, 3]), refused("A324", x="float[2, 3]", shape=[3]), refused("A324", x="float[3]", shape=[-1, 3])),
)
def expand_(rule: Rule, x: TensorType, shape: Sequence[Axis]) -> TensorType:
    """Stretch axes of size 1: `y[i, j] = x[0, j]`, new axes at the left.  x: any[...], y: any[shape]."""
    if len(shape) < x.rank:
        raise rule.fail(f"`x` has {x.rank} axes and the new shape {len(shape)}", "give a size for each axis", "A324")
    extra = len(shape) - x.rank
    result = list(shape)
    for i, wanted in enumerate(shape):
        kept = isinstance(wanted, int) and wanted == -1
        if kept and i < extra:
            raise rule.fail("a new axis has no size to keep", "give its size", "A324")
        old = x.shape[i - extra] if i >= extra else 1
        if kept:
            result[i] = old
        elif not (isinstance(old, int) and old == 1):
            rule.same(old, wanted, f"axis {i - extra} of `x` and its new size")
    return TensorType(x.dtype, tuple(result))


def _expand(b: LoweringBuilder, given: Given) -> Any:
    """Axes that stay are written -1: their sizes needn't be asked."""
    old, new = given.shape("x"), sizes(given.outputs[0])
    extra = len(new) - len(old)
    kept = [i >= extra and not (isinstance(old[i - extra], int) and old[i - extra] == 1) for i in range(len(new))]
    return b.method(given["x"], "expand", *(-1 if k else b.dim(n) for k, n in zip(kept, new, strict=True)))


@operation(
    arguments=(X, axes("dim", "the axes of size 1 to drop; all of them when `none`", None)),
    lowering=expand(lambda b, given: _squeezed(b, given)),
    values=keeps("x"),
    exact=in_order,
    cost=view,
    good=(sample(x="float[B, 1, 3]", dim=1), sample(x="float[1, B, 1]"), sample(x="float[1, B, 1]", dim=[0, -1])),
    bad=(refused("A301", x="float[B, 3]", dim=1), refused("A304", x="float[B]", dim=1)),
)
def squeeze(rule: Rule, x: TensorType, dim: Any) -> TensorType:
    """Drop axes of size 1: `[a, 1, b] -> [a, b]`.  x: any[...], y: any[...]."""
    if dim is not None:
        for at in normal_axes(rule, dim, x.rank):
            rule.same(x.shape[at], 1, f"axis {at} of `x`, to be dropped, and 1")
    gone = _dropped(x, dim)
    return TensorType(x.dtype, tuple(a for i, a in enumerate(x.shape) if i not in gone))


def _squeezed(b: LoweringBuilder, given: Given) -> Any:
    """One axis is given as a number: a tuple takes torch twice as long to read as the step itself."""
    gone = _dropped(given.type("x"), given["dim"])
    return b.method(given["x"], "squeeze", gone[0] if len(gone) == 1 else tuple(gone))


def _dropped(x: TensorType, dim: Any) -> list[int]:
    if dim is None:
        return [i for i, a in enumerate(x.shape) if isinstance(a, int) and a == 1]
    return [d % x.rank for d in ([dim] if isinstance(dim, int) else dim)]


@operation(
    arguments=(X, axis("dim", "where the new axis goes, counted in the result")),
    lowering=method("unsqueeze", "x", "dim"),
    values=keeps("x"),
    exact=in_order,
    cost=view,
    good=(sample(x="float[B, 3]", dim=1), sample(x="float[B, 3]", dim=-1), sample(x="float[B, 3]", dim=0)),
    bad=(refused("A304", x="float[B]", dim=2),),
)
def unsqueeze(rule: Rule, x: TensorType, dim: int) -> TensorType:
    """Insert an axis of size 1: `[a, b] -> [a, 1, b]`.  x: any[...], y: any[...]."""
    at = rule.axis(dim, x.rank + 1)
    return TensorType(x.dtype, (*x.shape[:at], 1, *x.shape[at:]))


@operation(
    arguments=(X, axes("dim", "the axes to reverse")),
    lowering=expand(lambda b, given: b.call("torch.flip", given["x"], list(normal_list(given["dim"])))),
    values=keeps("x"),
    cost=moved,
    good=(sample(x="float[B, 3]", dim=-1), sample(x="int[B, S]", dim=[0, 1])),
    bad=(refused("A304", x="float[B]", dim=1),),
)
def flip(rule: Rule, x: TensorType, dim: Any) -> TensorType:
    """Reverse axes: `y_i = x_(n - 1 - i)`.  x: any[...], y: as x."""
    normal_axes(rule, dim, x.rank)
    return x


def normal_list(dim: Any) -> list[int]:
    """Return one axis or several as a list."""
    return [dim] if isinstance(dim, int) else list(dim)


@operation(
    arguments=(X, ints("shift", "how far, for each axis"), axes("dim", "the axes to turn")),
    lowering=call("torch.roll", "x", "shift", "dim"),
    values=keeps("x"),
    cost=moved,
    good=(sample(x="float[B, 3]", shift=1, dim=-1), sample(x="float[B, H, W]", shift=[-1, 2], dim=[1, 2])),
    bad=(refused("A304", x="float[B]", shift=1, dim=1), refused("A324", x="float[B, S]", shift=[1, 2], dim=0)),
)
def roll(rule: Rule, x: TensorType, shift: Any, dim: Any) -> TensorType:
    """Turn axes round: `y_i = x_((i - shift) mod n)`.  x: any[...], y: as x."""
    found = normal_axes(rule, dim, x.rank)
    if len(normal_list(shift)) != len(found):
        raise rule.fail("`shift` and `dim` differ in length", "give one shift for each axis", "A324")
    return x
