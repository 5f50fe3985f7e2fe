"""Attention over heads, and rotary positions."""

from __future__ import annotations

from typing import Any

from ...dsl.dims import Dim
from ...dsl.primitive import Cost, Inputs, Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import flag, real, tensor
from ..costs import moved_bytes, product
from ..lowering import Given, Handle, LoweringBuilder, expand
from ..operands import common_dtype, in_range
from ..registry import operation
from ..samples import refused, sample


def _cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    """Two matrix products; a causal mask halves nothing here, as in torch's counter."""
    q, v, y = inputs["q"].shape, inputs["v"].shape, outputs[0].shape
    pairs = product(y[:-1]) * extent(v[-2])
    return Cost(pairs * (extent(q[-1]) + extent(v[-1])) * 2, moved_bytes(inputs, outputs))


@operation(
    arguments=(
        tensor("q", "the queries"),
        tensor("k", "the keys"),
        tensor("v", "the values"),
        tensor("mask", "true where a query may see a key, or numbers added to the scores; broadcast to them", optional=True),
        flag("causal", "a query sees the keys up to its own position, the last query the last key"),
        real("scale", "what scores are multiplied by; `1 / sqrt(d)` when `none`", None),
        real("drop", "the part of the weights dropped in training", 0.0),
    ),
    lowering=expand(lambda b, given: _attention(b, given)),
    cost=_cost,
    random=True,
    good=(
        sample(q="float[B, 4, S, 8]", k="float[B, 4, N, 8]", v="float[B, 4, N, 6]"),
        sample(q="float[B, 4, S, 8]", k="float[B, 2, S, 8]", v="float[B, 2, S, 8]", causal=True),
        sample(q="float[B, 4, S, 8]", k="float[B, 4, S, 8]", v="float[B, 4, S, 8]", mask="bool[B, 1, 1, S]", causal=True),
        sample(q="float[B, 4, 1, 8]", k="float[B, 2, N, 8]", v="float[B, 2, N, 8]", mask="bool[B, 1, 1, N]", causal=True),
        sample(q="float[B, 2, S, 8]", k="float[B, 2, N + S, 8]", v="float[B, 2, N + S, 8]", causal=True, scale=0.5),
        sample(q="float[B, 2, S, 8]", k="float[B, 2, N, 8]", v="float[B, 2, N, 8]", mask="float[S, N]", drop=0.1),
        sample(q="float[B, 2, S, 8]", k="float[B, 2, S, 8]", v="float[B, 2, S, 8]", mask="float[1, 2, S, S]", causal=True),
        sample(q="float[B, S, 8]", k="float[B, S, 8]", v="float[B, S, 8]"),
    ),
    bad=(
        refused("A301", q="float[B, 4, S, 8]", k="float[B, 4, S, 7]", v="float[B, 4, S, 8]"),
        refused("A301", q="float[B, 4, 5, 8]", k="float[B, 4, 5, 8]", v="float[B, 4, 6, 8]"),
        refused("A302", q="float[B, 4, S, 8]", k="float[B, 3, S, 8]", v="float[B, 3, S, 8]"),
        refused("A305", q="float[B, 4, S, 8]", k="float[B, 4, S, 8]", v="float[B, 4, S, 8]", mask="int[S, S]"),
        refused("A301", q="float[B, 4, 5, 8]", k="float[B, 4, 5, 8]", v="float[B, 4, 5, 8]", mask="bool[5, 6]"),
        refused("A321", q="float[B, 4, S, 8]", k="float32[B, 4, S, 8]", v="float[B, 4, S, 8]"),
        refused("A322", q="float[S, 8]", k="float[S, 8]", v="float[S, 8]"),
        refused("A214", q="float[B, 4, S, 8]", k="float[B, 4, S, 8]", v="float[B, 4, S, 8]", drop=1.5),
    ),
)
def attention(
    rule: Rule, q: TensorType, k: TensorType, v: TensorType, mask: TensorType | None, causal: bool, scale: float | None, drop: float
) -> TensorType:
    """Mix values by how well queries and keys agree: `y = softmax(scale q k^T + mask) v`; a query that sees no key gives zeros.

    q: float[B, heads, S, d], k: float[B, kv_heads, T, d], v: float[B, kv_heads, T, e], y: float[B, heads, S, e].  Fewer key heads
    serve groups of query heads.  Any axes may stand in the place of B and heads when their count is equal.
    """
    dtype = common_dtype(rule, {"q": q, "k": k, "v": v}, "float")
    in_range(rule, "drop", drop, 0, 1, open_high=True)
    if q.rank < 3 or k.rank != q.rank or v.rank != q.rank:
        raise rule.fail(f"`q` is {q}, `k` {k} and `v` {v}", "give float[B, heads, S, d] each", "A322")
    front = _front(rule, q, k, v)
    rule.same(q.shape[-1], k.shape[-1], "the last axis of `q` and of `k`")
    keys = rule.same(k.shape[-2], v.shape[-2], "the positions of `k` and of `v`")
    if mask is not None:
        _check_mask(rule, mask, dtype, (*front, q.shape[-2], keys))
    if causal:
        rule.at_least(extent(keys), extent(q.shape[-2]), "the keys, among which each query of causal attention has its own position")
    return TensorType(dtype, (*front, q.shape[-2], v.shape[-1]))


def _grouped(q: TensorType, k: TensorType) -> bool:
    """Tell whether the key heads are fewer than the query heads."""
    a, b = extent(q.shape[-3]), extent(k.shape[-3])
    return q.rank == 4 and isinstance(a, int) and isinstance(b, int) and a != b


def _front(rule: Rule, q: TensorType, k: TensorType, v: TensorType) -> tuple[Axis, ...]:
    front = list(q.shape[:-2])
    for i, axis in enumerate(k.shape[:-2]):
        rule.same(axis, v.shape[i], f"axis {i} of `k` and of `v`")
        if i == 1 and _grouped(q, k):
            rule.divide(extent(front[1]), extent(axis), "the heads of `q` and those of `k`")
        else:
            front[i] = rule.same(front[i], axis, f"axis {i} of `q` and of `k`")
    return tuple(front)


def _check_mask(rule: Rule, mask: TensorType, dtype: DType, scores: tuple[Axis, ...]) -> None:
    if mask.dtype is not DType.BOOL and mask.dtype is not dtype:
        raise rule.fail(f"`mask` is {mask.dtype}", f"give bool, true where a query may see a key, or {dtype}, added to the scores", "A305")
    if not 2 <= mask.rank <= len(scores):
        raise rule.fail(f"`mask` is {mask}", "write `mask[:, none, none, :]` for bool[B, T]", "A322")
    joint = rule.broadcast([scores, mask.shape], "the scores and `mask`")
    for i, (a, m) in enumerate(zip(reversed(scores), reversed(mask.shape), strict=False)):
        if isinstance(a, int) and a == 1 and not (isinstance(m, int) and m == 1):
            raise rule.fail(
                f"axis {len(joint) - 1 - i} of the scores is 1 and `mask` is {mask}", "the mask is stretched to the scores, not they to it", "A322"
            )


def _attention(b: LoweringBuilder, given: Given) -> Any:
    options: dict[str, Any] = {}
    mask, causal = _run_mask(b, given)
    if causal:
        options["is_causal"] = True
    if given["scale"] is not None:
        options["scale"] = float(given["scale"])
    if _grouped(given.type("q"), given.type("k")):
        options["enable_gqa"] = True
    tensors = [given["q"], given["k"], given["v"]]
    drop = given["drop"] if isinstance(given["drop"], float) else float(given["drop"])
    if drop > 0:
        extra = [] if mask is None else [mask]
        return b.child("archloom.compiler.runtime.modes.Attention", {"drop": drop, **options}, *tensors, *extra)
    if mask is not None:
        options = {"attn_mask": mask, **options}
    return b.call("torch.nn.functional.scaled_dot_product_attention", *tensors, **options)


def _run_mask(b: LoweringBuilder, given: Given) -> tuple[Handle | None, bool]:
    """Return the mask that the kernel gets and whether it is told `is_causal`, which it takes only alone and for as many keys as queries."""
    mask = given["mask"]
    queries, keys = extent(given.type("q").shape[-2]), extent(given.type("k").shape[-2])
    if not given["causal"] or queries == 1:  # a single query is the last one, and sees every key
        return mask, False
    if mask is None and queries == keys:
        return None, True
    seen = causal_square(b, queries, keys)
    if mask is None:
        return seen, False
    if given.type("mask").dtype is DType.BOOL:
        return b.call("operator.and_", mask, seen), False
    return b.call("torch.where", seen, mask, float("-inf")), False


def causal_square(b: LoweringBuilder, queries: int | Dim, keys: int | Dim) -> Handle:
    """Make bool[queries, keys], true up to the diagonal that ends at the last query and the last key."""
    square = b.call("torch.ones", [b.dim(queries), b.dim(keys)], dtype=b.dtype(DType.BOOL), device=b.device())
    return b.method(square, "tril") if queries == keys else b.method(square, "tril", b.dim(keys - queries))
