"""Chance: never merged or folded; what depends on the mode runs as a module that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...dsl.dims import Dim
from ...dsl.primitive import Numbers, Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import axis, dtype, flag, integer, real, shape, size, tensor
from ..costs import moved, view
from ..lowering import Given, LoweringBuilder, Omit, call, expand, module, static
from ..operands import in_range
from ..ranges import counts
from ..registry import leaf, operation
from ..samples import refused, sample
from .create import positive_sizes

X = tensor("x", "the tensor")
P = real("p", "the part that is dropped, 0 to 1")
DROP_PATH = "archloom.compiler.runtime.modes.DropPath"


def _dropped(rule: Rule, x: TensorType, p: float) -> TensorType:
    rule.dtype(x, "float", "`x`")
    in_range(rule, "p", p, 0, 1)
    return x


def _drop(target: str) -> Any:
    def lower(b: LoweringBuilder, given: Given) -> Any:
        p = given["p"] if isinstance(given["p"], float) else float(given["p"])
        return b.child(target, {"p": p}, given["x"], idle=p == 0)

    return expand(lower)


DROP_BAD = (refused("A305", x="int[B]", p=0.1), refused("A214", x="float[B]", p=1.5), refused("A214", x="float[B]", p=-0.1))


@operation(
    arguments=(X, P),
    lowering=_drop("torch.nn.Dropout"),
    cost=moved,
    random=True,
    good=(sample(x="float[B, 3]", p=0.1), sample(x="float[B, 3]", p=0.0)),
    bad=DROP_BAD,
)
def dropout(rule: Rule, x: TensorType, p: float) -> TensorType:
    """Drop elements in training: `y = 0` with likelihood p, else `x / (1 - p)`; in evaluation `y = x`.  x: float[...], y: as x."""
    return _dropped(rule, x, p)


@operation(
    arguments=(X, P),
    lowering=_drop(DROP_PATH),
    cost=moved,
    random=True,
    good=(sample(x="float[B, S, 3]", p=0.1), sample(x="float[B]", p=0.0)),
    bad=(*DROP_BAD, refused("A322", x="float[]", p=0.1)),
)
def drop_path(rule: Rule, x: TensorType, p: float) -> TensorType:
    """Drop whole samples in training: `y[b] = 0` with likelihood p, else `x[b] / (1 - p)`; in evaluation `y = x`.  x: float[B, ...], y: as x."""
    if not x.rank:
        raise rule.fail(f"`x` is {x}", "give it a batch axis", "A322")
    return _dropped(rule, x, p)


for _name, _target in (("Dropout", "torch.nn.Dropout"), ("DropPath", DROP_PATH)):

    def _module_rule(rule: Rule, x: TensorType, p: float) -> TensorType:
        """Drop elements (or, for DropPath, whole samples) in training and scale the rest by `1 / (1 - p)`; in evaluation `y = x`.

        x: float[B, ...], y: as x.
        """
        return _dropped(rule, x, p)

    leaf(
        name=_name,
        arguments=(P,),
        lowering=module(_target, p="p"),
        parameters=lambda inputs: (),
        cost=moved,
        random=True,
        good=(sample(x="float[B, 3]", p=0.1),),
        bad=DROP_BAD,
    )(_module_rule)


@leaf(
    name="Identity",
    arguments=(),
    lowering=module("torch.nn.Identity"),
    parameters=lambda inputs: (),
    cost=view,
    good=(sample(x="float[B, 3]"), sample(x="int[B]")),
    bad=(refused("A202"),),
)
def identity_leaf(rule: Rule, x: TensorType) -> TensorType:
    """Pass the value on: `y = x`.  x: any[...], y: as x."""
    return x


def _like(name: str, target: str, equation: str) -> None:
    def rule(rule: Rule, x: TensorType) -> TensorType:
        rule.dtype(x, "float", "`x`")
        return x

    operation(
        name=name,
        doc=f"Draw anew at every call: {equation}.  x: float[...], y: as x.",
        arguments=(tensor("x", "the tensor whose shape is taken", flat=True),),
        lowering=call(target, "x"),
        cost=moved,
        random=True,
        good=(sample(x="float[B, 3]"),),
        bad=(refused("A305", x="int[B]"),),
    )(rule)


_like("randn_like", "torch.randn_like", "`y ~ N(0, 1)`")
_like("rand_like", "torch.rand_like", "`y ~ U(0, 1)`")
_like("bernoulli", "torch.bernoulli", "`y = 1` with likelihood x, else 0")


def _drawn(target: str) -> Any:
    def lower(b: LoweringBuilder, given: Given) -> Any:
        return b.call(target, static(b, list(given["shape"])), dtype=b.dtype(given["dtype"]), device=b.device())

    return expand(lower)


for _name, _equation in (("randn", "`y ~ N(0, 1)`"), ("rand", "`y ~ U(0, 1)`")):

    def _made_rule(rule: Rule, shape: Sequence[Axis], dtype: DType) -> TensorType:
        if not dtype.is_float:
            raise rule.fail(f"`dtype` is {dtype}", "draw floats", "A305")
        return TensorType(dtype, positive_sizes(rule, shape))

    operation(
        name=_name,
        doc=f"Draw anew at every call: {_equation}.  y: dtype[shape].",
        arguments=(shape("shape", "the sizes"), dtype("dtype", "the type of the elements", DType.FLOAT)),
        lowering=_drawn(f"torch.{_name}"),
        cost=moved,
        random=True,
        good=(sample(shape=["B", 3]), sample(shape=[], dtype="float32")),
        bad=(refused("A324", shape=[-1]), refused("A305", shape=[2], dtype="int")),
    )(_made_rule)


@operation(
    arguments=(size("low", "the lowest"), size("high", "one past the highest"), shape("shape", "the sizes")),
    lowering=expand(
        lambda b, given: b.call(
            "torch.randint", static(b, given["low"]), static(b, given["high"]), static(b, list(given["shape"])), device=b.device()
        )
    ),
    values=lambda inputs, held: (Numbers(inputs["low"], extent(inputs["high"])),),
    cost=moved,
    random=True,
    good=(sample(low=0, high=5, shape=["B", 3]), sample(low=1, high="S + 1", shape=["B"])),
    bad=(refused("A324", low=0, high=5, shape=[-1]), refused("A303", low=5, high=5, shape=[2])),
)
def randint(rule: Rule, low: int | Dim, high: int | Dim, shape: Sequence[Axis]) -> TensorType:
    """Draw whole numbers anew at every call: `low <= y < high`.  y: int[shape]."""
    rule.at_least(high, low + 1, "the end of `randint`, which is above its start")
    return TensorType(DType.INT, positive_sizes(rule, shape))


@operation(
    arguments=(size("n", "how many"),),
    lowering=expand(lambda b, given: b.call("torch.randperm", static(b, given["n"]), device=b.device())),
    values=counts(lambda inputs: inputs["n"]),
    cost=moved,
    random=True,
    good=(sample(n="B"), sample(n=4)),
    bad=(refused("A324", n=-1),),
)
def randperm(rule: Rule, n: Axis) -> TensorType:
    """Draw an order anew at every call: `y = p(0), ..., p(n - 1)`, each number once.  y: int[n]."""
    return TensorType(DType.INT, positive_sizes(rule, (n,)))


@operation(
    arguments=(
        X,
        real("tau", "the temperature", 1.0),
        flag("hard", "a one-hot result that keeps the soft gradient"),
        axis("dim", "the axis of the classes", -1),
    ),
    lowering=call("torch.nn.functional.gumbel_softmax", "x", tau=Omit("tau", 1.0), hard=Omit("hard", False), dim=Omit("dim", -1)),
    cost=moved,
    random=True,
    good=(sample(x="float[B, 3]"), sample(x="float[B, 3, S]", tau=0.5, hard=True, dim=1)),
    bad=(refused("A305", x="int[B]"), refused("A304", x="float[B]", dim=1), refused("A214", x="float[B]", tau=0.0)),
)
def gumbel_softmax(rule: Rule, x: TensorType, tau: float, hard: bool, dim: int) -> TensorType:
    """Draw a class, softly: `y = softmax((x + g) / tau)`, g of the Gumbel distribution, anew at every call.  x: float[...], y: as x."""
    rule.dtype(x, "float", "`x`")
    rule.axis(dim, x.rank)
    in_range(rule, "tau", tau, 0, open_low=True)
    return x


@operation(
    arguments=(
        tensor("x", "likelihoods, or weights of each class"),
        integer("count", "how many are drawn"),
        flag("replacement", "one may be drawn twice"),
    ),
    lowering=call("torch.multinomial", "x", "count", replacement=Omit("replacement", False)),
    cost=moved,
    random=True,
    good=(sample(x="float[B, 3]", count=1), sample(x="float[3]", count=5, replacement=True)),
    bad=(
        refused("A303", x="float[B, 3]", count=4),
        refused("A305", x="int[B, 3]", count=1),
        refused("A322", x="float[B, S, 3]", count=1),
        refused("A214", x="float[3]", count=0),
    ),
)
def multinomial(rule: Rule, x: TensorType, count: int, replacement: bool) -> TensorType:
    """Draw classes anew at every call: `P(y = c) = x_c / sum_k x_k`.  x: float[C] or float[B, C], y: int[..., count]."""
    rule.dtype(x, "float", "`x`")
    if x.rank not in (1, 2):
        raise rule.fail(f"`x` is {x}", "give [C] or [B, C]", "A322")
    if count < 1:
        raise rule.fail(f"`count` is {count}", "draw 1 or more", "A214")
    if not replacement:
        last = x.shape[-1]
        rule.at_least(last if isinstance(last, int | Dim) else last.size, count, "the classes, each drawn once at most")
    return TensorType(DType.INT, (*x.shape[:-1], count))
