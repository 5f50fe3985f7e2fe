# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's own table of operations, first part: element by element, reductions, products, shapes.  Plain calls of torch."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import FLOATS, INTS, axis, floats, need, of, operands, reduced

TABLE: dict[str, Callable[..., Any]] = {}

Number = (*FLOATS, *INTS)


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    TABLE[function.__name__.rstrip("_")] = function
    return function


def _unary(function: Callable[[Tensor], Tensor], allowed: tuple[torch.dtype, ...]) -> Callable[[Any], Tensor]:
    return lambda x: function(of(x, *allowed))


for _name in (
    "exp", "log", "log2", "log1p", "expm1", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tan", "atan", "asin", "acos", "sinh", "cosh", "tanh",
    "sigmoid", "logit", "erf", "erfinv", "frac",
):  # fmt: skip
    TABLE[_name] = _unary(getattr(torch, _name), FLOATS)
for _name in ["selu", "silu", "mish", "relu6", "hardswish", "hardsigmoid", "softsign"]:
    TABLE[_name] = _unary(getattr(F, _name), FLOATS)
TABLE["log_sigmoid"] = _unary(F.logsigmoid, FLOATS)
for _name in ["abs", "sign", "relu", "round", "floor", "ceil", "trunc"]:
    TABLE[_name] = _unary(getattr(torch, _name), Number)
for _name in ["neg", "square", "isnan", "isinf", "isfinite"]:
    TABLE[_name] = _unary(getattr(torch, _name), (*Number, torch.complex64))
TABLE["bitwise_not"] = _unary(torch.bitwise_not, (*INTS, torch.bool))
TABLE["detach"] = lambda x: x.detach()

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu, "gelu": F.gelu, "gelu_tanh": F.gelu, "silu": F.silu, "swish": F.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "elu": F.elu, "leaky_relu": F.leaky_relu, "softplus": F.softplus, "mish": F.mish, "relu6": F.relu6, "hardswish": F.hardswish,
    "identity": lambda x: x, "gelu_new": F.gelu, "gelu_pytorch_tanh": F.gelu, "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}  # fmt: skip


@entry
def activation(x: Any, name: str) -> Tensor:
    return _ACTIVATIONS[name](of(x, *FLOATS))


TABLE["gelu"] = lambda x, approximate: F.gelu(of(x, *FLOATS), approximate=approximate)
TABLE["elu"] = lambda x, alpha: F.elu(of(x, *FLOATS), alpha)
TABLE["celu"] = lambda x, alpha: F.celu(of(x, *FLOATS), alpha)
TABLE["leaky_relu"] = lambda x, negative_slope: F.leaky_relu(of(x, *FLOATS), negative_slope)
TABLE["softplus"] = lambda x, beta: F.softplus(of(x, *FLOATS), beta)
TABLE["threshold"] = lambda x, threshold, value: F.threshold(of(x, *FLOATS), threshold, value)


def _binary(function: Callable[[Any, Any], Any], allowed: str) -> Callable[[Any, Any], Tensor]:
    return lambda a, b: function(*operands([a, b], allowed))


for _name, _function in {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floor_divide": operator.floordiv,
    "pow": operator.pow,
}.items():
    TABLE[_name] = _binary(_function, "number")
TABLE["remainder"] = _binary(operator.mod, "number")
TABLE["div"] = _binary(operator.truediv, "float")


def _of_tensors(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Any], Tensor]:
    """Return a function that takes no numbers as one that does: a number stands for a tensor full of it."""

    def call(a: Any, b: Any) -> Tensor:
        values = operands([a, b], "float")
        like = next(v for v in values if isinstance(v, Tensor))
        return function(*(v if isinstance(v, Tensor) else torch.full_like(like, v) for v in values))

    return call


for _name in ("atan2", "logaddexp"):
    TABLE[_name] = _of_tensors(getattr(torch, _name))
TABLE["xlogy"] = _binary(torch.xlogy, "float")
for _name in ("lt", "le", "gt", "ge"):
    TABLE[_name] = _binary(getattr(operator, _name), "number")


def _either(values: list[Any]) -> str:
    return "bool" if any(isinstance(v, Tensor) and v.dtype is torch.bool for v in values) else "number"


def _equality(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Tensor]:
    return lambda a, b: function(*operands([a, b], _either([a, b])))


for _name in ("eq", "ne"):
    TABLE[_name] = _equality(getattr(operator, _name))
for _name, _function in {"bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor}.items():
    TABLE[_name] = lambda a, b, f=_function: f(*operands([a, b], "int" if any(isinstance(v, Tensor) and v.dtype in INTS for v in (a, b)) else "bool"))


def _extreme(a: Any, b: Any, function: Any, bound: str) -> Tensor:
    a, b = operands([a, b], "number")
    if not isinstance(b, Tensor):
        return torch.clamp(a, **{bound: b})
    return function(a, b) if isinstance(a, Tensor) else torch.clamp(b, **{bound: a})


TABLE["maximum"] = lambda a, b: _extreme(a, b, torch.maximum, "min")
TABLE["minimum"] = lambda a, b: _extreme(a, b, torch.minimum, "max")


@entry
def clamp(x: Any, min: Any, max: Any) -> Tensor:
    given = [v for v in (min, max) if v is not None]
    need(bool(given), "clamp has no bound")
    operands([x, *given], "number")
    need(all(not isinstance(v, Tensor) or v.dim() == 0 for v in given), "a bound has axes")
    of(x, *Number)
    for bound, function in ((min, torch.maximum), (max, torch.minimum)):
        if bound is not None:
            x = function(x, bound if isinstance(bound, Tensor) else torch.as_tensor(bound, dtype=x.dtype))
    return x


@entry
def where(condition: Any, a: Any, b: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    of(condition, torch.bool)
    values = [a, b]
    if not any(isinstance(v, Tensor) for v in values):
        whole = all(isinstance(v, int) and not isinstance(v, bool) for v in values)
        a, b = (float(v) if isinstance(v, Fraction) else v for v in values)
        found = torch.where(condition, a, b)
        return found if whole or all(isinstance(v, bool) for v in values) else found.to(dtype)
    a, b = operands(values, _either(values))
    return torch.where(condition, a, b)


@entry
def isclose(a: Any, b: Any, equal_nan: bool) -> Tensor:
    need(isinstance(a, Tensor) and isinstance(b, Tensor), "isclose takes two tensors")
    floats(a, b)
    return torch.isclose(a, b, equal_nan=equal_nan)


@entry
def nan_to_num(x: Any, value: Any) -> Tensor:
    return torch.nan_to_num(of(x, *FLOATS), value, value, value)


# -------------------------------------------------------------------------------------------------------- reductions


def _reduce(function: Callable[..., Tensor], allowed: tuple[torch.dtype, ...]) -> Callable[..., Tensor]:
    def run(x: Any, dim: Any, keepdim: bool) -> Tensor:
        at = reduced(dim, of(x, *allowed).dim())
        return function(x, at, keepdim) if at else x

    return run


TABLE["mean"] = _reduce(lambda x, at, keep: x.mean(at, keep), FLOATS)
TABLE["amax"] = _reduce(lambda x, at, keep: x.amax(at, keep), Number)
TABLE["amin"] = _reduce(lambda x, at, keep: x.amin(at, keep), Number)
TABLE["any"] = _reduce(lambda x, at, keep: x.any(at, keep), (torch.bool,))
TABLE["all"] = _reduce(lambda x, at, keep: x.all(at, keep), (torch.bool,))


@entry
def sum_(x: Any, dim: Any, keepdim: bool) -> Tensor:
    at = reduced(dim, of(x, *Number).dim())
    return x.sum(at, keepdim) if at else x


@entry
def count(x: Any, dim: Any, keepdim: bool) -> Tensor:
    at = reduced(dim, of(x, torch.bool).dim())
    return x.sum(at, keepdim) if at else x.long()


def _single(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Any, dim: Any, keepdim: bool) -> Tensor:
        of(x, *Number)
        if dim is None:
            found = function(x.flatten(), 0, False)
            return found.reshape([1] * x.dim()) if keepdim else found
        return function(x, axis(dim, x.dim()), keepdim)

    return run


TABLE["prod"] = _single(lambda x, at, keep: x.prod(at, keep))
TABLE["argmax"] = _single(lambda x, at, keep: x.argmax(at, keep))
TABLE["argmin"] = _single(lambda x, at, keep: x.argmin(at, keep))


@entry
def logsumexp(x: Any, dim: Any, keepdim: bool) -> Tensor:
    return torch.logsumexp(of(x, *FLOATS), reduced(dim, x.dim()), keepdim)


@entry
def norm(x: Any, p: float, dim: Any, keepdim: bool) -> Tensor:
    return torch.linalg.vector_norm(of(x, *FLOATS), p, reduced(dim, x.dim()), keepdim)


@entry
def var(x: Any, dim: Any, unbiased: bool, keepdim: bool) -> Tensor:
    return torch.var(of(x, *FLOATS), reduced(dim, x.dim()), unbiased=unbiased, keepdim=keepdim)


@entry
def std(x: Any, dim: Any, unbiased: bool, keepdim: bool) -> Tensor:
    return torch.std(of(x, *FLOATS), reduced(dim, x.dim()), unbiased=unbiased, keepdim=keepdim)


@entry
def masked_mean(x: Any, mask: Any, dim: Any, keepdim: bool) -> Tensor:
    of(x, *FLOATS), of(mask, torch.bool)
    joint = torch.broadcast_shapes(x.shape, mask.shape)
    need(joint == x.shape, "the mask stretches x")
    kept = mask.expand(joint).to(x.dtype)
    at = reduced(dim, x.dim())
    return (x * kept).sum(at, keepdim) / kept.sum(at, keepdim).clamp(min=1)


TABLE["cumsum"] = lambda x, dim: torch.cumsum(of(x, *Number), axis(dim, x.dim()))
TABLE["cumprod"] = lambda x, dim: torch.cumprod(of(x, *Number), axis(dim, x.dim()))
TABLE["logcumsumexp"] = lambda x, dim: torch.logcumsumexp(of(x, *FLOATS), axis(dim, x.dim()))
TABLE["cummax"] = lambda x, dim: torch.cummax(of(x, *Number), axis(dim, x.dim())).values
TABLE["cummin"] = lambda x, dim: torch.cummin(of(x, *Number), axis(dim, x.dim())).values


def _softmax(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Any, dim: int, dtype: Any) -> Tensor:
        need(dtype is None or dtype in FLOATS, "the dtype is no float")
        return function(of(x, *FLOATS), axis(dim, x.dim()), dtype=dtype)

    return run


TABLE["softmax"] = _softmax(torch.softmax)
TABLE["log_softmax"] = _softmax(torch.log_softmax)


@entry
def normalize(x: Any, dim: int, p: float, eps: float) -> Tensor:
    return F.normalize(of(x, *FLOATS), p, axis(dim, x.dim()), eps)


@entry
def glu(x: Any, dim: int) -> Tensor:
    at = axis(dim, of(x, *FLOATS).dim())
    need(x.shape[at] % 2 == 0, "an odd axis", "run")
    return F.glu(x, at)
