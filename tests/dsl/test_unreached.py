"""Items that no model reaches: what is unknown in them is an error all the same, and nothing else is."""

from __future__ import annotations

import pytest

from archloom.compiler.check import check_text, library
from archloom.dsl.format import format_source
from archloom.dsl.source import Source

from .elaborating import findings, says

WHOLE = "model M { in x: float[B, 4]; out y = x }\n"

UNKNOWN = [
    ("block A(dim: int) { in x: float[B, dim]; out y = gello(x) }", "A102", "gello", "did you mean `gelu`?"),
    ("block A(dim: int) { in x: float[B, dim]; f = Linear(din = dmi, dout = 4); out y = f(x) }", "A102", "dmi", "did you mean `dim`?"),
    ("block A(width: int) { in x: float[B, widht]; out y = x }", "A102", "widht", "did you mean `width`?"),
    ("block A { in x: float[B, 4]; out y, zz; y = x }", "A102", "zz", "write `out zz = ...`"),
    ("block A(n: int) { w = Parameter([n], init = onse); out y = w }", "A102", "onse", "did you mean `ones`?"),
    ("block A(n: int) { in x: float[B, n]; assert heads % n == 0; out y = x }", "A102", "heads", "bind it above, make it a parameter, or import it"),
    ("fn f(x: float[B], e: float) { out y = x + epsilon }", "A102", "epsilon", "bind it above, make it a parameter, or import it"),
    ("k = heads + 1", "A102", "heads", "bind it above, make it a parameter, or import it"),
    ("k = {a: 1, b: c}", "A102", "c", "bind it above, make it a parameter, or import it"),
    ("k = 1 + {2}", "A203", "1 + {2}", None),
    ('extern block E(n: int) from "a:b" { in x: float[B, m]; out y: float[B] }', "A102", "m", "bind it above, make it a parameter, or import it"),
    ('extern fn e(x: float[B]) -> flaot[B] from "a:b"', "A212", "flaot[B]", "did you mean `float`?"),
    ("block A(n: itn) { in x: float[B, n]; out y = x }", "A212", "itn", "did you mean `int`?"),
    ("block A { in x: flaot[B, 4]; out y = x }", "A212", "flaot[B, 4]", "did you mean `float`?"),
    ("block A { in x: float[B, 4]; f = Linear(4, 4, bais = false); out y = f(x) }", "A201", "bais = false", "did you mean `bias`?"),
    ("block A { in x: float[B, 4]; f = C(how = any); out y = f(x) }\nblock C(how: {all, one}) { in x: float[B]; out y = x }", "A213", "any", None),
    ("block A(how: {pre, post} = pro) { in x: float[B]; out y = x }", "A213", "pro", "did you mean `pre`?"),
    ("block A(how: {pre, post} = pre) { in x: float[B]; out y = x if how == past else -x }", "A213", "past", "did you mean `post`?"),
    ("block A { in x: float[B]; if training { y = nope(x) } else { y = x }; out z = y }", "A102", "nope", "did you mean `rope`?"),
]  # fmt: skip


@pytest.mark.parametrize(("item", "code", "at", "help"), UNKNOWN)
@pytest.mark.parametrize("before", ["", WHOLE])
def test_what_is_unknown_is_an_error_without_a_model_too(item: str, code: str, at: str, help: str | None, before: str) -> None:
    (found,) = findings(before + item)
    assert (found.code, found.span.text) == (code, at)
    assert help is None or found.help == help


KNOWN = [
    "block A(tasks: index, classes: map[tasks, int]) { in x[t in tasks]: float[B, classes[t]]; out y = x[depth] if depth in tasks else x[*] }",
    "block A(how: {pre, post} = pre) { in x: float[B]; b = Inner(post); c = Inner(how = pre); out y = x if how == pre else c(b(x)) }\n"
    "block Inner(how: {pre, post}) { in x: float[B]; out y = x if how in {pre, post} else -x }",
    "block A(n: int, Inner: block, act: fn = gelu) { in x: float[B, n]; f = Inner(n, anything = word); out y = act(f(x), size = n) }",
    'k = {a: 1}\nfn f(x: float[B, N], s: float = k.a, m: bool[N] = none) { y = sum(x * s, dim = 1); out y }\nextern fn e(x: float[B]) -> float[B] from "a:b"',
    "block A { in x: float[B, S, 8]; for e in {a, b} { f = Linear(8, 8); y = f(x) }; freeze f[a]; assert params(f[b].weight) == 64; out z = sum(y[*]) }",
    "block A { in x: float[B, 8]; if training { y = dropout(x, 0.1) } else { y = x }; draw e: float[B] ~ normal(0, 1); out z = y + e[:, none] }",
    'block A { in x: float[B, 8]; s = Sequential(Linear(8, 8), gelu(approximate = "tanh", ...)); out y = rearrange(s(x), "b (h d) -> b h d", h = 2) }',
    "block A { in ids: int[B, S] as tokens(9); state k: float[B, P] = empty; e = Parameter([9], init = normal(std = 0.02)); out y = take(e, ids) }",
]  # fmt: skip


@pytest.mark.parametrize("items", KNOWN)
def test_words_that_a_caller_may_know_are_let_be(items: str) -> None:
    assert findings(items) == ()


@pytest.mark.parametrize("module", library().modules())
def test_library_files_pass_by_themselves(module: str) -> None:
    source = library().load(tuple(module.split(".")))
    assert source is not None
    result = check_text(Source(source.name, source.text))
    assert (result.diagnostics, result.programs) == ((), {})


def test_what_a_model_elaborates_is_said_apart() -> None:
    text = "block A { in x: float[B]; out y = x }\nblock C { in x: float[B]; out y = x }\nmodel M { in x: float[B]; a = A(); out y = a(x) }"
    result = check_text(Source("spec.arch", text))
    assert (result.diagnostics, result.unreached) == ((), ("C",))


def test_an_argument_of_a_model_may_choose() -> None:
    text = "model M(n: int = 4) { in x: float[B, n]; out y = x }\nmodel S = M(n = 3 if true else nope)"
    (found,) = findings(text)
    assert (found.code, found.span.text) == ("A102", "nope")


@pytest.mark.parametrize("line", ["import.none", "foo(3)", "k"])
def test_an_expression_among_the_items_is_an_error_and_is_not_formatted(line: str) -> None:
    text = f"{line}\n{WHOLE}"
    assert says(text) == f"A112 at {line}: `{line}` does nothing: it is no item of a file; remove it, or write `name = {line}`"
    refused = format_source(Source("spec.arch", text))
    assert not isinstance(refused, str)
    assert [diagnostic.code for diagnostic in refused] == ["A112"]
    assert findings(f'"""What this is."""\n{WHOLE}') == ()
