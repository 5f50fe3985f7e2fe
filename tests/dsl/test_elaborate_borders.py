"""What comes in and goes out: optional inputs, roles, draws, buffers, states and entries, functions, Python."""

from __future__ import annotations

import pytest

from archloom.compiler.check import check_text
from archloom.dsl.program import Body, NodeKind
from archloom.dsl.source import Source

from .elaborating import chain, codes, findings, model, outs, program, says


def inputs(body: Body) -> dict[str, str]:
    return {i.key: str(i.type) for i in body.inputs}


# ----------------------------------------------------------------------------------------------------- optional inputs


def test_an_input_may_stand_under_a_static_condition() -> None:
    text = "model M(m: bool = false) { in x: float[B, 4]; in mask: bool[B] if m; y = where(mask[:, none], x, 0.0) if m else x; out z = y }"
    assert inputs(program(text).eval) == {"x": "float[B, 4]"}
    assert inputs(program(text, params={"m": "true"}).eval) == {"x": "float[B, 4]", "mask": "bool[B]"}
    assert says(text.replace("if m else x", "")) == (
        "A211 at mask[:, none]: `none` can't be indexed; `mask` is absent here: read it only where it is given"
    )


POOL = "block Pool { in x: float[B, 4]; in mask: bool[B] if given(mask); y = where(mask[:, none], x, 0.0) if given(mask) else x; out z = y }\n"


def test_a_block_may_take_an_input_that_its_caller_need_not_give() -> None:
    text = (
        POOL + "model M { in x: float[B, 4]; in m: bool[B]; f = Pool(); out a = f(x); out b = f(x, m); out c = f(x, mask = m); out d = f(x, none) }"
    )
    body = program(text).eval
    assert [sorted(n.inputs) for n in body.nodes if n.kind is NodeKind.CALL] == [["x"], ["mask", "x"], ["mask", "x"], ["x"]]
    assert len(body.modules["f"].bodies) == 2


def test_an_absent_input_is_handed_on_as_absent() -> None:
    outer = "block Outer { in x: float[B, 4]; in mask: bool[B] if given(mask); f = Pool(); out y = f(x, mask) }\n"
    body = program(POOL + outer + "model M { in x: float[B, 4]; f = Outer(); out y = f(x) }").eval
    assert [n.target for n in body.nodes] == ["x", "f"]


def test_a_range_holds_a_value_at_every_size() -> None:
    body = program("model M { in x: float[B, S]; in at: int[B] in 5..S; in i: int[B] in 0..S; out y = at + i; out z = x }").eval
    assert [c.text for c in body.conditions] == ["S >= 6"]


def test_an_input_whose_condition_holds_must_be_given() -> None:
    block = "block Turn { in x: float[B, 4]; in cos, sin: float[B, 4] if given(cos); y = x * cos + x * sin if given(cos) else x; out z = y }\n"
    model = "model M {{ in x, cos, sin: float[B, 4]; turn = Turn(); out y = turn({}) }}"
    assert codes(block + model.format("x, cos = cos")) == ["A202"]
    assert codes(block + model.format("x, sin = sin")) == ["A201"]
    assert not codes(block + model.format("x, cos, sin"))


def test_a_needed_input_must_be_given() -> None:
    text = "block F { in x: float[B, 4]; in z: float[B, 4]; out y = x + z }\nmodel M { in x: float[B, 4]; f = F(); out y = f(x) }"
    assert says(text) == "A202 at f(x): `F` needs `z`; it takes `x`, `z`"
    assert says(text.replace("f(x) }", "f(x, zz = x) }")).startswith("A201 at zz = x: `F` takes no `zz`")
    assert says(text.replace("f(x) }", "f(x, x, x) }")) == "A201 at x: `F` takes no further argument without a name; it takes `x`, `z`"


# --------------------------------------------------------------------------------------------------- roles and ranges


def test_roles_and_ranges_are_kept() -> None:
    body = program(
        "model M(v: int = 9) { in image: float[B, 3, H, W] as picture(mean = 0.5, std = [0.5, 1, 2]); in ids: int[B, S] as tokens(v);"
        "in at: int[B] in 0..S; in t: int[B] in 1..=v; out y = image; out z = ids + at[:, none] + t[:, none] }"
    ).eval
    image, ids, at, t = body.inputs
    assert (image.role.name, image.role.arguments) == ("picture", {"mean": 0.5, "std": [0.5, 1, 2]})
    assert (ids.role.name, ids.role.arguments) == ("tokens", {"vocab": 9})
    assert at.range is not None and [str(edge) for edge in at.range] == ["0", "S"] and t.range == (1, 10)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("in i: float[B] as pictur(mean = 1)", "A501 at pictur(mean = 1): `pictur(mean = 1)` is no role of an input; did you mean `picture`?"),
        ("in i: int[B] in 5", "A501 at 5: `5` is no range of values; write `in 0..n`"),
        ("draw i: float[B] ~ norml(0, 1)", "A501 at norml(0, 1): `norml(0, 1)` is no distribution; did you mean `normal`?"),
        ("in i: flot[B]", "A212 at flot[B]: `flot[B]` is no tensor type; did you mean `float`?"),
        (
            "in i: int",
            "A212 at int: `int` alone is no tensor type: its shape is missing; write `int[B]` for one of each of B, `int[]` for a single one",
        ),
        ("in i: float[B, bool]", "A306 at bool: `bool` can't be a dimension; a dimension is a size, an index set, or arithmetic on sizes"),
        ("in i: float[B, c]", "A102 at c: `c` is not defined; a new size begins with a capital: `C`; a lower-case one is a parameter"),
        ("in i: float[B, -1]", "A303 at -1: the dimension `-1` is -1; a size that is not known has a name with a capital: `B`"),
        ("in i: float[..., 4]", "A306 at ...: `...` can't stand in a model's own input; name each dimension of the border"),
        ("in i: float[B, P * Q]", "A307 at P * Q: `P * Q` has several new sizes; give each new size an axis of its own in an earlier input"),
    ],
)
def test_inputs_that_are_wrong(line: str, said: str) -> None:
    found = check_text(Source("spec.arch", f"model M {{ in x: float[B, 4]; {line}; out y = x }}")).diagnostics
    texts = [f"{d.code} at {d.span.text}: {d.message}" + (f"; {d.help}" if d.help else "") for d in found if d.severity.value == "error"]
    assert texts == [said]


# ----------------------------------------------------------------------------------------------- draws, buffers, states


def test_a_draw_is_an_optional_input() -> None:
    body = program(
        "block F { in x: float[B, 4]; draw e: float[B, 4] ~ normal(0, 1); out y = x + e }\n"
        "model M { in x: float[B, 4]; f = F(); draw g: float[B, 4] ~ uniform(low = 0, high = 1); out y = f(x + g); out z = f(x, e = x) }"
    ).eval
    drawn = body.inputs[1]
    assert (drawn.key, drawn.optional) == ("g", True)
    assert body.nodes[drawn.node].attributes["distribution"].arguments == {"low": 0, "high": 1}
    assert codes("fn f(x: float[B]) { draw e: float[B] ~ normal(0, 1); out y = x + e }\nmodel M { in x: float[B]; out y = f(x) }") == ["A217"]


def test_buffers_are_updated_once_by_what_they_hold() -> None:
    body = model("n = Buffer([4], init = zeros); update n = n * 0.9 + mean(x, dim = 0); out y = x * n")
    assert [u.path for u in body.updates] == ["n"] and body.parameters["n"].buffer
    assert codes("model M { in x: float[B, 4]; n = Parameter([4]); update n = n + 1; out y = x * n }") == ["A506"]
    assert codes("model M { in x: float[B, 4]; n = Buffer([4]); update n = mean(x); out y = x * n }") == ["A506"]
    assert codes("model M { in x: float[B, 4]; n = Buffer([4], dtype = int); update n = mean(x, dim = 0); out y = x * float(n) }") == ["A506"]
    assert codes("model M { in x: float[B, 4]; n = Buffer([4]); update n = n + 1; update n = n + 2; out y = x * n }") == ["A105"]


CACHE = """block Memory(dim: int) {
  in x: float[B, S, dim]
  state seen: float[B, P, dim] = empty
  seen = append(seen, x, dim = 1)
  out y = x + mean(seen, dim = 1, keepdim = true)
}
model M(dim: int = 4, depth: int = 2) {
  in x: float[B, S, dim]
  h = x
  repeat i in 0..depth carry h { memory = Memory(dim); h = memory(h) }
  out y = h
  entry decode { in x: float[B, 1, dim]; out next = h }
}"""


def test_a_state_is_empty_in_the_plain_forward_and_lives_in_an_entry() -> None:
    found = program(CACHE)
    assert found.eval.states == [] and outs(found.eval) == {"y": "float[B, S, 4]"}
    entry = found.entries["decode"].eval
    assert [s.key for s in entry.states] == ["memory.0.seen", "memory.1.seen"] and all(s.grows == 1 for s in entry.states)
    assert inputs(entry) == {"x": "float[B, 1, 4]", "memory.0.seen": "float[B, P, 4]", "memory.1.seen": "float[B, P, 4]"}
    assert str(entry.type(entry.states[0].result)) in ("float[B, P + 1, 4]", "float[B, 1 + P, 4]") and outs(entry) == {"next": "float[B, 1, 4]"}
    assert list(found.eval.modules) == list(entry.modules)


def test_a_state_starts_empty_and_is_read_through_append() -> None:
    assert codes(CACHE.replace("= empty", "= zeros")) == ["A503"]
    assert codes(CACHE.replace("  seen = append(seen, x, dim = 1)\n", "")) == ["A415"]


FORK = """block Two(ts: index) { in x: float[B, 4]; for t in ts { f = Linear(4, 4); out h = f(x) }; out rest = x }
model M {
  index tasks = {a, b}
  two = Two(tasks)
  for t in tasks { in x: float[B[t], 4]; h = two(x).h[t] }
  task a { out y = h[a] }
  task b { out y = h[b] * 2 }
  entry e { ENTRY }
}"""


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ("in z: float[C, 4]; out s = two(z).h[a]", ["z"]),
        ("in z: float[C, 4]; out s = two(z).rest", ["z"]),
        ("in z: float[C, 4]; r = two(z); out s = r.h[a] + r.h[b]", ["z"]),
        ("out s = a.y", ["x.a", "x.b"]),
        ("out s = h[b]", ["x.a", "x.b"]),
        ("for t in tasks { out s = h[t] }", ["x.a", "x.b"]),
    ],
)
def test_an_entry_builds_on_what_it_names(entry: str, wanted: list[str]) -> None:
    body = program(FORK.replace("ENTRY", entry)).entries["e"].eval
    assert list(inputs(body)) == wanted


# ------------------------------------------------------------------------------------------------------------ functions


def test_a_function_is_elaborated_where_it_is_called() -> None:
    body = program(
        "fn f(x: float[B, D], k: int = 2) { y = x * k; out z = y + D }\nmodel M { in x: float[B, 4]; out y = f(x); out z = f(f(x), k = 3) }"
    ).eval
    assert outs(body) == {"y": "float[B, 4]", "z": "float[B, 4]"} and [n.kind for n in body.nodes if n.body] == []
    assert len([n for n in body.nodes if n.target == "mul"]) == 3
    assert chain(body, "z") == "add(mul(add(mul(x))))"


def test_a_function_in_a_task_gives_its_value_only() -> None:
    body = program("fn f(x: float[B]) { out y = -x }\nmodel M { in x: float[B]\n task a { out z = f(x) } }").eval
    assert [(o.task, o.name) for o in body.outputs] == [("a", "z")]


def test_functions_are_handed_on_and_give_records() -> None:
    text = "fn f(x: float[B, D]) { out y = x * 2 }\nfn g(x: float[B, D]) { out a = x; out b = -x }\n" \
           "block K(act: fn) { in x: float[B, 4]; out y = act(x) }\nmodel M { in x: float[B, 4]; k = K(f); j = K(gelu); r = g(x); out y = k(j(r.a)); out z = r.b }"  # fmt: skip
    assert outs(program(text).eval) == {"y": "float[B, 4]", "z": "float[B, 4]"}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("g = Linear(4, 4); out y = g(x)", "modules"), ("p = Parameter([4]); out y = x * p", "parameters"), ("loss z = mean(x); out y = x", "losses"),
        ("in z: float[B]; out y = x", "`in` or `target`"), ("state k: float[B, P] = empty; out y = x", "state"), ("out y = Linear(4, 4)(x)", "modules"),
    ],
)  # fmt: skip
def test_a_function_owns_nothing(line: str, what: str) -> None:
    found = says(f"fn f(x: float[B, D]) {{ {line} }}\nmodel M {{ in x: float[B, 4]; out y = f(x) }}")
    assert found.startswith("A217") and found.endswith(f"a `fn` has no {what} of its own; make it a `block`: what it owns gets a path by its name")


def test_a_function_without_result_or_with_other_sizes_is_wrong() -> None:
    assert codes("fn f(x: float[B]) { y = x }\nmodel M { in x: float[B]; out y = f(x) }") == ["A502"]
    assert codes("fn f(x: float[B, D], z: float[B, D]) { out y = x + z }\nmodel M { in x: float[B, 4]; in z: float[B, 5]; out y = f(x, z) }") == [
        "A301"
    ]
    assert codes("fn f(x: float[B, D]) { out y = x }\nmodel M { in x: float[B]; out y = f(x) }") == ["A306"]
    assert codes("fn f(x: float[B]) { out y = x }\nmodel M { in x: int[B]; out y = f(x) }") == ["A306"]


# --------------------------------------------------------------------------------------------------------------- Python


def test_python_enters_by_its_declared_signature() -> None:
    body = program(
        'extern block Solver(n: int) from "p.q:C" { in x: float[B, n]; out y: float[B, n]; out z: int[B] }\n'
        "model M { in x: float[B, 4]; s = Solver(4); r = s(x); out y = r.y; out z = r.z }"
    ).eval
    assert outs(body) == {"y": "float[B, 4]", "z": "int[B]"}
    assert body.modules["s"].extern == "p.q:C"


FN = 'extern fn match(c: float[B, L], m: bool[B, L] = none, k: int = 2, how: {most, least} = most, at: list[int] = []) -> int[B, k, 2 * L] from "p.q:f"\n'


@pytest.mark.parametrize(
    ("call", "type_", "statics"),
    [
        ("match(x)", "int[B, 2, 8]", {"m": None, "k": 2, "how": "most", "at": []}),
        ("match(x, m, k = 3, how = least)", "int[B, 3, 8]", {"k": 3, "how": "least", "at": []}),
        ("match(z, m = none, at = places)", "int[B, 2, 2 * S]", {"m": None, "k": 2, "how": "most", "at": [0, 1, 2]}),
        ("open(x)", "int[B, 1, 8]", {"m": None, "k": 1, "how": "most", "at": []}),
    ],
)
def test_extern_functions_are_operations(call: str, type_: str, statics: dict[str, object]) -> None:
    text = "model M { index places = 0..3; in x: float[B, 4]; in z: float[B, S]; in m: bool[B, 4]\n"
    text += f"  out a, b, c = x, z, m; open = match(k = 1, ...); out y = {call} }}"
    body = program(FN + text).eval
    assert outs(body)["y"] == type_
    assert body.nodes[-1].attributes == statics
    assert body.nodes[-1].target == "match"


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        ("match()", "A202", "`match` needs `c`"),
        ("match(x, k = 2, q = 1)", "A201", "`match` takes no `q`"),
        ("match(ids)", "A305", "`c` of `match` takes `float`, not `int`"),
        ("match(x[:, 0])", "A306", "`c` of `match` has 2 dimensions, not 1"),
        ("match(x, m[:, :3])", "A301", ""),
        ("match(x, k = size(x, 0))", "A206", "`k` must be a number that is known here, not `B`"),
        ("match(x, how = best)", "A213", "`best` is not one of the choices"),
        ("match(relu)", "A203", "`c` of `match` takes a tensor, not an operation"),
        ("match(none)", "A203", "`c` of `match` takes a tensor, not `none`"),
    ],
)
def test_wrong_calls_of_extern_functions(call: str, code: str, message: str) -> None:
    found = findings(FN + f"model M {{ in x: float[B, 4]; in ids: int[B, 4]; in m: bool[B, 4]; out y = {call} }}")
    assert [d.code for d in found] == [code]
    assert found[0].message.startswith(message)


def test_an_extern_block_only_declares() -> None:
    text = 'extern block S(n: int) from "a:B" { in x: float[B, n]; BODY out y: float[B, n] }\nmodel M { in x: float[B, 4]; s = S(4); out y = s(x) }'
    for body, place in (
        ("z = x * 2.0", "x * 2.0"),
        ("f = Linear(4, 4)", "f"),
        ("w = Parameter([4])", "w"),
        ("loss l = mean(x)", "loss l = mean(x)"),
    ):
        assert says(text.replace("BODY", f"{body};")).startswith(f"A208 at {place}: `S` is extern and computes nothing itself")
    assert codes(text.replace("BODY", "require n % 2 == 0; assert y[:, 0] uses x[:, 0];")) == []
    assert codes(text.replace("BODY ", "").replace("out y: float[B, n]", "out y: float[B, T]")) == ["A102"]


def test_a_result_has_no_sizes_of_its_own() -> None:
    text = 'extern fn f(x: float[B]) -> int[B, N] from "p.q:f"\nmodel M { in x: float[B]; out y = f(x) }'
    assert says(text).startswith("A102 at N: `N` is not defined")
    text = 'extern fn f(x: float[B], act: fn) -> int[B] from "p.q:f"\nmodel M { in x: float[B]; out y = f(x, relu) }'
    assert [d.message for d in findings(text)] == ["`act` can't be handed to Python: it is an operation"]


# ---------------------------------------------------------------------------------------------------------------- losses


def test_losses_of_blocks_belong_to_each_call() -> None:
    text = """block E { in x: float[B, 4]; f = Linear(4, 4); y = f(x); out y; loss small = 0.01 * mean(y); loss big = mean(y) * 2 }
    model M { in x: float[B, 4]; h = x; repeat i in 0..2 carry h { e = E(); h = e(h) }; g = E(); z = g(g(h)); out y = z
      task a { target t: float[B, 4]; out w = h; loss fit = 2 * 0.5 * mse(h, t); loss all = sum(losses(**.small)[*]); loss one = sum(losses(g.small)[*]) } }"""
    found = {loss.path: (loss.weight, loss.task) for loss in program(text).eval.losses}
    assert found == {
        "e.0.small": (0.01, None), "e.0.big": (1.0, None), "e.1.small": (0.01, None), "e.1.big": (1.0, None), "g.small": (0.01, None),
        "g.big": (1.0, None), "g#2.small": (0.01, None), "g#2.big": (1.0, None), "a.fit": (2.0, "a"), "a.all": (1.0, "a"), "a.one": (1.0, "a"),
    }  # fmt: skip


def test_losses_are_scalars_and_families_in_loops() -> None:
    body = model("index ts = {a, b}; for t in ts { loss p = mean(x) }; out y = sum(p[*]) * x")
    assert [loss.path for loss in body.losses] == ["p.a", "p.b"]
    assert says("model M { in x: float[B, 4]; out y = x; loss a = x }") == (
        "A505 at x: the loss `a` must be a scalar float, not `float[B, 4]`; reduce it: `mean(...)` or `sum(...)`"
    )
    assert codes("model M { in x: float[B, 4]; out y = x; loss a = 3 }") == ["A505"]
    assert codes("model M { in x: float[B, 4]; out y = x; loss a = sum(losses(**.none)[*]) }") == ["A508"]


COLLECTED = """block E { in x: float[B, 4]; f = Linear(4, 4); y = f(x); out y; loss small = 0.01 * mean(y); loss big = mean(y) }
block W { in x: float[B, 4]; index ks = {u, v}; for k in ks { e = E(); h = e(x) }; out y = sum(h[*]) }
model M(n: int = 2) {
  in x: float[B, 4]
  h = x
  repeat i in 0..n carry h { e = E(); h = e(e(h)); count = len(losses(e.small)) }
  g, w = E(), W()
  z = g(g(h))
  out y = z + w(z)
"""


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ("g.small", 2), ("e[1].small", 2), ("e[*].small", 4), ("w.e[u].small", 1), ("w.e[*]", 4), ("w.**", 4), ("**.small", 8), ("w, g", 8),
        ("all except **.big", 8), ("{g, w}.**.small", 4),
    ],
)  # fmt: skip
def test_losses_are_collected_by_selectors(selector: str, count: int) -> None:
    assert not findings(f"{COLLECTED}assert len(losses({selector})) == {count} and all(count[i] == 2 for i in 0..n) }}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("losses(e[*].smal)", "A508 at smal: `e[*].smal` matches nothing: there is no `smal` in `e`; did you mean `small`?"),
        ("losses(e[5].small)", "A508 at 5: `e[5].small` matches nothing: `e` has no member `5`; its members are `0`, `1`"),
        (
            "losses(h * 2)",
            "A525 at h * 2: `h * 2` is no selector; a selector is a path, such as `lm.fork[generate]`, `layers[*].attn.{q, v}` or `**.norm`",
        ),
    ],
)
def test_a_selector_of_losses_that_selects_none(text: str, said: str) -> None:
    assert says(f"{COLLECTED}loss l = sum({text}[*]) }}") == said


def test_losses_of_a_loop_without_steps_are_none() -> None:
    text = f"{COLLECTED}loss fit = mean(y); loss early = sum(losses(e[*].small)[*]) }}"
    assert "early" in {loss.path for loss in program(text).eval.losses}
    assert "early" not in {loss.path for loss in program(text, params={"n": 0}).eval.losses}
