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
