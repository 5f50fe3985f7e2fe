"""Fourier transforms and complex numbers."""

from __future__ import annotations

from typing import Any

from ...dsl.dim_atoms import floor_div
from ...dsl.primitive import Rule
from ...dsl.types import DType, TensorType, extent
from ..arguments import axis, size, tensor, word
from ..costs import moved, view
from ..lowering import Given, LoweringBuilder, Omit, call, expand, static
from ..operands import common_dtype
from ..registry import operation
from ..samples import refused, sample

X = tensor("x", "the tensor")
DIM = axis("dim", "the axis to transform", -1)
NORM = word("norm", ("backward", "ortho", "forward"), "which way the factor 1 / n goes, or its root both ways", "backward")


def _complex(name: str, target: str, equation: str) -> None:
    def rule(rule: Rule, x: TensorType, dim: int, norm: str) -> TensorType:
        rule.dtype(x, [DType.FLOAT32, DType.COMPLEX], "`x`")
        rule.at_least(extent(x.shape[rule.axis(dim, x.rank)]), 1, "the axis to transform")
        return TensorType(DType.COMPLEX, x.shape)

    operation(
        name=name,
        doc=f"{equation} along `dim`.  x: float32[...] or complex[...], y: complex, the same shape.",
        arguments=(X, DIM, NORM),
        lowering=call(target, "x", dim="dim", norm=Omit("norm", "backward")),
        cost=moved,
        good=(sample(x="float32[B, 6]"), sample(x="complex[B, S]", dim=0, norm="ortho")),
        bad=(
            refused("A305", x="float[B]"),
            refused("A304", x="float32[B]", dim=1),
            refused("A213", x="float32[B]", norm="none"),
            refused("A303", x="float32[B, 0]"),
        ),
    )(rule)


_complex("fft", "torch.fft.fft", "Transform to frequencies: `y_k = sum_t x_t e^(-2 pi i k t / n)`")
_complex("ifft", "torch.fft.ifft", "Transform back from frequencies: `y_t = sum_k x_k e^(2 pi i k t / n) / n`")


@operation(
    arguments=(X, DIM, NORM),
    lowering=call("torch.fft.rfft", "x", dim="dim", norm=Omit("norm", "backward")),
    cost=moved,
    good=(sample(x="float32[B, 6]"), sample(x="float32[B, 7]", dim=-1, norm="ortho"), sample(x="float32[S, B]", dim=0)),
    bad=(refused("A305", x="complex[B]"), refused("A304", x="float32[B]", dim=1), refused("A303", x="float32[B, 0]")),
)
def rfft(rule: Rule, x: TensorType, dim: int, norm: str) -> TensorType:
    """Transform to frequencies, those from 0 up: `y_k = sum_t x_t e^(-2 pi i k t / n)`.

    x: float32[..., n, ...], y: complex[..., n // 2 + 1, ...].
    """
    rule.dtype(x, [DType.FLOAT32], "`x`")
    at = rule.axis(dim, x.rank)
    rule.at_least(extent(x.shape[at]), 1, "the axis to transform")
    return TensorType(DType.COMPLEX, (*x.shape[:at], floor_div(extent(x.shape[at]), 2) + 1, *x.shape[at + 1 :]))


def _irfft(b: LoweringBuilder, given: Given) -> Any:
    options: dict[str, Any] = {} if given["norm"] == "backward" else {"norm": given["norm"]}
    return b.call("torch.fft.irfft", given["x"], n=static(b, given["n"]), dim=given["dim"], **options)


@operation(
    arguments=(X, size("n", "the length of the result"), DIM, NORM),
    lowering=expand(_irfft),
    cost=moved,
    good=(sample(x="complex[B, 4]", n=6), sample(x="complex[B, 4]", n=7, norm="ortho")),
    bad=(
        refused("A305", x="float32[B, 4]", n=6),
        refused("A301", x="complex[B, 4]", n=9),
        refused("A304", x="complex[B]", n=3, dim=1),
        refused("A303", x="complex[B, 1]", n=0),
    ),
)
def irfft(rule: Rule, x: TensorType, n: Any, dim: int, norm: str) -> TensorType:
    """Transform back from the frequencies of `rfft`: `y_t = sum_k x_k e^(2 pi i k t / n) / n`.

    x: complex[..., n // 2 + 1, ...], y: float32[..., n, ...].
    """
    rule.dtype(x, [DType.COMPLEX], "`x`")
    at = rule.axis(dim, x.rank)
    rule.same(x.shape[at], floor_div(extent(n), 2) + 1, f"axis {at} of `x` and `n // 2 + 1`")
    rule.at_least(extent(n), 1, "the length of the result")
    return TensorType(DType.FLOAT32, (*x.shape[:at], n, *x.shape[at + 1 :]))


for _name, _word in (("real", "real"), ("imag", "imaginary")):

    def _part(rule: Rule, x: TensorType) -> TensorType:
        rule.dtype(x, [DType.COMPLEX], "`x`")
        return TensorType(DType.FLOAT32, x.shape)

    operation(
        name=_name,
        doc=f"Take the {_word} part: `x = real y + i imag y`.  x: complex[...], y: float32, the same shape.",
        arguments=(X,),
        lowering=call(f"torch.{_name}", "x"),
        cost=view,
        good=(sample(x="complex[B, 3]"),),
        bad=(refused("A305", x="float[B]"),),
    )(_part)


@operation(
    arguments=(tensor("real", "the real part"), tensor("imag", "the imaginary part")),
    lowering=call("torch.complex", "real", "imag"),
    cost=moved,
    good=(sample(real="float32[B, 3]", imag="float32[B, 3]"),),
    bad=(refused("A305", real="float[B]", imag="float[B]"), refused("A301", real="float32[2]", imag="float32[3]")),
)
def complex(rule: Rule, real: TensorType, imag: TensorType) -> TensorType:
    """Join a real and an imaginary part: `y = real + i imag`.  real, imag: float32[...], y: complex, the common shape."""
    rule.dtype(real, [DType.FLOAT32], "`real`")
    common_dtype(rule, {"real": real, "imag": imag})
    return TensorType(DType.COMPLEX, rule.broadcast([real.shape, imag.shape], "`real` and `imag`"))
