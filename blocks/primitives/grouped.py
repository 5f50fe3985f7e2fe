"""Operations on rows that go to members of a family, each to a few."""

from __future__ import annotations

from typing import Any

from ...dsl.dims import Dim
from ...dsl.primitive import Cost, Inputs, Rule
from ...dsl.types import DType, TensorType, extent
from ..arguments import size, tensor, word
from ..costs import moved, moved_bytes, product
from ..lowering import Given, LoweringBuilder, Omit, call, expand
from ..operands import common_dtype
from ..registry import operation
from ..samples import refused, sample

GROUPING = "archloom.compiler.runtime.grouping"


def _routes(b: LoweringBuilder, given: Given) -> Any:
    found = b.call(f"{GROUPING}.routes", given["chosen"], b.dim(given["members"]))
    return tuple(b.item(found, place) for place in range(4))


@operation(
    arguments=(
        tensor("chosen", "which members each row goes to", within=lambda inputs: inputs["members"]),
        size("members", "how many members there are"),
    ),
    lowering=expand(_routes),
    cost=moved,
    results=("rows", "members", "places", "ends"),
    good=(sample(chosen="int[B, 2] < 3", members=3), sample(chosen="int[B, S, 1] < 4", members=4)),
    bad=(refused("A305", chosen="bool[B, 3]", members=3), refused("A322", chosen="int[3]", members=3)),
)
def routes(rule: Rule, chosen: TensorType, members: int | Dim) -> tuple[TensorType, TensorType, TensorType, TensorType]:
    """List which row goes to which member, member by member, then row by row: all `(rows_r, members_r)` with `members_r` in `chosen[rows_r]`.

    chosen: int[..., k] in 0..members; rows, members, places with `chosen[places_r] = members_r`: int[n k] for n rows; rows and places are counted
    through all axes; ends: int32[members], where the rows of each member end.
    """
    rule.dtype(chosen, [DType.INT], "`chosen`")
    if chosen.rank < 2:
        raise rule.fail(f"`chosen` is {chosen} and has no rows", "give int[..., k]", "A322")
    total = TensorType(DType.INT, (product(extent(axis) for axis in chosen.shape),))
    return total, total, total, TensorType(DType.INT32, (members,))


def _cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    return Cost(product(outputs[0].shape) * extent(inputs["x"].shape[1]) * 2, moved_bytes(inputs, outputs))


@operation(
    arguments=(
        tensor("x", "the rows"),
        tensor("weight", "the matrices"),
        tensor("member", "the matrix of each row", within=lambda inputs: inputs["weight"].shape[0]),
        tensor("bias", "what is added", optional=True),
        tensor("ends", "where the rows of each member end, if they stand by members", optional=True),
    ),
    lowering=call(f"{GROUPING}.grouped_linear", "x", "weight", "bias", "member", Omit("ends", None)),
    cost=_cost,
    good=(
        sample(x="float[B, 4]", weight="float[3, 8, 4]", member="int[B] < 3", bias="float[3, 8]"),
        sample(x="float[S, 3]", weight="float[3, 5, 3]", member="int[S] < 3"),
    ),
    bad=(
        refused("A301", x="float[B, 4]", weight="float[3, 4, 5]", member="int[B]"),
        refused("A301", x="float[B, 4]", weight="float[3, 5, 4]", member="int[S]"),
        refused("A301", x="float[B, 4]", weight="float[3, 5, 4]", member="int[B]", bias="float[3, 4]"),
        refused("A305", x="float[B, 4]", weight="float[3, 5, 4]", member="float[B]"),
        refused("A322", x="float[B, 4]", weight="float[5, 4]", member="int[B]"),
        refused("A322", x="float[B, 4]", weight="float[3, 5, 4]", member="int[B]", bias="float[5]"),
        refused("A301", x="float[B, 4]", weight="float[3, 5, 4]", member="int[B]", ends="int32[4]"),
        refused("A305", x="float[B, 4]", weight="float[3, 5, 4]", member="int[B]", ends="int[3]"),
        refused("A322", x="float[B, 4]", weight="float[3, 5, 4]", member="int[B]", ends="int32[3, 1]"),
    ),
)
def grouped_linear(rule: Rule, x: TensorType, weight: TensorType, member: TensorType, bias: TensorType | None, ends: TensorType | None) -> TensorType:
    """Map each row by the matrix of its member: `y_r = W_e x_r + b_e`, `e = member_r`.

    x: float[R, din], weight W: float[E, dout, din], member: int[R] in 0..E, bias b: float[E, dout], ends: int32[E], y: float[R, dout].
    """
    rule.dtype(member, [DType.INT], "`member`")
    if (x.rank, weight.rank, member.rank) != (2, 3, 1) or (bias is not None and bias.rank != 2):
        message = (
            f"`grouped_linear` takes x: float[R, din], weight: float[E, dout, din], member: int[R], bias: float[E, dout], and gets {x}, {weight}"
        )
        raise rule.fail(f"{message}, {member}, {bias}", "give each row its member", "A322")
    rule.same(x.shape[1], weight.shape[2], "the last axes of `x` and `weight`")
    rows = rule.same(x.shape[0], member.shape[0], "axis 0 of `x` and `member`")
    if bias is not None:
        rule.same(bias.shape[0], weight.shape[0], "axis 0 of `bias` and of `weight`")
        rule.same(bias.shape[1], weight.shape[1], "axis 1 of `bias` and of `weight`")
    if ends is not None:
        rule.dtype(ends, [DType.INT32], "`ends`")
        if ends.rank != 1:
            raise rule.fail(f"`ends` is {ends}", "give int32[E], as `routes` does", "A322")
        rule.same(ends.shape[0], weight.shape[0], "axis 0 of `ends` and of `weight`")
    values = {"x": x, "weight": weight, **({"bias": bias} if bias is not None else {})}
    return TensorType(common_dtype(rule, values, "float"), (rows, weight.shape[1]))


def _moe_cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    inner, outer = inputs["inner"].shape, inputs["outer"].shape
    each = product(inner) + product(outer)
    return Cost(product(inputs["chosen"].shape) * each * 2 // extent(outer[0]), moved_bytes(inputs, outputs))


@operation(
    arguments=(
        tensor("x", "the rows"),
        tensor("chosen", "the experts of each row", within=lambda inputs: inputs["outer"].shape[0]),
        tensor("gates", "what each of them weighs"),
        tensor("inner", "the experts' first matrices, one below the other"),
        tensor("outer", "their second matrices"),
        word("activation", ("silu", "gelu", "relu"), "the function between them", "silu"),
    ),
    lowering=call(f"{GROUPING}.moe_ffn", "x", "chosen", "gates", "inner", "outer", "activation"),
    cost=_moe_cost,
    good=(
        sample(x="float[B, 4]", chosen="int[B, 1] < 1", gates="float[B, 1]", inner="float[6, 4]", outer="float[1, 5, 3]"),
        sample(x="float[B, S, 4]", chosen="int[B, S, 2] < 3", gates="float[B, S, 2]", inner="float[9, 4]", outer="float[3, 4, 3]", activation="gelu"),
    ),
    bad=(
        refused("A322", x="float[4]", chosen="int[2]", gates="float[2]", inner="float[6, 4]", outer="float[3, 4, 2]"),
        refused("A301", x="float[B, 4]", chosen="int[S, 2]", gates="float[B, 2]", inner="float[6, 4]", outer="float[3, 4, 2]"),
        refused("A301", x="float[B, 4]", chosen="int[B, 2]", gates="float[B, 1]", inner="float[6, 4]", outer="float[3, 4, 2]"),
        refused("A301", x="float[B, 4]", chosen="int[B, 2]", gates="float[B, 2]", inner="float[6, 5]", outer="float[3, 4, 2]"),
        refused("A322", x="float[B, 4]", chosen="int[B, 2]", gates="float[B, 2]", inner="float[7, 4]", outer="float[3, 4, 2]"),
        refused("A305", x="float[B, 4]", chosen="float[B, 2]", gates="float[B, 2]", inner="float[6, 4]", outer="float[3, 4, 2]"),
        refused("A213", x="float[B, 4]", chosen="int[B, 2]", gates="float[B, 2]", inner="float[6, 4]", outer="float[3, 4, 2]", activation="tanh"),
    ),
)
def moe_ffn(rule: Rule, x: TensorType, chosen: TensorType, gates: TensorType, inner: TensorType, outer: TensorType, activation: str) -> TensorType:
    """Add up what the feed-forward experts chosen for each row make of it: `y = sum_j gates_j V_e f(U_e x)`, `e = chosen_j`.

    x: float[..., din], chosen: int[..., k] in 0..E, gates: float[..., k], inner U: float[E h, din], outer V: float[E, dout, w], y: float[..., dout].
    f is the activation where h = w; where h = 2 w it is that of the first half, times the second (arXiv 2002.05202).  Few
    rows are given to all experts, where that takes less time than to bring each to its own.
    """
    rule.dtype(chosen, [DType.INT], "`chosen`")
    if x.rank < 2 or (chosen.rank, gates.rank, inner.rank, outer.rank) != (x.rank, x.rank, 2, 3):
        wanted = "x: float[..., din], chosen: int[..., k], gates: float[..., k], inner: float[E h, din], outer: float[E, dout, w]"
        message = f"`moe_ffn` takes {wanted}, and gets {x}, {chosen}, {gates}, {inner}, {outer}"
        raise rule.fail(message, "give each row its experts and gates", "A322")
    for axis in range(x.rank - 1):
        rule.same(x.shape[axis], chosen.shape[axis], f"axis {axis} of `x` and of `chosen`")
    for axis in range(x.rank):
        rule.same(chosen.shape[axis], gates.shape[axis], f"axis {axis} of `chosen` and of `gates`")
    rule.same(x.shape[-1], inner.shape[1], "the last axes of `x` and `inner`")
    hidden, narrow = extent(inner.shape[0]), extent(outer.shape[0]) * extent(outer.shape[2])
    if hidden not in (narrow, narrow * 2):
        raise rule.fail(f"`inner` has {hidden} rows for {narrow} columns of `outer`", "give as many, or twice as many", "A322")
    values = {"x": x, "gates": gates, "inner": inner, "outer": outer}
    return TensorType(common_dtype(rule, values, "float"), (*x.shape[:-1], outer.shape[1]))
