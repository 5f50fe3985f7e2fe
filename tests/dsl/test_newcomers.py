"""Mistakes of someone who knows PyTorch and not this language: each error says what to write."""

from __future__ import annotations

import pytest

from archloom.blocks.registry import primitives
from archloom.dsl.parse.pythonisms import ARGUMENTS, LEFT_OUT, OPERATIONS, WORDS

from .elaborating import codes, findings

LINES = [
    ("f = Linear(4, 4); h = f x", "A001", "a call is `f(x)`"),
    ("f = Linear(in_features = 4, dout = 4)", "A201", "write `din`"),
    ("f = Linear(4, 4, device = 3)", "A201", "the caller says where a model runs"),
    ("f = Sequential(Linear(4, 4), ReLU())", "A102", "write `relu`"),
    ("f = nn.ReLU()", "A021", "write `relu`"),
    ("f = ModuleList([Linear(4, 4)])", "A102", "make the modules in a loop"),
    ("f = Linear(x)", "A202", "`Linear` is made first, then called"),
    ("w = Parameter(zeros([4, 4]))", "A206", "`Parameter([4, 4], init = zeros)`"),
    ("for i in range(3) { h = x }", "A102", "`for i in 0..n { ... }`"),
    ("for i in 3 { h = x }", "A208", "write `0..3`"),
    ("for i, h in enumerate(x) { }", "A102", "positions in arithmetic"),
    ("print(x)", "A102", "what is wanted is an `out`"),
    ("softmax(x, dim = 1)", "A112", "write `name = softmax(x, dim = 1)`"),
    ("in k: Tensor[B, 4]", "A212", "`float[B, 4]`"),
    ("in k: float[batch, 4]", "A102", "begins with a capital: `Batch`"),
    ("in k: [B, 4]", "A018", "write `float[B, dim]`"),
    ("input k: float[B, 4]", "A023", "write `in x: float[B, dim]`"),
    ("output k = x", "A023", "write `out y = e`"),
    ("/* what follows */ h = x", "A007", "a comment starts with `#`"),
    ("// what follows", "A007", "a comment starts with `#`"),
    ("f = Linear(4, 4); f.eval(); h = f(x)", "A026", "a stage says `rest in eval`"),
    ("f = Linear(4, 4); f.requires_grad_(False); h = f(x)", "A026", "write `freeze f`"),
    ("f = Linear(4, 4); f.weight.requires_grad = false; h = f(x)", "A010", "write `freeze f.weight`"),
    ("h = nn.functional.gelu(x)", "A021", "write `gelu`"),
    ("in k: float[None, 4]", "A025", "has a name with a capital: `B`"),
    ("f = Linear(*[4, 4])", "A030", "write each argument"),
    ("h = checkpoint(relu, x)", "A102", "`--optimize checkpoint`"),
    ("index ts = [seg, depth]", "A102", "names of members stand in braces: `{seg, depth}`"),
    ("h = max(x, dim = 1)", "A201", "over an axis it is `amax(x, dim = 1)`"),
    ("inputs k: float[B, 4]", "A023", "write `in x: float[B, dim]`"),
    ("outputs k = x", "A023", "write `out y = e`"),
    ("loss += mean(x)", "A029", "losses add up by themselves"),
    ("out {k: relu(x)}", "A018", "write `out y = e`, a line for each"),
]

STAYS = """block F(n: int) { in x: float[B, n]; f = Linear(n, n); out y = f(x) }
block G(Inner: block) { in x: float[B, N]; inner = Inner(); out y = inner(x) }
model M { in x: float[B, 4];"""


@pytest.mark.parametrize(("line", "code", "help"), LINES)
def test_what_a_newcomer_is_told(line: str, code: str, help: str) -> None:
    found = [d for d in findings(f"model M {{\n  in x: float[B, 4]\n  {line}\n  out y = x\n}}") if d.severity.value == "error"]
    assert [d.code for d in found] == [code] and help in (found[0].help or ""), [(d.message, d.help) for d in found]


@pytest.mark.parametrize(
    ("text", "code", "help"),
    [
        ("import torch.nn as nn\nmodel M { in x: float[B]; out y = x }", "A020", "leave the line out"),
        ("block F(dim) { in x: float[B, dim]; out y = x }\nmodel M { in x: float[B, 4]; f = F(4); out y = f(x) }", "A018", "write `dim: int`"),
        (f"{STAYS} Layer = F(4); f = Layer(); out y = f(x) }}", "A202", "it takes `x`; with `...` as its last argument `F` stays a block"),
        (f"{STAYS} Layer = F(4); g = G(Layer); out y = g(x) }}", "A203", "with `...` as its last argument `F` stays a block"),
        ("model: M\n  in:\n    x: float[B, 8]\n  layers:\n    - Linear: 8\n", "A018", "write `model M { in x: float[B]; out y = x }`"),
        ("dim: 8\ndepth: 3\nname: net\n", "A018", "write `model M { in x: float[B]; out y = x }`"),
        ('{\n  "model": {"dim": 8}\n}\n', "A112", "a file holds items"),
        ("model M(d: Optional[int] = none) { in x: float[B, 4]; out y = x }", "A212", "what may be left out has a value"),
        ("model M(d: dict[str, int] = {a: 3}) { in x: float[B, 4]; out y = x }", "A212", "write `map[tasks, int]`"),
        ("model M { in x: float[B]; out y = x }\ntrain M {\n  stage a:\n    tune: [f]\n}\n", "A009", "write `{` in place of `:`"),
        (f'{STAYS} g = G(F(n = 4, ...)); out y = g(x) }}\ntrain M {{ stage a {{ tune "g" }} }}', "A525", "a path stands without quotes: `g`"),
        (f"{STAYS} g = G(F(n = 4, ...)); out y = g(x) }}\ntrain M {{ stage a {{ tune all - g }} }}", "A525", "`all except g`"),
        ("block F { in x: float[B]; out y = x }\nmodel M { in x: float[B]; out y = F(x) }", "A201", "`F` is made first, then called"),
    ],
)
def test_what_is_said_of_whole_files(text: str, code: str, help: str) -> None:
    found = findings(text)
    assert [d.code for d in found] == [code] and help in (found[0].help or "")


def test_what_is_advised_exists() -> None:
    known = primitives()
    assert all(advice.split("(")[0] in known for advice in OPERATIONS.values())
    assert not (OPERATIONS.keys() | WORDS.keys()) & known.keys() and not ARGUMENTS.keys() & LEFT_OUT.keys()
    taken = {argument.name for primitive in known.values() for argument in primitive.arguments}
    assert set(ARGUMENTS.values()) <= taken | {"heads"}


def test_an_optional_input_is_compared_with_none() -> None:
    block = "block F {{ in x: float[B]; in k: float[B] if given(k); y = x * k if k != none else x; out z = y }}\nmodel M {{ in x: float[B]; f = F(); {} }}"
    assert codes(block.format("out y = f(x); out z = f(x, x)")) == []


def test_letters_that_changed_places_are_the_nearest() -> None:
    from archloom.dsl.diagnostics import closest

    assert closest("dmi", ["min", "dim", "mid_dim"]) == "dim"
    assert closest("dims", ["min", "dim"]) == "dim"
    assert closest("q", ["min", "dim"]) is None


@pytest.mark.parametrize(
    ("line", "help"),
    [
        ("f = Linear(4, widh)", "did you mean `width`?"),
        ("f = Linear(4, 2 * widh + 1); h = f(x)", "did you mean `width`?"),
        ("repeat i in 0..widh carry x { x = relu(x) }", "did you mean `width`?"),
        ("h = relu(hiddn)", "did you mean `hidden`?"),
        ("h = hiden(x)", "did you mean `hide`?"),
        ("for t in widh { h = x }", "did you mean `widths`?"),
        ("p = Part(widh)", "did you mean `width`?"),
        ("p = Prat(4)", "did you mean `Part`?"),
        ("p = Par(4); h = p(x)", "did you mean `Part`?"),
    ],
)
def test_a_suggestion_fits_where_the_name_stands(line: str, help: str) -> None:
    text = f"""fn hide(x: float[B, 4]) {{ out y = x }}
block Part(dim: int) {{ in x: float[B, 4]; f = Linear(4, dim); out y = f(x) }}
model M(width: int = 4, par: int = 3) {{
  in x: float[B, 4]
  index widths = {{a, b}}
  hidden = relu(x)
  {line}
  out y = x + width + par + hidden + hide(x)
}}"""
    found = [d for d in findings(text) if d.severity.value == "error"]
    assert [(d.code, d.help) for d in found] == [("A102", help)], [(d.message, d.help) for d in found]


@pytest.mark.parametrize("header", ["block F(n: int, k: int, n: int)", "fn f(n: float[B], n: float[B])"])
def test_a_parameter_is_declared_once(header: str) -> None:
    [found] = findings(f"{header} {{ out y = n }}\nmodel M {{ in x: float[B]; out y = x }}")
    assert (found.code, found.message, found.span.start) == ("A105", "the parameter `n` is declared twice", header.rindex("n:"))


@pytest.mark.parametrize(
    ("line", "help"),
    [
        ("h = x.relu().sum(dim = 1)", "write `sum(relu(x), dim = 1)`"),
        ("freeze f", "no parameter is made here"),
        ("for i in {0..3} { h = x }", "without braces it is a set already; two are joined by `+`"),
        ("in z: float[B, -1]", "a size that is not known has a name with a capital: `B`"),
        ("in z: complex[B]; h = exp(z)", "take its parts: `real(x)`, `imag(x)`"),
        ("loss(x)", "write `loss main = e`, without parentheses"),
        ("repeat i in 0..3  # the set", "write `{ ... }` after `3`"),
        ("h = 010", "write `10`; digits are grouped by `_`: `1_000`"),
    ],
)
def test_the_help_says_what_to_write(line: str, help: str) -> None:
    [found] = [d for d in findings(f"model M {{\n  in x: float[B, 4]\n  {line}\n  out y = x\n}}") if d.severity.value == "error"]
    assert found.help == help
