"""Loops and families: what is carried, what is born, how it is read afterwards, and the paths of modules."""

from __future__ import annotations

import pytest

from .elaborating import chain, codes, model, outs, owned, says


def wrong(body: str) -> str:
    return says(f"model M {{ in x: float[B, 4]; {body} }}")


# ------------------------------------------------------------------------------------------------------------ carry


def test_a_carried_value_goes_from_step_to_step() -> None:
    body = model("h = x; repeat i in 0..3 carry h { f = Linear(4, 4); h = f(h) }; out y = h")
    assert chain(body, "y") == "f.2(f.1(f.0(x)))"
    assert owned(body) == ["f.0", "f.1", "f.2"]


def test_a_carried_value_may_change_its_type() -> None:
    body = model("h = x; repeat i in 0..3 carry h { h = concat([h, h], dim = 1) }; out y = h")
    assert outs(body) == {"y": "float[B, 32]"}


def test_a_carried_value_may_be_static() -> None:
    body = model("n = 4; h = x; repeat i in 0..3 carry n, h { f = Linear(n, n + 1); h = f(h); n = n + 1 }; out y = h")
    assert outs(body) == {"y": "float[B, 7]"}


def test_without_steps_a_carried_value_stays() -> None:
    assert chain(model("h = x; repeat i in 0..0 carry h { h = relu(h) }; out y = h"), "y") == "x"


def test_two_values_are_carried_together() -> None:
    body = model("a = x; b = -x; repeat i in 0..2 carry a, b { a, b = b, a + b }; out y = a; out z = b")
    assert chain(body, "y") == "add(x, neg(x))"
    assert chain(body, "z") == "add(neg(x), add(x, neg(x)))"


def test_a_family_is_carried_and_its_members_written() -> None:
    body = model(
        "index ts = {a, b}; for t in ts { m = x }; repeat l in 0..2 carry m { for t in ts { f = Linear(4, 4); m[t] = m[t] + f(m[t]) } }; out y = m[*]"
    )
    assert chain(body, "y", "a") == "add(add(x, f.0.a(x)), f.1.a(add(x, f.0.a(x))))"
    assert owned(body) == ["f.0.a", "f.0.b", "f.1.a", "f.1.b"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "h = x; repeat i in 0..3 { h = relu(h) }; out y = h",
            "A401 at h: `h` is bound before the loop and rebound inside, but not carried; "
            "write `carry h` before the brace to hand `h` from step to step, or choose a new name",
        ),
        (
            "for t in {a, b} { x = relu(x) }; out y = x",
            "A402 at x: `x` is bound before the loop and rebound inside a `for`; "
            "steps of a `for` are independent: choose a new name, write `x[t] = ...`, or use `repeat ... carry x`",
        ),
        (
            "repeat i in 0..3 carry h { h = relu(x) }; out y = h",
            "A416 at h: `h` is carried but not bound before the loop; "
            "bind `h` before the loop; a value that needs no start is read as `h[i - 1]`",
        ),
        (
            "h = x; repeat i in 0..3 carry h, x { h = relu(h + x) }; out y = h",
            "A418 at x: `x` is carried but never rebound in the loop; leave it out of `carry`: names from outside can be read without it",
        ),
        (
            "index ts = {a, b}; for t in ts { h = x }; for t in ts { h[a] = relu(h[t]) }; out y = h[*]",
            "A402 at a: this `for` may only write its own member of `h`; write `h[t] = ...`; steps of a `for` are independent",
        ),
        (
            "for t in {a, b} { t = relu(x) }; out y = x",
            "A405 at t: `t` is this loop's variable; choose another name",
        ),
    ],
)  # fmt: skip
def test_what_may_not_be_written(body: str, said: str) -> None:
    assert wrong(body) == said


# --------------------------------------------------------------------------------------------------- families after


def test_a_name_born_in_a_loop_is_a_family_after_it() -> None:
    body = model("for t in {a, b} { h = x * 2 }; out y = h[a]; out z = sum(h[*])")
    assert chain(body, "y") == "mul(x)" and chain(body, "z") == "add(mul(x), mul(x))"


def test_a_family_is_never_read_bare() -> None:
    said = "`h` is a family over `{a, b}` here, not one value; write `h[*]` for the whole family, or `h[i]` for one member"
    assert wrong("for t in {a, b} { h = x }; out y = relu(h)") == f"A404 at h: {said}"
    assert wrong("for t in {a, b} { h = x }; out y = sum(h)") == f"A404 at h: {said}"
    assert wrong("for t in {a, b} { h = x }; out y = h + h") == f"A404 at h: {said}"


def test_nested_families_take_all_their_members() -> None:
    loops = "index ls = 0..2; index ts = {a, b}; for l in ls { for t in ts { f = Linear(4, 4); h = f(x) } };"
    body = model(f"{loops} out one = h[1, b]; out row = h[.., b]; out column = h[1]; out all = h[*]; out star = h[*, a]")
    assert chain(body, "one") == "f.1.b(x)"
    assert list(outs(body)) == [
        "one", "row.0", "row.1", "column.a", "column.b", "all.0.a", "all.0.b", "all.1.a", "all.1.b", "star.0", "star.1",
    ]  # fmt: skip
    assert chain(body, "row", 0) == "f.0.b(x)"
    assert codes(f"model M {{ in x: float[B, 4]; {loops} out y = relu(h[1]) }}") == ["A203"]
    assert codes(f"model M {{ in x: float[B, 4]; {loops} out y = h[1, b, 0] }}") == ["A211"]


def test_families_are_cut_by_member() -> None:
    body = model(
        "index ls = {low, mid, high, top}; for l in ls { f = Linear(4, 4); h = f(x) };"
        "out a = h[mid..]; out b = h[..mid]; out c = h[..=mid]; out d = h[mid..=high]; index few = ls except {mid}; out e = h[few]"
    )
    by_name: dict[str, list[str]] = {}
    for name in outs(body):
        by_name.setdefault(name.split(".")[0], []).append(name.split(".")[1])
    assert by_name == {"a": ["mid", "high", "top"], "b": ["low"], "c": ["low", "mid"], "d": ["mid", "high"], "e": ["low", "high", "top"]}


def test_numbers_are_members_too_not_positions() -> None:
    body = model("for i in 2..6 { f = Linear(4, 4); h = f(x) }; out a = h[4..]; out b = h[..=3]; out c = h[5]")
    assert [name for name in outs(body)] == ["a.4", "a.5", "b.2", "b.3", "c"]
    assert wrong("for i in 2..6 { h = x }; out c = h[1]") == "A407 at 1: `1` is no member of `2..6`; its members are `2`, `3`, `4`, `5`"


def test_a_family_under_an_if_is_partial() -> None:
    loop = "index ts = {a, b, c}; for t in ts { if t != b { h = x * 2 } };"
    assert list(outs(model(f"{loop} out y = h[*]"))) == ["y.a", "y.c"]
    assert wrong(f"{loop} out y = h[b]") == "A407 at b: `h` has no member `b` here; it is bound for `a`, `c`"


def test_a_filter_makes_a_partial_family() -> None:
    assert list(outs(model("index ts = {a, b, c}; for t in ts if t != b { h = x * 2 }; out y = h[*]"))) == ["y.a", "y.c"]


def test_a_loop_without_steps_leaves_empty_families() -> None:
    body = model("n = 0; for i in 0..n { f = Linear(4, 4); h = f(x) }; out y = sum(h[*]) + x")
    assert chain(body, "y") == "add(x)" or chain(body, "y") == "add(0, x)"
    assert codes("model M { in x: float[B, 4]; for i in 0..0 { h = x }; out y = mean(h[*]) + x }") == ["A409"]
    assert codes("model M(at: list[int] = []) { in x: float[B, 4]; assert all(a < 3 for a in at) and not any(a < 3 for a in at); out y = x }") == []


def test_a_later_loop_starts_a_new_family_of_values() -> None:
    body = model("for t in {a, b} { h = relu(x) }; for t in {a, b} { h = -x }; out y = h[a]")
    assert chain(body, "y") == "neg(x)"


def test_a_later_loop_that_reads_the_old_family_writes_members() -> None:
    assert codes("model M { in x: float[B, 4]; for t in {a, b} { h = x }; for t in {a, b} { h = -h[t] }; out y = h[a] }") == ["A402"]
    body = model("index ts = {a, b}; for t in ts { h = x }; for t in ts { h[t] = -h[t] }; out y = h[a]")
    assert chain(body, "y") == "neg(x)"


def test_modules_are_never_born_twice_under_one_path() -> None:
    text = "index ls = 0..4; for i in ls[..3] { f = Linear(4, 4); h = f(x) }; for i in ls[2..] { f = Linear(4, 4); g = f(x) }; out y = h[*]; out z = g[*]"
    assert wrong(text).startswith("A106 at f: the module `f.2` is made twice; a module's name is bound once")


def test_two_loops_over_disjoint_sets_make_one_family_of_modules() -> None:
    body = model(
        "index ls = 0..4; for i in ls[..2] { f = Linear(4, 4); h = f(x) }; for i in ls[2..] { f = Linear(4, 4); h = f(-x) }; out y = f[3](f[0](x)); out z = f[2](f[1](x))"
    )
    assert chain(body, "y") == "f.3(f.0(x))"
    assert owned(body) == ["f.0", "f.1", "f.2", "f.3"]


# ----------------------------------------------------------------------------------------------------- earlier steps


def test_an_earlier_step_is_read_by_the_variable_less_a_number() -> None:
    body = model("repeat i in 0..4 { h = relu(x) if i < 2 else h[i - 1] + h[i - 2] }; out y = h[3]")
    assert chain(body, "y") == "add(add(relu(x), relu(x)), relu(x))"


def test_an_earlier_step_of_named_members_is_counted_in_their_order() -> None:
    body = model("index ls = {low, mid, high}; repeat l in ls { h = relu(x) if l == low else -h[l - 1] }; out y = h[high]")
    assert chain(body, "y") == "neg(neg(relu(x)))"


def test_an_earlier_step_is_meant_even_where_this_one_is_bound() -> None:
    body = model("repeat i in 0..2 { h = relu(x); if i > 0 { g = h + h[i - 1] } }; out y = g[1]; out z = h[0]")
    assert chain(body, "y") == "add(relu(x), relu(x))"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "repeat i in 0..4 { h = relu(h[i - 1]) }; out y = h[3]",
            "A407 at i - 1: `h` has no member `-1` yet; members so far: none; guard the first steps with `if`",
        ),
        (
            "repeat i in 0..4 { h = relu(x) if i == 0 else h[i - 3] }; out y = h[3]",
            "A407 at i - 3: `h` has no member `-2` yet; members so far: `0`; guard the first steps with `if`",
        ),
        (
            "for i in 0..4 { h = relu(x) if i == 0 else h[i - 1] }; out y = h[3]",
            "A402 at h[i - 1]: `h[i - 1]` reads another step, and the steps of a `for` are independent; hand `h` from step to step in a `repeat`",
        ),
        (
            "for i in 0..4 { h = relu(x) if i == 0 else h[0] }; out y = h[3]",
            "A402 at h: `h` is another step's, and the steps of a `for` are independent; "
            "bind `h` before reading it here, or hand it from step to step in a `repeat`",
        ),
        (
            "repeat i in 0..3 { z = x if i == 0 else relu(h); h = z }; out y = h[2]",
            "A403 at h: `h` is not bound yet in this step of the loop over `0..3`; "
            "bind `h` before reading it here, or read an earlier step as `h[i - 1]` with the loop's variable",
        ),
    ],
)  # fmt: skip
def test_earlier_steps_that_are_not_there(body: str, said: str) -> None:
    assert wrong(body) == said


# ------------------------------------------------------------------------------------------------- sets and variables


def test_sets_have_algebra() -> None:
    body = model(
        "index a = {u, v}; index b = {w}; index c = a + b; index d = c except {u}; index p = {(i, j) for i in a for j in b};"
        "assert c == {u, v, w} and d == {v, w} and len(p) == 2 and u in c and w not in a; assert len(c[v..]) == 2 and c[-1] == w;"
        "for q in p { h = x * 2 }; out y = h[(v, w)];"
    )
    assert chain(body, "y") == "mul(x)"


def test_tuples_are_unpacked() -> None:
    body = model("for (a, b) in {(1, 2), (3, 4)} { h = x * (a + b) }; out y = h[(3, 4)]")
    assert body.nodes[body.outputs[0].ref.node].attributes["b"] == 7


def test_a_member_is_its_name_in_paths_and_its_place_in_tensors() -> None:
    body = model(
        "index ts = {a, b, c}; index dense = ts[b..]; in z: float[B, ts]; for t in dense { f = Linear(4, 4); h = f(x) + z[:, t, none] }; out y = h[*]"
    )
    assert owned(body) == ["f.b", "f.c"]
    assert [n.attributes["items"][1] for n in body.nodes if n.target == "index"] == [1, 2]


def test_numbers_in_paths_have_no_dots() -> None:
    assert owned(model("for p in [0.5, -1] { f = Linear(4, 4); h = f(x) }; out y = h[*]")) == ["f.0_5", "f.m1"]
    assert codes('model M { in x: float[B, 4]; for p in ["a.b", "c"] { f = Linear(4, 4); h = f(x) }; out y = h[*] }') == ["A111"]


def test_words_in_a_set_are_members_even_where_a_value_has_the_name() -> None:
    body = model("depth = 3; index ts = {seg, depth}; c = {seg: 1, depth: 2}; for t in ts { h = x * c[t] }; out y = h[depth]; assert c[depth] == 2")
    assert body.nodes[body.outputs[0].ref.node].attributes["b"] == 2


def test_variables_of_loops_stand_for_their_members_in_sets_and_maps() -> None:
    body = model("index ts = {a, b}; c = {t: len(ts) for t in ts}; out y = x * c[b]; for t in ts { d = {t: 3}; h = x * d[t] }; out z = h[*]")
    assert list(outs(body)) == ["y", "z.a", "z.b"]
