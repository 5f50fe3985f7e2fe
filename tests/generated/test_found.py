"""What generated calls have shown to be stated wrongly, one small text each."""

from __future__ import annotations

import pytest
import torch

import archloom
from archloom.compiler.check import check_text
from archloom.compiler.lower.builder import TORCH_DTYPES
from archloom.dsl.source import Source


def codes(line: str) -> list[str]:
    found = check_text(Source("found", f"model M {{ in x: float[B, 4]; in n: float[S]; in i: int32[B, 4]; in b: bool[B, 3, 4]; {line} }}"))
    return [d.code for d in found.diagnostics if d.severity.value == "error"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("p, q = chunk(x, S); out y = p", "A206"),  # `check` broke off with a traceback
        ("out y = nan_to_num(x, [1, 2])", "A203"),
        ("out y = celu(x, 0)", "A214"),
        ("out y = sum(x, [])", "A324"),  # to torch no axis is all of them
        ('out y = pad(b, [0, 1], mode = "replicate")', "A305"),
        ("out y = arange(3, dtype = complex)", "A305"),
        ("norm = LayerNorm([]); out y = norm(x)", "A324"),
        ("norm = BatchNorm1d(4, eps = 0); out y = norm(x)", "A214"),  # torch refuses it in training
        ("out y = cosine_similarity(x, x, eps = -1.0)", "A214"),
        ("out y = window(x, argmax(x, dim = 1), 0)", "A303"),
        ('out y = einsum("b d -> b", i)', "A305"),
        ("out y = reshape(ones([S, 9]), [S, S, 2, -1])", "A302"),  # an odd number is never 2 S times another
        ("out y = unflatten(ones([3]), 0, [4 * S + 4, -1])", "A302"),  # 4 S + 4 never divides 3
    ],
)
def test_what_torch_refuses_is_refused(line: str, code: str) -> None:
    assert codes(line) == [code]


@pytest.mark.parametrize(
    ("line", "wanted", "shape"),
    [
        ("out y = atan2(x, 2)", "float[B, 4]", [3, 4]),
        ("out y = logaddexp(0.5, x)", "float[B, 4]", [3, 4]),
        ("out y = sum(i, dim = 1)", "int[B]", [3]),  # torch adds up int32 as int64
        ("out y = cumsum(i, dim = 1)", "int[B, 4]", [3, 4]),
        ('out y = reduce(i, "b d -> b", "sum")', "int[B]", [3]),
        ("out y = arange(S, step = 3)", "int[ceil(S / 3)]", [3]),  # it counted from S to 3
        ("out y = diagonal(x)", "float[min(4, B)]", [3]),
        ("out y = max_pool1d(x[:, :, none], 2, ceil = true)", "float[B, 4, 1]", [3, 4, 1]),
        ("out y = rope(float16(x)[:, none])", "float16[B, 1, 4]", [3, 1, 4]),
        ('out y = rearrange(x, "b (x c) -> b x c", x = 2)', "float[B, 2, 2]", [3, 2, 2]),  # `x` is an argument's name as well
    ],
)
def test_types_are_what_torch_gives(line: str, wanted: str, shape: list[int]) -> None:
    text = f"model M {{ in x: float[B, 4]; in n: float[S]; in i: int32[B, 4]; {line} }}"
    program = check_text(Source("found", text)).programs["M"]
    (output,) = program.eval.outputs
    type_ = program.eval.type(output.ref)
    assert str(type_) == wanted
    given = {"x": torch.rand(3, 4, dtype=torch.float64), "n": torch.rand(7, dtype=torch.float64), "i": torch.ones(3, 4, dtype=torch.int32)}
    made = archloom.compile(text, dtype=torch.float64)(**given)["y"]
    assert (list(made.shape), made.dtype) == (shape, TORCH_DTYPES.get(type_.dtype, torch.float64))


def test_a_text_without_floats_has_the_asked_dtype() -> None:
    model = archloom.compile("model M { in i: int[B]; out y = float(i) }", dtype=torch.bfloat16)
    assert model(i=torch.ones(2, dtype=torch.int64))["y"].dtype is torch.bfloat16


def test_a_sum_divides_by_a_sum_in_brackets() -> None:
    program = check_text(Source("found", "model M { in x: float[6 * N]; in z: float[S]; out y = unflatten(x, 0, [S + 1, -1]) }")).programs["M"]
    assert [c.text for c in program.eval.conditions] == ["(6 * N) % (S + 1) == 0"]
