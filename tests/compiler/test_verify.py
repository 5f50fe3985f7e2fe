"""The definition of a legal graph: each rule is broken once, and says so; what the language makes is legal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from archloom.compiler.check import check
from archloom.compiler.graph import Graph
from archloom.compiler.verify import verify
from archloom.dsl.program import Freeze, NodeKind, ParameterDecl, Recording, Ref, Region, UpdateDecl
from archloom.dsl.types import DType, TensorType

from .programs import Build, program  # noqa: TID251  # the tests' own folder, not the package's


def legal() -> tuple[Build, Build]:
    """A root that calls a block with a parameter, a leaf and a loss."""
    inner = Build("Inner")
    x = inner.input("x", "N", 4)
    inner.leaf("w", "Linear", din=4, dout=4)
    y = inner.op("mul", a=inner.call("w", x=x), b=inner.parameter("scale", 4))
    inner.out("y", y)
    inner.loss("size", inner.op("mean", x=y, dim=None, keepdim=False))
    root = Build("Root")
    x = root.input("x", "B", 4)
    root.block("part", "Inner")
    y, loss = root.use("part", inner.body, (root.body.type(x), TensorType(DType.FLOAT, ())), x=x)
    root.out("y", y)
    root.loss("part.size", loss)
    return root, inner


Change = Callable[[Build, Build], None]


def forward_operand(root: Build, inner: Build) -> None:
    inner.body.nodes[1].inputs["x"] = Ref(3)


def missing_output(root: Build, inner: Build) -> None:
    root.body.outputs[0] = replace(root.body.outputs[0], ref=Ref(1, 5))


def operation_without_primitive(root: Build, inner: Build) -> None:
    inner.body.nodes[3].primitive = None


def unknown_tensor(root: Build, inner: Build) -> None:
    inner.body.nodes[2].target = "scales"


def unknown_module(root: Build, inner: Build) -> None:
    inner.body.nodes[1].target = "v"


def undeclared_input(root: Build, inner: Build) -> None:
    inner.body.inputs.clear()


def lacking_input(root: Build, inner: Build) -> None:
    root.body.nodes[1].inputs.clear()


def wrong_rank(root: Build, inner: Build) -> None:
    root.body.nodes[0].outputs = (TensorType(DType.FLOAT, (4,)),)


def too_few_outputs(root: Build, inner: Build) -> None:
    root.body.nodes[1].outputs = root.body.nodes[1].outputs[:1]
    root.body.losses.clear()


def vector_loss(root: Build, inner: Build) -> None:
    inner.body.losses[0] = replace(inner.body.losses[0], ref=Ref(0))


def update_of_a_parameter(root: Build, inner: Build) -> None:
    inner.body.updates.append(UpdateDecl("scale", Ref(2), inner.body.span))


def path_below_a_leaf(root: Build, inner: Build) -> None:
    own = inner.body.parameters["scale"]
    inner.body.parameters["w.more"] = replace(own, path="w.more")


def recursion(root: Build, inner: Build) -> None:
    inner.block("self_", "Inner")
    inner.body.modules["self_"].bodies.append(inner.body)


def other_shapes(root: Build, inner: Build) -> None:
    other = replace(inner.body, parameters={"scale": ParameterDecl("scale", (7,), DType.FLOAT, None, False, inner.body.span)})
    root.body.modules["part"].bodies.append(other)


def tie_of_unequal(root: Build, inner: Build) -> None:
    root.body.ties.append(("part.w.weight", "part.scale", root.body.span))


def input_of_a_region(root: Build, inner: Build) -> None:
    root.body.nodes[0].region = Region(Recording.NOTHING, 0)


def update_computed_again(root: Build, inner: Build) -> None:
    inner.body.updates.append(UpdateDecl("scale", Ref(2), inner.body.span))
    root.body.nodes[1].region = Region(Recording.INPUTS, 0)


def freeze_of_nothing(root: Build, inner: Build) -> None:
    root.body.frozen.append(Freeze("parts", root.body.span))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (1, forward_operand),
        (2, operation_without_primitive),
        (2, unknown_tensor),
        (2, unknown_module),
        (2, undeclared_input),
        (3, lacking_input),
        (3, wrong_rank),
        (3, too_few_outputs),
        (4, missing_output),
        (4, vector_loss),
        (4, update_of_a_parameter),
        (5, path_below_a_leaf),
        (6, recursion),
        (7, other_shapes),
        (8, tie_of_unequal),
        (8, freeze_of_nothing),
        (9, input_of_a_region),
        (9, update_computed_again),
    ],
)
def test_a_broken_rule_is_found(rule: int, change: Change) -> None:
    root, inner = legal()
    assert verify(Graph(program(root))) == []
    change(root, inner)
    for build in (root, inner):
        build.body.found.clear()  # what was found out about a body holds while it is not changed
    problems = verify(Graph(program(root)))
    assert rule in {problem.rule for problem in problems}
    assert all(str(problem).startswith("test.arch:") for problem in problems)


def test_the_examples_are_legal() -> None:
    folder = Path(__file__).parents[2] / "examples"
    for path in (*sorted(folder.glob("*.arch")), folder / "sketches" / "UniFork.arch"):  # which calls inner modules of a block
        for found in check(path).programs.values():
            assert verify(Graph(found)) == [], path.name


def test_every_kind_of_node_is_known_to_the_rules() -> None:
    import inspect

    from archloom.compiler import verify as rules

    text = inspect.getsource(rules)
    assert all(f"NodeKind.{kind.name}" in text for kind in NodeKind)
