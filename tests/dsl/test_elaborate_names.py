"""Names, scopes and paths: blocks, tasks, modules and what is handed on."""

from __future__ import annotations

import pytest

from archloom.dsl.diagnostics import Severity
from archloom.dsl.program import NodeKind

from .elaborating import bodies, chain, codes, findings, model, outs, owned, program, says

# ----------------------------------------------------------------------------------------------------------- scopes


def test_a_block_sees_nothing_of_its_caller() -> None:
    assert says(
        "block F { in x: float[B]; out y = x * dim }\nmodel M(dim: int = 4) { in x: float[B]; f = F(); z = dim; out y = f(x) * z }"
    ).startswith("A102 at dim: `dim` is not defined")


def test_loops_make_no_scope_for_paths_and_tasks_none_either() -> None:
    body = model("index ts = {a, b}; for t in ts { task t { head = Linear(4, 4); out y = head(x) } }; out z = a.y + b.y")
    assert owned(body) == ["head.a", "head.b"]
    assert chain(body, "z") == "add(head.a(x), head.b(x))"


def test_a_task_is_a_scope_for_names_and_is_read_by_its_name() -> None:
    text = "model M {{ in x: float[B, 4]\n task a {{ z = relu(x); out y = z }}\n task b {{ out w = {} }} }}"
    assert chain(program(text.format("-a.y + a.z")).eval, "w") == "add(neg(relu(x)), relu(x))"
    assert says(text.format("z")).startswith("A102 at z: `z` is not defined")
    assert says(text.format("a.zz")) == "A104 at zz: the task `a` has no `zz`; did you mean `z`?"


def test_modules_of_two_tasks_share_one_set_of_paths() -> None:
    assert codes("model M { in x: float[B, 4]\n task a { f = Linear(4, 4); out y = f(x) }\n task b { f = Linear(4, 4); out y = f(x) } }") == ["A106"]


def test_inputs_of_one_name_in_several_tasks_are_one_family() -> None:
    body = program("model M { task a { in x: float[B, 4]; out y = x }\n task b { in x: float[B, 5]; out y = x } }").eval
    assert [(i.name, i.members, i.task) for i in body.inputs] == [("x", ("a",), "a"), ("x", ("b",), "b")]
    assert codes("model M { in x: float[B, 4]; out z = x\n task a { in x: float[B, 4]; out y = x } }") == ["A105"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("task a { task b { out y = x } }", "A507 at task b { out y = x }: the task `b` stands inside the task `a`; tasks stand beside each other"),
        ("task a { out y = x }; task a { out z = x }", "A105 at task a { out z = x }: the task `a` is declared twice; a task is written once"),
        ("task a { z = x }", "A502 at task a { z = x }: the task `a` has neither an output nor a loss; end it with `out y = ...`"),
        ("out a = x; task a { out y = x }", "A105 at task a { out y = x }: `a` is an output of the model and a task; results are read by their names: rename one of them"),
        ("z = x", "A502 at model M { in x: float[B, 4]; z = x }: `M` has no `out`; end it with `out y = ...`"),
        ("out y = x; out y = -x", "A105 at y: the output `y` is declared twice; rename one of them"),
        ("out y = x; loss a = mean(x); loss a = sum(x)", "A105 at loss a = sum(x): the loss `a` is declared twice; rename one of them"),
        ("in x: float[B]; out y = x", "A105 at x: the input `x` is declared twice; rename one of them"),
    ],
)  # fmt: skip
def test_borders_that_are_wrong(body: str, said: str) -> None:
    assert says(f"model M {{ in x: float[B, 4]; {body} }}") == said


# ---------------------------------------------------------------------------------------------------------- modules


def test_a_module_applied_twice_has_one_set_of_parameters() -> None:
    body = model("f = Linear(4, 4); out y = f(f(x)); assert params() == 20")
    assert chain(body, "y") == "f(f(x))" and owned(body) == ["f"]


def test_a_module_is_named_by_the_statement_that_makes_and_calls_it() -> None:
    body = model("y = Linear(4, 4)(x) + x; y = relu(y); z = Sequential(Linear(4, 2), relu)(y); out y; out z")
    assert chain(body, "y") == "relu(add(y(x), x))" and owned(body) == ["y", "z.0"]
    assert chain(model("out y = relu(Dropout(0.1)(x))"), "y").startswith("relu(Dropout_0")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("f = Linear(4, 4); f = Linear(4, 4); out y = f(x)", "A106 at f: the module `f` is made twice; "
         "a module's name is bound once in its scope: rename one, or call the first again to share it"),
        ("f = Linear(4, 4); f = relu(x); out y = f", "A106 at f: `f` is a module already; a module's name is bound once: rename one"),
        ("f = relu(x); f = Linear(4, 4); out y = f(x)", "A106 at f: `f` is bound already, and a module's name is new; rename the module"),
        ("x = Linear(4, 4)(x); out y = x", "A108 at Linear(4, 4): this `Linear` would be called `x`, which is bound already; "
         "make the module first under a name of its own, `f = Linear(...)`, then write `x = f(...)`"),
        ("y = Linear(4, 4)(Linear(4, 4)(x)); out y", "A108 at Linear(4, 4): this `Linear` has parameters but no name; "
         "make it first, `name = Linear(...)`, then call `name(...)`: the name is its path in the state dict"),
        ("out y = Linear(4, 4)(x)", "A108 at Linear(4, 4): this `Linear` has parameters but no name; "
         "make it first, `name = Linear(...)`, then call `name(...)`: the name is its path in the state dict"),
        ("fs = [Linear(4, 4), Linear(4, 4)]; out y = x", "A108 at fs: blocks in a list have no names of their own; make each with `name[i in set] = ...`"),
        ("w = Parameter([4]); w = Parameter([4]); out y = x * w", "A107 at w: the parameter `w` is made twice; rename one of them"),
        ("forward = Linear(4, 4); out y = forward(x)", "A111 at forward: a module or parameter can't be called `forward`: "
         "PyTorch's modules use that word; choose another name, for instance `forward_`"),
        ("f = Linear(4, 4); out y = f[0](x)", "A211 at f[0]: a module can't be indexed; families, index sets, lists, maps and tensors can"),
        ("f = Linear(4, 4); out y = f + x", "A203 at f: `a` of `add` takes a tensor, not a module; the left operand, a tensor or a number"),
        ("f = Linear; out y = f(x)", "A202 at f(x): `Linear` needs `dout`; `Linear` is made first, then called: `f = Linear(...)`, then `f(x)`; it takes `din`, `dout`, [`bias`], [`init`], [`init_bias`]"),
    ],
)  # fmt: skip
def test_modules_that_cannot_be(body: str, said: str) -> None:
    code, rest = said.split(" at ", 1)
    found = says(f"model M {{ in x: float[B, 4]; {body} }}")
    assert found.startswith(code) and (found == said or found.split(": ", 1)[1] == rest.split(": ", 1)[1]), found


def test_members_of_a_family_of_modules_are_made_in_one_line() -> None:
    body = model("index ls = 0..3; f[i in ls] = Linear(4, 4 + i); g[i in ls, t in {a, b}] = Linear(4, 4); h = f[2](x); out y = h; out z = g[1, b](x); out w = g[0, a](x); "
                 "for i in ls { v = f[i](g[i, a](g[i, b](x))) }; out u = v[*]")  # fmt: skip
    assert outs(body)["y"] == "float[B, 6]" and owned(body)[:4] == ["f.0", "f.1", "f.2", "g.0.a"]


def test_sequential_has_the_paths_of_pytorch() -> None:
    body = model(
        'f = Sequential(Linear(4, 8), gelu(approximate = "tanh", ...), Sequential(Linear(8, 8), relu), Linear(8, 2)); out y = f(x); assert params(f.0) == 40'
    )
    assert owned(body) == ["f.0", "f.2.0", "f.3"]
    assert chain(body, "y") == "f.3(relu(f.2.0(gelu(f.0(x)))))"
    assert chain(model("f = Sequential(Linear(4, 8), relu); out y = f.0(x); out z = f[1](x)"), "y") == "f.0(x)"
    assert owned(model("f = Sequential([Linear(4, 4) for i in 0..3]); out y = f(x)")) == ["f.0", "f.1", "f.2"]


def test_parts_of_a_module_are_read_by_their_names() -> None:
    text = """block F(dim: int) { in x: float[B, dim]; inner = Linear(dim, dim); scale = Parameter([dim], init = ones); out y = inner(x) * scale }
    model M { in x: float[B, 4]; f = F(4); y = f(x); l = Linear(4, 3); out y; out a = l(x) + l.bias; out b = x * f.scale; out c = f.inner(x); assert l.dout == 3 and f.dim == 4 }"""
    body = program(text).eval
    assert chain(body, "b") == "mul(x, f.scale)" and chain(body, "c") == "f.inner(x)" and chain(body, "a") == "add(l(x), l.bias)"
    assert codes(text.replace("f.scale; out c", "f.scal; out c")) == ["A104"]


# -------------------------------------------------------------------------------------------- blocks and modules handed on

INNER = """
block Deep(dim: int) { in x: float[B, dim]; f = Linear(dim, dim); out y = f(x) }
block Takes(inner: module) { in x: float[B, 4]; out y = inner(x) }
block Hands(inner: module) { in x: float[B, 4]; take = Takes(inner); out y = take(x) }
block Makes(Inner: block, act: fn = relu, n: int = 1) { in x: float[B, 4]; h = x; repeat i in 0..n carry h { inner = Inner(4); h = act(inner(h)) }; out y = h }
"""


def test_a_module_that_is_handed_on_is_shared() -> None:
    body = program(
        f"{INNER}model M {{ in x: float[B, 4]; f = Deep(4); a = Takes(f); b = Hands(f); out y = a(x) + b(x) + f(x); assert params() == 20 }}"
    ).eval
    assert owned(body) == ["f.f"]
    assert [m.modules for m in body.modules.values()] == [{}, {"inner": "f"}, {"inner": "f"}]
    assert len(body.modules["f"].bodies) == 1
    only_below = program(
        f"{INNER}model M {{ in x: float[B, 4]; f = Deep(4); b = Hands(f); out y = b(x); assert params() == 20 and params(f) == 20 }}"
    ).eval
    assert owned(only_below) == ["f.f"]


def test_a_sequential_is_handed_on_too() -> None:
    body = program(
        f"{INNER}model M {{ in x: float[B, 4]; f = Sequential(Deep(4), relu, Linear(4, 4)); b = Hands(f); out y = b(x); assert params() == 40 }}"
    ).eval
    assert owned(body) == ["f.0.f", "f.2"]


def test_a_block_that_is_handed_on_makes_new_modules() -> None:
    body = program(
        f"{INNER}model M {{ in x: float[B, 4]; a = Makes(Deep, n = 2); b = Makes(Deep, gelu); out y = a(b(x)); assert params() == 60 }}"
    ).eval
    assert owned(body) == ["a.inner.0.f", "a.inner.1.f", "b.inner.0.f"]


def test_partial_applications_leave_arguments_open() -> None:
    body = program(
        f"{INNER}model M {{ in x: float[B, 4]; a = Makes(Linear(dout = 4, bias = false, ...)); b = Makes(Linear(_, 4)); out y = a(b(x)); assert params(a) == 16 }}"
    ).eval
    assert owned(body) == ["a.inner.0", "b.inner.0"]
    assert codes(f"{INNER}model M {{ in x: float[B, 4]; a = Makes(Linear(4, 4)); out y = a(x) }}") == ["A203"]
    assert codes(f"{INNER}model M {{ in x: float[B, 4]; a = Makes(Linear(dut = 4, ...)); out y = a(x) }}") == ["A201"]


def test_lists_and_maps_of_blocks_are_arguments() -> None:
    text = """block A(Ns: list[block], Ms: map[ts, block], ts: index) {
      in x: float[B, 4]; h = x
      repeat i in 0..len(Ns) carry h { f = Ns[i](4, 4); h = f(h) }
      for t in ts { g = Ms[t](4, 4); h2 = g(h) }
      out y = sum(h2[*])
    }
    model M { in x: float[B, 4]; a = A([Linear, Linear(bias = false, ...)], {p: Linear, q: Linear}, {p, q}); out y = a(x); assert params() == 76 }"""
    assert owned(program(text).eval) == ["a.f.0", "a.f.1", "a.g.p", "a.g.q"]


# ----------------------------------------------------------------------------------------------------------- results

PAIR = "block Pair { in x: float[B, 4]; out a = relu(x); out b = -x }\n"


def test_several_results_are_a_record() -> None:
    body = program(PAIR + "model M { in x: float[B, 4]; p = Pair(); r = p(x); u, v = p(r.a); out y = r.b; out z = u; out w = v }").eval
    assert chain(body, "y") == "p(x)" and chain(body, "z") == "p(p(x))"
    assert says(PAIR + "model M { in x: float[B, 4]; p = Pair(); r = p(x); out y = r.c }") == "A104 at c: `r` has no result `c`; it has `a`, `b`"
    assert says(PAIR + "model M { in x: float[B, 4]; p = Pair(); out y = p(x) }") == (
        "A504 at y: `y` can't be an output: it is a record of several results; name the results that you mean: `out y = r.y`"
    )
    assert codes(PAIR + "model M { in x: float[B, 4]; p = Pair(); u, v, w = p(x); out y = u + v + w }") == ["A215"]


def test_families_of_records_are_families() -> None:
    body = program(
        PAIR
        + "model M { in x: float[B, 4]; for t in {s, u} { p = Pair(); r = p(x) }; out y = concat(r[*].a, dim = 0); out z = r[s].b; out q = r[*].b }"
    ).eval
    assert outs(body) == {"y": "float[2 * B, 4]", "z": "float[B, 4]", "q.s": "float[B, 4]", "q.u": "float[B, 4]"}


def test_families_go_in_and_out_of_blocks() -> None:
    text = """block Mix(ts: index) { in x[t in ts]: float[B[t], 4]; for t in ts { f = Linear(4, 4); out y = f(x[t]) }; out all = sum(mean(x[t]) for t in ts) }
    model M { index ts = {a, b}; in x[t in ts]: float[B[t], 4]; mix = Mix(ts); r = mix(x); out y = r.y[*]; out z = r.y[b]; out s = r.all }"""
    body = program(text).eval
    assert outs(body) == {"y.a": "float[B[a], 4]", "y.b": "float[B[b], 4]", "z": "float[B[b], 4]", "s": "float[]"}
    assert [b.name for b in bodies(body)] == ["M", "Mix"]


# ----------------------------------------------------------------------------------------------------------- recursion


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("block A { in x: float[B]; b = Bb(); out y = b(x) }\nblock Bb { in x: float[B]; a = A(); out y = a(x) }\nmodel M { in x: float[B]; a = A(); out y = a(x) }",
         "`A` contains itself: A > Bb > A"),
        ("block A(Inner: block) { in x: float[B]; a = Inner(Inner); out y = a(x) }\nmodel M { in x: float[B]; a = A(A); out y = a(x) }", "`A` contains itself: A > A"),
        ("fn f(x: float[B]) { out y = f(x) }\nmodel M { in x: float[B]; out y = f(x) }", "`f` calls itself"),
        ("fn f(x: float[B]) { out y = g(x) }\nfn g(x: float[B]) { out y = f(x) }\nmodel M { in x: float[B]; out y = f(x) }", "`f` calls itself"),
        ("fn f(x: float[B], g: fn) { out y = g(x, g) }\nmodel M { in x: float[B]; out y = f(x, f) }", "`f` calls itself"),
    ],
)  # fmt: skip
def test_nothing_is_recursive(text: str, said: str) -> None:
    assert says(text).split(": ", 1)[1] == f"{said}; recursion is not in the language: use `repeat` over an index set"


def test_a_transform_that_nothing_uses_is_a_warning() -> None:
    text = "transform Merge(base: weights) { out merged = base }\nmodel M { in x: float[B, 4]; out y = x }"
    (found,) = findings(text)
    assert (found.code, found.severity, found.span.line) == ("A901", Severity.WARNING, 1)
    (used,) = [d for d in findings(text.replace("out y = x", "z = Merge(x); out y = z")) if d.severity is Severity.ERROR]
    assert (used.code, used.message) == ("A901", "`transform Merge` is reserved and not available yet")


def test_what_another_arm_reads_is_no_oversight() -> None:
    text = """
block A(way: bool) {
  in x, y, z: float[B, 4]
  f, g, h = Linear(4, 4), Linear(4, 4), Linear(4, 4)
  if way { out r = f(x) + y } else { out r = g(x) }
}
model M { in x: float[B, 4]; a, b = A(true), A(false); out y = a(x, x, x) + b(x, x, x) }
"""
    assert [d.message for d in findings(text)] == ["the input `z` is never read", "the module `h` is never called"]


def test_a_parameter_is_read_however_deep_it_is() -> None:
    text = """
block In { in x: float[B, 4]; own = Parameter([4]); out y = x * own }
block Out { in x: float[B, 4]; inner = In(); out y = inner(x) }
model M { in x: float[B, 4]; f = Out(); y = f(x); out z = y + f.inner.own }"""
    assert [node.target for node in program(text).eval.nodes if node.kind is NodeKind.PARAMETER] == ["f.inner.own"]
    help = "a block shows its parameters, its static arguments and its modules"
    assert says(text.replace("inner.own ", "inner.owned ")) == f"A104 at owned: `In` has no `owned`; {help}"
