"""Normalising exponentials."""

from __future__ import annotations

from ...dsl.primitive import Rule
from ...dsl.types import DType, TensorType, extent
from ..arguments import axis, dtype, tensor
from ..costs import moved
from ..lowering import Omit, call
from ..registry import operation
from ..samples import refused, sample

for _name, _target, _equation in (
    ("softmax", "torch.softmax", "Normalise exponentials: `y_i = e^x_i / sum_j e^x_j`"),
    ("log_softmax", "torch.log_softmax", "Normalise exponentials, as logarithms: `y_i = x_i - ln sum_j e^x_j`"),
):

    def _rule(rule: Rule, x: TensorType, dim: int, dtype: DType | None) -> TensorType:
        rule.dtype(x, "float", "`x`")
        rule.axis(dim, x.rank)
        if dtype is not None and not dtype.is_float:
            raise rule.fail(f"`dtype` is {dtype}", "compute in `float` or `float32`", "A305")
        return TensorType(dtype or x.dtype, x.shape)

    operation(
        name=_name,
        doc=f"{_equation} along `dim`.  x: float[...], y: the same shape in `dtype`.",
        arguments=(
            tensor("x", "the tensor", flat=lambda inputs: extent(inputs["x"].shape[inputs["dim"]]) == 1),
            axis("dim", "the axis that adds up to one"),
            dtype("dtype", "compute and return in this type, for instance `float32`", None),
        ),
        lowering=call(_target, "x", dim="dim", dtype=Omit("dtype", None)),
        cost=moved,
        good=(sample(x="float[B, 3]", dim=-1), sample(x="float[B, S]", dim=0, dtype="float32")),
        bad=(refused("A305", x="int[B]", dim=0), refused("A304", x="float[B]", dim=1), refused("A305", x="float[B]", dim=0, dtype="int")),
    )(_rule)
