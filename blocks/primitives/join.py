"""Joining, cutting and repeating tensors along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...dsl.dim_atoms import ceil_div
from ...dsl.dims import Dim, total
from ...dsl.primitive import Inputs, Numbers, Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import anything, axes, axis, integer, shape, size, tensor, tensors, word
from ..costs import moved, view
from ..lowering import Given, LoweringBuilder, Omit, call, expand, static
from ..operands import common_dtype, is_literal, normal_axes
from ..ranges import keeps
from ..registry import operation
from ..samples import refused, sample

X = tensor("x", "the tensor")
PARTS = tensors("tensors", "a family, a list or several tensors")


def one_dtype(rule: Rule, tensors: Sequence[TensorType]) -> DType:
    """Return the dtype that all tensors have."""
    if not tensors:
        raise rule.fail("there are no tensors", "a family over an empty set can't be joined: it has no type", "A305")
    for i, t in enumerate(tensors):
        if t.dtype is not tensors[0].dtype:
            raise rule.fail(f"part 0 is {tensors[0].dtype} and part {i} is {t.dtype}", f"convert one with `{tensors[0].dtype}(...)`", "A321")
    return tensors[0].dtype


@operation(
    arguments=(PARTS, axis("dim", "the axis along which they are joined")),
    lowering=call("torch.cat", "tensors", dim="dim"),
    values=keeps("tensors"),
    cost=moved,
    good=(
        sample(tensors=["float[B, S, 3]", "float[B, 2, 3]"], dim=1),
        sample(tensors=["float[B, S]", "float[B, S]", "float[B, 1]"], dim=-1),
        sample(tensors=["bool[B]", "bool[S]"], dim=0),
    ),
    bad=(
        refused("A321", tensors=["float[B]", "int[B]"], dim=0),
        refused("A301", tensors=["float[2, 3]", "float[2, 4]"], dim=0),
        refused("A322", tensors=["float[2, 3]", "float[2]"], dim=0),
        refused("A304", tensors=["float[2]"], dim=1),
        refused("A305", tensors=[], dim=0),
    ),
)
def concat(rule: Rule, tensors: Sequence[TensorType], dim: int) -> TensorType:
    """Join along an axis: `y = [x_1, x_2]`.  x_i: any[.., n_i, ..], y: any[.., n_1 + n_2, ..]; the other axes and the dtype are equal."""
    dtype = one_dtype(rule, tensors)
    first = tensors[0]
    at = rule.axis(dim, first.rank)
    joined: list[Axis] = list(first.shape)
    for number_, part in enumerate(tensors[1:], 1):
        if part.rank != first.rank:
            raise rule.fail(f"part 0 is {first} and part {number_} is {part}", "they need as many axes", "A322")
        for i, axis_ in enumerate(part.shape):
            if i != at:
                joined[i] = rule.same(joined[i], axis_, f"axis {i} of part 0 and of part {number_}")
    if len(tensors) > 1:
        joined[at] = total(extent(part.shape[at]) for part in tensors)
    return TensorType(dtype, tuple(joined))


@operation(
    arguments=(PARTS, axis("dim", "where the new axis goes, counted in the result", 0)),
    lowering=call("torch.stack", "tensors", dim=Omit("dim", 0)),
    values=keeps("tensors"),
    cost=moved,
    good=(sample(tensors=["float[B, S]", "float[B, S]"]), sample(tensors=["int[B]", "int[B]", "int[B]"], dim=-1)),
    bad=(
        refused("A321", tensors=["float[B]", "int[B]"]),
        refused("A301", tensors=["float[2]", "float[3]"]),
        refused("A322", tensors=["float[2]", "float[2, 2]"]),
        refused("A304", tensors=["float[2]"], dim=2),
    ),
)
def stack(rule: Rule, tensors: Sequence[TensorType], dim: int) -> TensorType:
    """Put equal tensors side by side along a new axis: `y[.., i, ..] = tensors[i]`.  any[a, b], n of them -> any[n, a, b]."""
    dtype = one_dtype(rule, tensors)
    shape_ = list(tensors[0].shape)
    at = rule.axis(dim, len(shape_) + 1)
    for number_, part in enumerate(tensors[1:], 1):
        if part.rank != len(shape_):
            raise rule.fail(f"part 0 is {tensors[0]} and part {number_} is {part}", "they need the same shape", "A322")
        shape_ = [rule.same(a, b, f"axis {i} of part 0 and of part {number_}") for i, (a, b) in enumerate(zip(shape_, part.shape, strict=True))]
    return TensorType(dtype, (*shape_[:at], len(tensors), *shape_[at:]))


def _split(b: LoweringBuilder, given: Given) -> Any:
    sizes, dim = given["sizes"], given["dim"]
    if isinstance(sizes, int):
        pieces = b.call("torch.chunk", given["x"], sizes, dim=dim)
    else:
        pieces = b.call("torch.split_with_sizes", given["x"], static(b, sizes), dim=dim)
    return tuple(b.item(pieces, i) for i in range(len(given.outputs)))


def _equal_parts(rule: Rule, x: TensorType, parts: int, at: int) -> tuple[TensorType, ...]:
    if parts < 1:
        raise rule.fail(f"an axis can't be cut into {parts} parts", "give 1 or more", "A214")
    width = rule.divide(extent(x.shape[at]), parts, f"axis {at} of `x` and its {parts} equal parts")
    return (TensorType(x.dtype, (*x.shape[:at], width, *x.shape[at + 1 :])),) * parts


@operation(
    arguments=(X, shape("sizes", "a number of equal parts, or the list of their sizes"), axis("dim", "the axis to cut")),
    lowering=expand(_split),
    several=True,
    values=keeps("x"),
    cost=view,
    good=(sample(x="float[B, 6]", sizes=2, dim=-1), sample(x="float[B, 6]", sizes=[1, 2, 3], dim=1), sample(x="float[S + 2]", sizes=["S", 2], dim=0)),
    bad=(
        refused("A301", x="float[B, 6]", sizes=[1, 2], dim=1),
        refused("A302", x="float[B, 6]", sizes=4, dim=1),
        refused("A214", x="float[B, 6]", sizes=0, dim=1),
    ),
)
def split(rule: Rule, x: TensorType, sizes: Any, dim: int) -> tuple[TensorType, ...]:
    """Cut an axis into parts: `[.., n_1 + n_2, ..] -> [.., n_1, ..], [.., n_2, ..]`; the inverse of `concat`.

    x: any[..., n, ...], y: a list of any[..., n_i, ...].
    """
    at = rule.axis(dim, x.rank)
    if isinstance(sizes, int):
        return _equal_parts(rule, x, sizes, at)
    total: int | Dim = 0
    for part in sizes:
        total = total + extent(part)
    rule.same(extent(x.shape[at]), total, f"axis {at} of `x` and the sum of its parts")
    return tuple(TensorType(x.dtype, (*x.shape[:at], part, *x.shape[at + 1 :])) for part in sizes)


@operation(
    arguments=(X, integer("chunks", "how many equal parts"), axis("dim", "the axis to cut", 0)),
    several=True,
    lowering=expand(lambda b, given: _pieces(b, b.call("torch.chunk", given["x"], given["chunks"], dim=given["dim"]), given)),
    values=keeps("x"),
    cost=view,
    good=(sample(x="float[B, 6]", chunks=3, dim=1), sample(x="float[2 * B]", chunks=2)),
    bad=(refused("A302", x="float[B, 5]", chunks=2, dim=1), refused("A304", x="float[B]", chunks=1, dim=1)),
)
def chunk(rule: Rule, x: TensorType, chunks: int, dim: int) -> tuple[TensorType, ...]:
    """Cut an axis into equal parts: `[.., k n, ..] -> k times [.., n, ..]`; a remainder is refused.

    x: any[..., k n, ...], y: a list of any[..., n, ...].
    """
    return _equal_parts(rule, x, chunks, rule.axis(dim, x.rank))


def _pieces(b: LoweringBuilder, handle: Any, given: Given) -> tuple[Any, ...]:
    return tuple(b.item(handle, i) for i in range(len(given.outputs)))


@operation(
    arguments=(X, axis("dim", "the axis to take apart", 0)),
    several=True,
    lowering=expand(lambda b, given: _pieces(b, b.call("torch.unbind", given["x"], given["dim"]), given)),
    values=keeps("x"),
    cost=view,
    good=(sample(x="float[3, B, S]"), sample(x="float[B, 2]", dim=-1)),
    bad=(refused("A324", x="float[B, 2]"), refused("A304", x="float[2]", dim=1)),
)
def unbind(rule: Rule, x: TensorType, dim: int) -> tuple[TensorType, ...]:
    """Take an axis apart: `y_i = x[.., i, ..]`, one for each position.  x: any[.., n, ..], n static, y_i: any[.., ..]."""
    at = rule.axis(dim, x.rank)
    count = extent(x.shape[at])
    if not isinstance(count, int):
        raise rule.fail(f"axis {at} of `x` has the size {count}, unknown before it runs", "only an axis of a static size can be taken apart", "A324")
    return (TensorType(x.dtype, (*x.shape[:at], *x.shape[at + 1 :])),) * count


@operation(
    arguments=(X, size("count", "how often"), axis("dim", "the axis that gets longer", 0)),
    lowering=expand(lambda b, given: _tile(b, given)),
    values=keeps("x"),
    cost=moved,
    good=(sample(x="float[S, 3]", count="B"), sample(x="float[B, 3]", count=2, dim=-1)),
    bad=(refused("A304", x="float[B]", count=2, dim=1), refused("A214", x="float[B]", count=-1)),
)
def tile(rule: Rule, x: TensorType, count: int | Dim, dim: int) -> TensorType:
    """Repeat whole along an axis: `[a, b] -> [a, b, a, b]`.  x: any[..., n, ...], y: any[..., count * n, ...]."""
    return _longer(rule, x, count, dim)


def _longer(rule: Rule, x: TensorType, count: int | Dim, dim: int) -> TensorType:
    at = rule.axis(dim, x.rank)
    if isinstance(count, int) and count < 0:
        raise rule.fail(f"`count` is {count}", "repeat none or more times", "A214")
    return TensorType(x.dtype, (*x.shape[:at], extent(x.shape[at]) * count, *x.shape[at + 1 :]))


def _tile(b: LoweringBuilder, given: Given) -> Any:
    rank = given.type("x").rank
    return b.method(given["x"], "repeat", *(static(b, given["count"]) if i == given["dim"] % rank else 1 for i in range(rank)))


@operation(
    arguments=(X, size("count", "how often"), axis("dim", "the axis that gets longer", 0)),
    lowering=call("torch.repeat_interleave", "x", "count", dim="dim"),
    values=keeps("x"),
    cost=moved,
    good=(sample(x="float[S, 3]", count=2), sample(x="float[B, 3]", count=2, dim=-1)),
    bad=(refused("A304", x="float[B]", count=2, dim=1), refused("A214", x="float[B]", count=-1)),
)
def repeat_interleave(rule: Rule, x: TensorType, count: int | Dim, dim: int) -> TensorType:
    """Repeat each element along an axis: `[a, b] -> [a, a, b, b]`.  x: any[..., n, ...], y: any[..., count * n, ...]."""
    return _longer(rule, x, count, dim)


def _widths(b: LoweringBuilder, rank: int, pairs: Mapping[int, Sequence[Any]]) -> list[Any]:
    """Return what `torch.nn.functional.pad` takes: a pair for each axis, from the last to the first that is padded."""
    return [static(b, n) for d in range(rank - 1, min(pairs, default=rank) - 1, -1) for n in pairs.get(d, [0, 0])]


MODES = ("constant", "replicate", "reflect", "circular")


def _padded(inputs: Inputs, held: Mapping[str, tuple[Numbers, ...]]) -> tuple[Numbers, ...]:
    """The numbers of x, and what is put beside them."""
    filler = inputs["value"] if inputs.get("mode", "constant") == "constant" else None
    return (*held.get("x", ()), *((Numbers(filler, filler + 1),) if type(filler) is int else ()))


def _pad(b: LoweringBuilder, given: Given) -> Any:
    rank, amount, dim, value = given.type("x").rank, list(given["amount"]), given["dim"], given["value"]
    listed = [d % rank for d in ([dim] if isinstance(dim, int) else dim)]
    pairs = {d: amount[2 * i : 2 * i + 2] for i, d in enumerate(listed)}
    widths = _widths(b, rank, pairs)
    options: dict[str, Any] = {} if given["mode"] == "constant" else {"mode": given["mode"]}
    if value != 0:
        options["value"] = static(b, value)
    return b.call("torch.nn.functional.pad", given["x"], widths, **options)


@operation(
    arguments=(
        X,
        shape("amount", "how many before and after; a pair for each axis in turn"),
        axes("dim", "the axes to pad", -1),
        word("mode", MODES, "what stands in the new places", "constant"),
        anything("value", "the number in the new places", 0),
    ),
    lowering=expand(_pad),
    values=_padded,
    cost=moved,
    good=(
        sample(x="float[B, S]", amount=[1, 2]),
        sample(x="float[B, S, 3]", amount=[1, 0], dim=1, value=-1.5),
        sample(x="float[B, 3, 4, 5]", amount=[1, 1, 2, 2], dim=[2, 3], mode="reflect"),
        sample(x="float[B, 3, 4]", amount=[0, 2], mode="replicate"),
        sample(x="bool[B, S]", amount=[0, 1], value=False),
        sample(x="int[B, S]", amount=[0, "S"], dim=0),
    ),
    bad=(
        refused("A324", x="float[B, S]", amount=[1]),
        refused("A304", x="float[B]", amount=[1, 1], dim=1),
        refused("A321", x="int[B]", amount=[1, 1], value=0.5),
        refused("A305", x="int[B]", amount=[1, 1], value="zero"),
        refused("A324", x="float[B, 3, 4]", amount=[1, 1], dim=0, mode="reflect"),
        refused("A303", x="float[B, 3, 2]", amount=[2, 2], mode="reflect"),
        refused("A214", x="float[B, 3, 4]", amount=[1, 1], mode="reflect", value=1.0),
        refused("A305", x="bool[B, 3, 4]", amount=[1, 1], mode="replicate"),
    ),
)
def pad(rule: Rule, x: TensorType, amount: Sequence[Axis], dim: Any, mode: str, value: Any) -> TensorType:
    """Add places before and after along axes: `y = [p, p, x, p]`.  x: any[..., n, ...], y: any[..., before + n + after, ...]."""
    listed = normal_axes(rule, dim, x.rank)
    if len(amount) != 2 * len(listed):
        raise rule.fail(f"`amount` has {len(amount)} numbers for {len(listed)} axes", "give `[before, after]` for each axis", "A324")
    _filler(rule, x, value)
    if mode != "constant":
        _mirrored(rule, x, amount, listed, mode, value)
    result: list[Axis] = list(x.shape)
    for i, at in enumerate(listed):
        result[at] = extent(amount[2 * i]) + extent(result[at]) + extent(amount[2 * i + 1])
    return TensorType(x.dtype, tuple(result))


def _filler(rule: Rule, x: TensorType, value: Any) -> None:
    """Require a number of the tensor's kind; 0 is also `false`."""
    if not is_literal(value):
        raise rule.fail("`value` is no number", "give a number; `where` puts tensors in places", "A305")
    if not (x.dtype is DType.BOOL and value == 0):
        common_dtype(rule, {"x": x, "value": value}, "bool" if x.dtype is DType.BOOL else "number")


def _mirrored(rule: Rule, x: TensorType, amount: Sequence[Axis], listed: Sequence[int], mode: str, value: Any) -> None:
    """Require what torch's other modes do; a mirror or a circle shows no more than there is."""
    if x.dtype is DType.BOOL and mode != "circular":
        raise rule.fail(f"`{mode}` pads numbers and `x` is {x}", "pad `int(x)`, and compare", "A305")
    if x.rank < 3 or set(listed) != set(range(2, x.rank)):
        raise rule.fail(
            f"`{mode}` pads all axes after the first two and only those, here {listed}", "bring x to [B, C, ...] and name the rest", "A324"
        )
    if value != 0:
        raise rule.fail(f"`{mode}` takes no `value`", "only `constant` puts a number in the new places", "A214")
    least = {"reflect": 1, "circular": 0}.get(mode)
    for i, at in enumerate(listed):
        for n in amount[2 * i : 2 * i + 2]:
            if least is not None:
                rule.at_least(extent(x.shape[at]), extent(n) + least, f"axis {at} of `x`, of which so many are shown again")


def _missing(size_: Axis, multiple: int) -> int | Dim:
    return multiple * ceil_div(extent(size_), multiple) - extent(size_)


def _pad_to_multiple(b: LoweringBuilder, given: Given) -> Any:
    x, multiple = given.type("x"), given["multiple"]
    dim = given["dim"]
    pairs = {d % x.rank: [0, _missing(x.shape[d], multiple)] for d in ([dim] if isinstance(dim, int) else dim)}
    options: dict[str, Any] = {} if given["value"] == 0 else {"value": static(b, given["value"])}
    return b.call("torch.nn.functional.pad", given["x"], _widths(b, x.rank, pairs), **options)


@operation(
    arguments=(
        X,
        integer("multiple", "what the new length is a multiple of"),
        axes("dim", "the axes to pad", -1),
        anything("value", "the number in the new places", 0),
    ),
    lowering=expand(_pad_to_multiple),
    values=_padded,
    cost=moved,
    good=(
        sample(x="float[B, S]", multiple=4),
        sample(x="float[B, S, N, 3]", multiple=3, dim=[1, 2], value=-1.5),
        sample(x="bool[B, 8]", multiple=4),
        sample(x="int[B, S, 3]", multiple=2, dim=-2, value=7),
        sample(x="int[B, S, 3]", multiple=2, dim=[]),
    ),
    bad=(
        refused("A214", x="float[B, S]", multiple=0),
        refused("A304", x="float[B]", multiple=2, dim=1),
        refused("A321", x="int[B]", multiple=2, value=0.5),
        refused("A305", x="float[B]", multiple=2, value="zero"),
    ),
)
def pad_to_multiple(rule: Rule, x: TensorType, multiple: int, dim: Any, value: Any) -> TensorType:
    """Add places at the end of axes until a number divides their length: `y = [x, p]` of the length `m ceil(n / m)`.

    x: any[..., n, ...], y: any[..., multiple * ceil(n / multiple), ...].
    """
    listed = normal_axes(rule, dim, x.rank)
    if multiple < 1:
        raise rule.fail(f"`multiple` is {multiple}", "give 1 or more", "A214")
    _filler(rule, x, value)
    result = [axis_ if i not in listed else multiple * ceil_div(extent(axis_), multiple) for i, axis_ in enumerate(x.shape)]
    return TensorType(x.dtype, tuple(result))
