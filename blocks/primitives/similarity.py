"""How alike vectors are, and how far apart."""

from __future__ import annotations

from typing import Any

from ...dsl.primitive import Rule
from ...dsl.types import TensorType
from ..arguments import axis, real, tensor
from ..costs import moved
from ..lowering import Given, LoweringBuilder, Omit, call, expand
from ..operands import common_dtype, in_range
from ..registry import operation
from ..samples import refused, sample


@operation(
    arguments=(
        tensor("a", "vectors"),
        tensor("b", "vectors"),
        axis("dim", "the axis of the vectors", -1),
        real("eps", "the least product of lengths", 1e-8),
    ),
    lowering=call("torch.nn.functional.cosine_similarity", "a", "b", dim="dim", eps=Omit("eps", 1e-8)),
    cost=moved,
    good=(
        sample(a="float[B, 3]", b="float[B, 3]"),
        sample(a="float[B, 1, 3]", b="float[S, 3]"),
        sample(a="float[B, 3, S]", b="float[B, 3, S]", dim=1),
    ),
    bad=(
        refused("A301", a="float[B, 3]", b="float[B, 4]"),
        refused("A305", a="float[B, 3]", b="int[B, 3]"),
        refused("A304", a="float[3]", b="float[3]", dim=1),
        refused("A214", a="float[3]", b="float[3]", eps=-1.0),
    ),
)
def cosine_similarity(rule: Rule, a: TensorType, b: TensorType, dim: int, eps: float) -> TensorType:
    """Measure the angle of vectors: `y = a . b / (|a| |b|)` along `dim`.  a, b: float[...], broadcast from the right; y: without the axis."""
    dtype = common_dtype(rule, {"a": a, "b": b}, "float")
    in_range(rule, "eps", eps, 0)
    joint = rule.broadcast([a.shape, b.shape], "`a` and `b`")
    at = rule.axis(dim, len(joint))
    return TensorType(dtype, joint[:at] + joint[at + 1 :])


def _cdist(b: LoweringBuilder, given: Given) -> Any:
    """The direct way, exact near zero: by matrix products small distances are rounding noise."""
    return b.call("torch.cdist", given["a"], given["b"], p=float(given["p"]), compute_mode="donot_use_mm_for_euclid_dist")


@operation(
    arguments=(tensor("a", "vectors"), tensor("b", "vectors"), real("p", "the norm", 2.0)),
    lowering=expand(_cdist),
    cost=moved,
    good=(
        sample(a="float[N, 3]", b="float[S, 3]"),
        sample(a="float[B, 30, 3]", b="float[B, S, 3]"),
        sample(a="float[B, N, 3]", b="float[S, 3]", p=1.0),
    ),
    bad=(
        refused("A301", a="float[N, 3]", b="float[S, 4]"),
        refused("A305", a="float[N, 3]", b="int[S, 3]"),
        refused("A324", a="float[3]", b="float[S, 3]"),
        refused("A214", a="float[N, 3]", b="float[S, 3]", p=-1.0),
    ),
)
def cdist(rule: Rule, a: TensorType, b: TensorType, p: float) -> TensorType:
    """Measure how far each vector is from each other: `y_ij = (sum_d |a_id - b_jd|^p)^(1/p)`.

    a: float[..., N, D], b: float[..., M, D], y: float[..., N, M]; the axes in front broadcast.
    """
    dtype = common_dtype(rule, {"a": a, "b": b}, "float")
    in_range(rule, "p", p, 0)
    if a.rank < 2 or b.rank < 2:
        raise rule.fail(f"`a` is {a} and `b` is {b}", "give float[..., N, D] and float[..., M, D]", "A324")
    rule.same(a.shape[-1], b.shape[-1], "the last axes of `a` and of `b`")
    front = rule.broadcast([a.shape[:-2], b.shape[:-2]], "`a` and `b`")
    return TensorType(dtype, (*front, a.shape[-2], b.shape[-2]))
