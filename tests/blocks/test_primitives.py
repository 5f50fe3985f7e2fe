"""Every registered primitive against what its lowering does in torch: shapes, dtypes, FLOPs, refusals, gradients, parameters."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest
import torch
from archloom.blocks.lowering import LeafModule
from archloom.blocks.registry import Entry, primitives
from archloom.blocks.samples import Sample, TensorSample, read
from archloom.dsl.dims import Dim, Symbol
from archloom.dsl.facts import Facts
from archloom.dsl.primitive import Kind, RuleFailure
from archloom.dsl.rule import ShapeRule
from archloom.dsl.types import DType, SetAxis, TensorType, extent
from torch.utils.flop_counter import FlopCounterMode

SIZES = {"B": 2, "S": 5, "N": 4, "H": 8, "W": 6}
SYMBOLS = {name: Symbol(name) for name in SIZES}
OPEN: Mapping[str, Any] = {name: Dim.of(s) for name, s in SYMBOLS.items()}

TORCH = {
    DType.FLOAT: torch.float32, DType.FLOAT64: torch.float64, DType.FLOAT32: torch.float32, DType.FLOAT16: torch.float16,
    DType.BFLOAT16: torch.bfloat16, DType.INT: torch.int64, DType.INT32: torch.int32, DType.BOOL: torch.bool,
}  # fmt: skip

ENTRIES = primitives()
GOOD = [pytest.param(e, s, id=f"{e.name}-{i}") for e in ENTRIES.values() for i, s in enumerate(e.good)]
BAD = [pytest.param(e, s, id=f"{e.name}-{i}") for e in ENTRIES.values() for i, s in enumerate(e.bad)]
LEAVES = [p for p in GOOD if p.values[0].is_leaf]


def named(target: str) -> Any:
    """Import a dotted name."""
    module, _, rest = target.rpartition(".")
    try:
        return getattr(import_module(module), rest)
    except ModuleNotFoundError:
        return getattr(named(module), rest)


class EagerBuilder:
    """Runs a lowering at once."""

    def __init__(self, device: str) -> None:
        self.where = device
        self.children: list[torch.nn.Module] = []

    def call(self, target: str, *args: Any, **kwargs: Any) -> Any:
        return named(target)(*args, **kwargs)

    def method(self, handle: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(handle, name)(*args, **kwargs)

    def item(self, handle: Any, index: int) -> Any:
        return handle[index]

    def dim(self, extent: int | Dim) -> int:
        return extent if isinstance(extent, int) else number(extent)

    def dtype(self, dtype: DType) -> torch.dtype:
        return TORCH[dtype]

    def device(self) -> str:
        return self.where

    def child(self, target: str, arguments: Mapping[str, Any], *inputs: Any) -> Any:
        torch.manual_seed(0)
        module = named(target)(**arguments).to(self.where)
        self.children.append(module)
        return module(*inputs)


def number(size: Any) -> int:
    """Return a size at SIZES."""
    found = size.substitute({s: SIZES[n] for n, s in SYMBOLS.items()}) if isinstance(size, Dim) else size
    assert isinstance(found, int)
    return found


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
    return {name: each(value, lambda t: t.type) for name, value in inputs.items()}


def each(value: Any, change: Any) -> Any:
    """Apply to a TensorSample or a tuple of them."""
    if isinstance(value, TensorSample):
        return change(value)
    if isinstance(value, tuple) and value and all(isinstance(v, TensorSample) for v in value):
        return tuple(change(v) for v in value)
    return value


def make(sample: TensorSample, device: str, grad: bool = False) -> torch.Tensor:
    """Make a tensor of positive floats below one, ints in range or truths."""
    shape = [number(extent(a)) for a in sample.type.shape]
    dtype = sample.type.dtype
    if dtype is DType.BOOL:
        made = torch.rand(shape) < 0.7
    elif dtype.is_int:
        made = torch.randint(0, sample.below or 7, shape, dtype=TORCH[dtype])
        made = made + 1 if sample.below is None else made
    else:
        made = torch.rand(shape, dtype=TORCH[dtype]) * 0.9 + 0.05
    made = made.to(device)
    return made.requires_grad_() if grad and dtype.is_float else made


def run(entry: Entry, inputs: Mapping[str, Any], device: str, *, grad: bool = False, builder: EagerBuilder | None = None) -> tuple[Any, dict[str, Any], tuple[TensorType, ...]]:
    """Infer with symbols, then run the lowering; returns the results, the handles and the types."""
    types = types_of(inputs)
    found = entry.infer(ShapeRule(Facts()), types)
    outputs = found if isinstance(found, tuple) else (found,)
    torch.manual_seed(0)
    handles = {name: each(value, lambda t: make(t, device, grad)) for name, value in inputs.items()}
    handles = {k: list(v) if isinstance(v, tuple) and isinstance(inputs[k], tuple) and any(isinstance(t, TensorSample) for t in inputs[k]) else v for k, v in handles.items()}
    return entry.lower(builder or EagerBuilder(device), handles, types, outputs), handles, outputs


def as_tuple(found: Any) -> tuple[torch.Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_shapes_and_dtypes_are_what_torch_gives(entry: Entry, sample: Sample, device: str) -> None:
    found, _, outputs = run(entry, inputs_of(entry, sample, OPEN), device)
    assert isinstance(found, tuple) == (entry.several or len(outputs) > 1)
    for tensor, type_ in zip(as_tuple(found), outputs, strict=True):
        assert tuple(tensor.shape) == tuple(number(extent(a)) for a in type_.shape)
        assert tensor.dtype == TORCH[type_.dtype]
    assert len(outputs) == len(entry.results) or not entry.results


@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_symbols_and_numbers_give_the_same(entry: Entry, sample: Sample) -> None:
    rule = ShapeRule(Facts())
    open_inputs, inputs = (types_of(inputs_of(entry, sample, table)) for table in (OPEN, SIZES))
    symbolic, plain = entry.infer(rule, open_inputs), entry.infer(ShapeRule(Facts()), inputs)
    several = [x if isinstance(x, tuple) else (x,) for x in (symbolic, plain)]
    assert tuple(map(at_sizes, several[0])) == several[1]
    for relation, left, right, _ in rule.conditions:
        a, b = number(left), number(right)
        assert {"==": a == b, "divides": a and b % a == 0, ">=": a >= b}[relation]
    costs = [entry.cost(i, o) for i, o in ((open_inputs, several[0]), (inputs, several[1]))]
    assert (number(costs[0].flops), number(costs[0].bytes)) == (costs[1].flops, costs[1].bytes)
    assert number(costs[0].bytes) >= 0


@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_flops_are_what_the_counter_counts(entry: Entry, sample: Sample) -> None:
    inputs = inputs_of(entry, sample, SIZES)
    with FlopCounterMode(display=False) as counter:
        _, _, outputs = run(entry, inputs, "meta")
    assert entry.cost(types_of(inputs), outputs).flops == counter.get_total_flops()


@pytest.mark.parametrize(("entry", "sample"), BAD)
def test_error_samples_are_refused_with_their_code(entry: Entry, sample: Sample) -> None:
    with pytest.raises(RuleFailure) as caught:
        entry.infer(ShapeRule(Facts()), types_of(inputs_of(entry, sample, OPEN)))
    message = caught.value.message
    assert caught.value.code == sample.code, message
    assert message[0].islower() or not message[0].isalpha()
    assert not message.endswith(".")


NO_GRADIENT = {"sign", "round", "floor", "ceil", "trunc", "floor_divide", "detach", "zeros_like", "ones_like", "randn_like", "rand_like", "bernoulli", "multinomial", "isnan", "isinf", "isfinite", "rope_table"}
NO_GRADIENT_TO = {
    ("bce_with_logits", "weight"), ("bce_with_logits", "positive"), ("cross_entropy", "weight"), ("nll", "weight"), ("rearrange", "like"), ("resize", "like"),
    ("remainder", "b"),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "sample"), GOOD)
def test_gradient_reaches_every_float_input(entry: Entry, sample: Sample) -> None:
    found, handles, outputs = run(entry, inputs_of(entry, sample, OPEN), "cpu", grad=True)
    values = [t for t, o in zip(as_tuple(found), outputs, strict=True) if o.dtype.is_float and t.requires_grad]
    listed = [(name, t) for name, h in handles.items() for t in (h if isinstance(h, list) else [h])]
    tensors = [t for name, t in listed if isinstance(t, torch.Tensor) and t.requires_grad and (entry.name, name) not in NO_GRADIENT_TO]
    if not tensors or not any(o.dtype.is_float for o in outputs) or entry.name in NO_GRADIENT:
        return
    assert values
    sum(v.float().sum() for v in values).backward()  # pyright: ignore
    assert all(t.grad is not None and t.grad.shape == t.shape for t in tensors if t.numel())


@pytest.mark.parametrize(("entry", "sample"), LEAVES)
def test_leaf_parameters_are_those_of_the_module(entry: Entry, sample: Sample) -> None:
    builder = EagerBuilder("meta")
    inputs = inputs_of(entry, sample, SIZES)
    target, arguments = entry.constructor(builder, types_of(inputs))
    module = named(target)(**arguments)
    specs = entry.parameters(types_of(inputs))
    state = module.state_dict()
    assert [s.name for s in specs] == list(state)
    assert {s.name: (tuple(s.shape), TORCH[s.dtype]) for s in specs} == {k: (tuple(v.shape), v.dtype) for k, v in state.items()}
    assert {s.name for s in specs if s.buffer} == {name for name, _ in module.named_buffers()}


@pytest.mark.parametrize("entry", [pytest.param(e, id=e.name) for e in ENTRIES.values()])
def test_declaration_is_complete_and_readable(entry: Entry) -> None:
    first = entry.doc.strip().split()[0]
    assert first[0].isupper()
    assert ("y" in entry.doc or entry.results) and ("[" in entry.doc or "float" in entry.doc), "no equation or no shapes"
    for argument in entry.all_arguments:
        assert argument.name.isidentifier()
        assert argument.doc[0].islower() or not argument.doc[0].isalpha()
        assert not argument.doc.endswith(".")
        if argument.kind is Kind.TENSORS:
            assert argument.default is not None
    assert entry.is_leaf == isinstance(entry.lowering, LeafModule)


def test_dropout_is_a_module_that_knows_the_mode() -> None:
    entry = ENTRIES["dropout"]
    builder = EagerBuilder("cpu")
    x = torch.ones(1000)
    type_ = TensorType(DType.FLOAT, (1000,))
    dropped = entry.lower(builder, {"x": x, "p": 0.5}, {"x": type_, "p": 0.5}, (type_,))
    assert 300 < int((dropped == 0).sum()) < 700
    assert torch.equal(builder.children[0].eval()(x), x)
    assert entry.lower(builder, {"x": x, "p": 0.0}, {"x": type_, "p": 0.0}, (type_,)) is x
