"""Each fact is found where it is planted, and nothing else."""

from __future__ import annotations

import pytest

from archloom.compiler.check import check_text
from archloom.compiler.facts import facts
from archloom.dsl.diagnostics import Diagnostic
from archloom.dsl.source import Source

HEAD = """model M {
  in x: float[B, 4]
  target t: float[B, 4]
  trunk = Linear(4, 4)
  head = Linear(4, 4)
  h = trunk(x)
"""

PLANTED: dict[str, list[tuple[str, str]]] = {
    "idle_inputs": [
        (
            "in m: float[B, 4]; n = m + 1; y = head(h); loss l = mse(y, t); out y }",
            "A120 at m: the input `m` is read, but no output and no loss depends on it",
        ),
        (
            "target s: int[B]; hot = one_hot(s, 3); y = head(h); loss l = mse(y, t); out y }",
            "A120 at s: the target `s` is read, but no output and no loss depends on it",
        ),
    ],
    "dead_parameters": [
        (
            "side = Linear(4, 4); z = side(h); y = head(h); loss l = mse(y, t); out y }",
            "A122 at side: no output and no loss depends on `side` (20 parameters)",
        ),
        (
            "two = Two(4); y = head(two(h)); loss l = mse(y, t); out y }\n"
            "block Two(n: int) { in x: float[B, n]; a = Linear(n, n); b = Linear(n, n); z = b(x); out y = a(x) }",
            "A122 at two: no output and no loss depends on `two.b` (20 parameters)",
        ),
    ],
    "zero_gradients": [
        (
            "y = head(round(h)); loss l = mse(y, t); out y }",
            "A553 at trunk: the losses depend on `trunk` (20 parameters), but no gradient reaches it",
        ),
        (
            "route = Linear(4, 2); at = argmax(route(x), dim = -1); table = Embedding(2, 4); y = head(h) + table(at); loss l = mse(y, t); out y }",
            "A553 at route: the losses depend on `route` (10 parameters), but no gradient reaches it",
        ),
    ],
    "severed_losses": [
        (
            "y = head(h); loss l = mse(y, t); loss k = mse(detach(y), t); out y }",
            "A557 at loss k = mse(detach(y), t): the loss `k` gives no parameter a gradient: every way to one goes through whole numbers, truths, "
            "rounding or `detach`",
        ),
        (
            "y = head(h); loss l = mse(y, t); loss k = mse(x, t); out y }",
            "A557 at loss k = mse(x, t): the loss `k` gives no parameter a gradient: it depends on none",
        ),
    ],
    "untaught_tasks": [
        (
            "task a { out y = head(h); loss l = mse(y, t) }; task b { out z = head(h) + 1 } }",
            "A532 at z: the task `b` has outputs and no loss",
        )
    ],
    "unused_losses": [
        (
            "y = head(h); loss l = mse(y, t); loss k = l1(y, t); out y }\ntrain M { stage s { tune all; losses l } }",
            "A533 at loss k = l1(y, t): no stage uses the loss `k`",
        )
    ],
    "idle_parameters": [
        (
            "y = head(h); loss l = mse(y, t); out y }\ntrain M { stage s { tune head } }",
            "A530 at trunk: no stage trains `trunk` (20 parameters), and no weights map fills it: it stays as it was initialised",
        )
    ],
    "fixed_arguments": [
        (
            "w = Parameter([4], init = ones); target c: int[B]; y = head(h); loss l = cross_entropy(y, c, weight = w); out z = mse(y, t) }",
            "A327 at cross_entropy(y, c, weight = w): `cross_entropy` can't be differentiated by its `weight`, which is computed from parameters",
        ),
        (
            "w = Parameter([4], init = ones); target c: int[B]; y = head(h); k = Weighted(); out z = k(y, c, w); loss l = mse(y, t) }\n"
            "block Weighted() { in x: float[B, 4]; in t: int[B]; in w: float[4]; loss l = cross_entropy(x, t, weight = w); out y = x }",
            "A327 at cross_entropy(x, t, weight = w): `cross_entropy` can't be differentiated by its `weight`, which is computed from parameters",
        ),
    ],
}

CLEAN = [
    "y = head(h); loss l = mse(y, t); out y }",
    "y = head(h); loss l = mse(y, t); out y }\ntrain M { stage s { tune all } }",
    'y = head(h); loss l = mse(y, t); out y }\nweights w for M from "w" { trunk <- "trunk" }\ntrain M { stage s { from w; tune head } }',
    "freeze trunk; y = head(round(h)); loss l = mse(y, t); out y }\ntrain M { stage s { tune head } }",
    "y = head(detach(h)); loss l = mse(y, t); loss k = mse(h, t); out y }",
    "w = Buffer([4], init = ones); target c: int[B]; y = head(h); loss l = cross_entropy(y, c, weight = w); loss k = mse(y, t); out y }",
    "w = Parameter([4], init = ones); freeze w; target c: int[B]; y = head(h); loss l = cross_entropy(y, c, weight = w); out z = mse(y, t) }",
    "task a { out y = head(h) }; task b { out z = mse(h, t) } }",
    "seen = Buffer([], init = zeros); update seen = mean(x); y = head(h); loss l = mse(y, t); out y }",
    "y = head(h); loss l = mse(y, t); out y; entry e { in more: float[B, 4]; out z = head(more) } }",
]


def said(diagnostic: Diagnostic) -> str:
    return f"{diagnostic.code} at {diagnostic.span.text}: {diagnostic.message}"


def test_every_fact_is_planted() -> None:
    assert PLANTED.keys() == facts().keys()


@pytest.mark.parametrize(
    ("text", "expected"), [pytest.param(t, e, id=f"{name}-{i}") for name, rows in PLANTED.items() for i, (t, e) in enumerate(rows)]
)
def test_a_planted_fact_is_found_alone(text: str, expected: str) -> None:
    assert [said(d) for d in check_text(Source("spec.arch", HEAD + text)).diagnostics] == [expected]


@pytest.mark.parametrize("text", CLEAN)
def test_nothing_is_found_where_nothing_is_wrong(text: str) -> None:
    assert [said(d) for d in check_text(Source("spec.arch", HEAD + text)).diagnostics] == []


def test_a_stage_says_what_of_a_selector_it_can_t_train() -> None:
    text = "side = Linear(4, 4); y = head(h); loss l = mse(y, t); out y; out z = side(h) }\ntrain M { stage s { tune all } }"
    (found,) = check_text(Source("spec.arch", HEAD + text)).diagnostics
    assert said(found) == "A516 at all: 2 of the parameters that `all` trains get no gradient in this stage: `side.weight`, `side.bias`"
    assert found.help == "leave them out with `except`; the active losses are `l`"
