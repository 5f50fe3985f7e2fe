"""A statement that doesn't parse is one error; the rest of its item is elaborated, and nothing is said that follows from it."""

from __future__ import annotations

import random

import pytest

from archloom.compiler.check import check_text
from archloom.dsl import ast
from archloom.dsl.parse.pythonisms import walk
from archloom.dsl.parser import parse
from archloom.dsl.source import Source

from ..fuzz.cases import corpus

TEXT = """
block Layer(dim: int) {
  in x: float[B, S, dim]
  norm = LayerNorm(dim)
  f = Linear(dim, dim)
  y = x + f(norm(x))
  out y
  loss small = mean(square(y))
}
fn twice(x: float[B, S, D]) { z = x * 2.0; out y = z }
model M(dim: int = 4, depth: int = 3, wide: bool = false) {
  index tasks = {a, b}
  in x: float[B, S, dim]
  h = x
  repeat i in 0..depth carry h {
    layer = Layer(dim)
    if i == 0 {
      side = Linear(dim, dim)
    } else {
      side = LayerNorm(dim)
    }
    h = layer(h) + side(h)
  }
  if wide { more = Linear(dim, dim); h = more(h) }
  e = twice(h)
  for t in tasks {
    task t {
      head = Linear(dim, 2)
      target label: int[B, S]
      out logits = head(e)
      loss main = mean(head(e)) + 0.1 * mean(float(label))
    }
  }
  loss rest = sum(losses(**.small)[*])
  q = layer[0].f.weight
  out first = q
  entry more_of { in x: float[B, 1, dim]; out z = e }
}
train M { stage one { tune head, layer } }
"""


def statements(text: str) -> list[ast.Statement]:
    items = [item.tree for item in parse(Source("a.arch", text)).items if isinstance(item.tree, (ast.Model, ast.Block, ast.Fn))]
    return [node for item in items for node in walk(item) if isinstance(node, ast.Statement)]


def broken(text: str, statement: ast.Statement, way: int) -> str:
    start, end = statement.span.start, statement.span.end
    at = (start, end, start + len(statement.span.text.split(" ")[0]))[way]
    return f"{text[:at]} = = {text[at:]}"


def follows(text: str, statement: ast.Statement, way: int) -> list[str]:
    """Return what is said of a text with a broken statement that isn't said of it as it was, and is no error of syntax."""
    before = {(d.code, d.message) for d in check_text(Source("a.arch", text), presets=True).diagnostics}
    found = check_text(Source("a.arch", broken(text, statement, way)), presets=True)
    assert not found.ok
    return [f"{d.code} {d.message}" for d in found.diagnostics if d.code >= "A100" and (d.code, d.message) not in before]


@pytest.mark.parametrize("way", range(3))
def test_nothing_follows_from_a_broken_statement(way: int) -> None:
    assert [(s.span.text, f) for s in statements(TEXT) if (f := follows(TEXT, s, way))] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300))
def test_nothing_follows_from_a_broken_statement_of_an_example(seed: int) -> None:
    chance = random.Random(seed)
    text = chance.choice([text for text in corpus() if statements(text)])
    assert follows(text, chance.choice(statements(text)), chance.randrange(3)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model M { in x: float[B]; y = x +\n z = foo(x); out w = bar(y) }", ["A005", "A102 `foo` is not defined", "A102 `bar` is not defined"]),
        ("block C { in x: float[B]; y = x x; out z = foo(y) }\nmodel M { in x: float[B]; c = C(); out y = c(x) }", ["A001", "A102 `foo` is not defined"]),
        ("block C { in x float[B]; out z = foo(x) }\nmodel M { in x: float[B]; c = C(); out y = c(x) }", ["A018", "A102 `foo` is not defined"]),
        ("model M { in x: float[B, 4]; f = Linear(4, 4); out y = f(foo) }\ntrain M { stage a { tune trunk, f } }",
         ["A102 `foo` is not defined", "A510 `trunk` matches nothing: there is no `trunk`"]),
        ('model M { in x: float[B, 4]; out y = foo }\nweights w for M from "a" { trunk.weight <- "a" }',
         ["A102 `foo` is not defined", "A601 `trunk.weight` matches nothing: there is no `trunk`"]),
        ('weights w for M from "a" { f <- "f" }', ["A526 this `weights` is for a model `M`, which is not in this file"]),
        ("from ffn import Mlp\nmodel M { in x: float[B, 4]; f = Mlp(4, 8); y = f(x); out z = foo }", ["A020", "A102 `foo` is not defined"]),
        ("import ffn.*\nmodel M { in x: float[B, 4]; f = Mlp(4, 8); out y = f(x) }", ["A017"]),
        ("import ffn\nmodel M { in x: float[B, 4]; f = ffn.Mlp(4, 8); out y = f(x) }", ["A017"]),
        ("def twice(x): return x * 2\nmodel M { in x: float[B, 4]; out y = twice(x); out z = foo }", ["A023", "A102 `foo` is not defined"]),
        ("model M { in x: float[B]; try { y = x } catch { y = x }; out y = x; out z = foo }", ["A023", "A023", "A102 `foo` is not defined"]),
        ("arch = 1\nmodel M { in x: float[B]; out y = x }", ["A113 `arch` is bound here but never read"]),
        ("arch = 1\nmodel M { in x: float[B]; out y = x * arch }", []),
    ],
)  # fmt: skip
def test_every_independent_error_is_said_in_one_run(text: str, said: list[str]) -> None:
    found = check_text(Source("a.arch", text)).diagnostics
    assert [d.code if d.code < "A100" else f"{d.code} {d.message}" for d in found if d.code != "A122"] == said


NAMES = "model M {{ in x: float[B, 4]; value = x * 2.0; Values = Linear(4, 4); valued = {{a, b}}; f = Linear(4, 8); value_d = f(x); {}; out y = x }}"


@pytest.mark.parametrize(
    ("statement", "near"),
    [("z = x + valuee", "value"), ("z = 2.0 * value_e + f(x)", "value_d"), ("z = x * valued_d", "value"), ("z = f(x) + value_dd", "value_d")],
)
def test_an_operand_is_looked_for_among_what_goes_with_the_others(statement: str, near: str) -> None:
    [found] = check_text(Source("a.arch", NAMES.format(statement))).diagnostics
    assert found.help == f"did you mean `{near}`?"
