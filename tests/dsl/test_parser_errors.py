"""The words of syntax errors, pinned; the catalogue's examples of what is wrong and right."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from archloom.dsl import catalogue as package
from archloom.dsl.catalogue import Entry, catalogue
from archloom.dsl.diagnostics import Diagnostic
from archloom.dsl.parser import parse, pythonisms
from archloom.dsl.source import Source

BODIES = r"""
x = 3 +⏎ 4
x = y⏎ + 3
x = y⏎ .z
x = y *⏎ z
x =⏎ 3
x = (3 +⏎ 4))
self.x = 3
x = self.fc(y)
def f(x):⏎  return x
return x
x = lambda y: y
x = True
x = f(y, None)
x = f(y).view(2, 3)
x = f(y).mean(dim = 1)
x = f(y); n = x.shape[0]
x = a + b; z = x.unsqueeze(1)
x = ModuleList(a); z = nn.ModuleList(a)
y = F.relu(x)
y = torch.cat(x, 1)
x += 1
x //= 2
x++
x = nn.Linear(3, 4)
if a = b { y = 3 }
if a: ⏎ y = 3
for t in tasks⏎{ }
for t in tasks
repeat i in 0..3 carry { }
require H = 3
loss f(x)
loss = f(x)
target y
in x
in a: int, in b: int
x: int = 3
f(*args)
f(**options)
x = 'a'
x = “a”
x = .5
x = 5.
x = 1.5.2
x = a b
x = a ? b
x = a ^ b
x = !a
x = a && b
x = \⏎ 3
x = β
for = 3
x = if a { }
f(if = 3)
_ = f(x)
a, _ = f(x)
x = f(a; b)
x = f(a b)
x = [a, b
x = {a: 1, b}
x = a[1
elif x { }
while x { }
match p { }
loop n in 0..3 { }
frozen tower
for t in tasks where c { }
if a { }; else { }
x = a else b
if a { } x = 3
x = f(y))
taget y: int
x = a < b < c
x = a..b..c
x = a == not b
x = y[a..=]
f(x) = 3
x.y = 3
a == b = c
x = "abc
x = "a\qb"
x = 1e999
assert a ignores
freeze
target y: int[B] as tokens(3)
out y -> float
{a: 1} => 3
x = ...
"""

FILES = r"""
import torch
import norm
import .mine
from torch import nn
class Net(nn.Module):⏎  def forward(self, x):⏎    return x
train M { stage a { lr = 3 } }
train M { stage a { tun x } }
train M { tune x }
weights a for M from "x" { a = "b" }
weights a for M { }
block A(x = 3) { }
block A(x: int == 3) { }
block A(x: int)⏎{ }
block A(x: int
block A { for t in s {⏎  x = 1⏎}⏎block B { }
block A {⏎  for t in s {⏎    x = 1⏎}⏎⏎block B { y = 3 }
block A { x = (3 }⏎block B { }
block A { x = {a: (1, 2} }
x = 3 }⏎block B { }
x = "abc⏎y = 3
" ""abc⏎model M { }
fn f(x: float[B]) -> float[B] { out y = x }
blok A { }
block A { }, block B { }
transform T(a: weights)
arch 1.5
preset p for M { in x: int }
block A { in x: float[B] }⏎block B { x = = }⏎block C { y = + }
x[3] = 4
"""
"""The sign ⏎ stands for a newline."""

BODY_TEXTS = [text.replace("⏎", "\n") for text in BODIES.strip().splitlines()]
FILE_TEXTS = [text.replace("⏎", "\n").replace('" ""', '"""') for text in FILES.strip().splitlines()]


def described(diagnostic: Diagnostic) -> str:
    labels = "".join(f"\n    label {label.span.line}:{label.span.column}: {label.text}" for label in diagnostic.labels)
    help = f"\n    help: {diagnostic.help}" if diagnostic.help else ""
    return f"  {diagnostic.span.line}:{diagnostic.span.column}: {diagnostic.code}: {diagnostic.message}{labels}{help}"


def errors(text: str) -> list[Diagnostic]:
    file = parse(Source("t", text))
    return [*file.diagnostics, *(found for item in file.tree() for found in pythonisms(item))]


def test_what_errors_say(golden: Callable[[str, str], None]) -> None:
    said: list[str] = []
    for written in BODY_TEXTS:
        said.append("\n".join([repr(written), *map(described, errors(f"model M {{\n{written}\n}}"))]))
    for written in FILE_TEXTS:
        said.append("\n".join([repr(written), *map(described, errors(written))]))
    golden("syntax_errors.txt", "\n\n".join(said) + "\n")


LEGAL = {"loss = f(x)", "freeze"}
"""Parsed; the checker reports a value never read, and an expression that says nothing."""


@pytest.mark.parametrize("written", [text for text in BODY_TEXTS if text not in LEGAL])
def test_each_mistake_has_one_error_at_its_place(written: str) -> None:
    text = f"model M {{\n{written}\n}}\nblock Sound {{ in x: float[B]; out y = x }}"
    [diagnostic] = errors(text)
    assert diagnostic.code in catalogue()
    assert 2 <= diagnostic.span.line <= 2 + written.count("\n") + 1
    assert parse(Source("t", text)).items[-1].tree is not None


@pytest.mark.parametrize(
    "body",
    [
        "layer = Layer(8); x = layer.norm(y)",
        "one = Scales(1) if c else Scales(2); x = one.split(y)",
        "alias = layer.deep; x = alias.view(y)",
        "x = tower.parts[0].sum(y)",
        "r = f(x); z = r.view",
        "x = table.shape",
        "F = f(x); y = F.values",
    ],
)
def test_parts_of_modules_may_be_called_like_methods(body: str) -> None:
    assert errors(f"model M {{ {body} }}") == []


def test_messages_follow_the_house_style() -> None:
    for text in [*(f"model M {{\n{body}\n}}" for body in BODY_TEXTS), *FILE_TEXTS]:
        for diagnostic in errors(text):
            for sentence in filter(None, [diagnostic.message, diagnostic.help]):
                assert not sentence.endswith(".") and (sentence[0].islower() or sentence[0] in "`'"), sentence
                assert not re.search(r"\b[A-Z]+_[A-Z]+\b|__|\$END|LBRACE|RPAR", sentence), sentence


# ------------------------------------------------------------------------------------------------------------ catalogue

SYNTAX = [entry for code, entry in catalogue().items() if code.startswith("A0")]


@pytest.mark.parametrize("entry", SYNTAX, ids=lambda entry: entry.code)
def test_the_examples_of_the_catalogue(entry: Entry) -> None:
    assert entry.code in [diagnostic.code for diagnostic in errors(entry.wrong)]
    assert errors(entry.right) == []


def test_every_syntax_code_in_the_sources_is_in_the_catalogue() -> None:
    from pathlib import Path

    folder = Path(package.__file__).parents[1]
    sources = [*(folder / "parse").glob("*.py"), folder / "parser.py"]
    used = {code for path in sources for code in re.findall(r'"(A[08]\d\d)"', path.read_text("utf-8"))}
    assert len(used) > 30
    assert sorted(used - set(catalogue())) == []
    assert sorted({entry.code for entry in SYNTAX} - used) == []


def test_a_code_twice_or_in_the_wrong_module_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from archloom.dsl.catalogue import names, syntax

    entry = Entry("A100", "t", "m", "w", "r")
    monkeypatch.setattr(names, "ENTRIES", (entry, entry))
    with pytest.raises(ValueError, match="A100 is in the catalogue twice"):
        catalogue()
    monkeypatch.setattr(names, "ENTRIES", ())
    monkeypatch.setattr(syntax, "ENTRIES", (entry,))
    with pytest.raises(ValueError, match="A100 doesn't belong in syntax.py"):
        catalogue()
