# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's own table of operations: positions that are data, patterns, tensors made of sizes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import einops
import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import FLOATS, INTS, axes, axis, equal, need, numbers, of, one, operands, shapes, within
from .torch_elementwise import TABLE, entry
from .values import Wrong

Number = (*FLOATS, *INTS)
FLOAT = torch.float64


def positions(index: Any) -> Tensor:
    return of(index, torch.int64, what="index")


@entry
def take(x: Tensor, index: Any, dim: int) -> Tensor:
    at, index = axis(dim, x.dim()), positions(index)
    found = x.index_select(at, index.flatten())
    return found.reshape(*x.shape[:at], *index.shape, *x.shape[at + 1 :])


@entry
def gather(x: Tensor, index: Any, dim: int) -> Tensor:
    at, index = axis(dim, x.dim()), positions(index)
    need(index.dim() >= at, "gather's index lacks axes")
    for a, b in zip(x.shape[:at], index.shape[:at], strict=True):
        equal(a, b, "gather")
    flat = index.reshape(*index.shape[:at], math.prod(index.shape[at:]), *[1] * (x.dim() - at - 1))
    found = x.gather(at, flat.expand(*flat.shape[: at + 1], *x.shape[at + 1 :]))
    return found.reshape(*index.shape, *x.shape[at + 1 :])


@entry
def take_along(x: Tensor, index: Any, dim: int) -> Tensor:
    at, index = axis(dim, x.dim()), positions(index)
    need(index.dim() == x.dim(), "take_along's axes")
    need(bool((index < x.shape[at]).all()), "an index that is out of bounds, which torch doesn't see here", "values")
    return torch.take_along_dim(x, index, at)


@entry
def one_hot(index: Any, classes: int, dtype: torch.dtype) -> Tensor:
    need(classes >= 1, "no classes")
    return F.one_hot(positions(index), classes).to(dtype)


def _top(x: Any, k: int, dim: int) -> int:
    at = axis(dim, of(x, *Number).dim())
    need(k >= 0, "a negative k")
    return at


@entry
def topk(x: Any, k: int, dim: int, largest: bool) -> tuple[Tensor, Tensor]:
    found = torch.topk(x, k, _top(x, k, dim), largest)
    return found.values, found.indices


@entry
def topk_mask(x: Any, k: int, dim: int, largest: bool) -> Tensor:
    at = _top(x, k, dim)
    return torch.zeros_like(x, dtype=torch.bool).scatter(at, torch.topk(x, k, at, largest).indices, True)


@entry
def kth(x: Any, k: int, dim: int, largest: bool) -> Tensor:
    at = _top(x, k, dim)
    need(k >= 1, "the first is 1")
    return torch.topk(x, k, at, largest).values.select(at, -1)


TABLE["median"] = lambda x, dim: torch.median(of(x, *Number), axis(dim, x.dim())).values


@entry
def sort(x: Any, dim: int, descending: bool, stable: bool) -> tuple[Tensor, Tensor]:
    found = torch.sort(of(x, *Number), dim=axis(dim, x.dim()), descending=descending, stable=stable)
    return found.values, found.indices


TABLE["argsort"] = lambda x, dim, descending, stable: TABLE["sort"](x, dim, descending, stable)[1]


@entry
def window(x: Tensor, start: Any, length: int, dim: int) -> Tensor:
    at, start = axis(dim, x.dim()), positions(start)
    need(start.dim() == at, "window's start")
    for a, b in zip(x.shape[:at], start.shape, strict=True):
        equal(a, b, "window")
    need(1 <= length <= x.shape[at], "window is empty or too long", "run")
    places = start[..., None] + torch.arange(length)
    return gather(x, places, at)


@entry
def splice(x: Tensor, part: Tensor, at: Any, replace: int) -> Tensor:
    one([x, part])
    at = positions(at)
    need(x.dim() >= 2 and part.dim() == x.dim() and at.dim() == 1, "splice's axes")
    equal(x.shape[0], part.shape[0], "splice"), equal(x.shape[0], at.shape[0], "splice")
    shapes(x[0, 0], part[0, 0]) if x.shape[1] and part.shape[1] else None
    need(0 <= replace <= x.shape[1], "splice replaces too much", "run")
    need(bool((at <= x.shape[1] - replace).all()), "a place that is out of bounds", "values")
    return torch.stack([torch.cat([r[:i], p, r[i + replace :]]) for r, p, i in zip(x, part, at.tolist(), strict=True)])


def _segments(x: Any, segment: Any, count: int) -> Tensor:
    segment = positions(segment)
    need(x.dim() >= 1 and segment.dim() == 1, "segments are rows")
    equal(x.shape[0], segment.shape[0], "segments")
    need(count >= 1, "no segments", "run")
    return segment


@entry
def segment_sum(x: Any, segment: Any, count: int) -> Tensor:
    segment = _segments(of(x, *Number), segment, count)
    return x.new_zeros(count, *x.shape[1:]).index_add(0, segment, x)


def _segment(x: Any, segment: Any, count: int) -> Tensor:
    of(x, *FLOATS)
    return segment_sum(x, segment, count)


for _name in ("segment_mean", "segment_max", "segment_min"):
    TABLE[_name] = _segment
TABLE["segment_softmax"] = lambda x, segment, count: (_segment(x, segment, count), x)[1]


def _along(x: Any, index: Any, value: Any, dim: int) -> int:
    at, index = axis(dim, x.dim()), positions(index)
    operands([x, value], "bool" if x.dtype is torch.bool else "number")
    need(index.dim() == x.dim(), "the index has other axes")
    for i, (a, b) in enumerate(zip(x.shape, index.shape, strict=True)):
        if i != at:
            equal(a, b, "scatter")
    if isinstance(value, Tensor):
        shapes(value, index)
    return at


TABLE["scatter"] = lambda x, index, value, dim: x.scatter(_along(x, index, value, dim), index, value)


@entry
def scatter_add(x: Any, index: Any, value: Any, dim: int) -> Tensor:
    need(isinstance(value, Tensor), "scatter_add adds tensors")
    return x.scatter_add(_along(x, index, value, dim), index, value)


@entry
def index_add(x: Any, index: Any, value: Any, dim: int) -> Tensor:
    numbers(x, value)
    at, index = axis(dim, x.dim()), positions(index)
    need(index.dim() == 1 and value.dim() == x.dim(), "index_add's axes")
    for i, (a, b) in enumerate(zip(x.shape, value.shape, strict=True)):
        equal(index.shape[0] if i == at else a, b, "index_add")
    return x.index_add(at, index, value)


# ------------------------------------------------------------------------------------------------------- patterns


def _einops(function: Callable[..., Tensor], axes_: dict[str, int], *arguments: Any) -> Tensor:
    need(re.search(r"\([^)]*\.\.\.", arguments[1]) is None, "`...` stands by itself")
    names = {n: f"axis{i}" for i, n in enumerate(dict.fromkeys(re.findall(r"[A-Za-z_]\w*", arguments[1])))}
    pattern = re.sub(r"[A-Za-z_]\w*", lambda m: names[m[0]], arguments[1])  # einops takes no name that ends in `_`
    try:
        return function(arguments[0], pattern, *arguments[2:], **{names.get(n, n): length for n, length in axes_.items()})
    except (einops.EinopsError, TypeError) as error:
        text = str(error)
        sized = "divide" in text or "mismatch" in text or "Shape mismatch" in text
        raise Wrong(text, "run" if sized else "text") from None


def _from(side: str, shape: torch.Size, known: dict[str, int]) -> None:
    """Read the sizes of axes off a tensor: of a group all but one must be known."""
    groups = re.findall(r"\([^)]*\)|[^\s()]+", side)
    need(len(groups) == len(shape), "like has other axes")
    for group, length in zip(groups, shape, strict=True):
        words = [w for w in group.strip("()").split() if w.isidentifier()]
        open_ = [w for w in words if w not in known]
        others = math.prod(known[w] for w in words if w in known)
        if len(open_) == 1 and others and length % others == 0:
            known[open_[0]] = length // others


@entry
def rearrange(x: Tensor, pattern: str, like: Any, axes: dict[str, int]) -> Tensor:
    need(pattern.count("->") == 1, "a pattern has one arrow")
    if like is not None:
        known = dict(axes)
        for _ in range(2):
            for side, tensor in zip(pattern.split("->"), (x, like), strict=True):
                _from(side, tensor.shape, known)
        axes = {k: v for k, v in known.items() if k in axes or k not in x.shape}
        found = _einops(einops.rearrange, axes, x, pattern)
        shapes(found, like)
        return found
    return _einops(einops.rearrange, axes, x, pattern)


@entry
def reduce(x: Any, pattern: str, kind: str, axes: dict[str, int]) -> Tensor:
    of(x, *((torch.bool,) if kind in ("any", "all") else FLOATS if kind == "mean" else Number))
    return _einops(einops.reduce, axes, x, pattern, kind)


TABLE["repeat"] = lambda x, pattern, axes: _einops(einops.repeat, axes, x, pattern)


# --------------------------------------------------------------------------------------------------------- creating


def _literal(value: Any, wanted: torch.dtype | None) -> torch.dtype:
    need(isinstance(value, (bool, int, float)), f"{value!r} is no number")
    own = torch.bool if isinstance(value, bool) else torch.int64 if isinstance(value, int) else FLOAT
    if wanted is None:
        return own
    need(not (own is FLOAT and wanted not in FLOATS), "a fraction among ints")
    need((own is torch.bool) is (wanted is torch.bool), "truths among numbers")
    return wanted


TABLE["zeros"] = lambda shape, dtype: torch.zeros(_sizes(shape), dtype=dtype)
TABLE["ones"] = lambda shape, dtype: torch.ones(_sizes(shape), dtype=dtype)
TABLE["rand"] = lambda shape, dtype: of(torch.rand(_sizes(shape), dtype=dtype), *FLOATS)
TABLE["randn"] = lambda shape, dtype: of(torch.randn(_sizes(shape), dtype=dtype), *FLOATS)
TABLE["randint"] = lambda low, high, shape: torch.randint(low, high, _sizes(shape))
TABLE["randperm"] = lambda n: torch.randperm(n)
TABLE["zeros_like"] = lambda x, dtype: torch.zeros_like(x, dtype=dtype)
TABLE["ones_like"] = lambda x, dtype: torch.ones_like(x, dtype=dtype)
TABLE["randn_like"] = lambda x: torch.randn_like(of(x, *FLOATS))
TABLE["rand_like"] = lambda x: torch.rand_like(of(x, *FLOATS))
TABLE["bernoulli"] = lambda x: torch.bernoulli(torch.rand_like(of(x, *FLOATS)))
TABLE["full"] = lambda shape, value, dtype: torch.full(_sizes(shape), value, dtype=_literal(value, dtype))
TABLE["eye"] = lambda n, dtype: torch.eye(*_sizes([n]), dtype=dtype)


def _sizes(shape: list[int]) -> list[int]:
    need(all(n >= 0 for n in shape), f"a negative size in {shape}")
    return list(shape)


@entry
def arange(start: int, stop: int | None, step: int, dtype: torch.dtype) -> Tensor:
    need(dtype is not torch.bool and step != 0, "arange")
    first, last = (0, start) if stop is None else (start, stop)
    need(last >= first if step > 0 else first >= last, "arange runs backwards", "run")
    return torch.arange(first, last, step, dtype=dtype)


@entry
def constant(values: Any, dtype: torch.dtype | None) -> Tensor:
    def flat(value: Any) -> list[Any]:
        return [n for item in value for n in flat(item)] if isinstance(value, (list, tuple)) else [value]

    kinds = {_literal(n, dtype) for n in flat(values)}
    need(not (torch.bool in kinds and len(kinds) > 1), "truths among numbers")
    kind = FLOAT if FLOAT in kinds or not kinds else next(iter(kinds))
    try:
        return torch.tensor(values, dtype=dtype or kind)
    except ValueError as error:
        raise Wrong(str(error)) from None


@entry
def multinomial(x: Any, count: int, replacement: bool) -> Tensor:
    need(of(x, *FLOATS).dim() in (1, 2) and count >= 1, "multinomial")
    return torch.multinomial(x.abs() + 0.1, count, replacement)


@entry
def gumbel_softmax(x: Any, tau: float, hard: bool, dim: int) -> Tensor:
    within(tau, 0, open_low=True)
    return F.gumbel_softmax(of(x, *FLOATS), tau, hard, dim=axis(dim, x.dim()))


@entry
def dropout(x: Any, p: float) -> Tensor:
    within(p, 0, 1)
    return F.dropout(of(x, *FLOATS), float(p))


@entry
def drop_path(x: Any, p: float) -> Tensor:
    within(p, 0, 1)
    need(of(x, *FLOATS).dim() >= 1, "drop_path drops rows")
    return x


@entry
def pad(x: Tensor, amount: list[int], dim: Any, mode: str, value: Any) -> Tensor:
    at = axes(dim, x.dim())
    need(len(amount) == 2 * len(at), "pad's amounts")
    if not (x.dtype is torch.bool and value == 0):
        operands([x, value], "bool" if x.dtype is torch.bool else "number")
    pairs = {a: amount[2 * i : 2 * i + 2] for i, a in enumerate(at)}
    if mode != "constant":
        need(x.dim() >= 3 and set(at) == set(range(2, x.dim())) and value == 0, "pad's mode")
    widths = [n for d in range(x.dim() - 1, min(pairs, default=0) - 1, -1) for n in pairs.get(d, [0, 0])]
    return F.pad(x, widths, mode, value if mode == "constant" else None)


@entry
def pad_to_multiple(x: Tensor, multiple: int, dim: Any, value: Any) -> Tensor:
    need(multiple >= 1, "a multiple of nothing")
    need(isinstance(value, (bool, int, float)), "no number to pad with")
    for at in axes(dim, x.dim()):
        x = TABLE["pad"](x, [0, -x.shape[at] % multiple], at, "constant", value)
    return x
