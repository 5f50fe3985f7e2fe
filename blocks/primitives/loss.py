"""Losses.  `reduce` says what is done with one number for each element: `mean` (the default), `sum` or `none`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...dsl.primitive import Argument, Inputs, Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import axis, flag, integer, real, tensor, word
from ..costs import moved
from ..lowering import Given, Handle, LoweringBuilder, Omit, Slot, call, expand
from ..operands import common_dtype, in_range
from ..registry import operation
from ..samples import refused, sample

REDUCE = word("reduce", ("mean", "sum", "none"), "what becomes of the numbers of the elements", "mean")
LOGITS = tensor("logits", "scores of the classes")
CLASS = axis("dim", "the axis of the classes; the one that the target lacks when `none`", None)
IGNORE = integer("ignore", "a target that counts for nothing; every target counts when `none`", None)
WEIGHT = tensor("weight", "the weight of each class", optional=True, fixed=True)

NEVER_IGNORED = -(2**63)
"""Handed to torch where nothing is to be ignored: its own default, -100, would pass over wrong targets in silence."""


def _class_target(doc: str) -> Argument:
    def classes(inputs: Inputs) -> Axis:
        logits = inputs["logits"]
        return logits.shape[class_axis(logits, inputs["target"], inputs["dim"])[0]]

    return tensor("target", doc, within=classes, beside="ignore")


def left(shape: tuple[Axis, ...], reduce: str) -> tuple[Axis, ...]:
    """Return the shape after the reduction."""
    return shape if reduce == "none" else ()


def _differ(a: Axis, b: Axis) -> bool:
    """Tell whether two sizes are numbers that can't agree."""
    return isinstance(a, int) and isinstance(b, int) and a != b


def class_axis(logits: TensorType, target: TensorType, dim: int | None) -> list[int]:
    """Return the axes that may be that of the classes."""
    if dim is not None:
        return [dim % logits.rank]
    rest = [(i, logits.shape[:i] + logits.shape[i + 1 :]) for i in range(logits.rank)]
    exact = [i for i, shape in rest if shape == target.shape]
    return exact or [i for i, shape in rest if not any(_differ(a, b) for a, b in zip(shape, target.shape, strict=True))]


def _classes(rule: Rule, logits: TensorType, target: TensorType, dim: int | None) -> int:
    """Return the axis of the classes after comparing all others; two candidates are an error."""
    rule.dtype(logits, "float", "`logits`")
    rule.dtype(target, [DType.INT], "`target`")
    if dim is not None:
        dim = rule.axis(dim, logits.rank)
    if target.rank != logits.rank - 1:
        raise rule.fail(f"`logits` is {logits} and `target` is {target}", "the target has all axes of the scores but that of the classes", "A322")
    found = class_axis(logits, target, dim)
    if not found:
        raise rule.fail(f"`logits` is {logits} and `target` is {target}", "the target has all axes of the scores but that of the classes", "A322")
    if len(found) > 1:
        raise rule.fail(
            f"axes {' and '.join(map(str, found))} of `logits`, {logits}, could each be that of the classes", "say which with `dim = ...`", "A325"
        )
    for i, a in zip((i for i in range(logits.rank) if i != found[0]), target.shape, strict=True):
        rule.same(logits.shape[i], a, f"axis {i} of `logits` and `target`")
    return found[0]


def _check_weight(rule: Rule, logits: TensorType, weight: TensorType | None, at: int) -> None:
    if weight is None:
        return
    common_dtype(rule, {"logits": logits, "weight": weight}, "float")
    if weight.rank != 1:
        raise rule.fail(f"`weight` is {weight}", "give one number for each class", "A322")
    rule.same(logits.shape[at], weight.shape[0], "the classes of `logits` and `weight`")


def _class_loss(b: LoweringBuilder, given: Given, function: str, **more: Any) -> Handle:
    """Bring the classes to axis 1, where torch has them; behind all others by joining the others, which costs nothing."""
    scores, target = given["logits"], given["target"]
    logits, reduce = given.type("logits"), given["reduce"]
    (at, *_) = class_axis(logits, given.type("target"), given["dim"])
    options: dict[str, Any] = dict(more)
    if given["weight"] is not None:
        options["weight"] = given["weight"]
    options["ignore_index"] = NEVER_IGNORED if given["ignore"] is None else given["ignore"]
    if reduce != "mean":
        options["reduction"] = reduce
    last = at == logits.rank - 1 and logits.rank > 2
    if last:
        found = b.call(function, b.method(scores, "flatten", 0, -2), b.method(target, "flatten"), **options)
        return b.method(found, "view_as", target) if reduce == "none" else found
    if at != 1 and logits.rank > 1:
        scores = b.method(scores, "movedim", at, 1)
    return b.call(function, scores, target, **options)


def _cross_entropy(b: LoweringBuilder, given: Given) -> Handle:
    smoothing = {"label_smoothing": float(given["smoothing"])} if given["smoothing"] else {}
    if given.type("target").dtype is DType.INT:
        return _class_loss(b, given, "torch.nn.functional.cross_entropy", **smoothing)
    scores, target = given["logits"], given["target"]
    rank = given.type("logits").rank
    at = 1 if given["dim"] is None else given["dim"] % rank
    if at != 1 and rank > 1:
        scores, target = b.method(scores, "movedim", at, 1), b.method(target, "movedim", at, 1)
    options: dict[str, Any] = dict(smoothing)
    if given["weight"] is not None:
        options["weight"] = given["weight"]
    if given["reduce"] != "mean":
        options["reduction"] = given["reduce"]
    return b.call("torch.nn.functional.cross_entropy", scores, target, **options)


def _is_one_class(inputs: Inputs) -> bool:
    """Tell whether there is nothing to choose: the loss is 0 whatever the scores are."""
    logits, target = inputs["logits"], inputs["target"]
    return target.dtype is DType.INT and extent(logits.shape[class_axis(logits, target, inputs["dim"])[0]]) == 1


CLASS_GOOD = (
    sample(logits="float[B, 4]", target="int[B] < 4"),
    sample(logits="float[B, S, 4]", target="int[B, S] < 4"),
    sample(logits="float[B, 4, H, W]", target="int[B, H, W] < 4", ignore=3),
    sample(logits="float[B, S, 4]", target="int[B, S] < 4", reduce="none"),
    sample(logits="float[B, 4, S]", target="int[B, S] < 4", reduce="sum", weight="float[4]"),
    sample(logits="float[4, B, S]", target="int[B, S] < 4", dim=0),
    sample(logits="float[4]", target="int[] < 4"),
)
CLASS_BAD = (
    refused("A305", logits="float[B, 4]", target="int32[B]"),
    refused("A322", logits="float[B, 4]", target="int[B, 4]"),
    refused("A322", logits="float[3, 4]", target="int[5]"),
    refused("A325", logits="float[5, 5]", target="int[5]"),
    refused("A301", logits="float[B, 4]", target="int[B]", weight="float[3]"),
    refused("A304", logits="float[B, 4]", target="int[B]", dim=2),
    refused("A213", logits="float[B, 4]", target="int[B]", reduce="average"),
)


@operation(
    arguments=(
        replace(LOGITS, flat=_is_one_class), _class_target("the right class of each place, or how likely each class is"), CLASS, IGNORE, WEIGHT,
        real("smoothing", "the part of the likelihood spread over all classes", 0.0), REDUCE,
    ),
    lowering=expand(_cross_entropy),
    cost=moved,
    good=(
        *CLASS_GOOD, sample(logits="float[B, 4]", target="int[B] < 4", smoothing=0.1), sample(logits="float[B, 4]", target="float[B, 4]"),
        sample(logits="float[B, S, 4]", target="float[B, S, 4]", dim=-1, reduce="none"),
    ),
    bad=(
        *CLASS_BAD, refused("A325", logits="float[B, S, 4]", target="float[B, S, 4]"),
        refused("A214", logits="float[B, 4]", target="int[B]", smoothing=2.0),
        refused("A214", logits="float[B, 4]", target="float[B, 4]", ignore=0),
    ),
)  # fmt: skip
def cross_entropy(
    rule: Rule, logits: TensorType, target: TensorType, dim: int | None, ignore: int | None, weight: TensorType | None, smoothing: float, reduce: str
) -> TensorType:
    """Measure how unlikely the right class is: `y = -w_t (x_t - ln sum_c e^x_c)`, its weighted mean over the places.

    logits x: float[..., C, ...], target t: int[...] without the axis of the classes, in 0..C, or float like the logits (then
    `y = -sum_c w_c t_c (x_c - ln sum_c e^x_c)`).  The mean over no place at all isn't a number.
    """
    in_range(rule, "smoothing", smoothing, 0, 1)
    if target.dtype.is_float:
        return _soft(rule, logits, target, dim, ignore, weight, reduce)
    at = _classes(rule, logits, target, dim)
    _check_weight(rule, logits, weight, at)
    return TensorType(logits.dtype, left(target.shape, reduce))


def _soft(
    rule: Rule, logits: TensorType, target: TensorType, dim: int | None, ignore: int | None, weight: TensorType | None, reduce: str
) -> TensorType:
    dtype = common_dtype(rule, {"logits": logits, "target": target}, "float")
    if ignore is not None:
        raise rule.fail("`ignore` stands beside likelihoods", "it names a class: give a target of classes, or mask the loss", "A214")
    if target.rank != logits.rank or not logits.rank:
        raise rule.fail(f"`logits` is {logits} and `target` is {target}", "likelihoods have the axes of the scores", "A322")
    if dim is None and logits.rank > 2:
        raise rule.fail(f"any axis of `logits`, {logits}, could be that of the classes", "say which with `dim = ...`", "A325")
    at = logits.rank - 1 if dim is None else rule.axis(dim, logits.rank)
    for i, (a, t) in enumerate(zip(logits.shape, target.shape, strict=True)):
        rule.same(a, t, f"axis {i} of `logits` and of `target`")
    _check_weight(rule, logits, weight, at)
    return TensorType(dtype, left(logits.shape[:at] + logits.shape[at + 1 :], reduce))


@operation(
    arguments=(
        tensor("logits", "logarithms of the likelihoods of the classes"),
        _class_target("the right class of each place"),
        CLASS,
        IGNORE,
        WEIGHT,
        REDUCE,
    ),
    lowering=expand(lambda b, given: _class_loss(b, given, "torch.nn.functional.nll_loss")),
    cost=moved,
    good=CLASS_GOOD,
    bad=CLASS_BAD,
)
def nll(
    rule: Rule, logits: TensorType, target: TensorType, dim: int | None, ignore: int | None, weight: TensorType | None, reduce: str
) -> TensorType:
    """Measure how unlikely the right class is, from logarithms: `y = -w_t x_t`.

    logits x: float[..., C, ...], what `log_softmax` gives, target t: int[...] without the axis of the classes.
    """
    at = _classes(rule, logits, target, dim)
    _check_weight(rule, logits, weight, at)
    return TensorType(logits.dtype, left(target.shape, reduce))


def alike(rule: Rule, **values: TensorType) -> TensorType:
    """Require float tensors of one dtype and one shape and return it."""
    dtype = common_dtype(rule, values, "float")
    (first, a), *others = values.items()
    for name, b in others:
        if b.rank != a.rank:
            raise rule.fail(f"`{first}` is {a} and `{name}` is {b}", "a loss compares element by element: give both the same shape", "A322")
        for i, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)):
            rule.same(m, n, f"axis {i} of `{first}` and of `{name}`")
    return TensorType(dtype, a.shape)


PAIR = (tensor("x", "what was found"), tensor("target", "what is right"))
PAIR_GOOD = (
    sample(x="float[B, 3]", target="float[B, 3]"),
    sample(x="float[B, S]", target="float[B, S]", reduce="none"),
    sample(x="float[]", target="float[]", reduce="sum"),
)
PAIR_BAD = (
    refused("A305", x="float[B]", target="int[B]"),
    refused("A301", x="float[B, 3]", target="float[B, 4]"),
    refused("A322", x="float[B, 1]", target="float[B]"),
    refused("A213", x="float[B]", target="float[B]", reduce="maen"),
)


def _pair_loss(name: str, target: str, equation: str, extra: tuple[tuple[str, float, str], ...] = ()) -> None:
    def rule(rule: Rule, x: TensorType, target: TensorType, reduce: str, **numbers: float) -> TensorType:
        for key, value in numbers.items():
            in_range(rule, key, value, 0, open_low=name == "huber")
        found = alike(rule, x=x, target=target)
        return TensorType(found.dtype, left(found.shape, reduce))

    keywords: dict[str, Slot] = {key: Omit(key, default) for key, default, _ in extra}
    operation(
        name=name,
        doc=f"{equation}, its mean over the elements.  x, target: float[...] of one shape; y: a number, or the shape under `reduce = none`.",
        arguments=(*PAIR, *(real(key, doc, default) for key, default, doc in extra), REDUCE),
        lowering=call(target, "x", "target", **keywords, reduction=Omit("reduce", "mean")),
        cost=moved,
        good=(*PAIR_GOOD, *(sample(x="float[B]", target="float[B]", **{key: 0.5}) for key, _, _ in extra)),
        bad=(*PAIR_BAD, *(refused("A214", x="float[B]", target="float[B]", **{key: -1.0}) for key, _, _ in extra)),
    )(rule)


_pair_loss("mse", "torch.nn.functional.mse_loss", "Measure the squared difference: `y = (x - t)^2`")
_pair_loss("l1", "torch.nn.functional.l1_loss", "Measure the difference: `y = |x - t|`")
_pair_loss(
    "smooth_l1", "torch.nn.functional.smooth_l1_loss",
    "Measure the difference, squared near zero: `y = (x - t)^2 / 2 beta` below beta, else `|x - t| - beta / 2`",
    (("beta", 1.0, "where the square ends"),),
)  # fmt: skip
_pair_loss(
    "huber", "torch.nn.functional.huber_loss",
    "Measure the difference, squared near zero: `y = (x - t)^2 / 2` below delta, else `delta (|x - t| - delta / 2)`",
    (("delta", 1.0, "where the square ends"),),
)  # fmt: skip


def _positive_weight(rule: Rule, name: str, weight: TensorType | None, x: TensorType) -> None:
    if weight is None:
        return
    common_dtype(rule, {"x": x, name: weight}, "float")
    if len(rule.broadcast([x.shape, weight.shape], f"`x` and `{name}`")) != x.rank:
        raise rule.fail(f"`{name}` is {weight} and `x` is {x}", "the weight is stretched to x, not x to the weight", "A322")


@operation(
    arguments=(
        tensor("x", "scores"), tensor("target", "0 or 1, or how likely"),
        tensor("weight", "the weight of each element, broadcast to x", optional=True, fixed=True),
        tensor("positive", "the weight of the positive part, broadcast to x", optional=True, fixed=True), REDUCE,
    ),
    lowering=call(
        "torch.nn.functional.binary_cross_entropy_with_logits", "x", "target", weight=Omit("weight", None), pos_weight=Omit("positive", None),
        reduction=Omit("reduce", "mean"),
    ),
    cost=moved,
    good=(*PAIR_GOOD, sample(x="float[B, 3]", target="float[B, 3]", weight="float[B, 1]", positive="float[3]")),
    bad=(
        *PAIR_BAD, refused("A301", x="float[B, 3]", target="float[B, 3]", positive="float[4]"),
        refused("A322", x="float[3]", target="float[3]", weight="float[B, 3]"),
    ),
)  # fmt: skip
def bce_with_logits(rule: Rule, x: TensorType, target: TensorType, weight: TensorType | None, positive: TensorType | None, reduce: str) -> TensorType:
    """Measure how unlikely yes-or-no answers are: `y = -w (p t ln s(x) + (1 - t) ln(1 - s(x)))`, s the logistic function; the mean.

    x, target: float[...] of one shape.  Truths become numbers with `float(...)`.
    """
    found = alike(rule, x=x, target=target)
    _positive_weight(rule, "weight", weight, x)
    _positive_weight(rule, "positive", positive, x)
    return TensorType(found.dtype, left(found.shape, reduce))


@operation(
    arguments=(
        tensor("x", "logarithms of likelihoods"), tensor("target", "likelihoods, or their logarithms"),
        flag("log_target", "the target is given as logarithms"),
        word("reduce", ("batchmean", "mean", "sum", "none"), "`batchmean` divides the sum by the size of axis 0, as the equation asks", "batchmean"),
    ),
    lowering=expand(lambda b, given: _kl_div(b, given)),
    cost=moved,
    good=(*PAIR_GOOD[:2], sample(x="float[B, 3]", target="float[B, 3]", log_target=True, reduce="mean")),
    bad=(*PAIR_BAD, refused("A322", x="float[]", target="float[]")),
)  # fmt: skip
def kl_div(rule: Rule, x: TensorType, target: TensorType, log_target: bool, reduce: str) -> TensorType:
    """Measure how far likelihoods are from the target: `y = t (ln t - x)`, summed and divided by the size of axis 0.

    x: float[B, ...], logarithms, target t: float, the same shape.
    """
    found = alike(rule, x=x, target=target)
    if reduce == "batchmean" and not found.rank:
        raise rule.fail("`batchmean` needs an axis 0", "give `reduce = sum`", "A322")
    return TensorType(found.dtype, left(found.shape, reduce))


def _kl_div(b: LoweringBuilder, given: Given) -> Handle:
    """The mean over elements is taken here: torch warns about its own."""
    plain, options = given["reduce"] == "mean", {"log_target": True} if given["log_target"] else {}
    reduction = "none" if plain else given["reduce"]
    found = b.call("torch.nn.functional.kl_div", given["x"], given["target"], reduction=reduction, **options)
    return b.method(found, "mean") if plain else found
