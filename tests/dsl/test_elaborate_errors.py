"""Errors: each once, all in one run, none that only follows from another; the texts of the commonest mistakes."""

from __future__ import annotations

import pytest

from archloom.dsl.diagnostics import Severity

from .elaborating import codes, findings

# ------------------------------------------------------------------------------------------------------- once, and all


def test_an_error_in_a_block_used_often_is_reported_once_with_the_use_that_led_there() -> None:
    (found,) = findings(
        "block F(dim: int) { in x: float[B, dim]; f = Linear(dim, dim + 1); out y = x + f(x) }\n"
        "block G(dim: int) { in x: float[B, dim]; f = F(dim); out y = f(x) }\n"
        "model M { in x: float[B, 4]; h = x; repeat i in 0..12 carry h { g = G(4); h = g(h) }; k = G(4); out y = k(h) }"
    )
    assert found.code == "A301" and found.span.text == "x + f(x)"
    assert [(label.span.line, label.text) for label in found.labels if "use of" in label.text] == [
        (2, "in this use of `F`"),
        (3, "in this use of `G`"),
    ]


def test_an_error_inside_the_library_stands_at_the_callers_line() -> None:
    (found,) = findings(
        "import encoder.PostNormLayer\nmodel M { in x: float[B, S, 8]\n  layer = PostNormLayer(8, heads = 3, ffn = 16)\n  out y = layer(x) }"
    )
    assert found.span.source.name == "spec.arch" and found.span.text == "layer(x)" and found.message.startswith("in `PostNormLayer`: ")
    assert found.labels[0].span.source.name != "spec.arch" and found.labels[0].text.startswith("found here, inside `")


def test_independent_errors_come_in_one_run() -> None:
    text = """block F { in x: float[B, 4]; out y = softmx(x) }
    model M {
      in x: float[B, 4]
      f = F(); a = f(x)
      g = Linear(4); b = g(x)
      h = Linear(5, 4); c = h(x)
      for t in {p, q} { d = x + yy }
      e = a + b + c
      task one { out o = x + nothing; loss l = x }
      if 1 > 2 { z = unknown(x) }
      out y = zeros([B, N])
    }
    model O { in x: float[B]; out y = x + 1 / 0 }
    model K { in x: float[B] out y = x }"""
    assert codes(text) == ["A018", "A102", "A202", "A301", "A102", "A102", "A505", "A102", "A102", "A204"]


@pytest.mark.parametrize(
    "text",
    [
        "model M { in x: float[B, 4]; y = reluu(x); z = y + 1; w = relu(z); out u = w; loss l = mean(w) }",
        "model M { in x: float[B, 4]; f = Linear(4); g = f; y = f(x); out u = y + f.weight }",
        "model M { in x: flot[B, 4]; y = x + 1; out u = y }",
        "model M { index s = {a, a}; in x: float[B, s]; for t in s { h = x[:, t] }; out u = sum(h[*]) }",
        "model M { in x: float[B, 4]; for t in {a, b} { h = softmx(x); g = relu(h) }; out u = sum(h[*]) + g[a] }",
        "model M { in x: float[B, 4]; h = x; repeat i in 0..4 carry h { h = softmx(h) }; out u = relu(h) }",
        "model M { in x: float[B, 4]; h = softmx(x); repeat i in 0..4 carry h { f = Linear(4, 4); h = f(h) }; out u = relu(h) }",
        "block F { in x: float[B, 4]; y = softmx(x); out z = y }\nmodel M { in x: float[B, 4]; f = F(); g = F(); out y = f(x) + g(x); assert params(f) == 0 }",
        "fn f(x: float[B]) { y = softmx(x); out z = y }\nmodel M { in x: float[B]; a = f(x); out y = f(a) }",
        "model M(n: int = 1 / 2) { in x: float[B, n]; f = Linear(n, n); out y = f(x) }",
        "a = 1 / 0\nmodel M { in x: float[B]; out y = x * a }\nmodel N { in x: float[B]; out y = x + a }",
        "model M { in x: float[B, 4]\n task a { y = softmx(x); out z = y; loss l = mean(y) }\n task b { out w = relu(a.y) } }",
        "model M { in x: float[B, 4]; if x > 0 { y = x } else { y = -x }; out z = y }",
        "model M { in x: float[B, 4]; p = Parameter([softmx]); out y = x * p; tie p, p; freeze p }",
        "model M { in x: float[B, 4]; a, b = softmx(x); out y = a + b }",
        "model M { index s = {a, 2 / 0}; in x[t in s]: float[B]; in y: float[B]; out z = y }",
        "import nowhere.Thing\nmodel M { in x: float[B, 4]; t = Thing(4); out y = t(x) }",
        "model M(dim: int = 2) { in x: float[B] y = x; out y }\nmodel N = M(dim = 3)",
        "block F { in x: float[B; out y = x }\nmodel M { in x: float[B, 4]; f = F(); out y = f(x) }",
    ],
)
def test_nothing_is_reported_that_follows_from_an_error(text: str) -> None:
    found = [d for d in findings(text) if d.severity is Severity.ERROR]
    assert len(found) == 1, [f"{d.code} {d.message}" for d in found]


# --------------------------------------------------------------------------------------------- thirty common mistakes

LINE = "model M(dim: int = 4, kind: {{add, gated}} = add) {{\n  in x: float[B, S, dim]\n  in ids: int[B, S]\n  used = dim if kind == add else ids\n  {}\n  out y = x\n}}"

MISTAKES: list[tuple[str, str, str, str | None]] = [
    ("z = reluu(x)", "A102", "`reluu` is not defined", "did you mean `relu`?"),
    ("z = x + hiden", "A102", "`hiden` is not defined", "bind it above, make it a parameter, or import it"),
    ("f = Linear(dim, 4, bias == false)", "A102", "`bias` is not defined", "`==` compares, and an argument is given by `=`: write `bias = false`"),
    ("z = softmax(x, bias == 1)", "A102", "`bias` is not defined", "bind it above, make it a parameter, or import it"),
    ("m = SwiGLU(4, 8)", "A102", "`SwiGLU` is not defined", "the library has it: write `import ffn.SwiGLU`"),
    ("z = zeros([B, T])", "A102", "`T` is not defined", "a dimension is introduced by a type in `in`, `target` or `state`, for instance `in x: float[B, T]`"),
    ("f = Linear(dim, dims = 4)", "A201", "`Linear` takes no `dims`", "it takes `din`, `dout`, [`bias`], [`init`], [`init_bias`]"),
    ("f = Linear(dim, 4, baias = false)", "A201", "`Linear` takes no `baias`", "did you mean `bias`?"),
    ("f = Linear(dim)", "A202", "`Linear` needs `dout`", "it takes `din`, `dout`, [`bias`], [`init`], [`init_bias`]"),
    ("f = Linear(S, 4)", "A206", "`din` must be a number that is known here, not `S`",
     "give the model a parameter for it, `H: int = 224`; a size only known at run time can't shape a module"),
    ("f = Linear(dim, 8); z = f(x) + x", "A301", "`add`: axis -1 of `a` and `b`, `[B, S, 8]` and `[B, S, 4]`: `8` is not `4`",
     "sizes must be equal, or one of them 1; `x[:, none]` puts in an axis of 1"),
    ("f = Linear(8, 4); z = f(x)", "A301", "`Linear`: the last axis of `x` and `din`: `4` is not `8`", "the labels show where both come from: change one"),
    ("z = softmax(ids, dim = -1)", "A305", "`softmax`: `x` is `int`, and must be a float", "convert it: `float(x)`"),
    ("z = x * ids", "A321", "`mul`: `a` is float and `b` is int",
     "nothing is converted by itself: write `float(...)` or `int(...)` around one of them"),
    ("z = softmax(x, dim = 3)", "A304", "`softmax`: `dim` is 3, and the tensor has 3 axes", "axes count from 0 to 2, or from the end from -1 to -3"),
    ("if x > 0 { z = x }", "A207", "a condition must be static, not a tensor", "choose between tensors with `where(condition, a, b)`"),
    ("z = x if S > 4 else -x", "A206", "`S > 4` depends on a size that isn't known here",
     "a static condition needs a size that is a number: make it a parameter, or `require` it"),
    ("z = x and x", "A203", "`and` is for static facts, not tensors", "write `&` between tensors of bool"),
    ("z = x if kind == ad else -x", "A213", "`ad` is not one of the choices", "did you mean `add`?"),
    ('z = x if kind == "add" else -x', "A213", 'the string "add" is not one of the choices', "they are `add`, `gated`, without quotes"),
    ("repeat i in 0..3 { x = relu(x) }", "A401", "`x` is bound before the loop and rebound inside, but not carried",
     "write `carry x` before the brace to hand `x` from step to step, or choose a new name"),
    ("for t in {a, b} { h = x }; z = relu(h)", "A404", "`h` is a family over `{a, b}` here, not one value",
     "write `h[*]` for the whole family, or `h[i]` for one member"),
    ("for t in {a, b} { h = x }; z = relu(h[*])", "A203", "`x` of `relu` takes a tensor, not a family over `{a, b}`",
     "no operation lifts over a family: name one member, or write a loop over them"),
    ("for t in {a, b} { h = x }; z = h[c]", "A407", "`c` is no member of `{a, b}`", "its members are `a`, `b`"),
    ("for i in 4 { h = x }", "A208", "can't run over `4`", "write `0..4`"),
    ("f = Linear(dim, 4); f = Linear(4, 4)", "A106", "the module `f` is made twice",
     "a module's name is bound once in its scope: rename one, or call the first again to share it"),
    ("z = relu(Linear(dim, 4)(x))", "A108", "this `Linear` has parameters but no name",
     "make it first, `name = Linear(...)`, then call `name(...)`: the name is its path in the state dict"),
    ("x = Linear(dim, 4)(x)", "A108", "this `Linear` would be called `x`, which is bound already",
     "make the module first under a name of its own, `f = Linear(...)`, then write `x = f(...)`"),
    ("relu(x)", "A112", "`relu(x)` does nothing: its value is not bound", "write `name = relu(x)` or `out y = relu(x)`"),
    ("loss = mean(x)", "A113", "`loss` is bound here but never read", "write `loss NAME = ...` for the statement"),
    ("loss l = square(x)", "A505", "the loss `l` must be a scalar float, not `float[B, S, 4]`", "reduce it: `mean(...)` or `sum(...)`"),
    ("z = x[ids]", "A211", "a tensor can't be indexed by a tensor", "write `take(x, indices, dim = 0)` or `gather(x, indices, dim = 1)`"),
    ("z = reshape(x, [B, dim])", "A301", "`reshape`: the elements of `x` and of the new shape: `4 * B * S` is not `4 * B`, fails at B = 2, S = 3",
     "if they are always equal, say so: `require 4 * B * S == 4 * B`"),
    ("z = x.relu", "A104", "a tensor has no `relu`", "operations are functions here: write `relu(x, ...)`"),
    ("z = kind.logits", "A104", "the choice `add` has no `logits`", None),
    ("a, b = x", "A215", "a tensor `float[B, S, 4]` can't be given to 2 names",
     "cut a tensor with `chunk(x, n, dim)` or `unbind(x, dim)`; several results, a list and a family can be given to several names"),
    ("z = dim(x)", "A216", "`4` can't be called", "blocks, modules and operations can"),
    ("task a { z = x }", "A502", "the task `a` has neither an output nor a loss", "end it with `out y = ...`"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "message", "help"), MISTAKES, ids=[line for line, *_ in MISTAKES])
def test_what_is_said_of_common_mistakes(line: str, code: str, message: str, help: str | None) -> None:
    found = [d for d in findings(LINE.format(line)) if d.severity is Severity.ERROR]
    assert [(d.code, d.message, d.help) for d in found] == [(code, message, help)]
    assert found[0].span.line == 5


def test_messages_keep_their_form() -> None:
    for line, *_ in MISTAKES:
        for found in findings(LINE.format(line)):
            for text in (found.message, found.help or "x"):
                assert not text.endswith(".") and (text[0].islower() or text[0] in "`" or text.startswith("PyTorch")), text


AXES = " ".join(f"a{i}" for i in range(3000))


@pytest.mark.parametrize(
    "line",
    [
        f'z = rearrange(x, "{AXES}")',
        f'z = rearrange(x, "b s d e {AXES} -> b s d")',
        f'z = rearrange(x, "b s d -> b s d {AXES}")',
        f'z = rearrange(x, "b b {AXES} -> b")',
        f'z = rearrange(x, "(b {AXES} -> b")',
        f'z = repeat(x, "b s d -> b s d {AXES}")',
        f'z = einsum("{AXES} -> a0", x)',
        f'z = einsum("b? {AXES} -> a0", x)',
        f'z = einsum("b s d -> {AXES}", x)',
    ],
    ids=str.split("halves left new twice open repeat term letter right"),
)
def test_of_a_long_pattern_a_message_shows_the_ends(line: str) -> None:
    [found] = [d for d in findings(LINE.format(line)) if d.severity is Severity.ERROR]
    assert len(found.message) < 200 and len(found.help or "") < 200, found.message[:500]
