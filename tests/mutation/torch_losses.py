# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's own table of operations: losses, chains, frequencies, norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import FLOATS, axis, equal, floats, listed, need, of, shapes, within
from .torch_elementwise import TABLE, entry

# -------------------------------------------------------------------------------------------------------------- losses


def _left(found: Tensor, x: Tensor) -> Tensor:
    return found


def _classes(logits: Any, target: Any, dim: int | None, soft: bool) -> tuple[Tensor, Tensor]:
    """Return logits and target with the class axis second."""
    of(logits, *FLOATS)
    if isinstance(target, Tensor) and target.dtype in FLOATS:
        need(soft, "a target of classes")
        floats(logits, target)
        shapes(logits, target)
        need(logits.dim() > 0, "no class axis")
        at = axis(-1 if dim is None else dim, logits.dim())
        return logits.movedim(at, 1 if logits.dim() > 1 else 0), target.movedim(at, 1 if logits.dim() > 1 else 0)
    of(target, torch.int64, what="target")
    need(target.dim() == logits.dim() - 1, "the target lacks one axis")
    if dim is None:
        fits = [i for i in range(logits.dim()) if tuple(logits.shape[:i] + logits.shape[i + 1 :]) == tuple(target.shape)]
        need(bool(fits), "no class axis fits", "run")
        at = fits[-1]
    else:
        at = axis(dim, logits.dim())
    for a, b in zip(logits.shape[:at] + logits.shape[at + 1 :], target.shape, strict=True):
        equal(a, b, "logits and target")
    return logits.movedim(at, 1 if logits.dim() > 1 else 0), target


def _class_weight(weight: Any, logits: Tensor) -> None:
    if weight is not None:
        floats(logits, weight)
        need(weight.dim() == 1, "a weight for each class")
        equal(weight.shape[0], logits.shape[1 if logits.dim() > 1 else 0], "weights of classes")


@entry
def cross_entropy(logits: Any, target: Any, dim: Any, ignore: Any, weight: Any, smoothing: float, reduce: str) -> Tensor:
    within(smoothing, 0, 1)
    logits, target = _classes(logits, target, dim, True)
    need(ignore is None or target.dtype not in FLOATS, "likelihoods are never ignored")
    _class_weight(weight, logits)
    return F.cross_entropy(logits, target, weight, ignore_index=-100 if ignore is None else ignore, reduction=reduce, label_smoothing=smoothing)


@entry
def nll(logits: Any, target: Any, dim: Any, ignore: Any, weight: Any, reduce: str) -> Tensor:
    logits, target = _classes(logits, target, dim, False)
    _class_weight(weight, logits)
    return F.nll_loss(logits, target, weight, ignore_index=-100 if ignore is None else ignore, reduction=reduce)


def _pair(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Any, target: Any, reduce: str, **options: float) -> Tensor:
        floats(x, target)
        shapes(x, target)
        for value in options.values():
            within(value, 0)
        return function(x, target, reduction=reduce, **options)

    return run


TABLE["mse"], TABLE["l1"] = _pair(F.mse_loss), _pair(F.l1_loss)
TABLE["smooth_l1"], TABLE["huber"] = _pair(F.smooth_l1_loss), _pair(F.huber_loss)


@entry
def bce_with_logits(x: Any, target: Any, weight: Any, positive: Any, reduce: str) -> Tensor:
    floats(x, target, weight, positive)
    shapes(x, target)
    for w in (weight, positive):
        need(w is None or torch.broadcast_shapes(w.shape, x.shape) == x.shape, "a weight stretches x")
    return F.binary_cross_entropy_with_logits(x, target, weight, pos_weight=positive, reduction=reduce)


@entry
def kl_div(x: Any, target: Any, log_target: bool, reduce: str) -> Tensor:
    floats(x, target)
    shapes(x, target)
    need(reduce != "batchmean" or x.dim() > 0, "batchmean of a number")
    return F.kl_div(x, target.abs(), reduction="none" if reduce == "mean" else reduce, log_target=log_target)


def _chain(scores: Any, move: Any, first: Any, last: Any, mask: Any) -> None:
    floats(scores, move, first, last)
    need(scores.dim() == 3 and move.dim() == 2 and first.dim() == last.dim() == 1, "a chain's axes")
    for n in (*move.shape, *first.shape, *last.shape):
        equal(n, scores.shape[2], "a chain's tags")
    if mask is not None:
        need(of(mask, torch.bool).dim() == 2, "a chain's mask")
        shapes(mask, scores[..., 0])
    need(scores.shape[1] >= 1, "an empty chain", "run")


@entry
def chain_logsumexp(scores: Any, move: Any, first: Any, last: Any, mask: Any) -> Tensor:
    _chain(scores, move, first, last, mask)
    return scores.sum((1, 2)) + move.sum() + first.sum() + last.sum()


@entry
def viterbi(scores: Any, move: Any, first: Any, last: Any, mask: Any) -> Tensor:
    _chain(scores, move, first, last, mask)
    return scores.argmax(2)


# ---------------------------------------------------------------------------------------------------------- frequencies


def _frequency(function: Callable[..., Tensor], *allowed: torch.dtype) -> Callable[..., Tensor]:
    return lambda x, dim, norm: function(of(x, *allowed), dim=axis(dim, x.dim()), norm=norm)


TABLE["fft"] = _frequency(torch.fft.fft, torch.float32, torch.complex64)
TABLE["ifft"] = _frequency(torch.fft.ifft, torch.float32, torch.complex64)
TABLE["rfft"] = _frequency(torch.fft.rfft, torch.float32)
TABLE["real"] = lambda x: of(x, torch.complex64).real
TABLE["imag"] = lambda x: of(x, torch.complex64).imag
TABLE["complex"] = lambda real, imag: torch.complex(*torch.broadcast_tensors(of(real, torch.float32), of(imag, torch.float32)))


@entry
def irfft(x: Any, n: int, dim: int, norm: str) -> Tensor:
    at = axis(dim, of(x, torch.complex64).dim())
    equal(x.shape[at], n // 2 + 1, "irfft")
    return torch.fft.irfft(x, n, at, norm)


@entry
def layer_norm(x: Any, dim: Any, weight: Any, bias: Any, eps: float) -> Tensor:
    floats(x, weight, bias)
    within(eps, 0)
    return F.layer_norm(x, listed(dim), weight, bias, eps)


@entry
def group_norm(x: Any, groups: int, weight: Any, bias: Any, eps: float) -> Tensor:
    floats(x, weight, bias)
    within(eps, 0)
    need(x.dim() >= 2, "group_norm's axes")
    return F.group_norm(x, groups, weight, bias, eps)


@entry
def rms_norm(x: Any, dim: Any, weight: Any, eps: float) -> Tensor:
    floats(x, weight)
    within(eps, 0)
    return F.rms_norm(x, listed(dim), weight, eps)
