"""Reductions: axes go away (or stay with size 1 under `keepdim`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...dsl.primitive import Inputs, Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import axes, axis, flag, real, tensor
from ..costs import moved, product
from ..lowering import COMPOSITES, Given, LoweringBuilder, Omit, call, expand
from ..operands import normal_axes
from ..ranges import counted, counts
from ..registry import operation
from ..samples import Sample, refused, sample

X = tensor("x", "the tensor")
DIM = axes("dim", "the axis or axes to reduce; all when `none`", None)
ONE = axis("dim", "the axis to reduce; all when `none`", None)
KEEP = flag("keepdim", "keep the reduced axes with size 1")


def reduced(rule: Rule, x: TensorType, dim: Any, keepdim: bool) -> tuple[Axis, ...]:
    """Return the shape left after reducing; no axes at all would be all of them to torch."""
    if isinstance(dim, (list, tuple)) and not dim:
        raise rule.fail("`dim` names no axis", "name one, or leave `dim` out to reduce all", "A324")
    gone = normal_axes(rule, dim, x.rank)
    return tuple(1 if i in gone else axis for i, axis in enumerate(x.shape) if keepdim or i not in gone)


def _samples(dtype: str, several: bool = True) -> tuple[Sample, ...]:
    x = f"{dtype}[B, S, 3]"
    common = (sample(x=x), sample(x=x, keepdim=True), sample(x=x, dim=-1), sample(x=x, dim=1, keepdim=True))
    return (*common, sample(x=x, dim=[0, 2])) if several else common


def _emit(target: str, **extra: str) -> Any:
    """Lower to `target(x, dim=..., keepdim=...)`, or `target(x)` over all axes."""

    def lower(b: LoweringBuilder, given: Given) -> Any:
        dim, keep = given["dim"], given["keepdim"]
        options: dict[str, Any] = {k: given[v] for k, v in extra.items()}
        if keep:
            options["keepdim"] = True
        if dim is not None:
            return b.call(target, given["x"], dim=dim, **options)
        options.pop("keepdim", None)
        found = b.call(target, given["x"], **options)
        return b.method(found, "reshape", [1] * given.type("x").rank) if keep else found

    return expand(lower)


def not_empty(rule: Rule, x: TensorType, gone: Iterable[int]) -> None:
    """Require that reduced axes hold something: nothing has no largest."""
    for at in gone:
        rule.at_least(extent(x.shape[at]), 1, f"axis {at} of `x`, of which one is chosen")


def total_dtype(x: TensorType) -> DType:
    """Return the dtype of sums and products of many elements: torch takes whole numbers together as int64."""
    return DType.INT if x.dtype is DType.INT32 else x.dtype


def _places(inputs: Inputs) -> Axis:
    """Return how many positions there are along the axis that goes, or among all elements."""
    x, dim = inputs["x"], inputs["dim"]
    return product(x.shape) if dim is None else x.shape[dim]


def _reduction(
    name: str, target: str, equation: str, allowed: str, *, result: DType | None = None, several: bool = True, picks: bool = False, sums: bool = False
) -> None:
    def rule(rule: Rule, x: TensorType, dim: Any, keepdim: bool) -> TensorType:
        rule.dtype(x, allowed, "`x`")
        if picks:
            not_empty(rule, x, normal_axes(rule, dim, x.rank))
        return TensorType(result or (total_dtype(x) if sums else x.dtype), reduced(rule, x, dim, keepdim))

    words = {"float": ("float",), "number": ("float", "int"), "real": ("float", "int"), "bool": ("bool",)}[allowed]
    wrong = "float[B]" if allowed == "bool" else "bool[B]"
    operation(
        name=name,
        doc=f"{equation}.  x: {allowed}[...], y: {result or ('as x, int for int32,' if sums else 'as x')} without the reduced axes.",
        arguments=(X, DIM if several else ONE, KEEP),
        lowering=_emit(target),
        cost=moved,
        values=None if result is not DType.INT else counts(_places) if picks else counted,
        good=(*(s for word in words for s in _samples(word, several)), *([sample(x="int32[B, S]", dim=0)] if sums else [])),
        bad=(
            refused("A305", x=wrong),
            refused("A304", x=f"{words[0]}[B, 3]", dim=2),
            *([refused("A324", x=f"{words[0]}[B, 3]", dim=[])] if several else []),
            *([refused("A303", x="float[B, 0]", dim=1)] if picks else []),
        ),
    )(rule)


_reduction("sum", "torch.sum", "Add up: `y = sum x`; truths are added with `count`", "number", sums=True)
_reduction("mean", "torch.mean", "Take the mean: `y = sum x / n`", "float")
_reduction("prod", "torch.prod", "Multiply: `y = prod x`", "number", several=False, sums=True)
_reduction("amax", "torch.amax", "Take the largest: `y = max x`", "real", picks=True)
_reduction("amin", "torch.amin", "Take the smallest: `y = min x`", "real", picks=True)
_reduction("any", "torch.any", "Tell whether one is true: `y = x_1 or x_2 or ...`", "bool")
_reduction("all", "torch.all", "Tell whether all are true: `y = x_1 and x_2 and ...`", "bool")
_reduction("count", "torch.sum", "Count the true ones: `y = sum [x]`", "bool", result=DType.INT)
_reduction("argmax", "torch.argmax", "Find the first position of the largest: `x[y] = max x`", "real", result=DType.INT, several=False, picks=True)
_reduction("argmin", "torch.argmin", "Find the first position of the smallest: `x[y] = min x`", "real", result=DType.INT, several=False, picks=True)


@operation(
    arguments=(X, axes("dim", "the axis or axes to reduce"), KEEP),
    lowering=call("torch.logsumexp", "x", dim="dim", keepdim=Omit("keepdim", False)),
    cost=moved,
    good=_samples("float")[2:],
    bad=(refused("A305", x="int[B]", dim=0), refused("A304", x="float[B]", dim=1)),
)
def logsumexp(rule: Rule, x: TensorType, dim: Any, keepdim: bool) -> TensorType:
    """Add in the space of logarithms: `y = ln sum e^x`.  x: float[...], y: without the reduced axes."""
    rule.dtype(x, "float", "`x`")
    return TensorType(x.dtype, reduced(rule, x, dim, keepdim))


UNBIASED = flag("unbiased", "divide by n - 1 and not by n", True)


def _spread(target: str) -> Any:
    def lower(b: LoweringBuilder, given: Given) -> Any:
        options: dict[str, Any] = {"keepdim": True} if given["keepdim"] else {}
        return b.call(target, given["x"], dim=given["dim"], correction=int(given["unbiased"]), **options)

    return expand(lower)


for _name, _target, _equation in (
    ("var", "torch.var", "Take the variance: `y = sum (x - mean x)^2 / (n - 1)`"),
    ("std", "torch.std", "Take the standard deviation: `y = sqrt(sum (x - mean x)^2 / (n - 1))`"),
):

    def _spread_rule(rule: Rule, x: TensorType, dim: Any, unbiased: bool, keepdim: bool) -> TensorType:
        rule.dtype(x, "float", "`x`")
        return TensorType(x.dtype, reduced(rule, x, dim, keepdim))

    operation(
        name=_name,
        doc=f"{_equation}; over n when `unbiased = false`.  x: float[...], y: without the reduced axes.",
        arguments=(X, DIM, UNBIASED, KEEP),
        lowering=_spread(_target),
        cost=moved,
        good=(*_samples("float"), sample(x="float[B, 3]", dim=1, unbiased=False)),
        bad=(refused("A305", x="int[B]"), refused("A304", x="float[B]", dim=-2)),
    )(_spread_rule)


@operation(
    arguments=(X, real("p", "the order of the norm", 2.0), DIM, KEEP),
    lowering=call("torch.linalg.vector_norm", "x", ord=Omit("p", 2.0), dim=Omit("dim", None), keepdim=Omit("keepdim", False)),
    cost=moved,
    good=(*_samples("float"), sample(x="float[B, 3]", p=1.0, dim=1)),
    bad=(refused("A305", x="int[B]"), refused("A304", x="float[B]", dim=1)),
)
def norm(rule: Rule, x: TensorType, p: float, dim: Any, keepdim: bool) -> TensorType:
    """Measure the length of vectors: `y = (sum |x|^p)^(1/p)`.  x: float[...], y: without the reduced axes."""
    rule.dtype(x, "float", "`x`")
    return TensorType(x.dtype, reduced(rule, x, dim, keepdim))


@operation(
    arguments=(
        X,
        axis("dim", "the axis of the vectors", -1),
        real("p", "the order of the norm", 2.0),
        real("eps", "the least length divided by", 1e-12),
    ),
    lowering=call("torch.nn.functional.normalize", "x", p=Omit("p", 2.0), dim="dim", eps=Omit("eps", 1e-12)),
    cost=moved,
    good=(sample(x="float[B, S, 3]"), sample(x="float[B, 3]", dim=0, p=1.0)),
    bad=(refused("A305", x="int[B]"), refused("A304", x="float[B]", dim=1)),
)
def normalize(rule: Rule, x: TensorType, dim: int, p: float, eps: float) -> TensorType:
    """Scale vectors to length one: `y = x / max(|x|_p, eps)` along `dim`.  x: float[...], y: as x."""
    rule.dtype(x, "float", "`x`")
    rule.axis(dim, x.rank)
    return x


@operation(
    arguments=(
        X,
        tensor("mask", "true where an element counts; broadcast to x"),
        DIM,
        KEEP,
    ),
    lowering=expand(lambda b, given: _lower_masked_mean(b, given)),
    cost=moved,
    good=(
        sample(x="float[B, S, 3]", mask="bool[B, S, 1]", dim=1),
        sample(x="float[B, S, 3]", mask="bool[B, S, 1]"),
        sample(x="float[B, S]", mask="bool[B, S]", dim=1, keepdim=True),
        sample(x="float[B, S, 3]", mask="bool[S, 1]", dim=[1, 2]),
    ),
    bad=(
        refused("A305", x="float[B, S]", mask="float[B, S]"),
        refused("A301", x="float[B, 4, 3]", mask="bool[B, 5, 1]", dim=1),
        refused("A322", x="float[B, 1]", mask="bool[B, 5]", dim=1),
        refused("A304", x="float[B, S]", mask="bool[B, S]", dim=2),
    ),
)
def masked_mean(rule: Rule, x: TensorType, mask: TensorType, dim: Any, keepdim: bool) -> TensorType:
    """Take the mean of the elements where the mask is true, zero where there is none: `y = sum [m] x / max(sum [m], 1)`.

    x: float[...], mask: bool[...] broadcast to x, y: without the reduced axes.
    """
    rule.dtype(x, "float", "`x`")
    rule.dtype(mask, "bool", "`mask`")
    joint = rule.broadcast([x.shape, mask.shape], "`x` and `mask`")
    if len(joint) != x.rank or any(m != 1 and a == 1 for a, m in zip(reversed(x.shape), reversed(mask.shape), strict=False)):
        raise rule.fail("`mask` has an axis that `x` hasn't", "the mask is stretched to `x`, not `x` to the mask", "A322")
    return TensorType(x.dtype, reduced(rule, x, dim, keepdim))


def _lower_masked_mean(b: LoweringBuilder, given: Given) -> Any:
    """Stretch the mask where an axis that it lacks is reduced: each element counts."""
    x, mask, rank = given["x"], given["mask"], given.type("x").rank
    shape, mask_shape = given.shape("x"), given.shape("mask")
    dim = given["dim"]
    gone = [d % rank for d in ([dim] if isinstance(dim, int) else dim)] if dim is not None else list(range(rank))
    padded = (1,) * (rank - len(mask_shape)) + mask_shape
    if any(padded[d] == 1 and shape[d] != 1 for d in gone) or len(mask_shape) < rank:
        mask = b.method(mask, "expand_as", x)
    options: dict[str, Any] = {"keepdim": True} if given["keepdim"] else {}
    return b.call(f"{COMPOSITES}.masked_mean", x, mask, gone, **options)


def _scan(name: str, target: str, equation: str, allowed: str = "number") -> None:
    def rule(rule: Rule, x: TensorType, dim: int) -> TensorType:
        rule.dtype(x, allowed, "`x`")
        rule.axis(dim, x.rank)
        return TensorType(total_dtype(x), x.shape)

    operation(
        name=name,
        doc=f"{equation} along `dim`.  x: {allowed}[...], y: as x{', int for int32' if allowed == 'number' else ''}.",
        arguments=(X, axis("dim", "the axis along which it runs")),
        lowering=call(target, "x", dim="dim"),
        cost=moved,
        good=(sample(x="float[B, 3]", dim=1), sample(x="float[B, S]", dim=-2), *([sample(x="int32[B]", dim=0)] if allowed == "number" else [])),
        bad=(refused("A305", x="bool[B]", dim=0), refused("A304", x="float[B]", dim=1)),
    )(rule)


_scan("cumsum", "torch.cumsum", "Add up from the start: `y_i = x_0 + ... + x_i`")
_scan("cumprod", "torch.cumprod", "Multiply from the start: `y_i = x_0 * ... * x_i`")
_scan("logcumsumexp", "torch.logcumsumexp", "Add up in the space of logarithms: `y_i = ln(e^x_0 + ... + e^x_i)`", "float")


def _scan_extreme(name: str, target: str, equation: str) -> None:
    def rule(rule: Rule, x: TensorType, dim: int) -> TensorType:
        rule.dtype(x, "real", "`x`")
        rule.axis(dim, x.rank)
        return x

    operation(
        name=name,
        doc=f"{equation} along `dim`.  x: real[...], y: as x.",
        arguments=(X, axis("dim", "the axis along which it runs")),
        lowering=expand(lambda b, given: b.item(b.call(target, given["x"], dim=given["dim"]), 0)),
        cost=moved,
        good=(sample(x="float[B, 3]", dim=1), sample(x="int[B, S]", dim=-2)),
        bad=(refused("A305", x="bool[B]", dim=0), refused("A304", x="float[B]", dim=1)),
    )(rule)


_scan_extreme("cummax", "torch.cummax", "Keep the largest so far: `y_i = max(x_0, ..., x_i)`")
_scan_extreme("cummin", "torch.cummin", "Keep the smallest so far: `y_i = min(x_0, ..., x_i)`")
