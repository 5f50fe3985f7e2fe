"""The compiler's answers to the elaborator: what is owned, against the census; what losses reach, against dependence parameter by parameter."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import archloom
from archloom.compiler.census import Census
from archloom.compiler.check import check_text
from archloom.compiler.inspector import GraphInspector
from archloom.dsl.members import member_text
from archloom.dsl.program import Body, Program, Ref
from archloom.dsl.source import Source

from .specs import CHAINS, FORKED, GATED, TIED, program

PARTS = """extern block Solver(n: int) from "package.module:Class" {
  in x: float[B, n]
  out y: float[B, n]
}

block Use(inner: module) {
  in x: float[B, 4]
  own = Linear(4, 4)
  out y = own(inner(x))
}

model Parts {
  in x: float[B, 4]
  target t: float[B, 4]
  solve = Solver(4)
  shared = Linear(4, 4)
  use = Use(shared)
  norm = BatchNorm1d(4)
  twice = Sequential(Linear(4, 4), gelu, Sequential(Linear(4, 4), Linear(4, 4)))
  count = Buffer([], init = zeros)
  if training { late = Linear(4, 4); h = late(x) } else { h = x }
  y = twice(norm(use(h)))
  update count = count + 1.0
  out z = y
  loss fit = mse(y, t)
  loss small = mean(solve(x) * count)
}
"""

EXAMPLES = Path(archloom.__file__).parent / "examples"
SPECS = {"forked": FORKED, "tied": TIED, "gated": GATED, "chains": CHAINS, "parts": PARTS}


NAMES = [*SPECS, *(path.name for path in sorted(EXAMPLES.glob("*.arch")))]


@cache
def programs(name: str) -> tuple[Program, ...]:
    """Return the models of a spec or of an example."""
    if name in SPECS:
        return (program(SPECS[name]),)
    path = EXAMPLES / name
    return tuple(check_text(Source(path.name, path.read_text("utf-8"))).programs.values())


def bodies(name: str) -> list[Body]:
    return [body for made in programs(name) for body in (made.eval, made.train) if body is not None]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_owned_is_what_the_census_counts(name: str) -> None:
    for body in bodies(name):
        census = {tensor.path: (tensor.shape, tensor.buffer) for tensor in Census((body,)).tensors()}
        owned = GraphInspector().owned(body)
        assert {own.path: (own.shape, own.buffer) for own in owned if own.shape != (0,)} == census
        assert len({own.path for own in owned}) == len(owned)


@pytest.mark.parametrize("name", NAMES)
def test_parts_spell_the_path(name: str) -> None:
    for body in bodies(name):
        for own in GraphInspector().owned(body):
            assert ".".join(word for part, members in own.parts for word in (part, *map(member_text, members))) == own.path
            assert len(own.sets) == len(own.parts)
            assert all(not sets or len(sets) == len(members) for (_, members), sets in zip(own.parts, own.sets, strict=True))
            assert len(own.kinds) == len(own.parts) - (own.shape != (0,))


@pytest.mark.parametrize("name", NAMES)
def test_losses_reach_what_they_depend_on(name: str) -> None:
    inspector = GraphInspector()
    for body in bodies(name):
        for loss in body.losses:
            reached = inspector.losses_reach(body, [loss.path])
            paths = [own.path for own in inspector.owned(body) if not own.buffer]
            assert [path for path in paths if reached.holds(path)] == inspector.met(body, loss.ref, paths), loss.path


@pytest.mark.parametrize("name", NAMES)
def test_what_a_value_meets_is_what_a_way_leads_from(name: str) -> None:
    """Asked for many sources at once, and searched for one by one: two mechanisms, one answer."""
    inspector = GraphInspector()
    for body in bodies(name):
        sources = [*(declared.key for declared in body.inputs), *(Ref(declared.node) for declared in body.inputs), *body.parameters, *body.modules]
        below = [path for path, _ in Census((body,)).modules()]
        for out in body.outputs[:2]:
            asked = [*sources, *below[:: 1 + len(below) // 40]]
            assert inspector.met(body, out.ref, asked) == [one for one in asked if inspector.dependence(body, out.ref, one) is not None]


DRAWN = """block Noisy() {
  in x: float[B, 4]
  draw eps: float[B, 4] ~ normal(0, 1)
  out y = x + eps
}

model Drawn {
  in x: float[B, 4]
  in z: float[B, 4]
  lift = Linear(4, 4)
  noisy = Noisy()
  out y = noisy(x, eps = lift(z))
  target t: float[B, 4]
  loss fit = mse(y, t)
  assert y ignores z
}
"""


def test_what_is_handed_to_a_draw_is_depended_on() -> None:
    result = check_text(Source("spec.arch", DRAWN))
    (found,) = result.diagnostics
    assert (found.code, found.help) == ("A703", "it reads it by this way: `noisy(...)`, which reads `lift(...)`, which reads the input `z`")
    made = program(DRAWN.replace("assert y ignores", "assert y uses"))
    assert GraphInspector().losses_reach(made.eval, ["fit"]).holds("lift.weight"), "a gradient goes there"
    assert not check_text(Source("spec.arch", DRAWN.replace("assert y ignores", "assert y uses"))).diagnostics, "nothing is idle"


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_named_or_given_as_a_value(name: str) -> None:
    inspector = GraphInspector()
    for body in bodies(name):
        for out in body.outputs:
            path = ".".join([*([out.task] if out.task else []), out.name, *map(member_text, out.members)])
            for declared in body.inputs:
                assert inspector.dependence(body, path, declared.key) == inspector.dependence(body, out.ref, declared.key)


def test_the_steps_start_at_the_result() -> None:
    body = bodies("forked")[0]
    steps = GraphInspector().dependence(body, "understand.logits", "ids")
    assert steps == ["`head(...)`", "`mean(...)`", "`lm(...).h.understand`", "`embed(...)`", "the input `ids`"]


def test_a_part_of_a_sequential_is_selected_by_its_number() -> None:
    text = PARTS + "train Parts { stage a { tune twice[0] }; stage b { tune twice[2][1] }; stage c { tune twice[1..=2], norm } }"
    result = check_text(Source("spec.arch", text))
    assert [(d.message, d.help) for d in result.diagnostics] == [
        ("`twice[1..=2]` matches nothing: `twice` has no member `1`", "its members are `0`, `2`"),
    ]
    plans = program(text.replace("twice[1..=2]", "twice[2..]")).stages
    assert plans["a"].tuned == ("twice.0.weight", "twice.0.bias")
    assert plans["b"].tuned == ("twice.2.1.weight", "twice.2.1.bias")
    assert {"norm.weight", "norm.running_mean", "twice.2.0.weight"} <= set(plans["c"].tuned), "buffers of what is trained move"


def test_parts_that_only_training_has_are_parts_of_the_model() -> None:
    text = PARTS + 'train Parts { stage a { tune late } }\nweights w for Parts from "x" { late <- "late"; solve <- "solver" }'
    made = program(text)
    assert made.stages["a"].tuned == ("late.weight", "late.bias")
    assert [rule.target for rule in made.weights["w"].rules] == ["solve", "late.weight", "late.bias"]
