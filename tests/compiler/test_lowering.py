"""Lowered bodies against modules written by hand: equal results and gradients, shared code, sizes, modes, handed modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from archloom.compiler.graph import Graph
from archloom.compiler.lower.block import Block
from archloom.compiler.lower.sizes import Sizes
from archloom.compiler.runtime.compiling import compile_program
from archloom.compiler.runtime.model import Model
from archloom.compiler.verify import verify
from archloom.dsl.dim_atoms import ceil_div, floor_div, maximum, minimum
from archloom.dsl.dims import Dim, Symbol
from archloom.dsl.primitive import Initialiser
from archloom.dsl.types import DType, TensorType

from .programs import Build, program  # noqa: TID251  # the tests' own folder, not the package's

SCALAR = TensorType(DType.FLOAT, ())


def lowered(build: Build, train: Build | None = None, **more: Any) -> Model:
    """Compile a hand-made program, after checking that it is legal."""
    made = program(build, train, **more)
    assert verify(Graph(made)) == []
    torch.manual_seed(0)
    return compile_program(made)


def blocks(model: nn.Module) -> list[Block]:
    return [module for module in model.modules() if isinstance(module, Block)]


def mlp() -> Build:
    build = Build("Mlp")
    x = build.input("x", "N", "T", 8)
    build.leaf("up", "Linear", din=8, dout=16)
    build.leaf("down", "Linear", din=16, dout=8)
    build.out("y", build.op("add", a=x, b=build.call("down", x=build.op("relu", x=build.call("up", x=x)))))
    return build


class HandMlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.relu(self.up(x)))


class Hand(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.trunk = nn.ModuleList([HandMlp() for _ in range(depth)])
        self.proj = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.trunk:
            x = layer(x)
        return self.proj(x)


def deep(depth: int) -> Build:
    inner, build = mlp(), Build("Deep")
    x = build.input("x", "B", "S", 8)
    for i in range(depth):
        build.block(f"trunk.{i}", "Mlp")
        x = build.use(f"trunk.{i}", inner.body, build.types(x), "x", x=x)
    build.leaf("proj", "Linear", din=8, dout=3)
    build.out("y", build.call("proj", x=x))
    return build


def test_equals_the_module_written_by_hand_forward_and_backward() -> None:
    model, hand = lowered(deep(3)), Hand(3)
    hand.load_state_dict(model.state_dict())
    x = torch.randn(2, 5, 8)
    ours, theirs = model(x).y, hand(x)
    assert torch.equal(ours, theirs)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for (name, one), (other, two) in zip(model.named_parameters(), hand.named_parameters(), strict=True):
        assert name == other
        assert one.grad is not None and two.grad is not None
        assert torch.equal(one.grad, two.grad)


def test_first_values_are_those_of_the_module_written_by_hand() -> None:
    model = lowered(deep(2))
    torch.manual_seed(0)
    hand = Hand(2)
    for name, value in hand.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_instances_of_one_body_share_their_code() -> None:
    first, second, third = blocks(lowered(deep(3)))
    assert type(first) is type(second) is type(third)
    assert type(first).__name__ == "Mlp"
    assert first.up is not second.up


def test_editing_one_graph_changes_one_instance() -> None:
    model = lowered(deep(2))
    first, second = blocks(model)
    x = torch.randn(2, 5, 8)
    before = second(x)
    for node in first.graph.nodes:
        if node.target is torch.relu or node.name.startswith("relu"):
            node.target = torch.sigmoid
    first.recompile()
    assert "sigmoid" in first.code and "sigmoid" not in second.code
    assert torch.equal(second(x), before)
    assert torch.allclose(first(x), x + first.down(torch.sigmoid(first.up(x))))


def test_generated_code_has_no_redundant_line() -> None:
    model = lowered(deep(1))
    (block,) = blocks(model)
    lines = [line.split(";")[0].strip() for line in block.code.strip().splitlines()]
    assert lines == ["def forward(self, x):", "up = self.up(x)", "relu = torch.relu(up)", "down = self.down(relu)", "add = x + down", "return add"]


def test_every_node_names_its_line() -> None:
    build = deep(1)
    (block,) = blocks(lowered(build))
    for node in block.graph.nodes:
        if node.op not in ("placeholder", "output"):
            assert node.stack_trace is not None
            assert node.stack_trace.startswith('File "test.arch", line ')
            assert "in Mlp" in node.stack_trace


def test_a_failing_operation_names_its_line() -> None:
    model = lowered(deep(1))
    model.trunk[0].down = nn.Linear(5, 8)
    with pytest.raises(RuntimeError, match=r"^test\.arch:\d+:\d+: in `Mlp`: `= down` failed: mat1 and mat2"):
        model(torch.randn(1, 2, 8))


# ------------------------------------------------------------------------------------------------------------ sizes


def extents(symbols: list[Symbol]) -> st.SearchStrategy[Any]:
    leaf = st.one_of(st.sampled_from([Dim.of(s) for s in symbols]), st.integers(1, 6))

    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(
            st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
            st.tuples(inner, inner).map(lambda p: p[0] * p[1]),
            st.tuples(inner, inner).map(lambda p: p[0] - p[1]),
            st.tuples(inner, st.integers(1, 5)).map(lambda p: floor_div(*p)),
            st.tuples(inner, st.integers(1, 5)).map(lambda p: ceil_div(*p)),
            st.tuples(inner, inner).map(lambda p: minimum(*p)),
            st.tuples(inner, inner).map(lambda p: maximum(*p)),
        )

    return st.recursive(leaf, grow, max_leaves=6)


SYMBOLS = [Symbol("N"), Symbol("M")]


@given(extents(SYMBOLS), st.integers(1, 40), st.integers(1, 40))
def test_sizes_are_computed_as_the_dimension_says(extent: Any, n: int, m: int) -> None:
    import importlib

    def call(target: str, *args: Any) -> Any:
        module, _, name = target.rpartition(".")
        return getattr(importlib.import_module(module), name)(*args)

    values = dict(zip(SYMBOLS, (n, m), strict=True))
    sizes = Sizes(call, lambda handle, axis, name: handle[axis])
    sizes.offer((n, m), TensorType(DType.FLOAT, tuple(Dim.of(s) for s in SYMBOLS)), is_input=True)
    wanted = extent.value(values) if isinstance(extent, Dim) else extent
    assert sizes.value(extent) == wanted


def test_a_size_is_read_from_a_part_of_an_axis() -> None:
    build = Build("Pairs")
    n = build.dim("N")
    build.input("x", 2 * n + 1)
    build.out("y", build.op("zeros", shape=[n, 3 * n], dtype=DType.FLOAT))
    model = lowered(build)
    assert model(torch.randn(11)).y.shape == (5, 15)


# ------------------------------------------------------------------------------------------------- views and modes


def gated() -> Build:
    build = Build("Gated")
    x = build.input("x", "N", 4)
    build.leaf("body", "Linear", din=4, dout=4)
    build.leaf("gate", "Linear", din=4, dout=1)
    build.out("y", build.call("body", x=x))
    build.loss("balance", build.op("mean", x=build.call("gate", x=x), dim=None, keepdim=False))
    return build


def test_losses_are_computed_only_when_they_are_asked_for() -> None:
    inner, build = gated(), Build("Root")
    x, target = build.input("x", "B", 4), build.target("t", "B", 4)
    build.block("part", "Gated")
    y, balance = build.use("part", inner.body, (build.body.type(x), SCALAR), x=x)
    build.out("y", y)
    build.loss("fit", build.op("mean", x=build.op("sub", a=y, b=target), dim=None, keepdim=False))
    build.loss("part.balance", balance)
    model = lowered(build)
    calls: list[int] = []
    model.part.gate.register_forward_hook(lambda *_: calls.append(1))
    x_ = torch.randn(3, 4)
    assert list(model(x_)) == ["y"]
    assert calls == []
    found = model(x_, t=torch.zeros(3, 4))
    assert calls == [1]
    assert set(found.losses) == {"fit", "part.balance"}
    assert torch.allclose(found.loss, found.losses["fit"] + found.losses["part.balance"])
    assert torch.equal(model(x_).y, found.y)


def test_a_module_called_in_two_ways_keeps_one_set_of_parameters() -> None:
    def scaled(rows: int) -> Build:
        build = Build("Scaled")
        x = build.input("x", rows, 4)
        build.leaf("w", "Linear", din=4, dout=4)
        build.out("y", build.op("add", a=build.call("w", x=x), b=build.op("zeros", shape=[rows, 4], dtype=DType.FLOAT)))
        return build

    build = Build("Root")
    a, b = build.input("a", 2, 4), build.input("b", 3, 4)
    build.block("s", "Scaled")
    for name, ref, rows in (("u", a, 2), ("v", b, 3)):
        build.out(name, build.use("s", scaled(rows).body, build.types(ref), x=ref))
    model = lowered(build)
    assert [name for name, _ in model.named_parameters()] == ["s.w.weight", "s.w.bias"]
    x, y = torch.randn(2, 4), torch.randn(3, 4)
    found = model(x, y)
    assert torch.equal(found.u, model.s.w(x))
    assert torch.equal(found.v, model.s.w(y))


def noisy(training: bool) -> Build:
    """A block that doubles in training."""
    build = Build("Noisy", training)
    x = build.input("x", "N", 4)
    build.body.uses_training = True
    build.leaf("w", "Linear", din=4, dout=4)
    y = build.call("w", x=x)
    build.out("y", build.op("mul", a=y, b=2.0) if training else y)
    return build


def moded() -> Model:
    roots: list[Build] = []
    for training in (False, True):
        build = Build("Root", training)
        build.body.uses_training = True
        x = build.input("x", "B", 4)
        build.block("part", "Noisy")
        build.out("y", build.use("part", noisy(training).body, build.types(x), x=x))
        roots.append(build)
    return lowered(roots[0], roots[1])


def test_each_instance_follows_its_own_mode() -> None:
    model = moded()
    x = torch.randn(2, 4)
    plain = model.part.w(x)
    assert torch.equal(model.eval()(x).y, plain)
    assert torch.equal(model.train()(x).y, 2 * plain)
    model.part.eval()
    assert torch.equal(model(x).y, plain)
    assert "* 2.0" in model.train().part.code
    assert "* 2.0" not in model.eval().part.code


def counting() -> Build:
    build = Build("Counting")
    x = build.input("x", "N", 4)
    total = build.parameter("total", 4, init=Initialiser("zeros", {}), buffer=True)
    build.leaf("w", "Linear", din=4, dout=4)
    y = build.call("w", x=build.op("add", a=x, b=total))
    build.out("y", y)
    build.update("total", build.op("add", a=total, b=build.op("mean", x=y, dim=0, keepdim=False)))
    return build


def test_buffers_are_updated_in_training_alone_after_the_outputs() -> None:
    inner, build = counting(), Build("Root")
    x = build.input("x", "B", 4)
    build.block("part", "Counting")
    build.out("y", build.use("part", inner.body, build.types(x), x=x))
    model = lowered(build)
    x_ = torch.randn(3, 4)
    model.eval()(x_)
    assert torch.equal(model.part.total, torch.zeros(4))
    y = model.train()(x_).y
    assert torch.allclose(model.part.total, y.mean(0))
    y.sum().backward()
    assert not model.part.total.requires_grad
    assert model.part.w.weight.grad is not None


# --------------------------------------------------------------------------------------------------- handed modules


def routed() -> Build:
    build = Build("Routed")
    x = build.input("x", "N", 4)
    build.leaf("own", "Linear", din=4, dout=4)
    own = build.call("own", x=x)
    build.body.modules["@router"] = build.body.modules["own"]
    shared = build.call("@router", x=own)
    del build.body.modules["@router"]
    build.out("y", build.op("add", a=own, b=shared))
    return build


def test_a_handed_module_stays_where_it_was_born() -> None:
    inner, build = routed(), Build("Root")
    x = build.input("x", "B", 4)
    build.leaf("router", "Linear", din=4, dout=4)
    for i in range(2):
        build.block(f"layer.{i}", "Routed", {"router": "router"})
        x = build.use(f"layer.{i}", inner.body, build.types(x), x=x)
    build.out("y", x)
    model = lowered(build)
    assert list(model.state_dict()) == [f"{n}.{k}" for n in ("router", "layer.0.own", "layer.1.own") for k in ("weight", "bias")]
    x_ = torch.randn(3, 4)
    wanted = x_
    for i in range(2):
        own = model.layer[i].own(wanted)
        wanted = own + model.router(own)
    assert torch.equal(model(x_).y, wanted)


def test_only_the_asked_tasks_are_built() -> None:
    build = Build("Two")
    x = build.input("x", "B", 4)
    for task in ("a", "b"):
        build.leaf(f"head.{task}", "Linear", din=4, dout=2)
        build.out("y", build.call(f"head.{task}", x=x), task=task)
    both = lowered(build, tasks=("a", "b"))
    assert list(both(torch.randn(2, 4))) == ["a", "b"]
    one = compile_program(program(build, tasks=("a", "b")), tasks=["b"])
    assert list(one.state_dict()) == ["head.b.weight", "head.b.bias"]
    assert list(one(torch.randn(2, 4))) == ["b"]
    with pytest.raises(ValueError, match=r"`Two` has no task `c`.*its tasks are `a`, `b`"):
        compile_program(program(build, tasks=("a", "b")), tasks=["c"])


def test_a_thousand_layers_share_one_body() -> None:
    model = compile_program(program(deep(1000)), device="meta")
    assert len({type(block) for block in blocks(model)}) == 1
    assert sum(p.numel() for p in model.parameters()) == 1000 * (8 * 16 + 16 + 16 * 8 + 8) + 27
