# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The oracle's own table of operations: products and shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import axes, axis, equal, floats, listed, need, numbers, of, one, shapes, within
from .torch_elementwise import TABLE, entry
from .values import Wrong

# ---------------------------------------------------------------------------------------------------------- products


@entry
def matmul(a: Any, b: Any) -> Tensor:
    floats(a, b)
    need(a.dim() > 0 and b.dim() > 0, "a number is no matrix")
    return torch.matmul(a, b)


@entry
def bmm(a: Any, b: Any) -> Tensor:
    floats(a, b)
    need(a.dim() == b.dim() == 3, "bmm takes three axes")
    return torch.bmm(a, b)


@entry
def linear(x: Any, weight: Any, bias: Any) -> Tensor:
    floats(x, weight, bias)
    need(weight.dim() == 2 and x.dim() > 0 and (bias is None or bias.dim() == 1), "linear's axes")
    if bias is not None:
        equal(weight.shape[0], bias.shape[0], "linear's bias")
    return F.linear(x, weight, bias)


@entry
def batched_linear(x: Any, weight: Any, bias: Any) -> Tensor:
    floats(x, weight, bias)
    need(weight.dim() == 3 and x.dim() >= 2 and (bias is None or bias.dim() == 2), "batched_linear's axes")
    equal(x.shape[0], weight.shape[0], "batched_linear's members")
    if bias is not None:
        shapes(bias, weight[..., 0])
    return torch.stack([F.linear(v, weight[i], None if bias is None else bias[i]) for i, v in enumerate(x)])


@entry
def onednn_linear(x: Any, weight: Any, bias: Any, rectify: Any) -> Tensor:
    made = linear(x, weight, bias)
    return torch.relu(made) if rectify else made


@entry
def grouped_linear(x: Any, weight: Any, member: Any, bias: Any, ends: Any) -> Tensor:
    floats(x, weight, bias)
    of(member, torch.int64, what="member")
    need((x.dim(), weight.dim(), member.dim()) == (2, 3, 1) and (bias is None or bias.dim() == 2), "grouped_linear's axes")
    equal(x.shape[0], member.shape[0], "grouped_linear's rows")
    equal(x.shape[1], weight.shape[2], "grouped_linear's width")
    if bias is not None:
        shapes(bias, weight[..., 0])
    if ends is not None:
        need(of(ends, torch.int32, what="ends").dim() == 1, "where the members end")
        equal(ends.shape[0], weight.shape[0], "grouped_linear's members")
    found = torch.einsum("ri,roi->ro", x, weight[member])
    return found if bias is None else found + bias[member]


@entry
def moe_ffn(x: Any, chosen: Any, gates: Any, inner: Any, outer: Any, activation: str) -> Tensor:
    floats(x, gates, inner, outer)
    of(chosen, torch.int64, what="chosen")
    need(x.dim() >= 2 and (chosen.dim(), gates.dim(), inner.dim(), outer.dim()) == (x.dim(), x.dim(), 2, 3), "moe_ffn's axes")
    shapes(chosen, gates)
    shapes(chosen[..., 0], x[..., 0])
    equal(x.shape[-1], inner.shape[1], "moe_ffn's width")
    members, dout, width = outer.shape
    need(not chosen.numel() or (chosen.min() >= 0 and chosen.max() < members), "an expert that there isn't")
    need(inner.shape[0] in (members * width, 2 * members * width), "moe_ffn's hidden width")
    hidden = torch.einsum("...i,ehi->...eh", x, inner.unflatten(0, (members, -1)))
    first = getattr(F, activation)(hidden[..., :width])
    every = torch.einsum("...ew,eow->...eo", first * hidden[..., width:] if hidden.shape[-1] > width else first, outer)
    return (gates[..., None] * every.gather(-2, chosen[..., None].expand(*chosen.shape, dout))).sum(-2)


@entry
def routes(chosen: Any, members: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    need(of(chosen, torch.int64, what="chosen").dim() >= 2, "no rows")
    need(not chosen.numel() or (chosen.min() >= 0 and chosen.max() < members), "a member that there isn't")
    places = torch.arange(chosen.numel())
    return places // max(1, chosen.shape[-1]), chosen.flatten(), places, torch.zeros(members, dtype=torch.int32)


@entry
def outer(a: Any, b: Any) -> Tensor:
    numbers(a, b)
    need(a.dim() == b.dim() == 1, "outer takes vectors")
    return torch.outer(a, b)


@entry
def cosine_similarity(a: Any, b: Any, dim: int, eps: float) -> Tensor:
    floats(a, b)
    axis(dim, max(a.dim(), b.dim()))
    return F.cosine_similarity(a, b, dim, eps)


@entry
def cdist(a: Any, b: Any, p: float) -> Tensor:
    floats(a, b)
    within(p, 0)
    need(a.dim() > 1 and b.dim() > 1, "cdist takes matrices")
    return torch.cdist(a, b, p)


@entry
def einsum(pattern: str, tensors: list[Tensor]) -> Tensor:
    numbers(*tensors)
    need(all(t.dtype is not torch.int32 for t in tensors), "torch adds up int32 as int64 or as int32, by the pattern")
    left, arrow, right = pattern.partition("->")
    need(bool(arrow), "einsum lacks an arrow")
    letters: dict[str, str] = {}

    def term(text: str) -> list[str]:
        text = text.strip()
        words = text.replace("...", " ... ").split() if " " in text or "..." in text or text in letters else list(text)
        need(all(w == "..." or w.isidentifier() for w in words), f"einsum can't read {text}")
        return words

    sides = [term(t) for t in left.split(",")]
    result = term(right)
    need(len(sides) == len(tensors), "einsum counts its tensors")
    need(len(set(result)) == len(result), "einsum's result names an axis twice")
    for word in (w for s in [*sides, result] for w in s if w != "..."):
        letters.setdefault(word, chr(ord("a") + len(letters)))
    for words, tensor in zip(sides, tensors, strict=True):
        need("..." in words or len(words) == tensor.dim(), "einsum names other axes")
        need(len([w for w in words if w != "..."]) <= tensor.dim(), "einsum names too many axes")
    known = {w for s in sides for w in s}
    need(set(result) <= known, "einsum's result is not on the left")
    need("..." not in known or "..." in result, "einsum drops its ellipsis")
    for words in {w for s in sides for w in s if w != "..."}:
        sizes = {t.shape[i if "..." not in s or i < s.index("...") else i - len(s)]
                 for s, t in zip(sides, tensors, strict=True) for i, w in enumerate(s) if w == words}  # fmt: skip
        need(len(sizes) == 1, f"einsum's {words} has the sizes {sizes}", "run")
    *left, right = ("".join(letters.get(w, w) for w in words) for words in (*sides, result))
    return torch.einsum(f"{','.join(left)}->{right}", *tensors)


# ------------------------------------------------------------------------------------------------------------ shapes


def fitted(total: int, wanted: list[int], what: str) -> list[int]:
    """Return a shape with its -1 filled in."""
    need(wanted.count(-1) <= 1 and all(n >= -1 for n in wanted), f"{what}: {wanted}")
    known = math.prod(n for n in wanted if n != -1)
    if -1 not in wanted:
        equal(total, known, what)
        return wanted
    need(known != 0 and total % known == 0, f"{what}: {total} into {wanted}", "run")
    return [total // known if n == -1 else n for n in wanted]


TABLE["reshape"] = lambda x, shape: x.reshape(fitted(x.numel(), list(shape), "reshape"))


@entry
def flatten(x: Tensor, start: int, end: int) -> Tensor:
    if x.dim() == 0:
        return x.reshape(1)
    first, last = axis(start, x.dim()), axis(end, x.dim())
    need(first <= last, "flatten runs backwards")
    return x.flatten(first, last)


@entry
def unflatten(x: Tensor, dim: int, shape: list[int]) -> Tensor:
    at = axis(dim, x.dim())
    return x.unflatten(at, fitted(x.shape[at], list(shape), "unflatten"))


TABLE["transpose"] = lambda x, a, b: x.transpose(axis(a, x.dim()), axis(b, x.dim()))


@entry
def mT(x: Tensor) -> Tensor:
    need(x.dim() >= 2, "mT takes matrices")
    return x.mT


@entry
def permute(x: Tensor, order: Any) -> Tensor:
    found = axes(listed(order), x.dim())
    need(len(found) == x.dim(), "permute names each axis")
    return x.permute(found)


@entry
def channels_last(x: Tensor) -> Tensor:
    need(x.dim() >= 2, "no channels")
    return x.movedim(1, -1)


@entry
def channels_first(x: Tensor) -> Tensor:
    need(x.dim() >= 2, "no channels")
    return x.movedim(-1, 1)


TABLE["movedim"] = lambda x, source, to: x.movedim(axis(source, x.dim()), axis(to, x.dim()))


@entry
def expand(x: Tensor, shape: list[int]) -> Tensor:
    need(len(shape) >= x.dim(), "expand loses axes")
    extra = len(shape) - x.dim()
    need(all(n != -1 for n in shape[:extra]), "a new axis keeps nothing")
    need(all(n >= -1 for n in shape), "a negative size")
    return x.expand(*shape)


@entry
def squeeze(x: Tensor, dim: Any) -> Tensor:
    if dim is None:
        return x.squeeze()
    at = axes(dim, x.dim())
    for i in at:
        equal(x.shape[i], 1, "squeeze")
    return x.squeeze(at)


@entry
def in_channels_last(x: Any) -> Tensor:
    need(x.dim() == 4, "a map")
    return x


TABLE["unsqueeze"] = lambda x, dim: x.unsqueeze(axis(dim, x.dim() + 1))
TABLE["flip"] = lambda x, dim: x.flip(axes(dim, x.dim()))


@entry
def roll(x: Tensor, shift: Any, dim: Any) -> Tensor:
    at = axes(dim, x.dim())
    need(len(listed(shift)) == len(at), "roll needs a shift for each axis")
    return x.roll(listed(shift), at)


def _joined(tensors: list[Any]) -> None:
    need(bool(tensors), "nothing to join")
    need(all(isinstance(t, Tensor) for t in tensors), "only tensors are joined")
    one(tensors)
    need(len({t.dim() for t in tensors}) == 1, "ranks differ")


@entry
def concat(tensors: list[Tensor], dim: int) -> Tensor:
    _joined(tensors)
    at = axis(dim, tensors[0].dim())
    for other in tensors[1:]:
        for i in range(other.dim()):
            if i != at:
                equal(tensors[0].shape[i], other.shape[i], "concat")
    return torch.cat(tensors, at)


@entry
def stack(tensors: list[Tensor], dim: int) -> Tensor:
    _joined(tensors)
    return torch.stack(tensors, axis(dim, tensors[0].dim() + 1))


def _equal_parts(x: Tensor, parts: int, dim: int) -> list[Tensor]:
    at = axis(dim, x.dim())
    need(parts >= 1, "no parts")
    need(x.shape[at] % parts == 0, "unequal parts", "run")
    return list(x.split(x.shape[at] // parts, at)) if x.shape[at] else [x] * parts


TABLE["chunk"] = lambda x, chunks, dim: _equal_parts(x, chunks, dim)


@entry
def split(x: Tensor, sizes: Any, dim: int) -> list[Tensor]:
    if isinstance(sizes, int):
        return _equal_parts(x, sizes, dim)
    at = axis(dim, x.dim())
    need(all(n >= 0 for n in sizes), "a negative part")
    equal(x.shape[at], sum(sizes), "split")
    return list(x.split(list(sizes), at))


TABLE["unbind"] = lambda x, dim: list(x.unbind(axis(dim, x.dim())))


@entry
def tile(x: Tensor, count: int, dim: int) -> Tensor:
    at = axis(dim, x.dim())
    need(count >= 0, "a negative count")
    return x.repeat([count if i == at else 1 for i in range(x.dim())])


@entry
def repeat_interleave(x: Tensor, count: int, dim: int) -> Tensor:
    need(count >= 0, "a negative count")
    return x.repeat_interleave(count, axis(dim, x.dim()))


@entry
def unfold(x: Tensor, dim: int, size: int, step: int) -> Tensor:
    at = axis(dim, x.dim())
    need(size >= 1 and step >= 1, "unfold's window")
    return x.unfold(at, size, step)


@entry
def tril(x: Tensor, diagonal: int) -> Tensor:
    need(x.dim() >= 2, "tril takes matrices")
    return x.tril(diagonal)


@entry
def triu(x: Tensor, diagonal: int) -> Tensor:
    need(x.dim() >= 2, "triu takes matrices")
    return x.triu(diagonal)


@entry
def diagonal(x: Tensor) -> Tensor:
    need(x.dim() >= 2, "diagonal takes matrices")
    return x.diagonal(dim1=-2, dim2=-1)


def cast(dtype: torch.dtype) -> Callable[[Any], Tensor]:
    def run(x: Any) -> Tensor:
        if not isinstance(x, Tensor):
            raise Wrong("only tensors are converted")
        need(not x.dtype.is_complex or dtype.is_complex, "a conversion loses the imaginary part")
        return x.to(dtype)

    return run
