"""Reshaping by einops patterns: `rearrange`, `reduce`, `repeat`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...dsl.diagnostics import shortened
from ...dsl.dims import Dim, quotient
from ...dsl.primitive import Rule, RuleFailure
from ...dsl.record import record
from ...dsl.types import Axis, TensorType, extent
from ..arguments import axis_sizes, tensor, text, word
from ..costs import moved
from ..lowering import Given, Handle, LoweringBuilder, expand
from ..patterns import BAD_PATTERN, Group, Pattern, Sizes, group_size, names, parse, solve, spread
from ..ranges import keeps
from ..registry import operation
from ..samples import refused, sample
from .reduce import total_dtype
from .shape import run_shape

X = tensor("x", "the tensor")
PATTERN = text("pattern", "`axes of x -> axes of the result`: names, `1`, lists in parentheses, `...`")
LIKE = tensor("like", "a tensor of the result's shape, from which sizes that stay open are read", optional=True, flat=True)
AXES = axis_sizes("axes", "sizes of axes by their names: `h = 8`")

Axes = Mapping[str, Axis]


@record
class Plan:
    """A pattern with the ellipsis written out and the size of every axis."""

    left: tuple[Group, ...]
    right: tuple[Group, ...]
    sizes: Sizes

    @property
    def gone(self) -> tuple[str, ...]:
        """The axes that have no place in the result."""
        kept = {name for group in self.right for name in group}
        return tuple(name for group in self.left for name in group if name not in kept)

    @property
    def shape(self) -> tuple[Axis, ...]:
        """The shape of the result."""
        return tuple(group_size(self.sizes, g) for g in self.right)


def _unique_fixed(side: Sequence[Group], mark: str) -> tuple[Group, ...]:
    """Give each fixed size a name of its own, so that axes can be told apart."""
    return tuple(tuple(f"{n}@{mark}{i}.{j}" if n.isdigit() else n for j, n in enumerate(g)) for i, g in enumerate(side))


def plan(rule: Rule, operation_: str, x: TensorType, pattern: str, axes: Axes, like: TensorType | None) -> Plan:
    """Solve a pattern for a tensor, or raise through the rule."""
    read, pattern = parse(pattern), shortened(pattern)
    for name, size in axes.items():
        if isinstance(size, int) and size < 1:
            raise rule.fail(f"`{name}` is {size} in `{pattern}`", "the size of an axis is 1 or more", "A214")
    _check_names(rule, operation_, read, pattern, axes)
    covered = x.rank - sum(1 for g in read.left if g != ("...",))
    left = _unique_fixed(spread(read.left, x.rank, f"`x`, {x},"), "l")
    right_rank = len(read.right) + (covered - 1 if ("...",) in read.right else 0)
    right = _unique_fixed(spread(read.right, right_rank, "the result"), "r")
    equations = [(g, a, f"axis {i} of `x` and its part of the pattern `{pattern}`") for i, (g, a) in enumerate(zip(left, x.shape, strict=True))]
    if like is not None:
        if like.rank != len(right):
            raise rule.fail(f"`like` is {like} and the result has {len(right)} axes", "give a tensor of the result's shape", "A324")
        equations += [(g, a, f"axis {i} of `like` and its part of the pattern") for i, (g, a) in enumerate(zip(right, like.shape, strict=True))]
    fixed: Sizes = {n: int(n.split("@")[0]) for g in (*left, *right) for n in g if "@" in n}
    found = solve(rule, {**axes, **fixed}, equations)
    open_ = [n for g in (*left, *right) for n in g if n not in found]
    if open_:
        raise rule.fail(f"the size of `{open_[0]}` in `{pattern}` stays open", f"say it: `{open_[0]} = ...`", BAD_PATTERN)
    return Plan(left, right, found)


def _check_names(rule: Rule, operation_: str, read: Pattern, pattern: str, axes: Axes) -> None:
    left, right = set(names(read.left)), set(names(read.right))
    for name in axes:
        if name not in left | right:
            raise rule.fail(f"`{name}` is no axis of `{pattern}`", "name an axis of the pattern, or drop it", BAD_PATTERN)
    gone, new = sorted(left - right), sorted(right - left)
    if gone and operation_ != "reduce":
        raise rule.fail(f"`{gone[0]}` has no place on the right of `{pattern}`", "`rearrange` keeps all axes; `reduce` sums some up", BAD_PATTERN)
    if new and operation_ != "repeat":
        raise rule.fail(f"`{new[0]}` isn't on the left of `{pattern}`", "`repeat` makes new axes", BAD_PATTERN)
    if ("...",) in read.right and ("...",) not in read.left:
        raise rule.fail(f"`...` is only on the right of `{pattern}`", "name the axes of x", BAD_PATTERN)
    if ("...",) in read.left and ("...",) not in read.right and operation_ != "reduce":
        raise rule.fail(f"`...` has no place on the right of `{pattern}`", "write it there too", BAD_PATTERN)
    if operation_ != "repeat" and any(n.isdigit() for g in (*read.left, *read.right) for n in g):
        raise rule.fail(f"a number other than 1 stands in `{pattern}`", "name the axis, and give its size as `name = number`", BAD_PATTERN)


@dataclass(slots=True)
class _State:
    """A value under way: its handle and the names of its axes, `""` for one of size 1."""

    b: LoweringBuilder
    handle: Handle
    sizes: Sizes

    def shape(self, groups: Sequence[Group]) -> list[int | Dim]:
        return [extent(group_size(self.sizes, g)) for g in groups]


def emit(b: LoweringBuilder, x: Handle, made: Plan, kind: str | None = None) -> Handle:
    """Split, reduce, reorder, stretch and join, each only where the pattern asks for it."""
    state = _State(b, x, made.sizes)
    atoms = _split(state, made.left)
    wanted = [n for g in made.right for n in g]
    if kind is not None:
        gone = [i for i, n in enumerate(atoms) if n not in wanted]
        if gone:
            state.handle = b.call(REDUCTIONS[kind], state.handle, dim=gone)
        atoms = [n for n in atoms if n in wanted]
    _reorder(state, atoms, [n for n in wanted if n in atoms])
    _stretch(state, [n for n in wanted if n in atoms], wanted)
    _join(state, made.right)
    return state.handle


def _split(state: _State, left: Sequence[Group]) -> list[str]:
    atoms = [n for g in left for n in g]
    several = [i for i, g in enumerate(left) if len(g) > 1]
    if all(len(g) == 1 for g in left):
        return atoms
    if len(several) == 1 and all(left):
        i = several[0]
        state.handle = state.b.call("torch.unflatten", state.handle, i, run_shape(state.b, state.shape([(n,) for n in left[i]])))
    elif not several:
        state.handle = state.b.method(state.handle, "squeeze", tuple(i for i, g in enumerate(left) if not g))
    else:
        state.handle = state.b.method(state.handle, "reshape", run_shape(state.b, state.shape([(n,) for n in atoms])))
    return atoms


def _reorder(state: _State, old: Sequence[str], new: Sequence[str]) -> None:
    order = [old.index(n) for n in new]
    moved_ = [i for i, o in enumerate(order) if i != o]
    if len(moved_) == 2:
        state.handle = state.b.method(state.handle, "transpose", *moved_)
    elif moved_:
        state.handle = state.b.method(state.handle, "permute", *order)


def _stretch(state: _State, old: Sequence[str], new: Sequence[str]) -> None:
    """Insert the axes that `repeat` makes."""
    if len(old) == len(new):
        return
    state.handle = state.b.call("operator.getitem", state.handle, tuple(slice(None) if n in old else None for n in new))
    sizes = [-1 if n in old else state.b.dim(extent(state.sizes[n])) for n in new]
    state.handle = state.b.method(state.handle, "expand", *sizes)


def _join(state: _State, right: Sequence[Group]) -> None:
    several = [i for i, g in enumerate(right) if len(g) > 1]
    if all(len(g) == 1 for g in right):
        return
    if not several:
        state.handle = state.b.call("operator.getitem", state.handle, tuple(slice(None) if g else None for g in right))
    elif len(several) == 1 and all(right):
        i = several[0]
        state.handle = state.b.method(state.handle, "flatten", i, i + len(right[i]) - 1)
    else:
        state.handle = state.b.method(state.handle, "reshape", run_shape(state.b, state.shape(right)))


class _Silent:
    """A rule that was satisfied before: lowering solves the pattern again, saying something only of stored tensors, which no rule has seen."""

    def same(self, left: Axis, right: Axis, what: str) -> Axis:
        return left

    def divide(self, size: int | Dim, by: int | Dim, what: str) -> int | Dim:
        return quotient(size, by)

    def fail(self, message: str, help: str | None, code: str) -> RuleFailure:
        return RuleFailure(message, help, code)


def _lower(operation_: str) -> Any:
    def lower(b: LoweringBuilder, given: Given) -> Handle:
        types = given.types
        made = plan(_SILENT, operation_, types["x"], types["pattern"], types["axes"], types.get("like"))
        return emit(b, given["x"], made, types.get("kind"))

    return expand(lower)


_SILENT: Any = _Silent()


@operation(
    arguments=(X, PATTERN, LIKE, AXES),
    lowering=_lower("rearrange"),
    values=keeps("x"),
    cost=moved,
    good=(
        sample(x="float[B, S, 6]", pattern="b s (h d) -> b h s d", axes={"h": 2}),
        sample(x="float[B, 2, S, 3]", pattern="b h s d -> b s (h d)"),
        sample(x="float[B, 3, 4, 6]", pattern="b c (y p) (x q) -> (b y x) c p q", axes={"p": 2, "q": 3}),
        sample(x="float[4 * B, 3, 2, 3]", pattern="(b y x) c p q -> b c (y p) (x q)", axes={"y": 2, "x": 2}),
        sample(x="float[4 * B, 3, 2, 3]", pattern="(b y x) c p q -> b c (y p) (x q)", like="float[B, 3, 4, 6]"),
        sample(x="float[B, S, 3]", pattern="... d -> d ..."),
        sample(x="float[B, 1, S]", pattern="b 1 s -> b s 1"),
        sample(x="float[B, S]", pattern="b s -> (b s)"),
        sample(x="float[B, S, 2, 3]", pattern="b s h d -> h (b s) d 1"),
        sample(x="float[B, S]", pattern="b s -> b s"),
        sample(x="int[B, 6]", pattern="b (three d) -> three b d", axes={"three": 3}),
    ),
    bad=(
        refused("A302", x="float[B, 5]", pattern="b (h d) -> b h d", axes={"h": 2}),
        refused("A323", x="float[B, 6]", pattern="b (h d) -> b h d"),
        refused("A214", x="float[B, 6]", pattern="b (h d) -> b h d", axes={"h": -1}),
        refused("A323", x="float[B, 6]", pattern="b d -> b"),
        refused("A323", x="float[B, 6]", pattern="b d -> b d e"),
        refused("A323", x="float[B, 6]", pattern="b d"),
        refused("A323", x="float[B, 6]", pattern="b (d -> b d"),
        refused("A323", x="float[B, 6]", pattern="b b -> b"),
        refused("A323", x="float[B, 6]", pattern="b -> b"),
        refused("A323", x="float[B, 6]", pattern="b d -> d b", axes={"h": 2}),
        refused("A323", x="float[B, 6]", pattern="b 6 -> 6 b"),
        refused("A324", x="float[B, 6]", pattern="b d -> d b", like="float[6]"),
    ),
)
def rearrange(rule: Rule, x: TensorType, pattern: str, like: TensorType | None, axes: Axes) -> TensorType:
    """Split, reorder and join axes: `"b (h d) s -> b h s d"`.  x: any[...], y: any[...] with the same elements."""
    return TensorType(x.dtype, plan(rule, "rearrange", x, pattern, axes, like).shape)


REDUCTIONS = {"mean": "torch.mean", "sum": "torch.sum", "max": "torch.amax", "min": "torch.amin", "any": "torch.any", "all": "torch.all"}


@operation(
    arguments=(X, PATTERN, word("kind", tuple(REDUCTIONS), "how axes that have no place on the right are reduced"), AXES),
    lowering=_lower("reduce"),
    cost=moved,
    good=(
        sample(x="float[B, 3, H, W]", pattern="b c h w -> b c", kind="mean"),
        sample(x="float[B, 3, 4, 6]", pattern="b c (h p) (w q) -> b h w c", kind="max", axes={"p": 2, "q": 2}),
        sample(x="int[B, S]", pattern="b s -> 1 s", kind="sum"),
        sample(x="int32[B, S]", pattern="b s -> s", kind="sum"),
        sample(x="bool[B, S]", pattern="b ... -> b", kind="any"),
        sample(x="float[B, S]", pattern="b s -> b s", kind="min"),
    ),
    bad=(
        refused("A305", x="int[B, S]", pattern="b s -> b", kind="mean"),
        refused("A305", x="float[B, S]", pattern="b s -> b", kind="any"),
        refused("A213", x="float[B, S]", pattern="b s -> b", kind="median"),
        refused("A303", x="float[B, 0]", pattern="b s -> b", kind="max"),
        refused("A323", x="float[B, S]", pattern="b s -> b c", kind="sum"),
    ),
)
def reduce(rule: Rule, x: TensorType, pattern: str, kind: str, axes: Axes) -> TensorType:
    """Reduce the axes that have no place on the right: `"b c h w -> b c"`.  x: any[...], y: as x, fewer axes; a sum of int32 is int."""
    rule.dtype(x, {"mean": "float", "any": "bool", "all": "bool", "max": "real", "min": "real"}.get(kind, "number"), "`x`")
    made = plan(rule, "reduce", x, pattern, axes, None)
    for name in made.gone if kind in ("max", "min") else ():
        rule.at_least(extent(made.sizes[name]), 1, f"`{name}`, of which one is chosen")
    return TensorType(total_dtype(x) if kind == "sum" and made.gone else x.dtype, made.shape)


@operation(
    arguments=(X, PATTERN, AXES),
    lowering=_lower("repeat"),
    values=keeps("x"),
    cost=moved,
    good=(
        sample(x="float[S, 3]", pattern="s d -> b s d", axes={"b": "B"}),
        sample(x="float[B, 3]", pattern="b d -> b (d k)", axes={"k": 2}),
        sample(x="float[B, S]", pattern="b s -> (2 b) s"),
        sample(x="float[B, S]", pattern="b s -> b 1 s 4"),
    ),
    bad=(
        refused("A323", x="float[B, S]", pattern="b s -> b s k"),
        refused("A323", x="float[B, S]", pattern="b s -> b", axes={}),
        refused("A323", x="float[B, S]", pattern="b s -> b s 0"),
    ),
)
def repeat(rule: Rule, x: TensorType, pattern: str, axes: Axes) -> TensorType:
    """Repeat along new axes: `"s d -> b s d"` with `b = 4`.  x: any[...], y: any[...]."""
    return TensorType(x.dtype, plan(rule, "repeat", x, pattern, axes, None).shape)
