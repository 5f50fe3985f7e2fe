"""Rules against torch on random shapes and options."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import einops
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archloom.blocks.patterns import inverse, parse
from archloom.blocks.registry import Entry, primitives
from archloom.blocks.samples import Sample
from archloom.dsl.dims import Dim, Symbol
from archloom.dsl.facts import Facts
from archloom.dsl.primitive import RuleFailure
from archloom.dsl.rule import ShapeRule
from archloom.dsl.types import DType, TensorType, extent

from .test_primitives import GOOD, OPEN, SIZES, SYMBOLS, as_tuple, holds, infer, inputs_of, types_of, values_of

Run = Callable[..., Any]


def shape_of(name: str, **inputs: Any) -> tuple[Any, ...]:
    found = primitives()[name].infer(ShapeRule(Facts()), inputs)
    assert isinstance(found, TensorType)
    return found.shape


def floats(*shape: Any) -> TensorType:
    return TensorType(DType.FLOAT, shape)


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_convolution_sizes_are_those_of_torch(n: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    options = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    layer = torch.nn.Conv1d(2, 3, kernel, stride, padding, dilation, device="meta")
    symbol = Symbol("S")
    try:
        found = shape_of("Conv1d", x=floats(1, 2, n), cin=2, cout=3, **options)
    except RuleFailure as failure:
        assert failure.code == "A303"
        with pytest.raises(RuntimeError, match="[Kk]ernel size"):
            layer(torch.empty(1, 2, n, device="meta"))
        return
    assert tuple(layer(torch.empty(1, 2, n, device="meta")).shape) == found
    last = shape_of("Conv1d", x=floats(1, 2, Dim.of(symbol)), cin=2, cout=3, **options)[-1]
    assert (last.substitute({symbol: n}) if isinstance(last, Dim) else last) == found[-1]


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2))
def test_transposed_convolution_sizes_are_those_of_torch(n: int, kernel: int, stride: int, padding: int, extra: int) -> None:
    options = {"kernel": kernel, "stride": stride, "padding": padding, "output_padding": extra}
    layer = torch.nn.ConvTranspose1d(2, 3, kernel, stride, padding, extra)
    try:
        found = shape_of("ConvTranspose1d", x=floats(1, 2, n), cin=2, cout=3, **options)
    except RuleFailure:
        with pytest.raises(RuntimeError):
            layer(torch.empty(1, 2, n))
        return
    assert tuple(layer(torch.empty(1, 2, n)).shape) == found


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2), st.booleans())
def test_pool_sizes_are_those_of_torch(n: int, kernel: int, stride: int, padding: int, ceil: bool) -> None:
    try:
        found = shape_of("max_pool1d", x=floats(1, 2, n), kernel=kernel, stride=stride, padding=padding, ceil=ceil)
    except RuleFailure as failure:
        assert failure.code in ("A303", "A214")
        return
    assert tuple(torch.nn.functional.max_pool1d(torch.empty(1, 2, n, device="meta"), kernel, stride, padding, 1, ceil).shape) == found


BOUND = st.none() | st.integers(-6, 6)
ITEM = st.none() | st.integers(-5, 5) | st.builds(slice, BOUND, BOUND, st.none() | st.integers(1, 3))


@given(st.lists(ITEM, max_size=4), st.integers(0, 4), st.booleans())
def test_indexing_is_that_of_torch_or_refused(items: list[Any], place: int, dots: bool) -> None:
    full = [*items[:place], ..., *items[place:]] if dots else items
    x = torch.empty(3, 4, 5, device="meta")
    try:
        found = shape_of("index", x=floats(3, 4, 5), items=full)
    except RuleFailure as failure:
        assert failure.code in ("A303", "A324")
        return
    assert tuple(x[tuple(full)].shape) == found


@given(st.permutations("abcd"), st.permutations("abcd"), st.lists(st.integers(1, 3), min_size=4, max_size=4), st.integers(0, 3), st.integers(0, 3))
def test_random_patterns_agree_with_einops(run_primitive: Run, left: list[str], right: list[str], sizes: list[int], cut: int, join: int) -> None:
    axes = dict(zip("abcd", sizes, strict=True))

    def side(names: list[str], at: int) -> str:
        return " ".join([*names[:at], f"({' '.join(names[at : at + 2])})", *names[at + 2 :]])

    pattern = f"{side(left, cut)} -> {side(right, join)}"
    x = einops.rearrange(torch.arange(float(torch.tensor(sizes).prod())), f"({' '.join(left)}) -> {side(left, cut)}", **axes)
    found = run_primitive("rearrange", x=x, pattern=pattern, axes=axes)
    assert torch.equal(found, einops.rearrange(x, pattern, **axes))
    back = run_primitive("rearrange", x=found, pattern=inverse(pattern), axes=axes)
    assert torch.equal(back, x)
    assert parse(inverse(inverse(pattern))) == parse(pattern)


@given(st.lists(st.integers(1, 3), max_size=3), st.lists(st.integers(1, 3), max_size=3))
def test_broadcasting_is_that_of_torch(a: list[int], b: list[int]) -> None:
    try:
        found = shape_of("add", a=floats(*a), b=floats(*b))
    except RuleFailure as failure:
        assert failure.code == "A301"
        with pytest.raises(RuntimeError):
            torch.add(torch.empty(a), torch.empty(b))
        return
    assert tuple((torch.empty(a) + torch.empty(b)).shape) == found


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_matmul_shapes_are_those_of_torch(a: list[int], b: list[int]) -> None:
    try:
        found = shape_of("matmul", a=floats(*a), b=floats(*b))
    except RuleFailure:
        with pytest.raises(RuntimeError):
            torch.matmul(torch.empty(a, device="meta"), torch.empty(b, device="meta"))
        return
    assert tuple((torch.empty(a, device="meta") @ torch.empty(b, device="meta")).shape) == found


GENERATED = 3


def sizes_of(seeded: Random) -> dict[str, int]:
    return {name: seeded.randint(2, 12) if name in "HW" else seeded.randint(1, 7) for name in SIZES}


@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_rules_agree_with_the_meta_device_at_any_sizes(entry: Entry, sample: Sample, build: Any) -> None:
    """Where the conditions that a rule keeps hold, the symbolic shape, the shape from numbers and torch's shape are one."""
    seeded = Random(f"{entry.name} {sample.inputs}")
    inputs = inputs_of(entry, sample, OPEN)
    rule = ShapeRule(Facts())
    found = entry.infer(rule, types_of(inputs))
    outputs = found if isinstance(found, tuple) else (found,)
    tried = 0
    for sizes in (sizes_of(seeded) for _ in range(40)):
        table = {SYMBOLS[name]: size for name, size in sizes.items()}

        def number(size: int | Dim, table: Any = table) -> int:
            known = size.substitute(table) if isinstance(size, Dim) else size
            assert isinstance(known, int)
            return known

        if not all(holds(relation, number(left), number(right)) for relation, left, right, _ in rule.conditions):
            continue
        tried += 1
        shapes = [tuple(number(extent(a)) for a in type_.shape) for type_ in outputs]
        try:
            plain = infer(entry, types_of(inputs_of(entry, sample, sizes)))
            assert shapes == [tuple(extent(a) for a in type_.shape) for type_ in plain]
        except RuleFailure as failure:
            assert failure.code == "A325", failure.message  # equal numbers, where symbols told the axes apart
        builder = build("meta", number)
        result = entry.lower(builder, values_of(entry, inputs, builder, False), types_of(inputs), outputs)
        assert shapes == [tuple(t.shape) for t in as_tuple(result)]
        if tried == GENERATED:
            break
    assert tried
