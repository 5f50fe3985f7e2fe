"""Sums of products by a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

from ...dsl.diagnostics import shortened
from ...dsl.dims import Dim
from ...dsl.primitive import Cost, Inputs, Rule
from ...dsl.types import Axis, DType, TensorType, extent
from ..arguments import tensors, text
from ..costs import moved_bytes
from ..lowering import Given, Handle, LoweringBuilder, expand
from ..operands import common_dtype
from ..patterns import BAD_PATTERN, terms
from ..registry import operation
from ..samples import refused, sample

Term = tuple[str, ...]


def named_axes(rule: Rule, pattern: str, tensors: Sequence[TensorType]) -> tuple[list[Term], Term]:
    """Return the names of each tensor's axes and of the result's; the axes of `...` are named by their place from the right."""
    read, result = terms(pattern)
    pattern = shortened(pattern)
    if len(read) != len(tensors):
        raise rule.fail(
            f"`{pattern}` names {len(read)} tensors and {len(tensors)} are given", "write a term for each tensor, commas between them", BAD_PATTERN
        )
    covered = [t.rank - len(term) + 1 for term, t in zip(read, tensors, strict=True) if "..." in term]
    for term, t in zip(read, tensors, strict=True):
        if len(term) != t.rank if "..." not in term else len(term) - 1 > t.rank:
            told = shortened(" ".join(term))
            raise rule.fail(f"`{told}` names {len(term)} axes of {t}", "write one name for each axis, or `...` for any number", BAD_PATTERN)
    spread = [_spread(term, t.rank - len(term) + 1) for term, t in zip(read, tensors, strict=True)]
    known = {n for term in spread for n in term}
    found = _spread(result, max(covered, default=0)) if "..." in result else tuple(result)
    for name in found:
        if name not in known:
            raise rule.fail(f"`{name}` on the right of `{pattern}` is no axis of the tensors", "name an axis of the left", BAD_PATTERN)
        if found.count(name) > 1:
            raise rule.fail(f"`{name}` stands twice on the right of `{pattern}`", "name each axis once", BAD_PATTERN)
    if covered and max(covered) and "..." not in result:
        raise rule.fail(f"`...` has no place on the right of `{pattern}`", "write it there too", BAD_PATTERN)
    return spread, found


def _spread(term: Sequence[str], count: int) -> Term:
    return tuple(n for name in term for n in ([f"...{count - 1 - i}" for i in range(count)] if name == "..." else [name]))


def axis_table(rule: Rule, tensors: Sequence[TensorType], names: Sequence[Term]) -> dict[str, Axis]:
    """Return the size of each name, comparing all that have it; sizes of 1 under `...` stretch."""
    found: dict[str, Axis] = {}
    for number, (t, term) in enumerate(zip(tensors, names, strict=True)):
        for axis, name in zip(t.shape, term, strict=True):
            if name not in found:
                found[name] = axis
            elif name.startswith("..."):
                found[name] = rule.broadcast([(found[name],), (axis,)], f"the axes of `...` in tensor {number}")[0]
            else:
                found[name] = rule.same(found[name], axis, f"`{name}` in tensor {number} and before")
    return found


def _cost(inputs: Inputs, outputs: tuple[TensorType, ...]) -> Cost:
    """From left to right, two at a time: a product over the names of both, a matrix product when one of them is summed up."""
    tensors: tuple[TensorType, ...] = inputs["tensors"]
    names, result = named_axes(_QUIET, inputs["pattern"], tensors)
    table = axis_table(_QUIET, tensors, names)
    total: int | Dim = 0
    current = set(names[0])
    for i, term in enumerate(names[1:], 1):
        later = set(result).union(*names[i + 1 :])
        both = current | set(term)
        if any(table[name] != 1 for name in (current & set(term)) - later):  # along an axis of 1 torch multiplies element by element
            flops: int | Dim = 2
            for name in sorted(both):
                if name in later or (name in current and name in term):
                    flops = flops * extent(table[name])
            total = total + flops
        current = both & later
    return Cost(total, moved_bytes(inputs, outputs))


class _Quiet:
    """A rule that was satisfied before."""

    def same(self, left: Axis, right: Axis, what: str) -> Axis:
        return left

    def broadcast(self, shapes: Sequence[tuple[Axis, ...]], what: str = "") -> tuple[Axis, ...]:
        return next((s for s in shapes if s[0] != 1), shapes[0])


_QUIET: Any = _Quiet()


def _einsum(b: LoweringBuilder, given: Given) -> Handle:
    read, result = terms(given.types["pattern"])
    letters: dict[str, str] = {"...": "..."}
    for name in [n for term in read for n in term]:
        letters.setdefault(name, name if len(name) == 1 and name in ascii_letters else "")
    free = iter(c for c in ascii_letters if c not in letters.values())
    for name, letter in letters.items():
        if not letter:
            letters[name] = next(free)
    left = ",".join("".join(letters[n] for n in term) for term in read)
    return b.call("torch.einsum", f"{left}->{''.join(letters[n] for n in result)}", *given["tensors"])


@operation(
    arguments=(
        text("pattern", "`axes of a, axes of b -> axes of the result`, names with blanks between them or single letters without"),
        tensors("tensors", "the tensors"),
    ),
    lowering=expand(_einsum),
    cost=_cost,
    good=(
        sample(pattern="b i d, b j d -> b i j", tensors=["float[B, S, 4]", "float[B, N, 4]"]),
        sample(pattern="bid,idf->bif", tensors=["float[B, 3, 4]", "float[3, 4, 5]"]),
        sample(pattern="head row, head col -> row head col", tensors=["float[2, S]", "float[2, N]"]),
        sample(pattern="b d, k d e, k o e -> b k o", tensors=["float[B, 4]", "float[2, 4, 5]", "float[2, 3, 5]"]),
        sample(pattern="... i j, ... j k -> ... i k", tensors=["float[B, S, 3, 4]", "float[S, 4, 5]"]),
        sample(pattern="b i j -> b j", tensors=["float[B, S, 3]"]),
        sample(pattern="b d, k d e, k o e -> b k o", tensors=["float[B, 1]", "float[2, 1, 5]", "float[2, 3, 5]"]),
        sample(pattern="i i -> i", tensors=["float[S, S]"]),
        sample(pattern="b i, b -> b i", tensors=["float[B, S]", "float[B]"]),
    ),
    bad=(
        refused("A301", pattern="i j, j k -> i k", tensors=["float[2, 3]", "float[4, 5]"]),
        refused("A323", pattern="i j, j k -> i k", tensors=["float[2, 3]"]),
        refused("A323", pattern="i j -> i k", tensors=["float[2, 3]"]),
        refused("A323", pattern="i j k -> i", tensors=["float[2, 3]"]),
        refused("A323", pattern="i j", tensors=["float[2, 3]"]),
        refused("A323", pattern="i j -> i i", tensors=["float[2, 3]"]),
        refused("A323", pattern="... i -> i", tensors=["float[2, 3]"]),
        refused("A321", pattern="i, i -> i", tensors=["float[2]", "int[2]"]),
        refused("A305", pattern="i -> i", tensors=["bool[2]"]),
        refused("A305", pattern="i j -> j", tensors=["int32[2, 3]"]),
    ),
)
def einsum(rule: Rule, pattern: str, tensors: Sequence[TensorType]) -> TensorType:
    """Multiply and add up: the sum, over the names that aren't on the right, of the products of the elements:
    `y[i, k] = sum_j a[i, j] b[j, k]` for `"i j, j k -> i k"`.

    tensors: number[...] of one dtype, not int32, with the axes of their terms; y: number[...] with the axes of the right.
    """
    if not tensors:
        raise rule.fail("there are no tensors", "give one for each term of the pattern", "A305")
    dtype = common_dtype(rule, {f"tensor {i}": t for i, t in enumerate(tensors)})
    if dtype is DType.INT32:
        raise rule.fail("the tensors are int32", "torch adds them up as int32 or as int, by the pattern: write `int(...)` around each", "A305")
    names, result = named_axes(rule, pattern, tensors)
    table = axis_table(rule, tensors, names)
    return TensorType(dtype, tuple(table[n] for n in result))
