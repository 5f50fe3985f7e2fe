"""Matrix products: the leaf modules Linear, Bilinear and Embedding, and products of tensors."""

from __future__ import annotations

from typing import Any

from ...dsl.dims import Dim
from ...dsl.primitive import Cost, Inputs, ParameterSpec, Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import flag, init, integer, tensor
from ..costs import moved_bytes, nbytes, product
from ..lowering import COMPOSITES, Given, LoweringBuilder, Omit, call, expand, module
from ..operands import common_dtype
from ..parameters import leaf_cost, weight_and_bias
from ..registry import leaf, operation
from ..samples import refused, sample

INIT = init("init", "how the weight starts; `none` for torch's own way")
INIT_BIAS = init("init_bias", "how the bias starts; `none` for torch's own way")
BIAS = flag("bias", "add a bias", True)


def positive(rule: Rule, **widths: int) -> None:
    """Refuse widths below 1."""
    for name, width in widths.items():
        if width < 1:
            raise rule.fail(f"`{name}` is {width}", "give 1 or more", "A214")


_linear_parameters = weight_and_bias(lambda inputs: (inputs["dout"], inputs["din"]), "dout")


def _linear_flops(inputs: Inputs, y: TensorType) -> int | Dim:
    return product(y.shape) * inputs["din"] * 2


@leaf(
    name="Linear",
    arguments=(integer("din", "the width of the input"), integer("dout", "the width of the output"), BIAS, INIT, INIT_BIAS),
    lowering=module("torch.nn.Linear", in_features="din", out_features="dout", bias=Omit("bias", True)),
    parameters=_linear_parameters,
    cost=leaf_cost(_linear_parameters, _linear_flops),
    good=(sample(x="float[B, S, 4]", din=4, dout=3), sample(x="float[4]", din=4, dout=3, bias=False), sample(x="float[B, 4]", din=4, dout=1)),
    bad=(
        refused("A321", x="float32[B, 4]", din=4, dout=3),
        refused("A301", x="float[B, 5]", din=4, dout=3),
        refused("A305", x="int[B, 4]", din=4, dout=3),
        refused("A304", x="float[]", din=4, dout=3),
        refused("A214", x="float[B, 0]", din=0, dout=3),
    ),
)
def linear_leaf(rule: Rule, x: TensorType, din: int, dout: int, bias: bool, init: Any, init_bias: Any) -> TensorType:
    """Map the last axis: `y = x W^T + b`.  x: float[..., din], weight W: [dout, din], bias b: [dout], y: float[..., dout]."""
    positive(rule, din=din, dout=dout)
    rule.dtype(x, "float", "`x`")
    rule.axis(-1, x.rank)
    rule.same(x.shape[-1], din, "the last axis of `x` and `din`")
    return TensorType(x.dtype, (*x.shape[:-1], dout))


_bilinear_parameters = weight_and_bias(lambda inputs: (inputs["dout"], inputs["din1"], inputs["din2"]), "dout")


@leaf(
    name="Bilinear",
    arguments=(
        integer("din1", "the width of the first input"), integer("din2", "the width of the second input"), integer("dout", "the width of the output"),
        BIAS, INIT, INIT_BIAS,
    ),
    call=(tensor("x", "the first input"), tensor("z", "the second input")),
    lowering=module("torch.nn.Bilinear", "x", "z", in1_features="din1", in2_features="din2", out_features="dout", bias=Omit("bias", True)),
    parameters=_bilinear_parameters,
    cost=leaf_cost(_bilinear_parameters),
    good=(
        sample(x="float[B, 4]", z="float[B, 3]", din1=4, din2=3, dout=2),
        sample(x="float[B, S, 4]", z="float[B, S, 3]", din1=4, din2=3, dout=2, bias=False),
    ),
    bad=(
        refused("A301", x="float[B, 5]", z="float[B, 3]", din1=4, din2=3, dout=2),
        refused("A321", x="float[B, 4]", z="float32[B, 3]", din1=4, din2=3, dout=2),
    ),
)  # fmt: skip
def bilinear_leaf(rule: Rule, x: TensorType, z: TensorType, din1: int, din2: int, dout: int, bias: bool, init: Any, init_bias: Any) -> TensorType:
    """Combine two vectors: `y_k = x^T W_k z + b_k`.  x: float[..., din1], z: float[..., din2], W: [dout, din1, din2], y: float[..., dout]."""
    positive(rule, din1=din1, din2=din2, dout=dout)
    dtype = common_dtype(rule, {"x": x, "z": z}, "float")
    if x.rank != z.rank or not x.rank:
        raise rule.fail(f"`x` is {x} and `z` is {z}", "they need as many axes", "A322")
    front = tuple(rule.same(a, b, f"axis {i} of `x` and of `z`") for i, (a, b) in enumerate(zip(x.shape[:-1], z.shape[:-1], strict=True)))
    rule.same(x.shape[-1], din1, "the last axis of `x` and `din1`")
    rule.same(z.shape[-1], din2, "the last axis of `z` and `din2`")
    return TensorType(dtype, (*front, dout))


def _table(inputs: Inputs) -> tuple[ParameterSpec, ...]:
    return (ParameterSpec("weight", (inputs["count"], inputs["dim"]), init=inputs["init"]),)


def _embedding_cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    """Only the rows looked up are read."""
    return Cost(0, nbytes(inputs["x"]) + nbytes(outputs[0]) * 2)


@leaf(
    name="Embedding",
    arguments=(
        integer("count", "how many rows"),
        integer("dim", "the width of a row"),
        integer("padding", "the row of padding: it starts as zeros and gets no gradient", None),
        INIT,
    ),
    call=(tensor("x", "the numbers of the rows", within=lambda inputs: inputs["count"]),),
    lowering=module("torch.nn.Embedding", num_embeddings="count", embedding_dim="dim", padding_idx=Omit("padding", None)),
    parameters=_table,
    cost=_embedding_cost,
    good=(sample(x="int[B, S] < 5", count=5, dim=3), sample(x="int[] < 5", count=5, dim=3, padding=1), sample(x="int32[B] < 5", count=5, dim=3)),
    bad=(
        refused("A305", x="float[B]", count=5, dim=3),
        refused("A214", x="int[B]", count=5, dim=3, padding=5),
        refused("A214", x="int[B]", count=0, dim=3),
    ),
)
def embedding_leaf(rule: Rule, x: TensorType, count: int, dim: int, padding: int | None, init: Any) -> TensorType:
    """Look up rows: `y[..] = W[x[..]]`.  x: int[...] in 0..count, weight W: [count, dim], y: float[..., dim]."""
    positive(rule, count=count, dim=dim)
    rule.dtype(x, "int", "`x`")
    if padding is not None and not -count <= padding < count:
        raise rule.fail(f"`padding` is {padding} and there are {count} rows", "name a row of the table", "A214")
    return TensorType(DType.FLOAT, (*x.shape, dim))


def _products(rule: Rule, a: TensorType, b: TensorType) -> tuple[Axis, ...]:
    """Return the shape of `a @ b`."""
    if not a.rank or not b.rank:
        raise rule.fail(f"`@` multiplies matrices: `a` is {a} and `b` is {b}", "write `*` for a number", "A322")
    rows, inner_b = a.shape[:-1][-1:], b.shape[-2] if b.rank > 1 else b.shape[0]
    rule.same(a.shape[-1], inner_b, "the last axis of `a` and the axis of `b` that it meets")
    columns = b.shape[-1:] if b.rank > 1 else ()
    return (*rule.broadcast([a.shape[:-2], b.shape[:-2]], "the axes of `a` and `b` before the matrices"), *rows, *columns)


def _matmul_cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    return Cost(product(outputs[0].shape) * extent(inputs["a"].shape[-1]) * 2, moved_bytes(inputs, outputs))


@operation(
    arguments=(tensor("a", "the left matrices"), tensor("b", "the right matrices")),
    lowering=call("torch.matmul", "a", "b"),
    cost=_matmul_cost,
    good=(
        sample(a="float[B, S, 4]", b="float[4, 3]"),
        sample(a="float[B, S, 4]", b="float[B, 4, N]"),
        sample(a="float[B, 1, S, 4]", b="float[5, 4, 3]"),
        sample(a="float[S, 4]", b="float[4, 3]"),
        sample(a="float[B, S, 4]", b="float[4]"),
        sample(a="float[1]", b="float[B, 1, 3]"),
    ),
    bad=(
        refused("A301", a="float[B, 4]", b="float[5, 3]"),
        refused("A305", a="float[B, 4]", b="int[4, 3]"),
        refused("A322", a="float[B, 4]", b="float[]"),
        refused("A301", a="float[2, 4, 4]", b="float[3, 4, 4]"),
    ),
)
def matmul(rule: Rule, a: TensorType, b: TensorType) -> TensorType:
    """Multiply matrices: `y_ij = sum_k a_ik b_kj`, written `a @ b`.

    a: float[..., n, k], b: float[..., k, m], y: float[..., n, m]; a vector stands for one row or column; the axes before broadcast.
    """
    return TensorType(common_dtype(rule, {"a": a, "b": b}, "float"), _products(rule, a, b))


@operation(
    arguments=(tensor("a", "the left matrices"), tensor("b", "the right matrices")),
    lowering=call("torch.bmm", "a", "b"),
    cost=_matmul_cost,
    good=(sample(a="float[B, S, 4]", b="float[B, 4, N]"),),
    bad=(refused("A301", a="float[B, S, 4]", b="float[B, 5, 3]"), refused("A322", a="float[B, 4]", b="float[4, 3]")),
)
def bmm(rule: Rule, a: TensorType, b: TensorType) -> TensorType:
    """Multiply batches of matrices: `y_bij = sum_k a_bik b_bkj`.  a: float[B, n, k], b: float[B, k, m], y: float[B, n, m]."""
    if a.rank != 3 or b.rank != 3:
        raise rule.fail(f"`bmm` takes two batches of matrices: `a` is {a} and `b` is {b}", "write `a @ b`", "A322")
    dtype = common_dtype(rule, {"a": a, "b": b}, "float")
    batch = rule.same(a.shape[0], b.shape[0], "axis 0 of `a` and of `b`")
    rule.same(a.shape[2], b.shape[1], "axis 2 of `a` and axis 1 of `b`")
    return TensorType(dtype, (batch, a.shape[1], b.shape[2]))


def _functional_cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    return Cost(product(outputs[0].shape) * extent(inputs["x"].shape[-1]) * 2, moved_bytes(inputs, outputs))


@operation(
    arguments=(tensor("x", "the vectors"), tensor("weight", "the matrix"), tensor("bias", "what is added", optional=True)),
    lowering=call("torch.nn.functional.linear", "x", "weight", Omit("bias", None)),
    cost=_functional_cost,
    good=(sample(x="float[B, S, 4]", weight="float[3, 4]", bias="float[3]"), sample(x="float[B, 4]", weight="float[3, 4]")),
    bad=(
        refused("A301", x="float[B, 4]", weight="float[4, 3]"),
        refused("A301", x="float[B, 4]", weight="float[3, 4]", bias="float[4]"),
        refused("A322", x="float[B, 4]", weight="float[4]"),
    ),
)
def linear(rule: Rule, x: TensorType, weight: TensorType, bias: TensorType | None) -> TensorType:
    """Map the last axis with a matrix that is a value: `y = x W^T + b`.  x: float[..., din], W: float[dout, din], b: float[dout]."""
    return _mapped(rule, x, weight, bias)


def _mapped(rule: Rule, x: TensorType, weight: TensorType, bias: TensorType | None) -> TensorType:
    dtype = common_dtype(rule, {"x": x, "weight": weight, **({"bias": bias} if bias else {})}, "float")
    if weight.rank != 2 or not x.rank or (bias and bias.rank != 1):
        raise rule.fail(f"`x` is {x} and `weight` is {weight}", "give float[..., din], a weight [dout, din] and a bias [dout]", "A322")
    rule.same(x.shape[-1], weight.shape[1], "the last axis of `x` and axis 1 of `weight`")
    if bias:
        rule.same(weight.shape[0], bias.shape[0], "axis 0 of `weight` and `bias`")
    return TensorType(dtype, (*x.shape[:-1], weight.shape[0]))


@operation(
    arguments=(
        *(tensor("x", "the vectors"), tensor("weight", "the matrix"), tensor("bias", "what is added", optional=True)),
        flag("rectify", "clip the result at zero"),
    ),
    lowering=call("archloom.compiler.runtime.onednn.onednn_linear", "x", "weight", Omit("bias", None), rectify=Omit("rectify", False)),
    cost=_functional_cost,
    good=(sample(x="float[B, S, 4]", weight="float[3, 4]", bias="float[3]", rectify=True), sample(x="float[B, 4]", weight="float[3, 4]")),
    bad=(refused("A301", x="float[B, 4]", weight="float[4, 3]"), refused("A322", x="float[B, 4]", weight="float[4]")),
)
def onednn_linear(rule: Rule, x: TensorType, weight: TensorType, bias: TensorType | None, rectify: bool) -> TensorType:
    """Map the last axis with a matrix that is a value, by oneDNN where no gradient is needed: `y = x W^T + b`, or `max(x W^T + b, 0)`.

    x: float[..., din], W: float[dout, din], b: float[dout].
    """
    return _mapped(rule, x, weight, bias)


@operation(
    arguments=(tensor("a", "vectors along the first axes"), tensor("b", "vectors along the last axis")),
    lowering=call("torch.outer", "a", "b"),
    cost=lambda inputs, outputs: Cost(0, moved_bytes(inputs, outputs)),
    good=(sample(a="float[S]", b="float[N]"), sample(a="int[S]", b="int[3]")),
    bad=(refused("A322", a="float[S, 2]", b="float[N]"), refused("A321", a="float[S]", b="int[N]")),
)
def outer(rule: Rule, a: TensorType, b: TensorType) -> TensorType:
    """Multiply each with each: `y_ij = a_i b_j`.  a: number[n], b: number[m], y: number[n, m]."""
    if a.rank != 1 or b.rank != 1:
        raise rule.fail(f"`outer` takes two vectors: `a` is {a} and `b` is {b}", "write `a[..., none] * b[..., none, :]` for more axes", "A322")
    return TensorType(common_dtype(rule, {"a": a, "b": b}), (a.shape[0], b.shape[0]))


def _batched_products(b: LoweringBuilder, given: Given) -> Any:
    """Write torch's own product where the axes are those that it takes."""
    x, weight, bias = given["x"], given["weight"], given["bias"]
    if given.type("x").rank != 3:
        return b.call(f"{COMPOSITES}.batched_linear", x, weight, *([bias] if bias is not None else []))
    columns = b.method(weight, "transpose", 1, 2)
    return b.call("torch.bmm", x, columns) if bias is None else b.call("torch.baddbmm", b.method(bias, "unsqueeze", 1), x, columns)


@operation(
    arguments=(
        tensor("x", "the vectors, of each member along axis 0"),
        tensor("weight", "the matrices"),
        tensor("bias", "what is added", optional=True),
    ),
    lowering=expand(_batched_products),
    cost=_functional_cost,
    good=(
        sample(x="float[2, B, S, 4]", weight="float[2, 3, 4]", bias="float[2, 3]"),
        sample(x="float[2, B, 4]", weight="float[2, 3, 4]", bias="float[2, 3]"),
        sample(x="float[2, 4]", weight="float[2, 3, 4]"),
        sample(x="float[S, B, 4]", weight="float[S, 3, 4]"),
    ),
    bad=(
        refused("A301", x="float[2, B, 4]", weight="float[2, 4, 3]"),
        refused("A301", x="float[2, B, 4]", weight="float[3, 3, 4]"),
        refused("A301", x="float[2, B, 4]", weight="float[2, 3, 4]", bias="float[2, 4]"),
        refused("A322", x="float[2, B, 4]", weight="float[3, 4]"),
        refused("A322", x="float[4]", weight="float[2, 3, 4]"),
        refused("A322", x="float[2, B, 4]", weight="float[2, 3, 4]", bias="float[3]"),
    ),
)
def batched_linear(rule: Rule, x: TensorType, weight: TensorType, bias: TensorType | None) -> TensorType:
    """Map the last axis of each of several values by a matrix of its own: `y_e = x_e W_e^T + b_e`.

    x: float[E, ..., din], weight W: float[E, dout, din], bias b: float[E, dout], y: float[E, ..., dout].
    """
    if weight.rank != 3 or x.rank < 2 or (bias is not None and bias.rank != 2):
        message = f"`batched_linear` takes x: float[E, ..., din], weight: float[E, dout, din], bias: float[E, dout], and gets {x}, {weight}, {bias}"
        raise rule.fail(message, "stack the members along axis 0", "A322")
    members = rule.same(x.shape[0], weight.shape[0], "axis 0 of `x` and of `weight`")
    rule.same(x.shape[-1], weight.shape[2], "the last axes of `x` and `weight`")
    values = {"x": x, "weight": weight, **({"bias": bias} if bias is not None else {})}
    if bias is not None:
        rule.same(bias.shape[0], weight.shape[0], "axis 0 of `bias` and of `weight`")
        rule.same(bias.shape[1], weight.shape[1], "axis 1 of `bias` and of `weight`")
    return TensorType(common_dtype(rule, values, "float"), (members, *x.shape[1:-1], weight.shape[1]))
