"""The hierarchical graph: counting without expanding, ownership, reachability, slicing, the text form."""

from __future__ import annotations

import pytest

from archloom.blocks.registry import primitives
from archloom.compiler.census import Count
from archloom.compiler.graph import Graph, result_names
from archloom.compiler.inspector import GraphInspector
from archloom.compiler.reach import Occurrence, Reach
from archloom.compiler.slice import Slicer
from archloom.dsl.program import Ref
from archloom.dsl.types import DType, TensorType

from .programs import Build, program  # noqa: TID251  # the tests' own folder, not the package's


def mlp(dim: int = 8, wide: int = 16) -> Build:
    """A block with one output and one loss."""
    build = Build("Mlp")
    x = build.input("x", "N", "T", dim)
    build.leaf("up", "Linear", din=dim, dout=wide)
    build.leaf("down", "Linear", din=wide, dout=dim)
    y = build.call("down", x=build.op("relu", x=build.call("up", x=x, name="h")), name="y")
    build.leaf("gate", "Linear", din=dim, dout=1)
    size = build.op("mean", x=build.call("gate", x=x, name="g"), dim=None, keepdim=False)
    build.out("y", y)
    build.loss("gate", size)
    return build


def deep(depth: int, dim: int = 8, wide: int = 16) -> Build:
    """A root that calls one block `depth` times, each with its own parameters."""
    inner, build = mlp(dim, wide), Build("Deep")
    x = build.input("x", "B", "S", dim)
    for i in range(depth):
        build.block(f"trunk.{i}", "Mlp")
        x, loss = build.use(f"trunk.{i}", inner.body, (build.body.type(x), TensorType(DType.FLOAT, ())), x=x)
        build.loss(f"trunk.{i}.gate", loss)
    build.out("y", x)
    return build


def test_counts_by_path() -> None:
    graph = Graph(program(deep(3)))
    one = 8 * 16 + 16 + 16 * 8 + 8 + 8 + 1
    assert graph.count() == Count(3 * one, 0, 18)
    assert graph.count("trunk") == graph.count()
    assert graph.count("trunk.1") == Count(one, 0, 6)
    assert graph.count("trunk.1.up") == Count(8 * 16 + 16, 0, 2)
    assert graph.count("trunk.1.up.weight") == Count(8 * 16, 0, 1)
    assert graph.count("trunk.1", "trunk.1.up", "trunk.2.gate.bias") == Count(one + 1, 0, 7)
    assert list(graph.census.children("trunk.0")) == ["trunk.0.up", "trunk.0.down", "trunk.0.gate"]
    with pytest.raises(KeyError):
        graph.count("trunk.7")


def test_expanded_parameters_agree_with_the_count() -> None:
    graph = Graph(program(deep(4)))
    tensors = list(graph.parameters())
    assert sum(t.size for t in tensors) == graph.count().parameters
    assert tensors[0].path == "trunk.0.up.weight"
    assert tensors[0].shape == (16, 8)
    assert tensors[0].born == "Mlp"
    assert len({t.path for t in tensors}) == len(tensors)


def test_a_large_model_is_counted_without_expanding() -> None:
    build = deep(126, dim=16384, wide=53248)
    count = Graph(program(build)).count()
    assert count.parameters == 126 * (2 * 16384 * 53248 + 53248 + 16384 + 16384 + 1)


def test_tied_parameters_count_once() -> None:
    build = Build("Tied")
    x = build.input("ids", "B", "S", dtype=DType.INT)
    build.leaf("embed", "Embedding", count=10, dim=4)
    build.leaf("head", "Linear", din=4, dout=10, bias=False)
    build.out("logits", build.call("head", x=build.call("embed", "", **{primitives()["Embedding"].call[0].name: x})))
    build.body.ties.append(("embed.weight", "head.weight", build.body.span))
    graph = Graph(program(build))
    assert graph.count().parameters == 40
    assert graph.count("embed", "head").parameters == 40
    assert graph.count("head").parameters == 40
    assert graph.census.tie_groups == (("embed.weight", "head.weight"),)


def test_dependence_follows_only_what_an_output_needs() -> None:
    build = deep(2)
    reach = Reach(build.body)
    last = Occurrence((), len(build.body.nodes) - 1, 0)
    gate, up = (reach.occurrences(path)[0] for path in ("trunk.1.gate", "trunk.1.up"))
    assert reach.depends(last, up)
    assert not reach.depends(last, gate)
    assert reach.depends(last, reach.occurrences("trunk.0.down")[0])
    assert not reach.depends(reach.occurrences("trunk.0.up")[0], reach.occurrences("trunk.1.up")[0])
    assert reach.depends(reach.occurrences("trunk.1.up")[0], reach.occurrences("trunk.0.up")[0])


def test_the_inspector_answers_by_name() -> None:
    body, inspector = deep(2).body, GraphInspector()
    assert inspector.dependence(body, "y", "x") is not None
    assert inspector.dependence(body, "y", "trunk.1.gate") is None
    assert inspector.dependence(body, "y", "trunk.0.up.weight") is not None
    assert set(inspector.losses_reach(body, ["trunk.0.gate"]).paths()) == {"trunk.0.gate.weight", "trunk.0.gate.bias"}
    owned = {o.path: o for o in inspector.owned(body)}
    assert owned["trunk.1.up.weight"].shape == (16, 8)


def test_slicing_drops_what_only_losses_need_in_every_block() -> None:
    body, slicer = deep(3).body, Slicer()
    outputs = slicer.variant(body, [0], False)
    assert result_names(outputs) == ("y",)
    inner = {id(node.body): node.body for node in outputs.nodes if node.body is not None}
    assert len(inner) == 1
    (variant,) = inner.values()
    assert "gate" not in variant.modules
    assert all(len(node.outputs) == 1 for node in outputs.nodes)


def test_slicing_everything_keeps_the_body() -> None:
    body, slicer = deep(2).body, Slicer()
    assert slicer.variant(body, range(len(result_names(body))), False) is body
    assert slicer.variant(body, [0], False) is slicer.variant(body, [0], True)


def test_slicing_keeps_an_input_for_a_size_that_is_needed() -> None:
    build = Build("Sized")
    x, y = build.input("x", "B", 4), build.input("y", "S", 4)
    build.out("first", build.op("zeros", shape=[build.dim("S")], dtype=DType.FLOAT))
    build.out("second", build.op("add", a=x, b=x))
    assert y == Ref(1)
    slicer = Slicer()
    assert [d.name for d in slicer.variant(build.body, [0], False).inputs] == ["y"]
    assert [d.name for d in slicer.variant(build.body, [1], False).inputs] == ["x"]


def test_text_form_has_one_line_for_each_node() -> None:
    text = str(Graph(program(deep(2))))
    assert text.startswith("Deep {")
    assert "  %0: float[B, S, 8] = input x()" in text
    assert "  trunk.0 = Mlp()" in text
    assert text.count("Mlp {") == 1
