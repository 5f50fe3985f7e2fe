"""Modules that are made and never called."""

from __future__ import annotations

import pytest

from .elaborating import findings

IDLE = [
    ("", "out y = f(x)", "g", "the module `g` is never called"),
    ("", "out y = f(g(x)); for t in {a, b, c} { h = Linear(4, 4); if t != b { z = h(x) } }; out w = z[a] + z[c]", "h", "the module `h.b` is never called"),
    ("", "out y = f(g(x)); repeat i in 0..9 carry x { h, k = Linear(4, 4), Linear(4, 4); x = h(x) }; out z = x", "k",
     "the modules `k.0`, `k.1`, `k.2`, `k.3` and 5 more are never called"),
    ("", "out y = f(g(x)); for t in {a, b} { h = Linear(4, 4) }; w = Twice(h[b]); out z = w(h[a](x))", "", ""),
    ("flag: bool = false", "out y = f(x) + g(x) if flag else f(x)", "", ""),
    ("", "h = f(x); if training { h = g(x) }; out y = h", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "body", "at", "message"), IDLE)
def test_a_module_that_is_never_called(parameters: str, body: str, at: str, message: str) -> None:
    twice = "block Twice(inner: module) { in x: float[B, 4]; out y = inner(inner(x)) }\n"
    text = f"{twice if 'Twice' in body else ''}model M({parameters}) {{ in x: float[B, 4]; f = Linear(4, 4); g = Linear(4, 4); {body} }}"
    found = [(d.code, d.span.text, d.message) for d in findings(text)]
    assert found == ([("A122", at, message)] if at else [])


PLANNED = """model M(a: int = 2, b: int = 1, c: float = 0.5, d: str = "e", extra: int = 1) {
  in x: float[B, 4]
  repeat i in 0..4 carry x { f = Linear(4, 4); x = f(x) }
  out y = x
  loss fit = mean(y)
}
weights start for M from "model.safetensors" { f[i] <- "{d}.{i * b}" }
train M { stage s { tune f[..a]; weight fit = c; options { lr = 1e-4 } }; stage all { tune all } }
preset big for M { extra = 3 }
"""


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        (PLANNED, ["extra"]),
        (PLANNED.replace("lr = 1e-4", "lr = extra"), []),
        (PLANNED.replace("= 3", "= 3; assert extra > a"), []),
        (PLANNED.replace("{ lr = 1e-4 } }; ", "{ lr = 1e-4 } } "), ["extra"]),  # what doesn't parse may read anything it names
        (PLANNED.replace("for M", "for N").replace("train M", "train N") + "model N { in x: float[B, 4]; out y = x }", [*"abcd", "extra"]),
    ],
)
def test_a_parameter_that_a_plan_of_the_model_reads_is_read(text: str, unread: list[str]) -> None:
    assert [d.message for d in findings(text) if d.code == "A121"] == [f"the parameter `{name}` is never read" for name in unread]


def test_what_a_task_takes_is_read_from_outside() -> None:
    text = "model M {{ in x: float[B, 4]; task t {{ target y, z: float[B, 4]; out w = 2.0 * x }}; loss fit = mse(t.w, t.y){} }}"
    assert [d.message for d in findings(text.format(""))] == ["the target `z` is never read"]
    assert not findings(text.format(" + mean(t.z)"))
