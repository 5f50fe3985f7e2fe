"""Tensors made from sizes and numbers alone, or in the shape of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ...dsl.dim_atoms import ceil_div, minimum
from ...dsl.dims import Dim
from ...dsl.primitive import Cost, Inputs, Numbers, Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import anything, dtype, integer, shape, size, tensor
from ..costs import moved
from ..exact import filled
from ..lowering import Given, LoweringBuilder, Omit, call, expand, static
from ..operands import is_literal, is_whole
from ..ranges import keeps
from ..registry import operation
from ..samples import refused, sample

SHAPE = shape("shape", "the sizes")
TYPE = dtype("dtype", "the type of the elements", DType.FLOAT)


def positive_sizes(rule: Rule, shape: Sequence[Axis]) -> tuple[Axis, ...]:
    """Return the sizes, refusing negative ones."""
    for n in shape:
        if isinstance(n, int) and n < 0:
            raise rule.fail(f"{n} is no size", "sizes are 0 or more", "A324")
    return tuple(shape)


def _made(target: str) -> Any:
    def lower(b: LoweringBuilder, given: Given) -> Any:
        return b.call(target, static(b, list(given["shape"])), dtype=b.dtype(given["dtype"]), device=b.device())

    return expand(lower)


for _name in ("zeros", "ones"):

    def _rule(rule: Rule, shape: Sequence[Axis], dtype: DType) -> TensorType:
        return TensorType(dtype, positive_sizes(rule, shape))

    operation(
        name=_name,
        doc=f"Make {_name}: `y = {int(_name == 'ones')}`.  y: dtype[shape].",
        arguments=(SHAPE, TYPE),
        lowering=_made(f"torch.{_name}"),
        exact=filled(lambda inputs, number=int(_name == "ones"): number),
        cost=moved,
        good=(sample(shape=["B", 3]), sample(shape=[], dtype="int"), sample(shape=[2], dtype="bool")),
        bad=(refused("A324", shape=[-1]),),
    )(_rule)


@operation(
    arguments=(
        SHAPE,
        anything("value", "the number, or `true` or `false`"),
        dtype("dtype", "the type of the elements; by the value when `none`", None),
    ),
    lowering=expand(
        lambda b, given: b.call(
            "torch.full", static(b, list(given["shape"])), static(b, given["value"]), dtype=b.dtype(given.outputs[0].dtype), device=b.device()
        )
    ),
    values=lambda inputs, held: _single(inputs["value"]),
    exact=filled(lambda inputs: inputs["value"]),
    cost=moved,
    good=(
        sample(shape=["B", 3], value=0.5),
        sample(shape=[2], value=7),
        sample(shape=["B"], value=True),
        sample(shape=["B"], value=1, dtype="float"),
    ),
    bad=(refused("A324", shape=[-2], value=0), refused("A321", shape=[2], value=0.5, dtype="int"), refused("A305", shape=[2], value="one")),
)
def full(rule: Rule, shape: Sequence[Axis], value: Any, dtype: DType | None) -> TensorType:
    """Fill with one number: `y = value`.  y: dtype[shape]."""
    return TensorType(number_dtype(rule, value, dtype), positive_sizes(rule, shape))


def _single(value: Any) -> tuple[Numbers, ...]:
    return (Numbers(value, value + 1),) if type(value) is int else ()


def number_dtype(rule: Rule, value: Any, wanted: DType | None) -> DType:
    """Return the dtype of a tensor made of a number: as wanted, else bool, int or float by the number itself."""
    if not is_literal(value):
        raise rule.fail(f"`{value}` is no number", "give a number, `true` or `false`", "A305")
    own = DType.BOOL if isinstance(value, bool) else DType.INT if is_whole(value) else DType.FLOAT
    if wanted is None:
        return own
    if (own is DType.FLOAT and not wanted.is_float) or (own is DType.BOOL) is not (wanted is DType.BOOL):
        raise rule.fail(f"`{value}` can't be a value of {wanted}", "change `dtype` or the number", "A321")
    return wanted


for _name, _value in (("zeros_like", 0), ("ones_like", 1)):

    def _like_rule(rule: Rule, x: TensorType, dtype: DType | None) -> TensorType:
        return TensorType(dtype or x.dtype, x.shape)

    operation(
        name=_name,
        doc=f"Make a tensor in the shape of another: `y = {_value}`.  x: any[...], y: dtype[...], of x when `none`.",
        arguments=(
            tensor("x", "the tensor whose shape is taken", flat=True),
            dtype("dtype", "the type of the elements; that of x when `none`", None),
        ),
        lowering=call(f"torch.{_name}", "x", dtype=Omit("dtype", None)),
        cost=moved,
        good=(sample(x="float[B, 3]"), sample(x="int[B]", dtype="float")),
        bad=(refused("A202"),),
    )(_like_rule)


def _counted(inputs: Inputs, held: Mapping[str, tuple[Numbers, ...]]) -> tuple[Numbers, ...]:
    start, stop, step = inputs["start"], inputs["stop"], inputs["step"]
    return (Numbers(*((0, start) if stop is None else (start, stop)), fixed=True),) if step == 1 and inputs["dtype"] is DType.INT else ()


def _each(inputs: Inputs) -> Sequence[int] | None:
    start, stop, step = inputs["start"], inputs["stop"], inputs["step"]
    bounds = (0, start) if stop is None else (start, stop)
    return range(*bounds, step) if all(type(n) is int for n in bounds) else None


def _arange(b: LoweringBuilder, given: Given) -> Any:
    start, stop, step = (static(b, given[name]) for name in ("start", "stop", "step"))
    bounds = (start, stop) if stop is not None else (start,) if step == 1 else (0, start)
    options: dict[str, Any] = {} if given["dtype"] is DType.INT else {"dtype": b.dtype(given["dtype"])}
    return b.call("torch.arange", *((*bounds, step) if step != 1 else bounds), **options, device=b.device())


@operation(
    arguments=(
        size("start", "the first number; the end (exclusive) when it stands alone"),
        size("stop", "the end (exclusive)", None),
        integer("step", "the difference of neighbours", 1),
        dtype("dtype", "the type of the elements", DType.INT),
    ),
    lowering=expand(_arange),
    values=_counted,
    exact=lambda inputs, shape: _each(inputs),
    cost=moved,
    good=(
        sample(start="S"),
        sample(start=2, stop=9, step=3),
        sample(start=1, stop="S + 1"),
        sample(start=4, dtype="float32"),
        sample(start=5, stop=0, step=-2),
        sample(start="S", step=3),
    ),
    bad=(
        refused("A214", start=3, step=0),
        refused("A303", start=3, stop=1),
        refused("A305", start=3, dtype="bool"),
        refused("A305", start=3, dtype="complex"),
    ),
)
def arange(rule: Rule, start: int | Dim, stop: int | Dim | None, step: int, dtype: DType) -> TensorType:
    """Count: `y_i = start + i * step` below `stop`.  y: dtype[n], n = ceil((stop - start) / step)."""
    if dtype in (DType.BOOL, DType.COMPLEX):
        raise rule.fail(f"`dtype` is {dtype}", "count in `int` or `float`", "A305")
    if step == 0:
        raise rule.fail("`step` is 0", "it would never reach the end", "A214")
    first, last = (0, start) if stop is None else (start, stop)
    if step < 0:
        first, last, step = last, first, -step
    rule.at_least(last, first, "the end of `arange`, which is not before its start")
    return TensorType(dtype, (last - first if step == 1 else ceil_div(last - first, step),))


@operation(
    arguments=(size("n", "the size of the square"), TYPE),
    lowering=expand(lambda b, given: b.call("torch.eye", static(b, given["n"]), dtype=b.dtype(given["dtype"]), device=b.device())),
    cost=moved,
    good=(sample(n="S"), sample(n=3, dtype="bool")),
    bad=(refused("A324", n=-1),),
)
def eye(rule: Rule, n: Axis, dtype: DType) -> TensorType:
    """Make the identity: `y_ij = [i = j]`.  y: dtype[n, n]."""
    return TensorType(dtype, positive_sizes(rule, (n, n)))


def nested_shape(rule: Rule, values: Any) -> tuple[int, ...]:
    """Return the shape of nested lists; raises through the rule when they are ragged."""
    if not isinstance(values, (list, tuple)):
        return ()
    items = cast("Sequence[Any]", values)
    shapes = {nested_shape(rule, item) for item in items}
    if len(shapes) > 1:
        raise rule.fail("the lists differ in length", "give each row as many numbers", "A324")
    return (len(items), *(next(iter(shapes)) if shapes else ()))


def _numbers(values: Any) -> list[Any]:
    if not isinstance(values, (list, tuple)):
        return [values]
    return [n for item in cast("Sequence[Any]", values) for n in _numbers(item)]


@operation(
    arguments=(
        anything("values", "a number or nested lists of numbers"),
        dtype("dtype", "the type of the elements; by the values when `none`", None),
    ),
    lowering=expand(lambda b, given: b.call("torch.tensor", static(b, given["values"]), dtype=b.dtype(given.outputs[0].dtype), device=b.device())),
    exact=lambda inputs, shape: _numbers(inputs["values"]),
    cost=moved,
    good=(sample(values=[1, 2]), sample(values=[[0.5, 1], [2, 3]]), sample(values=[True, False]), sample(values=3, dtype="float32")),
    bad=(
        refused("A324", values=[[1], [2, 3]]),
        refused("A305", values=["one"]),
        refused("A321", values=[0.5], dtype="int"),
        refused("A321", values=[True, 1]),
    ),
)
def constant(rule: Rule, values: Any, dtype: DType | None) -> TensorType:
    """Make a tensor of the numbers given: `y_ij = values[i][j]`.  y: dtype[...], fixed when the file is read."""
    found = {number_dtype(rule, n, dtype) for n in _numbers(values)}
    if DType.BOOL in found and len(found) > 1:
        raise rule.fail("truths and numbers stand in one list", "write `0` and `1`, or `true` and `false`", "A321")
    kind = DType.FLOAT if DType.FLOAT in found or not found else next(iter(found))
    return TensorType(dtype or kind, nested_shape(rule, values))


def _triangle(name: str, what: str) -> None:
    def rule(rule: Rule, x: TensorType, diagonal: int | Dim) -> TensorType:
        if x.rank < 2:
            raise rule.fail(f"`{name}` needs a matrix and `x` is {x}", "give it two axes or more", "A322")
        return x

    operation(
        name=name,
        doc=f"Keep the {what} triangle, zero elsewhere: `y_ij = x_ij [j - i {'<=' if name == 'tril' else '>='} diagonal]`."
        "  x: any[..., n, m], y: as x.",
        arguments=(tensor("x", "the matrices"), size("diagonal", "0 is the main one, above it positive", 0)),
        lowering=call(f"torch.{name}", "x", Omit("diagonal", 0)),
        cost=moved,
        good=(sample(x="float[B, S, 3]"), sample(x="bool[S, S]", diagonal=-1)),
        bad=(refused("A322", x="float[B]"),),
    )(rule)


_triangle("tril", "lower")
_triangle("triu", "upper")


@operation(
    arguments=(tensor("x", "the matrices"),),
    lowering=expand(lambda b, given: b.call("torch.diagonal", given["x"], dim1=-2, dim2=-1)),
    cost=moved,
    good=(sample(x="float[B, S, S]"), sample(x="float[3, 3]"), sample(x="float[B, 2, 3]"), sample(x="float[B, S, N]")),
    bad=(refused("A322", x="float[B]"),),
)
def diagonal(rule: Rule, x: TensorType) -> TensorType:
    """Read the diagonal of matrices: `y_i = x_ii`.  x: any[..., n, m], y: any[..., min(n, m)]."""
    if x.rank < 2:
        raise rule.fail(f"`diagonal` needs a matrix and `x` is {x}", "give it two axes or more", "A322")
    rows, columns = x.shape[-2:]
    least = rows if rows == columns else minimum(extent(rows), extent(columns))
    return TensorType(x.dtype, (*x.shape[:-2], least))


def _cast(name: str, dtype: DType) -> None:
    def rule(rule: Rule, x: TensorType) -> TensorType:
        if x.dtype is DType.COMPLEX:
            raise rule.fail(f"`x` is {x}, and `{name}` would lose its imaginary part", "take `real(x)` or `imag(x)` first", "A305")
        return TensorType(dtype, x.shape)

    def cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
        return Cost() if inputs["x"].dtype is dtype else moved(inputs, outputs)

    def lower(b: LoweringBuilder, given: Given) -> Any:
        return given["x"] if given.type("x").dtype is dtype else b.method(given["x"], "to", b.dtype(dtype))

    operation(
        name=name,
        doc=f"Convert to {name}: `y = {name}(x)`; fractions lose what stands after the point, truths become 0 and 1.  x: any[...], y: {name}[...].",
        arguments=(tensor("x", "the tensor"),),
        lowering=expand(lower),
        values=keeps("x") if dtype.is_int else None,
        cost=cost,
        good=(sample(x="float[B, 3]"), sample(x="int[B, 3]"), sample(x="bool[B, 3]")),
        bad=(refused("A202"),),
    )(rule)


for _dtype in (DType.FLOAT, DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16, DType.INT, DType.INT32, DType.BOOL):
    _cast(_dtype.value, _dtype)
