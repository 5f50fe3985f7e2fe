"""Masks and rotations that depend on positions."""

from __future__ import annotations

from typing import Any

from ...dsl.dims import Dim
from ...dsl.primitive import Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import flag, integer, real, size, tensor
from ..costs import moved
from ..lowering import COMPOSITES, Given, Handle, LoweringBuilder, expand, static
from ..operands import common_dtype, in_range
from ..registry import operation
from ..samples import refused, sample
from .attention import causal_square

THETA = real("theta", "the base of the wavelengths", 10000.0)
INTERLEAVED = flag("interleaved", "pairs are neighbours (GPT-J) and not halves (Llama)")


@operation(
    arguments=(size("queries", "how many queries"), size("keys", "how many keys; as many as queries when `none`", None)),
    lowering=expand(lambda b, given: causal_square(b, *(extent(n) for n in given.outputs[0].shape))),
    cost=moved,
    good=(sample(queries="S"), sample(queries="S", keys="S + N"), sample(queries=3, keys=5)),
    bad=(refused("A303", queries=3, keys=2),),
)
def causal_mask(rule: Rule, queries: Axis, keys: Axis | None) -> TensorType:
    """Say what causal attention sees: `y_ij = [j <= i + T - S]`, the last query sees the last key.  y: bool[S, T]."""
    last = queries if keys is None else keys
    rule.at_least(extent(last), extent(queries), "the keys, among which each query has its own position")
    return TensorType(DType.BOOL, (queries, last))


def _function(name: str, interleaved: bool) -> str:
    return f"{COMPOSITES}.{name}{'_interleaved' if interleaved else ''}"


def _tables(b: LoweringBuilder, at: Handle, dim: int, theta: float, interleaved: bool, dtype: DType = DType.FLOAT) -> tuple[Handle, Handle]:
    """Return cosines and signed sines, computed in float32: as transformers computes them, to the bit."""
    made = b.call(_function("rope_table", interleaved), at, dim, static(b, theta), b.dtype(dtype))
    return b.item(made, 0), b.item(made, 1)


def _even(rule: Rule, dim: int, what: str) -> None:
    if dim < 2 or dim % 2:
        raise rule.fail(f"{what} is {dim}", "rotations turn pairs: give an even number", "A214")


@operation(
    arguments=(tensor("at", "the positions"), integer("dim", "the width that is turned"), THETA, INTERLEAVED),
    lowering=expand(lambda b, given: _tables(b, given["at"], given["dim"], given["theta"], given["interleaved"])),
    cost=moved,
    results=("cos", "sin"),
    good=(sample(at="int[S]", dim=8), sample(at="int[B, S]", dim=6, theta=1e6, interleaved=True), sample(at="float[S]", dim=2)),
    bad=(refused("A214", at="int[S]", dim=7), refused("A305", at="bool[S]", dim=8), refused("A214", at="int[S]", dim=8, theta=0.0)),
)
def rope_table(rule: Rule, at: TensorType, dim: int, theta: float, interleaved: bool) -> tuple[TensorType, TensorType]:
    """Make the tables for `apply_rope`, computed in float32: `a_pi = p theta^(-2i / dim)`, cos = cos a, sin = -sin a for the first of a pair
    and sin a for the second.

    at: real[...], cos, sin: float[..., dim].
    """
    rule.dtype(at, "real", "`at`")
    _even(rule, dim, "`dim`")
    in_range(rule, "theta", theta, 0, open_low=True)
    result = TensorType(DType.FLOAT, (*at.shape, dim))
    return result, result


def _apply(b: LoweringBuilder, given: Given) -> Any:
    return _rotated(b, given, given["cos"], given["sin"], _width(given.type("cos").shape[-1]))


def _rotated(b: LoweringBuilder, given: Given, cos: Handle, sin: Handle, width: int) -> Handle:
    x, turn = given["x"], _function("apply_rope", given["interleaved"])
    if width == extent(given.type("x").shape[-1]):
        return b.call(turn, x, cos, sin)
    turned = b.call(turn, b.call("operator.getitem", x, (..., slice(None, width))), cos, sin)
    return b.call("torch.cat", [turned, b.call("operator.getitem", x, (..., slice(width, None)))], dim=-1)


def _width(axis: Axis) -> int:
    found = extent(axis)
    return found if isinstance(found, int) else 0


def _positioned(rule: Rule, x: TensorType) -> int:
    """Return the static width of x: float[..., S, d]."""
    rule.dtype(x, "float", "`x`")
    if x.rank < 2:
        raise rule.fail(f"`x` is {x}", "give float[..., S, d]", "A322")
    whole = extent(x.shape[-1])
    if not isinstance(whole, int):
        raise rule.fail(f"the last axis of `x` is {whole}, unknown before it runs", "rotations need a static width", "A324")
    return whole


@operation(
    arguments=(tensor("x", "queries or keys"), tensor("cos", "the cosines of `rope_table`"), tensor("sin", "its signed sines"), INTERLEAVED),
    lowering=expand(_apply),
    cost=moved,
    good=(
        sample(x="float[B, 2, S, 8]", cos="float[S, 8]", sin="float[S, 8]"),
        sample(x="float[B, 2, S, 8]", cos="float[B, 1, S, 4]", sin="float[B, 1, S, 4]"),
        sample(x="float[B, S, 8]", cos="float[S, 8]", sin="float[S, 8]", interleaved=True),
    ),
    bad=(
        refused("A301", x="float[B, 2, 5, 8]", cos="float[6, 8]", sin="float[6, 8]"),
        refused("A322", x="float[B, 2, S, 8]", cos="float[S, 10]", sin="float[S, 10]"),
        refused("A321", x="float[B, 2, S, 8]", cos="float32[S, 8]", sin="float32[S, 8]"),
        refused("A301", x="float[B, 2, S, 8]", cos="float[S, 8]", sin="float[S, 4]"),
    ),
)
def apply_rope(rule: Rule, x: TensorType, cos: TensorType, sin: TensorType, interleaved: bool) -> TensorType:
    """Turn pairs of elements by their position: `y = x cos + partner(x) sin`; elements beyond the table's width stay.

    x: float[..., S, d], cos, sin: float[..., S, r] with r <= d, broadcast to x, y: as x.
    """
    dtype = common_dtype(rule, {"x": x, "cos": cos, "sin": sin}, "float")
    whole, width = _positioned(rule, x), extent(cos.shape[-1]) if cos.rank else 0
    if cos.rank != sin.rank or not isinstance(width, int) or not 0 < width <= whole:
        raise rule.fail(f"`x` is {x}, `cos` {cos} and `sin` {sin}", "make the tables with `rope_table`, at most as wide as x", "A322")
    _even(rule, width, "the width of the tables")
    for i, (a, b) in enumerate(zip(cos.shape, sin.shape, strict=True)):
        rule.same(a, b, f"axis {i} of `cos` and of `sin`")
    joint = rule.broadcast([x.shape[:-1], cos.shape[:-1]], "the axes of `x` and of the tables before the last")
    if len(joint) != x.rank - 1 or any(isinstance(a, int) and a == 1 and j != 1 for a, j in zip(x.shape, joint, strict=False)):
        raise rule.fail(f"the tables {cos} stretch `x`, {x}", "they need the positions of x alone", "A322")
    return TensorType(dtype, x.shape)


def _rope(b: LoweringBuilder, given: Given) -> Any:
    x_type = given.type("x")
    length, width = extent(x_type.shape[-2]), given["dim"] or _width(x_type.shape[-1])
    start = given.types["offset"]
    first = () if isinstance(start, int) and start == 0 else (b.dim(start),)
    at = b.call("torch.arange", *first, b.dim(start + length), device=b.device())
    cos, sin = _tables(b, at, width, given["theta"], given["interleaved"], x_type.dtype)
    return _rotated(b, given, cos, sin, width)


@operation(
    arguments=(
        tensor("x", "queries or keys"), THETA, size("offset", "the position of the first one", 0), INTERLEAVED,
        integer("dim", "the width that is turned; all of it when `none`", None),
    ),
    lowering=expand(_rope),
    cost=moved,
    good=(
        sample(x="float[B, 2, S, 8]"), sample(x="float[B, 2, S, 8]", offset="N", theta=1e6), sample(x="float[B, S, 8]", interleaved=True),
        sample(x="float[B, 2, S, 8]", dim=4), sample(x="float16[B, S, 8]"),
    ),
    bad=(
        refused("A214", x="float[B, S, 7]"),
        refused("A305", x="int[B, S, 8]"),
        refused("A214", x="float[B, S, 8]", dim=10),
        refused("A322", x="float[8]"),
    ),
)  # fmt: skip
def rope(rule: Rule, x: TensorType, theta: float, offset: int | Dim, interleaved: bool, dim: int | None) -> TensorType:
    """Turn pairs of elements by their position p, counted from `offset` along the last axis but one: by the angle
    `a = p theta^(-2i / d)` for pair i.

    x: float[..., S, d], y: as x.  Tables are computed in float32.
    """
    whole = _positioned(rule, x)
    width = whole if dim is None else dim
    _even(rule, width, "the width that is turned")
    in_range(rule, "theta", theta, 0, open_low=True)
    in_range(rule, "dim", width, 2, whole)
    return x
