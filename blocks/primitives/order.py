"""Sorting and selecting by rank."""

from __future__ import annotations

from typing import Any

from ...dsl.dims import Dim
from ...dsl.primitive import Rule
from ...dsl.types import DType, TensorType, extent
from ..arguments import axis, flag, size, tensor
from ..costs import moved
from ..lowering import Given, LoweringBuilder, Omit, call, expand, static
from ..ranges import along, counts
from ..registry import operation
from ..samples import refused, sample
from .reduce import not_empty

X = tensor("x", "the tensor")
DIM = axis("dim", "the axis to order", -1)
K = size("k", "how many to take")
LARGEST = flag("largest", "take the largest and not the smallest", True)


def _top_axis(rule: Rule, x: TensorType, k: int | Dim, dim: int) -> int:
    rule.dtype(x, "real", "`x`")
    at = rule.axis(dim, x.rank)
    rule.at_least(extent(x.shape[at]), k, f"axis {at} of `x`, of which `k` are taken")
    if isinstance(k, int) and k < 0:
        raise rule.fail(f"`k` is {k}", "take none or more", "A214")
    return at


@operation(
    arguments=(X, K, DIM, LARGEST),
    lowering=call("torch.topk", "x", "k", dim="dim", largest=Omit("largest", True)),
    cost=moved,
    results=("values", "indices"),
    good=(sample(x="float[B, 5]", k=2), sample(x="float[B, S, 5]", k=1, dim=1), sample(x="int[B, 5]", k=5, largest=False)),
    bad=(refused("A303", x="float[B, 3]", k=4), refused("A305", x="bool[B, 3]", k=1), refused("A304", x="float[B]", k=1, dim=1)),
)
def topk(rule: Rule, x: TensorType, k: int | Dim, dim: int, largest: bool) -> tuple[TensorType, TensorType]:
    """Take the `k` largest, in order: `values_i >= values_(i+1)`, `values = x[indices]`.

    x: real[..., n, ...], values: as x with k for n, indices: int, the same shape.
    """
    at = _top_axis(rule, x, k, dim)
    shape = (*x.shape[:at], k, *x.shape[at + 1 :])
    return TensorType(x.dtype, shape), TensorType(DType.INT, shape)


@operation(
    arguments=(X, DIM, flag("descending", "the largest first"), flag("stable", "equals keep their order")),
    lowering=call("torch.sort", "x", dim="dim", descending=Omit("descending", False), stable="stable"),
    cost=moved,
    results=("values", "indices"),
    good=(sample(x="float[B, 5]"), sample(x="int[B, S]", dim=0, descending=True, stable=True)),
    bad=(refused("A305", x="bool[B]"), refused("A304", x="float[B]", dim=1)),
)
def sort(rule: Rule, x: TensorType, dim: int, descending: bool, stable: bool) -> tuple[TensorType, TensorType]:
    """Sort: `values_i <= values_(i+1)`, `values = x[indices]`.  x: real[...], values: as x, indices: int, the same shape."""
    rule.dtype(x, "real", "`x`")
    rule.axis(dim, x.rank)
    return x, TensorType(DType.INT, x.shape)


@operation(
    arguments=(X, DIM, flag("descending", "the largest first"), flag("stable", "equals keep their order")),
    lowering=call("torch.argsort", "x", dim="dim", descending=Omit("descending", False), stable="stable"),
    values=counts(along()),
    cost=moved,
    good=(sample(x="float[B, 5]"), sample(x="int[B, S]", dim=0, descending=True, stable=True)),
    bad=(refused("A305", x="bool[B]"), refused("A304", x="float[B]", dim=1)),
)
def argsort(rule: Rule, x: TensorType, dim: int, descending: bool, stable: bool) -> TensorType:
    """Give the positions that sort: `x[y_i] <= x[y_(i+1)]`.  x: real[...], y: int, the same shape."""
    rule.dtype(x, "real", "`x`")
    rule.axis(dim, x.rank)
    return TensorType(DType.INT, x.shape)


def _mask(b: LoweringBuilder, given: Given) -> Any:
    x, dim = given["x"], given["dim"]
    options: dict[str, Any] = {} if given["largest"] else {"largest": False}
    best = b.item(b.call("torch.topk", x, static(b, given["k"]), dim=dim, **options), 1)
    empty = b.call("torch.zeros_like", x, dtype=b.dtype(DType.BOOL))
    return b.method(empty, "scatter", dim, best, True)


@operation(
    arguments=(X, K, DIM, LARGEST),
    lowering=expand(_mask),
    cost=moved,
    good=(sample(x="float[B, 5]", k=2), sample(x="float[B, 5, S]", k=1, dim=1), sample(x="float[B, 5]", k=2, largest=False)),
    bad=(refused("A303", x="float[B, 3]", k=4), refused("A305", x="bool[B, 3]", k=1)),
)
def topk_mask(rule: Rule, x: TensorType, k: int | Dim, dim: int, largest: bool) -> TensorType:
    """Tell which are among the `k` largest, exactly `k` of them: `y = [x is in topk(x, k)]`.  x: real[...], y: bool, the same shape."""
    _top_axis(rule, x, k, dim)
    return TensorType(DType.BOOL, x.shape)


def _median(b: LoweringBuilder, given: Given) -> Any:
    return b.item(b.call("torch.median", given["x"], dim=given["dim"]), 0)


@operation(
    arguments=(X, DIM),
    lowering=expand(_median),
    cost=moved,
    good=(sample(x="float[B, 5]"), sample(x="int[B, S]", dim=0)),
    bad=(refused("A305", x="bool[B]"), refused("A304", x="float[B]", dim=1), refused("A303", x="float[B, 0]")),
)
def median(rule: Rule, x: TensorType, dim: int) -> TensorType:
    """Take the middle value, the lower one of two: `y = sort(x)[(n - 1) // 2]`.  x: real[..., n, ...], y: without the axis."""
    rule.dtype(x, "real", "`x`")
    at = rule.axis(dim, x.rank)
    not_empty(rule, x, (at,))
    return TensorType(x.dtype, (*x.shape[:at], *x.shape[at + 1 :]))


def _kth(b: LoweringBuilder, given: Given) -> Any:
    found = b.item(b.call("torch.topk", given["x"], static(b, given["k"]), dim=given["dim"], **({} if given["largest"] else {"largest": False})), 0)
    return b.method(found, "select", given["dim"], -1)


@operation(
    arguments=(X, size("k", "which one, counted from 1"), DIM, LARGEST),
    lowering=expand(_kth),
    cost=moved,
    good=(sample(x="float[B, 5]", k=2), sample(x="int[B, 5, S]", k=1, dim=1), sample(x="float[B, 5]", k=5, largest=False)),
    bad=(
        refused("A303", x="float[B, 3]", k=4), refused("A305", x="bool[B, 3]", k=1), refused("A304", x="float[B]", k=1, dim=1),
        refused("A214", x="float[B, 3]", k=0),
    ),
)  # fmt: skip
def kth(rule: Rule, x: TensorType, k: int | Dim, dim: int, largest: bool) -> TensorType:
    """Take the k-th largest, a threshold for what is kept: `y = topk(x, k).values[k - 1]`.  x: real[..., n, ...], y: without the axis."""
    at = _top_axis(rule, x, k, dim)
    if isinstance(k, int) and k < 1:
        raise rule.fail(f"`k` is {k}", "the first is 1", "A214")
    return TensorType(x.dtype, (*x.shape[:at], *x.shape[at + 1 :]))
