"""Operations on rows that go to members of a family, each to a few."""

from __future__ import annotations

from typing import Any

from ...dsl.dims import Dim
from ...dsl.primitive import Cost, Inputs, Rule
from ...dsl.types import DType, TensorType, extent
from ..arguments import size, tensor
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
