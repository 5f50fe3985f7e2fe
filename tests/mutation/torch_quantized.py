# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's numbers of 8 and 4 bits: steps, rounding, and maps by them, computed in floats."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import FLOATS, equal, need, of
from .torch_elementwise import TABLE, entry


def _rows(x: Any) -> Tensor:
    need(of(x, *FLOATS).dim() >= 2, "rows have two axes")
    return x


def _steps(scale: Any, rows: Tensor, dtype: torch.dtype, rank: int) -> Tensor:
    need(of(scale, dtype, what="scale").dim() == rank, "one scale for each row")
    equal(scale.shape[0], rows.shape[0], "scales")
    return scale


@entry
def int8_scale(x: Any) -> Tensor:
    return (_rows(x).flatten(1).abs().amax(1) / 127).float()


@entry
def int8_quantize(x: Any, scale: Any) -> Tensor:
    step = _steps(scale, _rows(x), torch.float32, 1).reshape(-1, *[1] * (x.dim() - 1))
    return (x / step).round().clamp(-127, 127).nan_to_num().to(torch.int8)


@entry
def int8_linear(x: Any, weight: Any, scale: Any, bias: Any) -> Tensor:
    _mapped(x, weight, bias, 1)
    matrix = weight.to(x.dtype) * _steps(scale, weight, torch.float32, 1)[:, None].to(x.dtype)
    return torch.nn.functional.linear(x, matrix, bias)


TABLE["int8_weight_linear"] = int8_linear


@entry
def int4_scale(x: Any, group: int) -> Tensor:
    need(of(x, *FLOATS).dim() == 2 and group in (32, 64, 128, 256), "groups along rows")
    need(x.shape[1] % group == 0, "groups that fit a row", "run")
    return (x.unflatten(1, (-1, group)).abs().amax(2) / 8).bfloat16()


@entry
def int4_quantize(x: Any, scale: Any) -> Tensor:
    need(of(x, *FLOATS).dim() == 2, "rows")
    _steps(scale, x, torch.bfloat16, 2)
    need(x.shape[1] % 2 == 0, "two numbers in a byte", "run")
    need(scale.shape[1] > 0 and x.shape[1] % scale.shape[1] == 0, "groups that fit a row", "run")
    return torch.zeros(x.shape[0], x.shape[1] // 2, dtype=torch.int8)


@entry
def int4_linear(x: Any, weight: Any, scale: Any, bias: Any) -> Tensor:
    _mapped(x, weight, bias, 2)
    _steps(scale, weight, torch.bfloat16, 2)
    return x.sum(-1, keepdim=True).expand(*x.shape[:-1], weight.shape[0]).clone() + (0 if bias is None else bias)


def _mapped(x: Any, weight: Any, bias: Any, each: int) -> None:
    of(weight, torch.int8, what="weight")
    need(of(x, *FLOATS).dim() > 0 and weight.dim() == 2, "a linear's axes")
    equal(x.shape[-1], weight.shape[1] * each, "the width")
    if bias is not None:
        need(of(bias, *FLOATS).dim() == 1 and bias.dtype == x.dtype, "a linear's bias")
        equal(weight.shape[0], bias.shape[0], "the bias")
