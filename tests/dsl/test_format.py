"""The formatter: idempotent, faithful, and laid out as pinned here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from archloom.dsl.format import WIDTH, format_source
from archloom.dsl.format.tokens import Kind, tokens
from archloom.dsl.limits import Limits
from archloom.dsl.parser import parse
from archloom.dsl.source import Source, Span

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for folder in ("blocks", "examples") for path in (ROOT / folder).rglob("*.arch"))


def formatted(text: str) -> str:
    result = format_source(Source("test.arch", text))
    assert isinstance(result, str), [f"{d.span}: {d.message}" for d in result]
    return result


def bare(node: object) -> object:
    """Return a syntax tree without its places."""
    if isinstance(node, tuple):
        return tuple(bare(part) for part in cast("tuple[object, ...]", node))
    if is_dataclass(node):
        kept = tuple(bare(getattr(node, f.name)) for f in fields(node) if not isinstance(getattr(node, f.name), Span))
        return (type(node).__name__, kept)
    return node


def meaning(text: str) -> object:
    file = parse(Source("test.arch", text))
    assert not file.diagnostics, [f"{d.span}: {d.message}" for d in file.diagnostics]
    return tuple(bare(item.tree) for item in file.items)


def comments(text: str) -> Counter[str]:
    return Counter(span.text.rstrip() for span in parse(Source("test.arch", text)).comments)


def check(text: str) -> str:
    once = formatted(text)
    assert meaning(once) == meaning(text)
    assert comments(once) == comments(text)
    assert formatted(once) == once
    assert not any(line != line.rstrip() for line in once.splitlines()) or '"""' in once
    return once


# ------------------------------------------------------------------------------------------------------------ files


@pytest.mark.sampled(3)
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_keep_their_meaning(path: Path) -> None:
    check(path.read_text(encoding="utf-8"))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_layout_does_not_depend_on_line_ends_in_brackets(path: Path) -> None:
    """Torn apart after every comma and bracket in which line ends don't count, a file comes out the same."""
    text = formatted(path.read_text(encoding="utf-8"))
    assert formatted(torn(text)) == text


def torn(text: str) -> str:
    """Return a text with a line end after each `(`, `[` and comma in which line ends don't count, but where a comment follows."""
    found = [token for token in tokens(text) if token.kind is not Kind.NEWLINE]
    out, at = "", 0
    open_: list[str] = []
    for token, after in pairwise(found):
        if token.kind is Kind.OPEN:
            open_.append(token.text)
        elif token.kind is Kind.CLOSE:
            open_.pop()
        end = token.start + len(token.text)
        if open_ and open_[-1] != "{" and token.text in ("(", "[", ",") and not after.is_comment:
            out, at = out + text[at:end] + "\n\t", end
    return out + text[at:]


# ------------------------------------------------------------------------------------------------ generated programs

NAMES = ["x", "memory", "a_rather_long_name_for_a_value", "t", "weight", "loss", "out", "in_proj", "where", "index", "e2", "from", "complete"]
LITERALS = ["0", "17", "178_949_504", "0.5", "1e-5", "true", "none", '"b (h w) c -> b c h w"', '"#, no comment {"']
OPERATORS = ["+", "-", "*", "/", "//", "%", "@", "**", "&", "|", "==", "!=", "<", "<=", ">", ">=", "in", "not_in", "and", "or", "except"]
SELECTORS = ["**", "head . **", "** . { q , v }", "layer [ * ]", "{ a , b }", "lm . ** [ t ]", "** except head"]
COMMENTS = ["# why", "#tight", '# it holds { and ( and " and ;', "#"]
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking a program takes minutes


@dataclass
class Writer:
    """Draws programs: expressions and statements as tokens apart by blanks, then their text with any blanks between them."""

    draw: st.DrawFn
    out: list[str] = field(default_factory=list[str])

    def one(self, choices: Sequence[str]) -> str:
        return self.draw(st.sampled_from(choices))

    def name(self) -> str:
        return self.one(NAMES)

    def expression(self, depth: int) -> str:
        """Draw an expression that may stand anywhere: what isn't bracketed is put in parentheses."""
        if depth == 0 or self.draw(st.integers(0, 3)) == 0:
            return self.one([*NAMES, *LITERALS])
        forms = (self.operation, self.call, self.index, self.literal, self.comprehension, self.choice)
        return self.draw(st.sampled_from(forms))(depth - 1)

    def several(self, depth: int) -> list[str]:
        return [self.expression(depth) for _ in range(self.draw(st.integers(1, 4)))]

    def operation(self, depth: int) -> str:
        terms = self.several(depth)
        first = self.one(["", "- ", "~ ", "not "])
        if len(terms) == 1:
            return f"( {first} {terms[0]} )"
        operator = self.one(OPERATORS[:10]) if len(terms) > 2 else self.one(OPERATORS).replace("_", " ")
        return "( " + f" {operator} ".join(terms) + " )"

    def call(self, depth: int) -> str:
        arguments = self.several(depth)
        named = [f"{self.name()} = {a}" for a in arguments[1:]]
        return f"{self.name()} ( " + " , ".join([arguments[0], *named]) + self.one([" )", " , )", " , ... )"])

    def index(self, depth: int) -> str:
        item = self.expression(depth)
        form = self.one(
            [
                "[ {} , : - 1 , none ]",
                "[ ( {} ) .. ]",
                "[ .. {} ]",
                "[ {} : ( {} ) : 2 ]",
                ". ** [ {} ]",
                "[ * ] . key [ {} ]",
                ". {{ q , v }} ( {} )",
            ]
        )
        return f"{self.name()} {form.format(item, item)}"

    def literal(self, depth: int) -> str:
        items = self.several(depth)
        if self.draw(st.booleans()):
            return "{ " + " , ".join(f"{self.name()} : {item}" for item in items) + self.one([" }", " , }"])
        open_, close = self.one(["[]", "{}", "()"])
        return f"{open_} {' , '.join(items)} , {close}"

    def comprehension(self, depth: int) -> str:
        element, source = self.expression(depth), self.expression(depth)
        clause = f"{element} for {self.name()} in ( {source} )"
        return self.one(["sum ( {} )", "sum ( {} where x )", "[ {} if ( x ) ]", "{{ {} }}", "concat ( ( {} ) , dim = 1 )"]).format(clause)

    def choice(self, depth: int) -> str:
        return f"( {self.expression(depth)} if ( {self.expression(depth)} ) else {self.expression(depth)} )"

    def simple(self) -> str:
        """Draw a statement without a body."""
        name, e = self.name(), self.expression(2)
        forms = [
            f"{name} = {e}", f"x , {name} = {e} , 1", f"out {name} = {e}", f"loss {name} = {e}", f"in {name} [ c in cs ] : float [ ... , {e} ]",
            f"in {name} : int [ {e} ] if ( {e} ) else bool [ ] as tokens ( {e} )", f"require ( {e} )", f"assert a . b ignores {self.one(SELECTORS)}",
            f"freeze {self.one(SELECTORS)}", f"draw {name} : float [ B ] ~ normal ( {e} )", f"memory [ {e} ] = - {e}", f"renamed a . b -> c . {name}",
            f"index {name} = 0 .. ( {e} )", f"base = x with {{ module m at {self.one(SELECTORS)} : Lora ( m , {e} ) }}",
        ]  # fmt: skip
        return self.one(forms)

    def statement(self, depth: int) -> None:
        kind = self.draw(st.integers(0, 5)) if depth else 2
        if kind == 0:
            self.text(self.one(["for t in tasks", "repeat i in 0 .. depth carry x , y", "task t", "entry step ( k : int = 3 )"]))
            self.body(depth - 1)
        elif kind == 1:
            self.text(f"if ( {self.expression(1)} )")
            self.body(depth - 1)
            if self.draw(st.booleans()):
                self.out.append(self.one([" else", "\nelse", "  # then\nelse", "\n# or\n\n# else\n else", "# a\n\n# b\nelse"]))
                self.body(depth - 1)
        else:
            self.text(self.simple())

    def body(self, depth: int) -> None:
        self.out.append(self.one([" { ", "{", " {\n", " { # opened\n", " {\n\n\n"]))
        for _ in range(self.draw(st.integers(0, 3))):
            self.statement(depth)
            self.out.append(self.one(["\n", "\n\n\n", " ;\n", "; ", "  # behind\n", "\n # above\n", "\n\n#one\n\n\n\n#two\n\n"]))
        self.out.append("}")

    def text(self, statement: str) -> None:
        """Write a statement, with line ends and comments where a bracket is open, and a member right behind its dot."""
        depth, before = 0, ""
        for token in PATTERN_OF_TOKENS.findall(statement):
            if before and "." not in (before, token):
                gaps = [" ", " ", "   ", "\t"] + (["\n", "\n\n", f"  {self.one(COMMENTS)}\n"] if depth and "with {" not in statement else [])
                self.out.append(self.one(gaps))
            depth += (token in "([{") - (token in ")]}")
            self.out.append(token)
            before = token


PATTERN_OF_TOKENS = re.compile(r'"[^"]*"|not in|\S+')


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Draw the text of a file."""
    writer = Writer(draw)
    for i in range(draw(st.integers(1, 2))):
        writer.out.append(f"block B{i}(dim: int = 3)")
        writer.body(2)
        writer.out.append("\n")
    return "".join(writer.out)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    return Writer(draw).expression(4)


@settings(phases=QUICK)
@given(programs())
def test_any_program_keeps_its_meaning(text: str) -> None:
    check(text)


@settings(phases=QUICK)
@given(expressions())
def test_long_expressions_are_broken(expression: str) -> None:
    for line in check(f"model M {{ y = f({expression}) }}").splitlines():
        # no bracket of two items is left whole on a line that is too long
        assert len(line) <= WIDTH or line.count(",") <= 1 or line.endswith(("(", "[", "{"))


# ------------------------------------------------------------------------------------------------------ pinned layouts

LAYOUTS = {
    "spaces": (
        "block  B( a:int=3 ,b : float[B,S , dim] ){ y=f( a , dim=- 1)[ : , - 1:,...]+x [ c ] . z ** - 2 }",
        "block B(a: int = 3, b: float[B, S, dim]) { y = f(a, dim = -1)[:, -1:, ...] + x[c].z ** -2 }\n",
    ),
    "slices": ("model M { y = x[ : , : , -2 : ,c : : 2,.. , ..m] }", "model M { y = x[:, :, -2:, c::2, .., ..m] }\n"),
    "a path before except": (
        'weights w for M from "x" {\n  f except  f.bias <- "f"\n}\n',
        'weights w for M from "x" {\n  f except f.bias <- "f"\n}\n',
    ),
    "ranges": ("index layers=0 .. depth-1\n", "index layers = 0..depth - 1\n"),
    "statements": ("model M {a = 1;b = 2 ; c = 3}", "model M {\n  a = 1\n  b = 2\n  c = 3\n}\n"),
    "one line": ("model M {\n for t in tasks { x = f(t) }\n}", "model M {\n  for t in tasks { x = f(t) }\n}\n"),
    "else": (
        "model M { if a { b = 1 }\n\n else if c { d = 1 } else { e = 1 } }",
        "model M {\n  if a {\n    b = 1\n  } else if c {\n    d = 1\n  } else {\n    e = 1\n  }\n}\n",
    ),
    "remark before else": (
        "model M {\n if a {\n b = 1 } # then\n # or\n else { c = 1 }\n}",
        "model M {\n  if a {\n    b = 1\n  }  # then\n  # or\n  else {\n    c = 1\n  }\n}\n",
    ),
    "blank lines": ("\n\n\nimport a.B\n\n\n\nmodel M {\n\n\n  x = 1\n\n\n  y = 2\n\n}\n\n", "import a.B\n\nmodel M {\n  x = 1\n\n  y = 2\n}\n"),
    "comments": (
        "# top\nmodel M {# opened\n x = 1# behind\n#own\n}# closed",
        "# top\nmodel M {  # opened\n  x = 1  # behind\n  #own\n}  # closed\n",
    ),
    "comments in brackets": (
        "model M { x = f(a, # first\n # second\n b) }",
        "model M {\n  x = f(\n    a,  # first\n    # second\n    b\n  )\n}\n",
    ),
    "selectors": (
        "train M { stage s { tune  ** . { q,v } , lm.**[ t ],**:Linear|Conv2d , rest in eval;weight **.kl=5e-4 } }",
        "train M {\n  stage s {\n    tune **.{q, v}, lm.**[t], **: Linear | Conv2d, rest in eval\n    weight **.kl = 5e-4\n  }\n}\n",
    ),
    "weights": (
        'weights w for M from"a",family "b/{s}" complete{ f[ i ]<-transpose("m.{i - m}") for i in layers[ m .. ] where g={r:"q"} }',
        'weights w for M from "a", family "b/{s}" complete {\n  f[i] <- transpose("m.{i - m}") for i in layers[m..] where g = {r: "q"}\n}\n',
    ),
    "grafts": (
        "model M { n=base with{module m at layers[ * ].q:Lora(m,8)\nparam q at **:q*2} }",
        "model M {\n  n = base with {\n    module m at layers[*].q: Lora(m, 8)\n    param q at **: q * 2\n  }\n}\n",
    ),
    "extern": (
        'extern fn f(cost:float[ B,L ])->int[ B ]from "a:b"\nextern block S(n:int)from"a:B"{in x:float[ n ];out y:float[ n ]}',
        'extern fn f(cost: float[B, L]) -> int[B] from "a:b"\nextern block S(n: int) from "a:B" {\n  in x: float[n]\n  out y: float[n]\n}\n',
    ),
    "commas at the end": ("import a.{B,C,}\ny = f(a,[1,2,],{a,b,},(a,),)", "import a.{B, C}\ny = f(a, [1, 2], {a, b}, (a,))\n"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name: str) -> None:
    text, expected = LAYOUTS[name]
    if name in ("ranges",):
        text, expected = f"model M {{\n{text}}}", f"model M {{\n  {expected}}}\n"
    assert check(text) == expected


def test_a_long_call_is_broken_one_argument_a_line() -> None:
    arguments = [f"argument_number_{i} = {i}" for i in range(6)]
    text = check(f"model M {{ y = Linear({', '.join(arguments)})(x) }}")
    assert text == "model M {\n  y = Linear(\n" + ",\n".join(f"    {a}" for a in arguments) + "\n  )(x)\n}\n"


def test_a_long_header_is_broken() -> None:
    parameters = [f"parameter_{i}: int = {i}" for i in range(6)]
    text = check(f"model M({', '.join(parameters)}) {{ y = 1 }}")
    assert text == "model M(\n" + ",\n".join(f"  {p}" for p in parameters) + "\n) {\n  y = 1\n}\n"


def test_a_long_sum_gets_parentheses() -> None:
    terms = [f"a_rather_long_name_{i}" for i in range(6)]
    text = check(f"model M {{ total = {' + '.join(terms)} }}")
    assert text == "model M {\n  total = (\n    " + "\n    + ".join(terms) + "\n  )\n}\n"


def test_a_comment_that_does_not_fit_moves_above() -> None:
    statement, comment = "y = f(" + "x" * 60 + ")", "# " + "why " * 10
    text = check(f"model M {{\n  {statement}  {comment}\n}}")
    assert text == f"model M {{\n  {comment.rstrip()}\n  {statement}\n}}\n"


def test_a_long_comprehension_breaks_before_its_clauses() -> None:
    element = "weight[:, expert_number, none] * expert[expert_number](hidden_states_of_tokens)"
    text = check(f"model M {{ y = sum({element} for expert_number in experts where keep[:, expert_number]) }}")
    assert text == f"model M {{\n  y = sum(\n    {element}\n    for expert_number in experts\n    where keep[:, expert_number]\n  )\n}}\n"


def test_strings_and_numbers_stay_as_written() -> None:
    doc = '"""A model.\n   It has  two lines;   and { no } layout."""'
    assert check(f'{doc}\nmodel M {{\n  n = 178_949_504\n  s = "a  b # c"\n}}\n') == f'{doc}\nmodel M {{\n  n = 178_949_504\n  s = "a  b # c"\n}}\n'


def test_an_unread_transform_stays_as_written() -> None:
    text = "transform T(a: weights) {\n   it's   free $ text\n }\n"
    assert formatted(text) == text


@pytest.mark.parametrize("text", ["model M { y = }", "model M {", "block B { x = 1 }\nmodel M { for }", "", "# only a comment\n"])
def test_what_does_not_parse_is_left_alone(text: str) -> None:
    result = format_source(Source("test.arch", text))
    assert isinstance(result, tuple) and result
    assert [d.message for d in result] == [d.message for d in parse(Source("test.arch", text)).diagnostics]


def test_no_more_errors_are_looked_for_than_the_limit() -> None:
    text = "in in in\n" * 200 + "x = 1\n" * 20
    result = format_source(Source("test.arch", text), Limits(errors=100))
    assert isinstance(result, tuple) and len(result) == 101
    assert result[-1].message == "there are more than 100 errors: the rest of the text isn't looked at"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (f"y = f({', '.join(['argument'] * 8)}, b = 2)", f"y = f({', '.join(['argument'] * 8)}, b = 2)"),
        (f"y = f({', '.join(['argument'] * 9)}, b = 234)", f"y = f(\n  {', '.join(['argument'] * 9)}, b = 234\n)"),
        (f"y = f({', '.join(['argument'] * 10)})", f"y = f(\n  {', '.join(['argument'] * 10)}\n)"),
        (f"y = f({', '.join(['argument'] * 11)})", "y = f(\n" + ",\n".join(["  argument"] * 11) + "\n)"),
        ("train M { stage a { options { lr = 1; warmup = 2 } } }", "train M {\n  stage a {\n    options { lr = 1; warmup = 2 }\n  }\n}"),
        ("train M { stage a { tune all; options { lr = 1 } } }", "train M {\n  stage a {\n    tune all\n    options { lr = 1 }\n  }\n}"),
    ],
)
def test_what_stays_on_one_line(written: str, shown: str) -> None:
    assert check(written) == shown + "\n"
