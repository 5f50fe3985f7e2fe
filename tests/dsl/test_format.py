"""The formatter: idempotent, faithful, and laid out as pinned here."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archloom.dsl.format import WIDTH, format_source
from archloom.dsl.parser import parse
from archloom.dsl.source import Source, Span

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for folder in ("blocks", "examples") for path in (ROOT / folder).rglob("*.arch"))


def formatted(text: str) -> str:
    result = format_source(Source("test.arch", text))
    assert isinstance(result, str), [f"{d.span}: {d.message}" for d in result]
    return result


def bare(node: Any) -> Any:
    """Return a syntax tree without its places."""
    if isinstance(node, tuple):
        return tuple(bare(part) for part in node)  # pyright: ignore[reportUnknownVariableType]  # a tree of any shape
    if is_dataclass(node):
        kept = tuple(bare(getattr(node, f.name)) for f in fields(node) if not isinstance(getattr(node, f.name), Span))
        return (type(node).__name__, kept)
    return node


def meaning(text: str) -> Any:
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
    return once


# ------------------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_keep_their_meaning(path: Path) -> None:
    check(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_survive_being_torn_apart(path: Path) -> None:
    """With a new line and a remark after every bracket and comma that allows it, the formatter gives the same tree."""
    text = path.read_text(encoding="utf-8")
    torn = text.replace("(", "(\n# opened\n").replace(", ", ",\n") if '"' not in text else text.replace("    ", "\t").replace(" = ", "=")
    if parse(Source("torn.arch", torn)).diagnostics:
        torn = text
    check(torn)


# ------------------------------------------------------------------------------------------------ generated programs

NAMES = st.sampled_from(["x", "memory", "a_rather_long_name_for_a_value", "t", "weight", "loss", "out", "in_proj", "where", "index", "e2"])
ATOMS = st.one_of(
    NAMES.map(lambda name: [name]),
    st.sampled_from(["0", "17", "178_949_504", "0.5", "1e-5", "true", "none", '"b (h w) c -> b h w c"', '"#, no comment {"']).map(lambda a: [a]),
)
BINARY = st.sampled_from(
    ["+", "-", "*", "/", "//", "%", "@", "**", "&", "|", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or", "except"]
)


def joined(parts: list[list[str]], by: str = ",") -> list[str]:
    return [token for i, part in enumerate(parts) for token in ([by] if i else []) + part]


def larger(inner: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    several = st.lists(inner, min_size=1, max_size=4)
    clause = st.builds(lambda n, s: ["for", n, "in", "(", *s, ")"], NAMES, inner)
    return st.one_of(
        st.builds(lambda a, op, b: ["(", *a, ")", op, "(", *b, ")"], inner, BINARY, inner),
        st.builds(lambda op, a: [op, "(", *a, ")"], st.sampled_from(["-", "~", "not"]), inner).map(lambda t: ["(", *t, ")"]),
        st.builds(lambda f, a: [f, "(", *joined(a), ")"], NAMES, several),
        st.builds(lambda f, n, a: [f, "(", *joined([[n, "=", *x] for x in a]), ",", ")"], NAMES, NAMES, several),
        st.builds(lambda f, a: [f, "[", *joined(a), ",", ":", "-", "1", ",", "none", "]"], NAMES, several),
        st.builds(lambda f, a: [f, "[", "(", *a, ")", "..", "]"], NAMES, inner),
        st.builds(lambda f, m: [f, ".", "**", "[", m, "]"], NAMES, NAMES),
        st.builds(lambda f, a, b: [f, ".", "{", a, ",", b, "}"], NAMES, NAMES, NAMES),
        st.builds(lambda a: ["[", *joined(a), "]"], several),
        st.builds(lambda a: ["{", *joined(a), "}"], several),
        st.builds(lambda n, a: ["{", *joined([[n, ":", *x] for x in a]), "}"], NAMES, several),
        st.builds(lambda a: ["(", *joined(a), ",", ")"], several),
        st.builds(lambda a, c, b: ["(", *a, "if", "(", *c, ")", "else", *b, ")"], inner, inner, inner),
        st.builds(lambda e, c, w: ["sum", "(", *e, *c, "where", *w, ")"], inner, clause, inner),
        st.builds(lambda e, c: ["[", *e, *c, "]"], inner, clause),
    )


EXPRESSIONS = st.recursive(ATOMS, larger, max_leaves=12)
SELECTORS = st.sampled_from([["**"], ["head", ".", "**"], ["**", ".", "{", "q", ",", "v", "}"], ["layer", "[", "*", "]"], ["{", "a", ",", "b", "}"]])
SIMPLE = st.one_of(
    st.builds(lambda n, e: [n, "=", *e], NAMES, EXPRESSIONS),
    st.builds(lambda a, b, e: [a, ",", b, "=", *e, ",", "1"], NAMES, NAMES, EXPRESSIONS),
    st.builds(lambda n, e: ["out", n, "=", *e], NAMES, EXPRESSIONS),
    st.builds(lambda n, e: ["loss", n, "=", *e], NAMES, EXPRESSIONS),
    st.builds(lambda n, e: ["in", n, "[", "c", "in", "cs", "]", ":", "float", "[", "...", ",", *e, "]"], NAMES, EXPRESSIONS),
    st.builds(lambda e: ["require", "(", *e, ")"], EXPRESSIONS),
    st.builds(lambda a, b: ["assert", "a", *a, "ignores", *b], st.just([".", "b"]), SELECTORS),
    st.builds(lambda s: ["freeze", *s], SELECTORS),
    st.builds(lambda n, e: ["draw", n, ":", "float", "[", "B", "]", "~", "normal", "(", *e, ")"], NAMES, EXPRESSIONS),
)
Program = list[Any]  # tokens (strings) of a simple statement, or (header, statements, else statements or None)


def blocks(inner: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
    headers = st.sampled_from([["for", "t", "in", "tasks"], ["repeat", "i", "in", "0", "..", "depth", "carry", "x", ",", "y"], ["task", "t"]])
    body = st.lists(inner, min_size=0, max_size=3)
    return st.one_of(
        st.builds(lambda h, b: [(h, b, None)], headers, body),
        st.builds(lambda e, b, o: [(["if", "(", *e, ")"], b, o)], EXPRESSIONS, body, st.none() | body),
    )


STATEMENTS = st.recursive(SIMPLE, blocks, max_leaves=6)
COMMENTS = st.sampled_from(["# why", "#tight", "# it holds { and ( and \" and ;", "#"])


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Draw the text of a file, with blanks, line ends and comments wherever the language allows them."""
    out: list[str] = []

    def gap(depth: int) -> str:
        kinds = [" ", " ", " ", "   ", "\t"] + (["\n", "\n\n", "comment"] if depth else [])
        kind = draw(st.sampled_from(kinds))
        return f"  {draw(COMMENTS)}\n" if kind == "comment" else kind

    def simple(tokens: list[str]) -> None:
        depth = 0
        for i, token in enumerate(tokens):
            if i:
                # a newline may stand where a bracket is open; a member follows its dot at once
                out.append("" if "." in (token, tokens[i - 1]) else gap(depth))
            depth += (token in "([{") - (token in ")]}")
            out.append(token)

    def end() -> None:
        out.append(draw(st.sampled_from(["\n", "\n\n\n", " ;\n", "; ", "  # behind\n", "\n # above\n", "\n\n#one\n\n\n\n#two\n\n"])))

    def statement(part: list[Any]) -> None:
        if len(part) != 1 or not isinstance(part[0], tuple):
            simple(part)
            return
        header, body, otherwise = part[0]
        simple(header)
        braces(body)
        if otherwise is not None:
            out.append(draw(st.sampled_from([" ", "\n", "  # then\n", "\n# or\n"])))
            out.append("else")
            braces(otherwise)

    def braces(body: list[list[Any]]) -> None:
        out.append(draw(st.sampled_from([" { ", " {\n", " { # opened\n", " {\n\n\n"])))
        for part in body:
            statement(part)
            end()
        out.append("}")

    for i in range(draw(st.integers(1, 2))):
        out.append(f"block B{i}(dim: int = 3)")
        braces(draw(st.lists(STATEMENTS, min_size=1, max_size=4)))
        out.append("\n")
    return "".join(out)


@settings(max_examples=150, deadline=None)
@given(programs())
def test_any_program_keeps_its_meaning(text: str) -> None:
    check(text)


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS)
def test_long_expressions_are_broken(tokens: list[str]) -> None:
    text = check(f"model M {{ y = f({' '.join(tokens)}) }}")
    atoms = max(len(token) for token in tokens)
    for line in text.splitlines():
        # only what can't be broken, an index or a chain at the bottom of the brackets, may be longer
        assert len(line) <= max(WIDTH, 60 + 2 * atoms)


# ------------------------------------------------------------------------------------------------------ pinned layouts

LAYOUTS = {
    "spaces": (
        "block  B( a:int=3 ,b : float[B,S , dim] ){ y=f( a , dim=- 1)[ : , - 1:,...]+x [ c ] . z ** - 2 }",
        "block B(a: int = 3, b: float[B, S, dim]) { y = f(a, dim = -1)[:, -1:, ...] + x[c].z ** -2 }\n",
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
        'weights w for M from "a", family "b/{s}" complete { f[i] <- transpose("m.{i - m}") for i in layers[m..] where g = {r: "q"} }\n',
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
    assert result == parse(Source("test.arch", text)).diagnostics or [d.message for d in result] == [d.message for d in parse(Source("test.arch", text)).diagnostics]
