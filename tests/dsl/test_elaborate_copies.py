"""Elaborating less than the text says: one body for equal calls, long loops by copying; both without a trace in the result."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archloom.dsl.elaborate import statements
from archloom.dsl.program import Body

from .elaborating import bodies, chain, findings, model, owned, program

LAYER = """
block Layer(dim: int, wide: int = 2 * dim) {
  in x: float[..., dim]
  up = Linear(dim, wide); down = Linear(wide, dim)
  h = down(relu(up(x)))
  out y = x + h
  loss size = 0.1 * mean(square(h))
}
block Pair(dim: int) { in x: float[B, dim]; f = Linear(dim, dim); out a = f(x); out b = -x }
block Both(ts: index) { in x[t in ts]: float[B, 4]; for t in ts { f = Linear(4, 4); out y = f(sum(x[*])) } }
block Through(inner: module) { in x: float[B, 4]; out y = inner(x) }
"""


# ------------------------------------------------------------------------------------------------- one body, many calls


def test_equal_calls_share_one_body() -> None:
    body = program(f"{LAYER}model M {{ in x: float[B, 4]; h = x; repeat i in 0..5 carry h {{ f = Layer(4); h = f(h) }}; out y = h }}").eval
    assert [b.name for b in bodies(body)] == ["M", "Layer"]
    assert len(body.modules) == 5 and len({id(m.bodies[0]) for m in body.modules.values()}) == 1


@pytest.mark.parametrize(
    ("calls", "count"),
    [
        ("f = Layer(4); g = Layer(4); h = f(g(x))", 1),
        ("f = Layer(4); h = f(f(f(x)))", 1),
        ("f = Layer(4); g = Layer(4, 9); h = f(g(x))", 2),
        ("f = Layer(4); h = f(x); z = f(stack([x, x], dim = 1))", 2),
        ("f = Layer(4); h = f(x); z = f(x[:2])", 2),
        ("f = Layer(4); h = f(x); z = f(w)", 1),
        ("f = Layer(4); h = f(x); z = f(concat([x, w], dim = 0))", 1),
    ],
)
def test_bodies_by_what_they_depend_on(calls: str, count: int) -> None:
    text = f"{LAYER}model M {{ in x: float[B, 4]; in w: float[C, 4]; {calls}; out y = h; out u = w }}"
    found = findings(text)
    assert all(d.severity.value == "warning" for d in found), [d.message for d in found]
    from archloom.compiler.check import check_text
    from archloom.dsl.source import Source

    body = check_text(Source("a.arch", text)).programs["M"].eval
    assert len([b for b in bodies(body) if b.name == "Layer"]) == count


def test_another_size_makes_another_body() -> None:
    text = """block F { in x: float[B, D]; f = Linear(D, 3); out y = f(x) }
    model M { in x: float[B, 4]; in z: float[B, 5]; f = F(); g = F(); out y = f(x); out w = g(z) }"""
    assert len([b for b in bodies(program(text).eval) if b.name == "F"]) == 2
    (found,) = findings(text.replace("out w = g(z)", "out w = f(z); out v = g(z)"))
    assert found.code == "A308" and "`f.weight`" in found.message


def test_the_mode_makes_two_bodies_only_where_it_matters() -> None:
    text = "block F {{ in x: float[B]; y = x * 2 if {} else x; out z = y }}\nmodel M {{ in x: float[B]; f = F(); out y = f(x) }}"
    with_mode = program(text.format("training"))
    assert with_mode.train is not None and chain(bodies(with_mode.train)[1], "z") == "mul(x)" and chain(bodies(with_mode.eval)[1], "z") == "x"
    assert program(text.format("1 < 2")).train is None


# ---------------------------------------------------------------------------------------------------- copied steps


def shape(body: Body, seen: dict[int, Any] | None = None, places: bool = True) -> Any:
    """Return all of a body that a compiler sees, as plain data, with places in the text if asked; bodies that are called are numbered."""
    seen = seen if seen is not None else {}
    if id(body) in seen:
        return seen[id(body)]
    seen[id(body)] = len(seen)

    def called(other: Body | None) -> Any:
        return None if other is None else shape(other, seen, places)

    return {
        "nodes": [
            (n.kind, n.target, n.inputs, str(n.attributes), str(n.outputs), n.span.start if places else 0, n.name, called(n.body)) for n in body.nodes
        ],
        "modules": [
            (m.path, m.name, m.members, m.kind, str(m.arguments), dict(m.modules), m.task, m.sets, [called(b) for b in m.bodies])
            for m in body.modules.values()
        ],
        "parameters": [(p.path, p.shape, p.members, p.sets) for p in body.parameters.values()],
        "borders": [(o.name, o.members, o.ref, o.task) for o in body.outputs],
        "losses": [(loss.path, loss.ref, loss.weight, loss.task) for loss in body.losses],
        "inputs": [(i.key, str(i.type), i.node) for i in body.inputs],
        "conditions": [(c.text, c.module) for c in body.conditions],
        "families": body.families,
    }


BODIES = [
    "h = relu(h)",
    "f% = Linear(4, 4); h = f%(h)",
    "f% = Layer(4); h = f%(h)",
    "f% = Layer(4); g% = Layer(4); h = f%(h) + g%(h)",
    "p% = Pair(4); r% = p%(h); h = r%.a + r%.b",
    "p% = Pair(4); a%, b% = p%(h); h = a% * b%",
    "f% = Sequential(Linear(4, 8), gelu, Linear(8, 4)); h = f%(h)",
    "w% = Parameter([4]); h = h * w%",
    "f% = Linear(4, 4); h = f%(h) * f%.weight[0, 0]",
    "f% = Linear(4, 4); t% = Through(f%); h = t%(h)",
    "f% = Linear(4, 4); h = shared(f%(h))",
    "t% = Through(shared); h = t%(h)",
    "f% = Linear(4, 4); h = f%(h); loss size% = mean(h)",
    "f% = Linear(4, 4); h = f%(h); out z% = h",
    "f% = Linear(4, 4); h = f%(h) + h * i",
    "f% = Linear(4, 4); h = f%(h); g% = h if i == 0 else h + g%[i - 1]",
    "for t in ts { f% = Linear(4, 4); m[t] = f%(m[t]) + h }; h = m[a] + m[b]",
    "repeat j in 0..8 carry h { f% = Linear(4, 4); h = f%(h) }",
    "for t in ts { f% = Linear(4, 4); g% = f%(h) }; h = sum(g%[*])",
    "if i > 6 { f% = Linear(4, 4); h = f%(h) }",
    "c% = dropout(h, 0.1); h = h + c%",
    "f% = Linear(4, 4); s% = split(f%(h), [1, 3], dim = 1); h = concat(s%, dim = 1)",
    "h = reshape(h, [B / 2, 8]); h = reshape(h, [B, 4])",
    "d% = {a: relu(h), b: h}; h = d%[a] + d%[b]",
    "v% = leaky_relu(negative_slope = 0.2, ...); h = v%(h)",
    "q% = Sequential(relu, shared); h = q%(h)",
    "b% = BatchNorm1d(4); t% = Through(b%); h = t%(h)",
    "b% = Sequential(BatchNorm1d(4), relu); h = b%(h)",
    "c% = Both(ts); m = c%(m[*]); h = h + m[a]",
    "c% = Both(ts); k% = c%(m[*]); h = relu(h); m[a] = k%[b] + h; m[b] = k%[a]",
    "h = relu(h); m[a] = m[b] + h",
]
"""Bodies of a loop that carries `h` (and `m`, a family over {a, b}); `%` stands for a number of their own."""


def spec(inside: str, steps: int) -> str:
    carry = "h, m" if "m[" in inside else "h"
    return f"""{LAYER}model M {{
      in x: float[B, 4]; index ts = {{a, b}}; shared = Linear(4, 4); h = shared(x)
      for t in ts {{ m = x * 2 }}
      repeat i in 0..{steps} carry {carry} {{ {inside} }}
      out y = h; out u = m[*]
    }}"""


def compare(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from archloom.compiler.check import check_text
    from archloom.dsl.source import Source

    copied = check_text(Source("spec.arch", text))
    with monkeypatch.context() as patch:
        patch.setattr(statements, "LEAST", 10**9)
        stepped = check_text(Source("spec.arch", text))
    assert [d.message for d in copied.diagnostics] == [d.message for d in stepped.diagnostics]
    assert copied.ok, [d.message for d in copied.diagnostics]
    assert shape(copied.programs["M"].eval) == shape(stepped.programs["M"].eval)


@pytest.mark.parametrize("inside", BODIES)
def test_a_long_loop_is_the_same_copied_and_step_by_step(inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(spec(inside.replace("%", ""), 20), monkeypatch)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(BODIES), min_size=2, max_size=3, unique=True), st.integers(5, 12))
def test_bodies_put_together_are_the_same(parts: list[str], steps: int) -> None:
    inside = "; ".join(part.replace("%", str(n)) for n, part in enumerate(parts))
    with pytest.MonkeyPatch.context() as monkeypatch:
        compare(spec(inside, steps), monkeypatch)


@pytest.mark.parametrize(
    ("inside", "copied"),
    [
        (BODIES[1], 18),
        (BODIES[4], 18),
        (BODIES[8], 18),
        (BODIES[16], 18),
        (BODIES[28], 18),
        (BODIES[29], 18),
        (BODIES[30], 0),
        ("f = Linear(4, 4); h = f(h) + i", 0),
        (BODIES[15], 0),
    ],
)
def test_only_steps_that_are_alike_are_copied(inside: str, copied: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    copy = statements.Copier.copy
    monkeypatch.setattr(statements.Copier, "copy", lambda self, member: made.append(member) or copy(self, member))
    program(spec(inside.replace("%", ""), 20))
    assert len(made) == copied


def test_copies_have_paths_of_their_own() -> None:
    body = model("h = x; repeat i in 0..20 carry h { f = Sequential(Linear(4, 4), relu, Linear(4, 4)); h = f(h) }; out y = h; out z = f[17](x)")
    assert owned(body) == [f"f.{i}.{j}" for i in range(20) for j in (0, 2)]
    assert chain(body, "z") == "f.17.2(relu(f.17.0(x)))"


def test_an_error_in_a_long_loop_is_found_once() -> None:
    found = findings("model M { in x: float[B, 4]; h = x; repeat i in 0..50 carry h { f = Linear(4, 5); h = f(h) }; out y = h }")
    assert [d.code for d in found] == ["A301"]
