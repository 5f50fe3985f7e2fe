"""Dimensions and indexing: what introduces a symbol, the three verdicts, matching at calls, index sets as axes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archloom.compiler.check import check_text, describe
from archloom.dsl.source import Source

from .elaborating import codes, outs, program, says

HALVES = "block Halves { in x: float[B, 2 * N]; out y = mean(x) * zeros([N]) }\n"


def verdict(body: str) -> tuple[str, list[str]]:
    """Return `valid`, `valid if` or `invalid` with the open conditions or the messages."""
    result = check_text(Source("spec.arch", f"{HALVES}model M {{ {body} }}"))
    errors = [d.message for d in result.diagnostics if d.severity.value == "error"]
    if errors:
        return "invalid", errors
    opened = [c.text for c in result.programs["M"].eval.conditions if not c.given]
    return ("valid if" if opened else "valid"), opened


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("in x: float[B, S]; out y = x + x", ("valid", [])),
        ("in x: float[B, 1]; in z: float[B, 4]; out y = x + z", ("valid", [])),
        ("in x: float[B, S]; in z: float[B, T]; require S == T; out y = x + z", ("valid", [])),
        ("in x: float[B, S]; require S % 4 == 0; out y = reshape(x, [B, S / 4, 4])", ("valid", [])),
        ("in x: float[B, S]; out y = reshape(x, [B, S / 4, 4])", ("valid if", ["S % 4 == 0"])),
        ("in x: float[B, 2 * N]; out y = reshape(x, [B, N, 2])", ("valid", [])),
        ("in x: float[B, S]; out y = x[:, :S // 2] + x[:, S // 2:]", ("valid if", ["floor(S / 2) == ceil(S / 2)"])),
        ("in x: float[B, S]; f = Halves(); out y = f(x)", ("valid if", ["S % 2 == 0"])),
        ("in x: float[B, 2 * S]; f = Halves(); out y = f(x)", ("valid", [])),
        ("in x: float[B, S]; out y = x[:, 3:]", ("valid if", ["S >= 3"])),
        ("in x: float[B, S]; require S >= 8; out y = x[:, 3:]", ("valid", [])),
        ("in x: float[B, H, W]; out y = reshape(x, [B, H * W]); out z = reshape(y, [B, W, H])", ("valid", [])),
        ("in x: float[B, S]; out y = x + zeros([B, S + 1])",
         ("invalid", ["`add`: axis -1 of `a` and `b`, `[B, S]` and `[B, S + 1]`: `S` is not `S + 1`, fails at S = 2"])),
        ("in x: float[B, S]; in z: float[B, T]; out y = x + z",
         ("invalid", ["`add`: axis -1 of `a` and `b`, `[B, S]` and `[B, T]`: `S` is not `T`, fails at S = 2, T = 3"])),
        ("in x: float[B, N]; in z: float[B, 4]; out y = x + z",
         ("invalid", ["`add`: axis -1 of `a` and `b`, `[B, N]` and `[B, 4]`: `N` is not `4`, fails at N = 2"])),
        ("in x: float[B, S]; require S == S + 1; out y = x", ("invalid", ["`S == S + 1` can never hold"])),
        ("in x: float[B, S]; require S % 2 == 0 and S >= 4; assert S + S >= 8 and 2 * S % 4 == 0; out y = x", ("valid", [])),
        ("in x: float[B, S]; assert S > 1; out y = x", ("invalid", ["`S > 1` is not proved"])),
        ("in x: float[B, 4]; n = BatchNorm1d(4); out y = n(x)", ("valid if", ["B >= 2 in training"])),
        ("in x: float[B, 4, S]; n = BatchNorm1d(4); out y = n(x)", ("valid if", ["max(B, S) >= 2 in training"])),
        ("in x: float[B, 4, S]; n = BatchNorm1d(4, track = false); out y = n(x)", ("valid if", ["max(B, S) >= 2"])),
        ("in x: float[B, 4, 2]; n = BatchNorm1d(4); out y = n(x)", ("valid", [])),
        ("in x: float[B, 4]; require B >= 2; n = BatchNorm1d(4); out y = n(x)", ("valid", [])),
        ("in x: float[B, 4]; n = BatchNorm1d(4); freeze n; out y = n(x)", ("valid", [])),
        ("in x: float[1, 4]; n = BatchNorm1d(4); freeze n; out y = n(x)", ("valid", [])),
        ("in x: float[1, 4]; n = BatchNorm1d(4); out y = n(x)",
         ("invalid", ["`n` can't run in training: each channel of `x` needs more than one value, as their variance is taken"])),
        ("in x: float[B, 4]; require B == 1; n = BatchNorm1d(4); out y = n(x)",
         ("invalid", ["`n` can't run in training: each channel of `x` needs more than one value, as their variance is taken, fails at B = 1"])),
    ],
)  # fmt: skip
def test_three_verdicts(body: str, expected: tuple[str, list[str]]) -> None:
    assert verdict(body) == expected


def test_what_is_asked_in_training_conflicts_with_nothing_in_evaluation() -> None:
    body = "in x: float[1, 4]; n = BatchNorm1d(4); freeze n; h = -x if training else x; out y = n(h)"
    result = check_text(Source("spec.arch", f"model M {{ {body} }}"))
    assert result.diagnostics == () and len(result.report) == 3


@given(
    st.lists(st.sampled_from(["B", "S", "T", "4", "1", "2 * S"]), min_size=1, max_size=3),
    st.lists(st.sampled_from(["B", "S", "T", "4", "1", "2 * S"]), min_size=1, max_size=3),
)
def test_broadcasting_is_that_of_pytorch_at_every_size(left: list[str], right: list[str]) -> None:
    """Valid means that it runs at all sizes, invalid that some sizes break it."""
    verdict_, _ = verdict(f"in s: float[B, S, T]; in x: float[{', '.join(left)}]; in z: float[{', '.join(right)}]; out y = x + z; out u = s")

    def runs(sizes: dict[str, int]) -> bool:
        one, two = ([eval(axis, {}, sizes) for axis in side] for side in (left, right))  # sizes that this file wrote
        return all(a == b or 1 in (a, b) for a, b in zip(reversed(one), reversed(two), strict=False))

    always = all(runs(dict(zip("BST", sizes, strict=True))) for sizes in itertools.product((2, 3, 5), repeat=3))
    assert verdict_ == ("valid" if always else "invalid")


def test_what_training_asks_is_known_by_the_module_that_asks() -> None:
    """At the place in the model where it was made, also where another block calls it or steps are copied; `check` says it once."""
    text = """
    block Inner(norm: module) { in x: float[B, 4, S]; own = BatchNorm1d(4); out y = norm(own(x)) }
    model M {
      in x: float[B, 4, S]
      shared = BatchNorm1d(4)
      repeat i in 0..7 carry x { layer = Inner(shared); x = layer(x) }
      head = BatchNorm1d(4)
      out y = head(mean(x, dim = 2))
      freeze layer[1]
    }"""
    made = program(text)
    asking = {c.module for c in made.eval.conditions}
    assert asking == {"shared", "head", *(f"layer.{i}.own" for i in range(7) if i != 1)}
    assert [line.strip() for line in describe(made) if "valid" in line] == ["valid if B >= 2 in training"]


def test_only_inputs_introduce_symbols_by_a_capital() -> None:
    assert codes("model M { in x: float[B, dmi]; out y = x }") == ["A102"]
    assert codes("model M(dmi: int = 4) { in x: float[B, dmi]; out y = x }") == []
    assert says("model M { in x: float[B, 4]; out y = zeros([B, N]) }") == (
        "A102 at N: `N` is not defined; a dimension is introduced by a type in `in`, `target` or `state`, for instance `in x: float[B, N]`"
    )


def test_symbols_of_a_block_are_fresh_at_each_call() -> None:
    text = "block F { in x: float[N, 4]; out y = relu(x) }\nmodel M { in x: float[B, 4]; in z: float[C, 4]; f = F(); out y = f(x); out w = f(z) }"
    assert outs(program(text).eval) == {"y": "float[B, 4]", "w": "float[C, 4]"}
    two = (
        text.replace("in x: float[N, 4]; out", "in x: float[N, 4]; in z: float[N, 4]; out")
        .replace("relu(x)", "x + z")
        .replace("f(x); out w = f(z)", "f(x, z)")
    )
    assert codes(two) == ["A301"]


def test_a_number_at_the_call_is_static_in_the_block() -> None:
    text = """block F { in x: float[B, D]; if D > 6 { y = x } else { y = -x }; f = Linear(D, D // 2); repeat i in 0..D carry y { y = y * 2 }; out z = f(y) }
    model M { in x: float[B, 8]; f = F(); out y = f(x) }"""
    assert outs(program(text).eval) == {"y": "float[B, 4]"}
    assert codes(text.replace("float[B, 8]", "float[B, S]")) == ["A206", "A206"]


def test_the_ellipsis_stands_for_the_same_axes_in_all_inputs() -> None:
    text = "block F {{ in x: float[..., 4]; in z: float[..., 4]; out y = x + z }}\nmodel M {{ in x: float[B, S, 4]; in z: float[B, 4]; f = F(); out y = f({}) }}"
    assert codes(text.format("x, x")) == ["A120"]
    assert says(text.format("x, z")) == (
        "A306 at z: `z` of `F` has 3 dimensions, not 2; it takes `float[..., 4]`, and `...` stands for the same axes in all inputs of a call; given is `float[B, 4]`"
    )


@pytest.mark.parametrize(
    ("declared", "given_", "result"),
    [
        ("float[B, 2 * N]", "float[B, 8]", 4), ("float[B, 2 * N]", "float[B, 7]", None), ("float[B, N + 1]", "float[B, 5]", 4),
        ("float[B, N / 2]", "float[B, 5]", 10), ("float[N, N]", "float[4, 4]", 4), ("float[N, N]", "float[4, 5]", None),
        ("float[N, 2 * N + 1]", "float[3, 7]", 3), ("float[N, 2 * N + 1]", "float[3, 8]", None),
    ],
)  # fmt: skip
def test_a_size_is_solved_from_what_is_given(declared: str, given_: str, result: int | None) -> None:
    text = f"block F {{ in x: {declared}; out y = zeros([N]) + mean(x) }}\nmodel M {{ in x: {given_}; f = F(); out y = f(x) }}"
    if result is None:
        assert set(codes(text)) <= {"A301", "A302"} and codes(text)
    else:
        assert outs(program(text).eval) == {"y": f"float[{result}]"}


def test_a_family_of_sizes_has_one_for_each_member() -> None:
    text = "model M { index ts = {a, b}; in x[t in ts]: float[B[t], S[t], 4]; for t in ts { y = mean(x[t], dim = 1) }; out y = y[*]; out z = x[a] * B[b] }"
    assert outs(program(text).eval) == {"y.a": "float[B[a], 4]", "y.b": "float[B[b], 4]", "z": "float[B[a], S[a], 4]"}
    assert codes("model M { index ts = {a, b}; in x[t in ts]: float[B[t], 4]; out y = x[a] + x[b] }") == ["A301"]


# ------------------------------------------------------------------------------------------------- sets as dimensions


def test_an_index_set_is_a_dimension_of_its_own() -> None:
    text = """model M {
      index ex = 0..4; index few = ex[..2]; in x: float[B, ex]; f = Linear(ex, ex); g = Linear(4, 3)
      out a = f(x) + zeros([4]); out b = g(x); out c = x[:, few]; out d = x[:, 2:]; out e = sum(x[:, e] for e in ex); out h = x + x; out l = x * len(ex)
    }"""
    assert outs(program(text).eval) == {
        "a": "float[B, 4]", "b": "float[B, 3]", "c": "float[B, few]", "d": "float[B, 2]", "e": "float[B]", "h": "float[B, ex]", "l": "float[B, ex]",
    }  # fmt: skip


def test_an_index_set_is_never_another_of_its_size() -> None:
    assert says("model M { index ex = 0..4; index ts = {a, b, c, d}; in x: float[B, ex]; in z: float[B, ts]; out y = x + z }") == (
        "A301 at x + z: `add`: axis -1 of `a` and `b`, `[B, ex]` and `[B, ts]`: `ex` and `ts` are different index sets; "
        "`ex` has 4 members (0, 1, 2, 3); `ts` has 4 members (a, b, c, d)"
    )


def test_stacking_a_family_makes_its_set_an_axis() -> None:
    text = "model M { index ts = {a, b, c}; in x: float[B, 4]; for t in ts { h = x * 2 }; s = stack(h[*], dim = 1); out y = s; parts = split(s, ts, dim = 1); out z = parts[b] }"
    assert outs(program(text).eval) == {"y": "float[B, ts, 4]", "z": "float[B, 1, 4]"}


@pytest.mark.parametrize(
    ("index", "type_"),
    [
        ("x[0]", "float[S, 4]"), ("x[:, -1]", "float[B, 4]"), ("x[..., 0]", "float[B, S]"), ("x[:, 1:]", "float[B, S - 1, 4]"), ("x[none]", "float[1, B, S, 4]"),
        ("x[..., none]", "float[B, S, 4, 1]"), ("x[:, :, ::2]", "float[B, S, 2]"), ("x[:, :, 1:3]", "float[B, S, 2]"), ("x[:, :, -3:]", "float[B, S, 3]"),
        ("x[:, none, :, 0]", "float[B, 1, S]"), ("x[..., 2:][..., 0]", "float[B, S]"),
    ],
)  # fmt: skip
def test_tensors_are_indexed_by_position(index: str, type_: str) -> None:
    assert outs(program(f"model M {{ in x: float[B, S, 4]; require S >= 2; out y = {index} }}").eval) == {"y": type_}


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("x[0..2]", "A211 at 0..2: `0..2` cuts families and sets, not tensors; write `a:b` for positions of a tensor, `:` for all"),
        ("x[i]", "A211 at i: a tensor can't be indexed by a tensor; write `take(x, indices, dim = 0)` or `gather(x, indices, dim = 1)`"),
        ("x[:, :, 4]", "A303"), ("x[0, 0, 0, 0]", "A324"), ("x[:, :, 0:6]", "A303"), ("x[0.5]", "A211"), ("x[*]", "A211"), ("x[true]", "A211"),
        ("x[[0, 1]]", "A211"),
    ],
)  # fmt: skip
def test_positions_that_are_wrong(index: str, said: str) -> None:
    text = f"model M {{ in x: float[B, 3, 4]; in i: int[B]; out y = {index}; out z = i }}"
    assert says(text).startswith(said) if len(said) == 4 else says(text) == said


def test_a_position_that_is_negative_at_every_size_counts_from_the_end() -> None:
    body = program(
        "model M { in x: float[B, S, 4]; in y: float[B, T, 4]; z = concat([x, y], dim = 1)\n"
        "out tail = z[:, -T:]; out front = z[:, :-T]; out last = z[:, -T]; out open = z[:, S - T:] }"
    ).eval
    assert outs(body) == {"tail": "float[B, T, 4]", "front": "float[B, S, 4]", "last": "float[B, 4]", "open": "float[B, 2 * T, 4]"}
    assert [c.text for c in body.conditions] == ["S >= T"]
