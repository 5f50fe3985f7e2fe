"""Every registered primitive against what its lowering does in torch: shapes, dtypes, FLOPs, refusals, gradients, parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pydoc import locate
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from archloom.blocks.lowering import LeafModule, LoweringBuilder
from archloom.blocks.registry import Entry, primitives
from archloom.blocks.samples import Sample, TensorSample, read, sample
from archloom.dsl.dims import Dim, Symbol
from archloom.dsl.facts import Facts
from archloom.dsl.primitive import Grid, Numbers, RuleFailure
from archloom.dsl.rule import ShapeRule
from archloom.dsl.types import DType, SetAxis, TensorType, extent

from ..counting import counter

SIZES = {"B": 2, "S": 5, "N": 4, "H": 8, "W": 6}
SYMBOLS = {name: Symbol(name) for name in SIZES}
OPEN: Mapping[str, Any] = {name: Dim.of(s) for name, s in SYMBOLS.items()}

ENTRIES = primitives()
GOOD = [pytest.param(e, s, id=f"{e.name}-{i}") for e in ENTRIES.values() for i, s in enumerate(e.good)]
BAD = [pytest.param(e, s, id=f"{e.name}-{i}") for e in ENTRIES.values() for i, s in enumerate(e.bad)]
LEAVES = [pytest.param(e, s, id=f"{e.name}-{i}") for e in ENTRIES.values() if e.is_leaf for i, s in enumerate(e.good)]

Build = Callable[..., LoweringBuilder]


def number(size: int | Dim) -> int:
    """Return a size at SIZES."""
    found = size.substitute({s: SIZES[n] for n, s in SYMBOLS.items()}) if isinstance(size, Dim) else size
    assert isinstance(found, int)
    return found


def holds(relation: str, a: int, b: int) -> bool:
    """Tell whether a condition that a rule kept is met."""
    return {"==": a == b, "divides": b % a == 0 if a else False, ">=": a >= b}[relation]


def at_sizes(type_: TensorType) -> TensorType:
    """Replace symbols by SIZES."""
    return TensorType(type_.dtype, tuple(a if isinstance(a, SetAxis) else number(a) for a in type_.shape))


def inputs_of(entry: Entry, sample: Sample, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the sample means, with TensorSample for tensors."""
    arguments = {a.name: a for a in entry.all_arguments}
    unknown = set(sample.inputs) - set(arguments)
    assert not unknown, f"{entry.name} has no {unknown}"
    return {name: read(arguments[name], value, table) for name, value in sample.inputs.items()}


def types_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Replace TensorSample by its type."""

    def one(value: Any) -> Any:
        return value.type if isinstance(value, TensorSample) else value

    return {name: tuple(map(one, cast("tuple[Any, ...]", v))) if isinstance(v, tuple) else one(v) for name, v in inputs.items()}


def make(sample: TensorSample, builder: LoweringBuilder, seeded: torch.Generator, grad: bool) -> Tensor:
    """Make a tensor of positive floats below one, ints in range or truths."""
    shape = [cast(int, builder.dim(extent(a))) for a in sample.type.shape]
    dtype = builder.dtype(sample.type.dtype)
    if dtype is torch.bool:
        made = torch.rand(shape, generator=seeded) < 0.7
    elif dtype.is_complex:
        made = torch.complex(torch.rand(shape, generator=seeded), torch.rand(shape, generator=seeded))
    elif not dtype.is_floating_point:
        made = torch.randint(1 if sample.below is None else 0, sample.below or 7, shape, dtype=dtype, generator=seeded)
    else:
        made = torch.rand(shape, dtype=dtype, generator=seeded) * 0.9 + 0.05
    made = made.to(builder.device())
    return made.requires_grad_() if grad and dtype.is_floating_point else made


def values_of(entry: Entry, inputs: Mapping[str, Any], builder: LoweringBuilder, grad: bool) -> dict[str, Any]:
    """Make the tensors of a sample."""

    def one(name: str, value: Any) -> Any:
        return make(value, builder, seeded, grad and not fixed[name]) if isinstance(value, TensorSample) else value

    fixed = {a.name: a.flat or a.fixed for a in entry.all_arguments}
    seeded = torch.Generator().manual_seed(0)
    return {n: [one(n, i) for i in cast("tuple[Any, ...]", v)] if isinstance(v, tuple) else one(n, v) for n, v in inputs.items()}


def infer(entry: Entry, types: Mapping[str, Any]) -> tuple[TensorType, ...]:
    found = entry.infer(ShapeRule(Facts()), types)
    return found if isinstance(found, tuple) else (found,)


def run(entry: Entry, inputs: Mapping[str, Any], builder: LoweringBuilder, grad: bool = False) -> tuple[Any, dict[str, Any], tuple[TensorType, ...]]:
    """Infer, then run the lowering; returns the results, the inputs and the types."""
    types = types_of(inputs)
    outputs = infer(entry, types)
    values = values_of(entry, inputs, builder, grad)
    return entry.lower(builder, values, types, outputs), values, outputs


def as_tuple(found: Any) -> tuple[Tensor, ...]:
    return cast("tuple[Tensor, ...]", found) if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize(("device", "dtype"), [("meta", torch.bfloat16), ("cpu", torch.float32)])
@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_shapes_and_dtypes_are_what_torch_gives(entry: Entry, sample: Sample, device: str, dtype: torch.dtype, build: Build) -> None:
    builder = build(device, number, dtype)
    found, _, outputs = run(entry, inputs_of(entry, sample, OPEN), builder)
    assert isinstance(found, tuple) == (entry.several or len(outputs) > 1)
    for tensor, type_ in zip(as_tuple(found), outputs, strict=True):
        assert tuple(tensor.shape) == tuple(number(extent(a)) for a in type_.shape)
        assert tensor.dtype == builder.dtype(type_.dtype)
    assert len(outputs) == len(entry.results) or not entry.results


@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_symbols_and_numbers_give_the_same(entry: Entry, sample: Sample) -> None:
    rule = ShapeRule(Facts())
    open_types, types = (types_of(inputs_of(entry, sample, table)) for table in (OPEN, SIZES))
    found = entry.infer(rule, open_types)
    symbolic, plain = found if isinstance(found, tuple) else (found,), infer(entry, types)
    assert tuple(map(at_sizes, symbolic)) == plain
    for relation, left, right, _ in rule.conditions:
        a, b = number(left), number(right)
        assert holds(relation, a, b)
    costs = entry.cost(open_types, symbolic), entry.cost(types, plain)
    assert (number(costs[0].flops), number(costs[0].bytes)) == (costs[1].flops, costs[1].bytes)
    assert number(costs[0].bytes) >= 0


@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_flops_are_what_the_counter_counts(entry: Entry, sample: Sample, build: Build) -> None:
    inputs = inputs_of(entry, sample, SIZES)
    with counter() as counting:
        _, _, outputs = run(entry, inputs, build("meta", number))
    assert entry.cost(types_of(inputs), outputs).flops == counting.get_total_flops()


@pytest.mark.parametrize(("entry", "sample"), BAD)
def test_error_samples_are_refused_with_their_code(entry: Entry, sample: Sample) -> None:
    with pytest.raises(RuleFailure) as caught:
        entry.infer(ShapeRule(Facts()), types_of(inputs_of(entry, sample, OPEN)))
    message = caught.value.message
    assert caught.value.code == sample.code, message
    assert message[0].islower() or not message[0].isalpha()
    assert not message.endswith(".")


@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_gradient_reaches_every_float_input(entry: Entry, sample: Sample, build: Build) -> None:
    found, values, outputs = run(entry, inputs_of(entry, sample, OPEN), build("cpu", number), grad=True)
    flat: list[Any] = [t for v in values.values() for t in (cast("list[Any]", v) if isinstance(v, list) else [v])]
    tensors = [t for t in flat if isinstance(t, Tensor) and t.requires_grad]
    if not tensors or not any(o.dtype.is_float for o in outputs):
        return
    results = [t for t, o in zip(as_tuple(found), outputs, strict=True) if o.dtype.is_float and t.requires_grad]
    gradients = torch.autograd.grad([r.sum() for r in results], tensors)
    assert all(g.shape == t.shape for g, t in zip(gradients, tensors, strict=True))


STILL = (
    ("mul", sample(a="float[B, 3]", b=0)), ("mul", sample(a=0.0, b="float[B]")), ("div", sample(a=0, b="float[B]")),
    ("softmax", sample(x="float[B, 1, 3]", dim=-2)), ("log_softmax", sample(x="float[B, 1]", dim=-1)),
    ("cross_entropy", sample(logits="float[B, 1]", target="int[B] < 1")),
)  # fmt: skip
"""Calls in which an argument is flat because of the others."""

FLAT = [
    *(p for p in GOOD if any(a.flat is True for a in cast(Entry, p.values[0]).all_arguments)),
    *(pytest.param(primitives()[name], call, id=f"{name}-{i}") for i, (name, call) in enumerate(STILL)),
]


@pytest.mark.parametrize(("entry", "sample"), FLAT)
def test_no_gradient_goes_to_what_is_flat(entry: Entry, sample: Sample, build: Build) -> None:
    inputs, builder = inputs_of(entry, sample, OPEN), build("cpu", number)
    types = types_of(inputs)
    values = values_of(entry, inputs, builder, grad=False)
    still = [a for a in entry.all_arguments if a.is_flat(entry.bound(types))]
    flat = [values[a.name] for a in still if isinstance(values.get(a.name), Tensor) and values[a.name].is_floating_point()]
    for tensor in flat:
        tensor.requires_grad_()
    found = as_tuple(entry.lower(builder, values, types, infer(entry, types)))
    results = [t.sum() for t in found if t.requires_grad]
    gradients = torch.autograd.grad(results, flat, allow_unused=True) if results and flat else []
    assert still
    assert all(g is None or not g.any() for g in gradients)


FIXED = [p for p in GOOD for a in cast(Entry, p.values[0]).all_arguments if a.fixed and a.name in cast(Sample, p.values[1]).inputs]


@pytest.mark.parametrize(("entry", "sample"), FIXED)
def test_torch_refuses_to_differentiate_by_what_is_fixed(entry: Entry, sample: Sample, build: Build) -> None:
    inputs, builder = inputs_of(entry, sample, OPEN), build("cpu", number)
    types = types_of(inputs)
    values = values_of(entry, inputs, builder, grad=False)
    for argument in entry.all_arguments:
        if argument.fixed and values.get(argument.name) is not None:
            values[argument.name].requires_grad_()
    with pytest.raises(RuntimeError, match="not differentiable"):
        entry.lower(builder, values, types, infer(entry, types))


@pytest.mark.parametrize(("entry", "sample"), LEAVES)
def test_leaf_parameters_are_those_of_the_module(entry: Entry, sample: Sample, build: Build) -> None:
    types = types_of(inputs_of(entry, sample, SIZES))
    target, arguments = entry.constructor(build("meta"), types)
    module = cast("Any", locate(target))(**arguments)
    specs = entry.parameters(types)
    state = module.state_dict()
    assert [s.name for s in specs] == list(state)
    assert {s.name: (s.shape, build().dtype(s.dtype)) for s in specs} == {k: (tuple(v.shape), v.dtype) for k, v in state.items()}
    assert {s.name for s in specs if s.buffer} == {name for name, _ in module.named_buffers()}


@pytest.mark.parametrize("entry", [pytest.param(e, id=e.name) for e in ENTRIES.values()])
def test_declaration_is_complete_and_readable(entry: Entry) -> None:
    assert entry.doc.strip()[0].isupper()
    assert re.search(r"`[^`]*([=~<:]|->)[^`]*`|`y\[i\]` is", entry.doc), "no equation in backticks"
    assert re.search(r"(any|number|real|bool|int|int32|float|float32|complex|dtype)\[", entry.doc), "no shapes"
    for argument in entry.all_arguments:
        assert argument.name.isidentifier()
        assert argument.doc[0].islower() or not argument.doc[0].isalpha()
        assert not argument.doc.endswith(".")
    assert entry.is_leaf == isinstance(entry.lowering, LeafModule)


@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_positions_of_samples_are_those_that_have_places(entry: Entry, sample: Sample) -> None:
    inputs = inputs_of(entry, sample, SIZES)
    bound = entry.bound(types_of(inputs))
    bounded = {name: value.below for name, value in inputs.items() if isinstance(value, TensorSample) and value.below is not None}
    indices = [a for a in entry.all_arguments if a.within is not None and isinstance(bound[a.name], TensorType) and bound[a.name].dtype.is_int]
    for argument in indices:
        assert argument.within is not None
        assert bounded[argument.name] <= number(extent(argument.within(bound)))


WHOLE = [p for p in GOOD if cast(Entry, p.values[0]).values is not None]


@pytest.mark.parametrize(("entry", "sample"), WHOLE)
def test_whole_numbers_of_results_are_those_that_are_followed(entry: Entry, sample: Sample, build: Build) -> None:
    given = inputs_of(entry, sample, SIZES)
    inputs = {n: tuple(map(_whole, cast("tuple[Any, ...]", v))) if isinstance(v, tuple) else _whole(v) for n, v in given.items()}
    types = types_of(inputs)
    assert entry.values is not None
    try:
        infer(entry, types)
    except RuleFailure:  # it takes no whole numbers here
        types, inputs = types_of(given), given
    found, values, outputs = run(entry, inputs, build("cpu", number))
    held = {name: _held(value) for name, value in values.items()}
    held |= {n: (Numbers(int(values[n]), int(values[n]) + 1),) for a in entry.arguments for n in a.chooses if isinstance(values[n], int)}
    pieces = entry.values(entry.bound(types), {name: numbers for name, numbers in held.items() if numbers})
    for tensor, type_ in zip(as_tuple(found), outputs, strict=True):
        if type_.dtype.is_int and pieces:
            low, high = min(number(p.low) for p in pieces), max(number(p.high) for p in pieces)
            assert all(low <= int(v) < high for v in tensor.flatten())


EXACT = [p for p in GOOD if cast(Entry, p.values[0]).exact is not None]


@pytest.mark.parametrize(("entry", "sample"), EXACT)
def test_elements_that_the_text_decides_are_those_of_the_result(entry: Entry, sample: Sample, build: Build) -> None:
    given = inputs_of(entry, sample, SIZES)
    inputs = {name: _whole(value) for name, value in given.items()}
    try:
        infer(entry, types_of(inputs))
    except RuleFailure:  # it takes no whole numbers here
        return
    found, values, outputs = run(entry, inputs, build("cpu", number))
    if not outputs[0].dtype.is_int or any(isinstance(v, Tensor) and v.dtype is not torch.int64 for v in values.values()):
        return
    assert entry.exact is not None and isinstance(found, Tensor)
    bound = {n: Grid(tuple(v.shape), v.flatten().tolist()) if isinstance(v, Tensor) else _number(v) for n, v in entry.bound(values).items()}
    assert list(entry.exact(bound, tuple(found.shape)) or ()) == found.flatten().tolist()


def _number(value: Any) -> Any:
    return number(value) if isinstance(value, Dim) else value


def _whole(value: Any) -> Any:
    """Return a tensor of floats as one of whole numbers."""
    if not isinstance(value, TensorSample) or not value.type.dtype.is_float:
        return value
    return TensorSample(TensorType(DType.INT, value.type.shape), value.below)


def _held(value: Any) -> tuple[Numbers, ...]:
    tensors = cast("list[Any]", value) if isinstance(value, list) else [value]
    return tuple(Numbers(int(t.min()), int(t.max()) + 1) for t in tensors if isinstance(t, Tensor) and t.dtype is torch.int64 and t.numel())


@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_what_takes_complex_numbers_runs_on_them(entry: Entry, sample: Sample, build: Build) -> None:
    given = inputs_of(entry, sample, SIZES)
    inputs = {n: tuple(map(_complex, cast("tuple[Any, ...]", v))) if isinstance(v, tuple) else _complex(v) for n, v in given.items()}
    try:
        infer(entry, types_of(inputs))
    except RuleFailure:
        return
    found, _, outputs = run(entry, inputs, build("cpu", number))
    assert [t.dtype for t in as_tuple(found)] == [build().dtype(o.dtype) for o in outputs]


def _complex(value: Any) -> Any:
    """Return a tensor of floats as one of complex numbers."""
    if not isinstance(value, TensorSample) or value.type.dtype is not DType.FLOAT:
        return value
    return TensorSample(TensorType(DType.COMPLEX, value.type.shape), value.below)
