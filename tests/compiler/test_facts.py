"""Each fact is found where it is planted, and nothing else."""

from __future__ import annotations

import pytest

from archloom.compiler.check import check_text
from archloom.compiler.facts import facts
from archloom.compiler.facts.view import STEPS
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
    "idle_block_inputs": [
        (
            "two = Two(); y = head(two(h, x)); loss l = mse(y, t); out y }\n"
            "block Two() { in x: float[B, 4]; in m: float[B, 4]; z = m + 1; out y = 2 * x }",
            "A120 at m: the input `m` is read, but nothing that `Two` gives depends on it",
        ),
        (
            "in m: float[B, 4]; two = Two(); y = head(two(h, m)); loss l = mse(y, t); out y }\n"
            "block One() { in x: float[B, 4]; in m: float[B, 4]; z = m + 1; out y = 2 * x }\n"
            "block Two() { in x: float[B, 4]; in n: float[B, 4]; one = One(); out y = one(x, n * 2) }",
            "A120 at m: the input `m` is read, but nothing that `One` gives depends on it",
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
        (
            "two = Four(4); y = head(two(h)); loss l = mse(y, t); out y }\n"
            "block Four(n: int) { in x: float[B, n]; a = Linear(n, n); for i in 0..5 { b = Linear(n, n); z = b(x) }; out y = a(x) + z[4] }",
            "A122 at two: no output and no loss depends on `two.b.0`, `two.b.1`, `two.b.2` and 1 more (80 parameters)",
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
        (
            "gate = Linear(4, 1); y = head(h) * softmax(gate(x), dim = -1); loss l = mse(y, t); out y }",
            "A553 at gate: the losses depend on `gate` (5 parameters), but no gradient reaches it",
        ),
        (
            "side = Linear(4, 4); y = head(h) + 0.0 * side(x); loss l = mse(y, t); out y }",
            "A553 at side: the losses depend on `side` (20 parameters), but no gradient reaches it",
        ),
    ],
    "severed_losses": [
        (
            "y = head(h); loss l = mse(y, t); loss k = mse(detach(y), t); out y }",
            f"A557 at loss k = mse(detach(y), t): the loss `k` gives no parameter a gradient: every way to one goes through {STEPS}",
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
        ),
        (
            "y = head(h); loss l = mse(y, t); loss k = l1(y, t); out y }\ntrain M { stage s { tune all; weight k = 0 } }",
            "A533 at loss k = l1(y, t): no stage uses the loss `k`",
        ),
    ],
    "idle_parameters": [
        (
            "y = head(h); loss l = mse(y, t); out y }\ntrain M { stage s { tune head } }",
            "A530 at trunk: no stage trains `trunk` (20 parameters), and no weights map fills it: it stays as it was initialised",
        ),
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
    "in z: float[B]; out z; y = head(h); loss l = mse(y, t) }",
    "y = head(h); loss l = mse(y, t); loss off = 0.0 * l1(y, t); out y }",
    "two = Two(); y = head(two(h, x)); loss l = mse(y, t); out y }\n"
    "block Two(add: bool = false) { in x: float[B, 4]; in m: float[B, 4]; z = m + 1; out y = x + z if add else x }",
    "two = Two(true); one = Two(false); y = head(two(one(h, x), x)); loss l = mse(y, t); out y }\n"
    "block Two(add: bool) { in x: float[B, 4]; in m: float[B, 4]; z = m + 1; if add { x = x + z }; out y = x }",
    "tie trunk.weight, head.weight; y = head(h); loss l = mse(y, t); out y }\ntrain M { stage s { tune all } }",
    "tie trunk.weight, head.weight; freeze trunk.weight, head.weight; y = head(h); loss l = mse(y, t); out y }\ntrain M { stage s { tune all } }",
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


def test_what_only_a_stage_makes_is_looked_at_too() -> None:
    text = HEAD.replace("model M {", "model M(more: bool = false) {")
    text += "if more { extra = Linear(4, 4); h = extra(h) }; y = head(h); loss l = mse(y, t); out y }\n"
    stages = "train M { stage a { tune all }; stage b { from a; set more = true; tune head } }"
    assert [said(d) for d in check_text(Source("spec.arch", text + stages)).diagnostics] == [
        "A530 at extra: no stage trains `extra` (20 parameters), and no weights map fills it: it stays as it was initialised"
    ]
    assert [said(d) for d in check_text(Source("spec.arch", text + stages.replace("tune head", "tune extra"))).diagnostics] == []


NEVER = "block Two() { in x: float[B, 4]; in n: float[B, 4]; out y = 2 * x }"
UNREAD = "in m: float[B, 4]; two = Two(); y = head(two(h, m * 2)); loss l = mse(y, t); out y }\n"


@pytest.mark.parametrize(
    "text",
    [
        UNREAD + NEVER,
        UNREAD.replace("two = Two()", "two = One()") + NEVER + "\nblock One() { in x: float[B, 4]; in m: float[B, 4]; f = Two(); out y = f(x, m) }",
    ],
)
def test_what_goes_into_an_unread_input_of_a_block_is_told_there_alone(text: str) -> None:
    assert [said(d) for d in check_text(Source("spec.arch", HEAD + text)).diagnostics] == ["A120 at n: the input `n` is never read"]


def test_what_goes_into_an_unread_input_of_another_file_is_told_there_alone() -> None:
    text = "import .other.Two\n" + HEAD + UNREAD
    found = check_text(Source("spec.arch", text), beside=lambda source, module: Source("other.arch", f"arch 1\n{NEVER}\n"))
    assert [said(d) for d in found.diagnostics] == ["A120 at n: the input `n` is never read"]


TIED = "tie trunk.weight, head.weight; y = head(h); loss l = mse(y, t); out y }\n"
ONE_SIDED = [
    (TIED + "train M { stage s { tune head, trunk.bias } }", "A534 at head: `tune head` trains `trunk.weight` too: it is tied to `head.weight`"),
    (
        TIED + "train M { stage a { tune all }; stage b { tune all except head } }",
        "A534 at all except head: `tune all except head` leaves out `trunk.weight`, too: it is tied to `head.weight`",
    ),
    (
        "freeze head; " + TIED + "train M { stage s { tune all } }",
        "A534 at head: `freeze head` freezes `trunk.weight` too: it is tied to `head.weight`",
    ),
]


@pytest.mark.parametrize(("text", "expected"), ONE_SIDED)
def test_what_names_one_side_of_a_tie_is_told(text: str, expected: str) -> None:
    assert [said(d) for d in check_text(Source("spec.arch", HEAD + text)).diagnostics] == [expected]


def test_what_a_tie_freezes_because_a_block_freezes_its_side_is_told() -> None:
    block = "block Still { in x: float[B, 4]; f = Linear(4, 4); freeze f; out y = f(x) }\n"
    text = (
        "still = Still(); tie still.f.weight, head.weight; y = head(still(h)); loss l = mse(y, t); out y }\ntrain M { stage s { tune trunk, head } }"
    )
    found = [said(d) for d in check_text(Source("spec.arch", block + HEAD + text)).diagnostics]
    assert found == ["A534 at tie still.f.weight, head.weight: `head.weight` is frozen, too: it is tied to `still.f.weight`, which its block freezes"]


def test_a_stage_can_not_undo_a_tie() -> None:
    text = (HEAD + TIED).replace("model M {", "model M(tied: bool = true) {").replace("tie trunk", "if tied { tie trunk").replace("; y", " }; y")
    text += "train M { stage s { set tied = false; tune all } }"
    assert [said(d) for d in check_text(Source("spec.arch", text)).diagnostics] == [
        "A520 at set tied = false: with what the stage `s` sets, `head.weight`, `trunk.weight` are not one tensor"
    ]


def test_a_loss_over_one_class_teaches_nothing() -> None:
    text = "y = head(h); one = Linear(4, 1); target c: int[B]; loss l = mse(y, t); loss k = cross_entropy(one(x), c); out y; out z = one(x) }"
    assert [said(d) for d in check_text(Source("spec.arch", HEAD + text)).diagnostics] == [
        f"A557 at loss k = cross_entropy(one(x), c): the loss `k` gives no parameter a gradient: every way to one goes through {STEPS}"
    ]


def test_a_loss_that_a_block_cuts_off_is_told_of_the_loss() -> None:
    block = "block Far { in a: float[B, 4]; in b: float[B, 4]; out d = mean(square(detach(a) - b)) }\n"
    text = f"{block}{HEAD}far = Far(); y = head(h); out y; loss l = far(y, t) }}"
    assert [said(d) for d in check_text(Source("spec.arch", text)).diagnostics] == [
        f"A557 at loss l = far(y, t): the loss `l` gives no parameter a gradient: every way to one goes through {STEPS}"
    ]


def test_a_stage_without_a_loss_trains_nothing() -> None:
    text = "y = head(h); task a { out y; loss l = mse(y, t) }; task b { out z = h; loss k = mse(h, t) } }\n"
    stages = "train M { stage a { tasks a; tune head; weight l = 0 }; stage b { tune all } }"
    (found,) = check_text(Source("spec.arch", HEAD + text + stages)).diagnostics
    assert said(found) == "A516 at head: no loss of this stage depends on `head`: it gets no gradient"
    assert found.help == "the stage has no loss"


def test_a_rule_that_fills_nothing_is_told() -> None:
    text = 'y = head(h); loss l = mse(y, t); out y }\nweights w for M from "w" { trunk except trunk.{weight, bias} <- "t" }'
    assert [said(d) for d in check_text(Source("spec.arch", HEAD + text)).diagnostics] == [
        "A601 at trunk except trunk.{weight, bias}: `trunk except trunk.{weight, bias}` fills nothing: `except` takes away all of it"
    ]


@pytest.mark.parametrize("parameter", ["m: float[B, 4]", "k: int = 3"])
def test_what_a_function_takes_is_read(parameter: str) -> None:
    name, passed = parameter[0], "f(h, x)" if parameter[0] == "m" else "f(h)"
    text = f"y = head({passed}); loss l = mse(y, t); out y }}\nfn f(x: float[B, 4], {parameter}) {{ out y = 2 * x }}"
    assert [said(d) for d in check_text(Source("spec.arch", HEAD + text)).diagnostics] == [
        f"A121 at {parameter}: the parameter `{name}` is never read"
    ]


def test_what_a_function_reads_under_the_name_of_an_input_does_not_read_the_input() -> None:
    text = "in m: float[B, 4]; y = head(f(h)); loss l = mse(y, t); out y }\nfn f(m: float[B, 4]) { out y = 2 * m }"
    assert [said(d) for d in check_text(Source("spec.arch", HEAD + text)).diagnostics] == ["A120 at m: the input `m` is never read"]


def test_a_loss_that_goes_into_another_is_used() -> None:
    text = """
block E { in x: float[B, 4]; f = Linear(4, 4); y = f(x); out y; loss small = mean(square(y)) }
model M {
  in x: float[B, 4]; target t: float[B, 4]
  repeat i in 0..2 carry x { e = E(); x = e(x) }
  out y = x
  loss fit = mse(y, t); loss size = sum(losses(**.small)[*])
}
train M { stage s { tune all; losses fit, size } }
"""
    for steps in (1, 2):
        assert check_text(Source("spec.arch", text.replace("0..2", f"0..{steps}"))).diagnostics == ()
    without = check_text(Source("spec.arch", text.replace("fit, size }", "fit }"))).diagnostics
    assert [d.message for d in without] == ["no stage uses the loss `e.1.small`", "no stage uses the loss `size`"]
