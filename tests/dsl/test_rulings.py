"""Clauses of the language's rulings, each with the smallest texts that must pass, and give what is computed by hand, or must not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

import archloom
from archloom.dsl.elaborate.values import place

from .elaborating import codes

Values = dict[str, Tensor]
Hand = Callable[[Values, Mapping[str, Tensor]], Values]


def text(body: str) -> str:
    """Return a whole text: a body alone is that of a model with one input."""
    return body if "model " in body else f"model M {{ in x: float[B, 4]; {body} }}"


def flat(value: Any, path: str = "") -> Values:
    """Return the tensors of an output by their dotted paths."""
    if isinstance(value, Tensor):
        return {path: value}
    return {key: found for name, inner in value.items() for key, found in flat(inner, f"{path}.{name}".strip(".")).items()}


def steps(count: int, step: Callable[[Any], Any], start: Any) -> Any:
    """Return what `count` steps make of a start."""
    for _ in range(count):
        start = step(start)
    return start


def half(p: str) -> Hand:
    return lambda i, w: {"y": linear(i["x"], w[f"{p}.weight"], w[f"{p}.bias"])}


VALUES: list[tuple[str, Hand]] = [
    # what a long loop hands on, where a carried value is an outer one for a step
    (
        "in p: float[B, 4]; in q: float[B, 4]; a = p; b = x; c = q; repeat i in 0..12 carry a, b, c { s = relu(a) + x; a = b; b = c; c = s }; out y = a - b + c",
        lambda i, w: {"y": (lambda s: s[0] - s[1] + s[2])(steps(12, lambda s: (s[1], s[2], s[0].relu() + i["x"]), (i["p"], i["x"], i["q"])))},
    ),
    (
        "in p: float[B, 4]; a = p; b = x; repeat i in 0..12 carry a, b { a, b = b, a * 0.5 + x }; out y = a",
        lambda i, w: {"y": steps(12, lambda s: (s[1], s[0] * 0.5 + i["x"]), (i["p"], i["x"]))[0]},
    ),
    # paths in nesting order; tasks are no part of them
    ("for t in {a, b} { repeat i in 7..9 { fork = Linear(4, 4) } }; out y = fork[b, 8](x)", half("fork.b.8")),
    ("for t in {a} { task t { head = Linear(4, 4); out y = head(x) } }", lambda i, w: {"a.y": half("head.a")(i, w)["y"]}),
    # members: names mean positions in their declared set, numbers themselves
    ("index s = {a, b, c, d}; for t in s[c..] { h = x[:, t] * t }; out y = h[d]", lambda i, w: {"y": i["x"][:, 3] * 3}),
    ("depth = 3; index s = {seg, depth}; for t in s { h = x * t }; out y = h[depth] * depth + x[:, s.depth, none]", lambda i, w: {"y": i["x"] * 3 + i["x"][:, 1:2]}),
    # families
    ("index s = {a, b}; for t in s { h = x }; repeat i in 0..3 carry h { for t in s { h[t] = h[t] * 2 } }; out y = h[*]", lambda i, w: {"y.a": i["x"] * 8, "y.b": i["x"] * 8}),
    ("for l in 0..2 { for t in {a, b} { h = x * l } }; out y = stack(h[.., a], dim = 0)", lambda i, w: {"y": torch.stack([i["x"] * 0, i["x"]])}),
    ("index s = {a, b, c}; for t in s { if t != b { h = x } }; out y = sum(h[*])", lambda i, w: {"y": i["x"] * 2}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "hand"), VALUES)
def test_what_passes_gives_what_is_computed_by_hand(body: str, hand: Hand) -> None:
    model = archloom.compile(text(body)).eval()
    inputs = model.example_inputs()
    found, wanted = flat(model(**inputs)), hand(inputs, model.state_dict())
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value)


REFUSED = [
    # steps of a `for` read no member that another step writes
    ("index s = {a, b}; for t in s { h = x }; for t in s { z = h[a] * 2; h[t] = z }; out y = h[*]", "A402"),
    ("index s = {a, b}; for t in s { h = x }; for t in s { h[t] = sum(h[*]) }; out y = h[*]", "A402"),
    ("index s = {a, b}; h[t in s] = x; for t in s { h[t] = sum(h[u] for u in s) }; out y = h[*]", "A402"),
    ("block P { in x: float[B, 4]; out a = x; out b = -x }\nmodel M { in x: float[B, 4]; for t in 0..2 { p = P(); r = p(x) }; out y = concat(r.a, dim = 0) }", "A404"),
    # paths are a tree
    ("f = Linear(4, 4); for t in {a} { task t { f = Linear(4, 4); out y = f(x) } }; out z = f(x)", "A106"),
    ("for t in {a} { task t { f = Linear(4, 4); out y = f(x) } }; f = Linear(4, 4); out z = f(x)", "A106"),
    ("w = Parameter([4]); for t in {a} { task t { w = Parameter([4]); out y = w * x } }; out z = w * x", "A107"),
    ('for t in {("a.b", 1), ("c", 2)} { f = Linear(4, 4); h = f(x) }; out y = h[*]', "A111"),
    # capitals
    ("block low { in x: float[B]; out y = x }\nmodel M { in x: float[B]; f = low(); out y = f(x) }", "A114"),
    ("fn Up(x: float[B]) { out y = x }\nmodel M { in x: float[B]; out y = Up(x) }", "A114"),
    ("model m { in x: float[B]; out y = x }", "A114"),
    # words of statements
    *[(f"{word} = mean(x); out y = x", "A113") for word in ("assert", "entry", "renamed", "repeat", "tie", "loss", "out")],
    # sets hold different members
    ('index s = {u, "u"}; out y = x', "A412"),
    ("index s = {1, 1.0}; out y = x", "A412"),
    # only `in`, `target` and `state` introduce sizes
    ("draw e: float[B, K] ~ normal(0, 1); out y = x + mean(e)", "A102"),
    # what is trained is float, and an initialiser fills what it can
    ("w = Parameter([4], dtype = int); out y = x * float(w)", "A305"),
    ("w = Buffer([4], dtype = int, init = 0.5); out y = x * float(w)", "A305"),
    ("w = Buffer([4], dtype = int, init = normal(std = 1)); out y = x * float(w)", "A203"),
    ("w = Parameter([4], init = xavier_uniform); out y = x * w", "A203"),
    ("f = Linear(4, 4, init_bias = orthogonal); out y = f(x)", "A203"),
    # parameters are static
    ("model M(w: float[B, 4] = 0) { in x: float[B, 4]; out y = x * w }", "A212"),
    # what a border says of values fits its type
    ("in i: float[B, S] as tokens(9); out y = i; out z = x", "A305"),
    ("in i: int[B, S] as tokens(0); out y = i; out z = x", "A501"),
    ("in i: float[B, 3] as picture(mean = 0.5); out y = i; out z = x", "A306"),
    ("in i: float[B, 3, H, W] as picture(mean = [0.5, 0.5]); out y = i; out z = x", "A501"),
    ("in i: float[B, 3, H, W] as picture(std = 0); out y = i; out z = x", "A501"),
    ("in i: int[B] in 5..5; out y = i; out z = x", "A406"),
    ("in i: bool[B] in 0..2; out y = i; out z = x", "A305"),
    ("draw e: int[B] ~ normal(0, 1); out y = x * e", "A305"),
    ("draw e: float[B] ~ permutation(B); out y = x * e[:, none]", "A305"),
    ("draw e: float[B] ~ normal(x, 1); out y = x * e[:, none]", "A203"),
    ("draw e: float[B] ~ uniform(1, 0); out y = x * e[:, none]", "A501"),
    ("draw e: float[B] ~ bernoulli(2); out y = x * e[:, none]", "A501"),
    ("draw e: int[4] ~ permutation(3); out y = take(x, e, dim = 1)", "A303"),
    # caches grow along the axis that they introduce
    ("state k: float[B, P] = empty; k = append(k, x, dim = 0); out y = mean(k) * x", "A503"),
    ("state k: float[B, P] = empty; k = append(k, x[:, :, none], dim = 1); out y = mean(k) * x", "A306"),
    ("state k: float[4, P] = empty; k = append(k, x, dim = 1); out y = mean(k) * x", "A301"),
    # entries give something, once; results have names that mean one thing
    ("out y = x; entry d { in x: float[B, 4] }", "A502"),
    ("out y = x; entry d { out z = x }; entry d { out z = x }", "A105"),
    ("out loss = x", "A105"),
    ("task losses { out y = x }", "A105"),
    # the arm that is not taken holds no unknown name
    ("y = x if 1 < 2 else nope(x); out z = y", "A102"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code"), REFUSED)
def test_what_must_not_pass_does_not(body: str, code: str) -> None:
    assert codes(text(body)) == [code]


def test_blocks_may_not_nest_deeper_than_can_be_followed() -> None:
    blocks = [f"block A{i} {{ in x: float[B]; a = A{i + 1}(); out y = a(x) }}" for i in range(200)]
    last = "block A200 { in x: float[B]; out y = x }\nmodel M { in x: float[B]; a = A0(); out y = a(x) }"
    assert set(codes("\n".join([*blocks, last]))) in ({"A805"}, {"A905"})


def test_a_large_set_is_not_searched_for_each_name() -> None:
    members = tuple(range(100_000))
    assert [place(members, key) for key in (99_999, 7, "x", 1.0, None, [1])] == [99_999, 7, None, 1, None, None]
