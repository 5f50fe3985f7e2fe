"""Each construct of the language and the tree that it makes, written without places."""

from __future__ import annotations

from typing import cast

import pytest

from archloom.dsl import ast
from archloom.dsl.parser import parse, parse_expression
from archloom.dsl.source import Source


def shown(thing: object) -> str:
    """Write a tree: names and numbers as they are, a tuple in brackets, a node as `Class(field, ..)`."""
    match thing:
        case ast.Name():
            return thing.id
        case ast.Number() | ast.Constant() | ast.String():
            return repr(thing.value)
        case ast.Node():
            fields = [getattr(thing, field) for field in thing.__dataclass_fields__ if "span" not in field]
            return f"{type(thing).__name__}({', '.join(shown(field) for field in fields)})"
        case tuple():
            return "[" + ", ".join(shown(part) for part in cast("tuple[object, ...]", thing)) + "]"
        case str():
            return thing
        case _:
            return repr(thing)


EXPRESSIONS = {
    "178_949_504": "178949504",
    "1e-5": "1e-05",
    "0.5": "0.5",
    "true": "True",
    "none": "None",
    r'"a\"b\\c\n"': repr('a"b\\c\n'),
    '"""raw \\d "quoted"\nline"""': repr('raw \\d "quoted"\nline'),
    "[a, 1,]": "List([a, 1])",
    "[]": "List([])",
    "()": "Tuple([])",
    "(a,)": "Tuple([a])",
    "(a, b)": "Tuple([a, b])",
    "(a)": "a",
    "{}": "SetLiteral([])",
    "{(A, P), (P, A)}": "SetLiteral([Tuple([A, P]), Tuple([P, A])])",
    "{semseg: 40, depth: 1}": "MapLiteral([[semseg, 40], [depth, 1]])",
    "{semseg: 40,\n\n depth: 1,\n}": "MapLiteral([[semseg, 40], [depth, 1]])",
    "[e for e in s if c]": "Comprehension(list, e, None, [Clause([e], s, c)], None)",
    "{e for e in s}": "Comprehension(set, e, None, [Clause([e], s, None)], None)",
    "{k: v for k, v in s}": "Comprehension(map, k, v, [Clause([k, v], s, None)], None)",
    "[s for a in x for (b, c) in y if a != b]": "Comprehension(list, s, None, [Clause([a], x, None), Clause([b, c], y, Binary(!=, a, b))], None)",
    "sum(f[e] for e in s where keep[:, e])": (
        "Call(sum, [Argument(None, Comprehension(bare, Index(f, [e]), None, [Clause([e], s, None)], Index(keep, [Slice(None, None, None), e])))])"
    ),
    "concat((f for f in s), dim = 1)": "Call(concat, [Argument(None, Comprehension(bare, f, None, [Clause([f], s, None)], None)), Argument(dim, 1)])",
    "f()": "Call(f, [])",
    "f(x, dim = 1, ...)": "Call(f, [Argument(None, x), Argument(dim, 1), Argument(None, Ellipsis())])",
    "f(...)": "Call(f, [Argument(None, Ellipsis())])",
    "Norm(_, eps = _)": "Call(Norm, [Argument(None, Open()), Argument(eps, Open())])",
    "f(\n  x,\n  y,\n)": "Call(f, [Argument(None, x), Argument(None, y)])",
    "Linear(a, b)(x)": "Call(Call(Linear, [Argument(None, a), Argument(None, b)]), [Argument(None, x)])",
    "x.y.in.0": "Attribute(Attribute(Attribute(x, y), in), 0)",
    "x[1]": "Index(x, [1])",
    "x[..., none, -1]": "Index(x, [Ellipsis(), None, Unary(-, 1)])",
    "x[:, a:b, ::2, 1:]": "Index(x, [Slice(None, None, None), Slice(a, b, None), Slice(None, None, 2), Slice(1, None, None)])",
    "h[*]": "Index(h, [Whole()])",
    "layers[m..]": "Index(layers, [Range(m, None, False)])",
    "layers[..m + k]": "Index(layers, [Range(None, Binary(+, m, k), False)])",
    "layers[..=c]": "Index(layers, [Range(None, c, True)])",
    "x[.., t]": "Index(x, [Range(None, None, False), t])",
    "0..=n": "Range(0, n, True)",
    "0..n": "Range(0, n, False)",
    "a if c else b if d else e": "Ternary(a, c, Ternary(b, d, e))",
    "lm.**[generate]": "Index(Attribute(lm, AnyPath()), [generate])",
    "**.balance": "Attribute(AnyPath(), balance)",
    "layers[*].attn.{q, v}": "Attribute(Attribute(Index(layers, [Whole()]), attn), SetLiteral([q, v]))",
    "a.*.b": "Attribute(Attribute(a, Whole()), b)",
    "a ** b": "Binary(**, a, b)",
    "** ** **": "Binary(**, AnyPath(), AnyPath())",
    "params(**: Linear | Conv2d, x)": "Call(params, [Argument(None, OfKind(AnyPath(), [Linear, Conv2d])), Argument(None, x)])",
    "all except tower": "Binary(except, all, tower)",
    "x not  in s": "Binary(not in, x, s)",
    "base with { module m at a.{q, v}: Lora(m, 8); param q at **: q + 1 }": "With(base)",
    "f(base with {\n  param q at **: {a: 1}\n})": "Call(f, [Argument(None, With(base))])",
}  # fmt: skip


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions(text: str) -> None:
    tree, diagnostics = parse_expression(Source("t", text))
    assert diagnostics == ()
    assert shown(tree) == EXPRESSIONS[text]


STATEMENTS = {
    "in x: float[B, S, dim]": "In([Declared(x, [])], TypeRef(float, [B, S, dim]), None, None, None)",
    "in q, k: float": "In([Declared(q, []), Declared(k, [])], TypeRef(float, None), None, None, None)",
    "in x[c in s]: float[..., din[c]]": "In([Declared(x, [Binder(c, s)])], TypeRef(float, [Ellipsis(), Index(din, [c])]), None, None, None)",
    "in i: float[B] as picture(mean = 0.5) in 0..S if c": (
        "In([Declared(i, [])], TypeRef(float, [B]), Call(picture, [Argument(mean, 0.5)]), Range(0, S, False), c)"
    ),
    "in i: int[] as tokens": "In([Declared(i, [])], TypeRef(int, []), tokens, None, None)",
    "in x: int[B] if v else float if c": "In([Declared(x, [])], TypeChoice(TypeRef(int, [B]), v, TypeRef(float, None)), None, None, c)",
    "in at: int[B] in 0..S": "In([Declared(at, [])], TypeRef(int, [B]), None, Range(0, S, False), None)",
    "target y: int[B] in 0..n if a > 0": "Target([Declared(y, [])], TypeRef(int, [B]), Range(0, n, False), Binary(>, a, 0))",
    "draw e[t in s]: float[B] ~ normal(0)": "Draw([Declared(e, [Binder(t, s)])], TypeRef(float, [B]), Call(normal, [Argument(None, 0)]))",
    "state k: float[B, P] = empty": "State(Declared(k, []), TypeRef(float, [B, P]), empty)",
    "out y": "Out([Declared(y, [])], None, None)",
    "out logits = f": "Out([Declared(logits, [])], f, None)",
    "out a, b = p": "Out([Declared(a, []), Declared(b, [])], p, None)",
    "out a, b = p, q": "Out([Declared(a, []), Declared(b, [])], Tuple([p, q]), None)",
    "out y: float[B]": "Out([Declared(y, [])], None, TypeRef(float, [B]))",
    "x = e": "Assign([Goal(x, [])], e)",
    "a, b = e, f": "Assign([Goal(a, []), Goal(b, [])], Tuple([e, f]))",
    "m[t, 0] = e": "Assign([Goal(m, [t, 0])], e)",
    "head[c in chains, d in 0..2] = e": "Assign([Goal(head, [Binder(c, chains), Binder(d, Range(0, 2, False))])], e)",
    "index tasks = {a, b}": "IndexSet(Declared(tasks, []), SetLiteral([a, b]))",
    "index slots[t in types] = 0..n[t]": "IndexSet(Declared(slots, [Binder(t, types)]), Range(0, Index(n, [t]), False))",
    "for t in tasks { }": "For([t], tasks, None, [])",
    "for (l, h) in pairs if l { x = 1 }": "For([l, h], pairs, l, [Assign([Goal(x, [])], 1)])",
    "for l, h in pairs { }": "For([l, h], pairs, None, [])",
    "for x in {a, b} { }": "For([x], SetLiteral([a, b]), None, [])",
    "repeat i in 0..d carry x, y { }": "Repeat(i, Range(0, d, False), [x, y], [])",
    "repeat i in s { }": "Repeat(i, s, [], [])",
    "if c { } else if d { } else { x = 1 }": "If(c, [], [If(d, [], [Assign([Goal(x, [])], 1)])])",
    "if c { }\n\n# why\nelse { }": "If(c, [], [])",
    "if c { } else\n{ }": None,
    "if c { }": "If(c, [], None)",
    "x = {a} if c else {b}": "Assign([Goal(x, [])], Ternary(SetLiteral([a]), c, SetLiteral([b])))",
    "task t { loss main = x }": "Task(t, [Loss(main, x)])",
    "entry decode { }": "Entry(decode, [], [])",
    "entry decode(k: int = 5) { out y }": "Entry(decode, [Parameter(k, TypeRef(int, None), 5)], [Out([Declared(y, [])], None, None)])",
    "require H % 16 == 0": "Require(Binary(==, Binary(%, H, 16), 0))",
    "require(a)": "Require(a)",
    "assert a": "Assert(a, None, None)",
    "assert y[..c] ignores x[c]": "Assert(Index(y, [Range(None, c, False)]), ignores, Index(x, [c]))",
    "assert a uses b": "Assert(a, uses, b)",
    "freeze tower, **: BatchNorm2d | LayerNorm": "Freeze([tower, OfKind(AnyPath(), [BatchNorm2d, LayerNorm])])",
    "tie a.weight, b.weight": "Tie(Attribute(a, weight), Attribute(b, weight))",
    "update total = total + 1": "Update(total, Binary(+, total, 1))",
    "renamed old.path -> new": "Renamed(Attribute(old, path), new)",
    "const a: int[C], b: int[C]": None,
    "const a, b: int[C]": "Reserved(const)",
    "choice active in tasks": "Reserved(choice)",
    "scan t in 1..T carry a { a = f(a) }": "Reserved(scan)",
    '"a note"': "Bare('a note')",
    "f(x)": "Bare(Call(f, [Argument(None, x)]))",
    "a = 1; b = 2": "Assign([Goal(a, [])], 1); Assign([Goal(b, [])], 2)",
}  # fmt: skip


@pytest.mark.parametrize("text", STATEMENTS)
def test_statements(text: str) -> None:
    file = parse(Source("t", "block T {\n  x = 0\n" + text + "  # said\n}"))
    expected = STATEMENTS[text]
    if expected is None:
        assert len(file.diagnostics) == 1
        return
    assert file.diagnostics == ()
    block = file.items[0].tree
    assert isinstance(block, ast.Block)
    assert "; ".join(shown(statement) for statement in block.body[1:]) == expected


ITEMS = {
    "arch 1": "Edition(1)",
    "import norm.RMSNorm": "Import(False, [norm], [ImportName(RMSNorm, None)])",
    "import a.b.{A, B as C,}": "Import(False, [a, b], [ImportName(A, None), ImportName(B, C)])",
    "import .mine.Thing as T": "Import(True, [mine], [ImportName(Thing, T)])",
    "import norm.{\n  A,\n  B\n}": "Import(False, [norm], [ImportName(A, None), ImportName(B, None)])",
    '"""A file."""': "Bare('A file.')",
    "block A { }": "Block(A, [], [], None)",
    'block A(n: list[list[int]], m: map[tasks, block] = {},) {\n  "doc"\n  out y }': (
        "Block(A, [Parameter(n, TypeRef(list, [TypeRef(list, [TypeRef(int, None)])]), None), "
        "Parameter(m, TypeRef(map, [tasks, TypeRef(block, None)]), SetLiteral([]))], [Out([Declared(y, [])], None, None)], doc)"
    ),
    "model M(mode: {add, gated} = add) { }": "Model(M, [Parameter(mode, EnumType([add, gated]), add)], [], None)",
    "model Small = Big(dim = 64)": "ModelAlias(Small, Call(Big, [Argument(dim, 64)]))",
    "fn f(s: float[B]) { out y = s }": "Fn(f, [Parameter(s, TypeRef(float, [B]), None)], [Out([Declared(y, [])], s, None)], None)",
    'extern block S(n: int) from "p.m:C" { in x: float[B] }': (
        "ExternBlock(S, [Parameter(n, TypeRef(int, None), None)], p.m:C, [In([Declared(x, [])], TypeRef(float, [B]), None, None, None)])"
    ),
    'extern fn m(c: float[N]) -> int[N] from "p:f"': "ExternFn(m, [Parameter(c, TypeRef(float, [N]), None)], TypeRef(int, [N]), p:f)",
    "criterion = {a: A()}": "Definition(criterion, MapLiteral([[a, Call(A, [])]]))",
    'weights s for M from "a", family "b/{s}", C(r = 1) complete { }': (
        "Weights(s, M, ['a', Call(family, [Argument(None, 'b/{s}')]), Call(C, [Argument(r, 1)])], True, [])"
    ),
    "weights s for M from Ties(a)": "Weights(s, M, [Call(Ties, [Argument(None, a)])], False, [])",
    'weights s for M from "a" { x[t, i] <- "l.{i}" for i in s[..m] where g = {a: "r"}, h = {}; drop "p.**"; y <- zeros }': (
        "Weights(s, M, ['a'], False, [WeightRule(Index(x, [t, i]), 'l.{i}', [Clause([i], Index(s, [Range(None, m, False)]), None)], "
        "[[g, MapLiteral([[a, 'r']])], [h, SetLiteral([])]]), Drop('p.**'), WeightRule(y, zeros, [], [])])"
    ),
    'train M { stage a { from s, "f"; tune all except t, rest in eval; tasks a, b; losses x.ce, **.kl } }': (
        "Train(M, [Stage(a, [From([s, 'f']), Tune([Binary(except, all, t)], True), Tasks([a, b]), "
        "Losses([Attribute(x, ce), Attribute(AnyPath(), kl)])])])"
    ),
    "train M { stage a { weight **.b = 5; set c = 1, d = e\n emit s = l\n use s; use s = b; options { lr = 1; k = f(2) } } }": (
        "Train(M, [Stage(a, [Weigh(Attribute(AnyPath(), b), 5), Set([Setting(c, 1), Setting(d, e)]), Emit(s, l), Use(s, None), Use(s, b), "
        "Options([Setting(lr, 1), Setting(k, Call(f, [Argument(None, 2)]))])])])"
    ),
    "train M { stage s for t in c { tune x }; for k in w { stage k { } }\n repeat r in 0..3 { stage a { } } }": (
        "Train(M, [Reserved(for), Reserved(for), Reserved(repeat)])"
    ),
    'golden g for M { param d = c.h; in x[t] <- "x.{t}" for t in s; value l[i].p -> "l"; host "fn"; weights o; tasks a, b; mode train; assert c.h }': (
        "Golden(g, M, [GoldenParam(d, Attribute(c, h)), GoldenIn(Index(x, [t]), 'x.{t}', [Clause([t], s, None)]), "
        "GoldenValue(Attribute(Index(l, [i]), p), 'l', []), GoldenHost('fn'), GoldenUse(weights, [o]), GoldenUse(tasks, [a, b]), "
        "GoldenUse(mode, [train]), GoldenFact(Attribute(c, h))])"
    ),
    "preset p for M { dim = 896; assert params() == 5 }": "Preset(p, M, [Setting(dim, 896), Assert(Binary(==, Call(params, []), 5), None, None)])",
    "transform T(base: weights, t: weights[tasks]) { match p { anything at all ( ) } }": "Transform(T)",
}  # fmt: skip


@pytest.mark.parametrize("text", ITEMS)
def test_items(text: str) -> None:
    file = parse(Source("t", "# before\n\n" + text + "   # after\n"))
    assert file.diagnostics == ()
    [item] = file.items
    assert item.span.text == text
    assert shown(item.tree) == ITEMS[text]


def test_every_class_of_the_tree_is_met_here() -> None:
    written = " ".join(filter(None, [*EXPRESSIONS.values(), *STATEMENTS.values(), *ITEMS.values()]))
    spoken = {"Name", "Number", "Constant", "String", "Node", "Broken"}  # `shown` writes these bare, and nothing that parses is broken
    classes = {name for name in ast.__all__ if isinstance(getattr(ast, name), type)} - spoken
    assert sorted(name for name in classes if f"{name}(" not in written) == []


def test_an_item_is_known_before_it_is_parsed() -> None:
    text = 'arch 1; import a.B\n"""d"""\nblock A { bad bad }\nextern  fn f(x: int) -> int from "p:f"; x = 3; extern block C from "p:C" { }; f(x)'
    file = parse(Source("t", text))
    known = [(item.word, item.name) for item in file.items]
    assert known == [
        ("arch", None), ("import", None), ("doc", None), ("block", "A"), ("extern fn", "f"), ("definition", "x"), ("extern block", "C"), ("", None),
    ]  # fmt: skip
    assert [len(item.diagnostics) for item in file.items] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert len(file.tree()) == 7


def test_an_item_is_parsed_once_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from archloom.dsl.parse.engine import engine

    calls: list[int] = []
    real = engine().parse

    def counting(source: Source, start: int, end: int, rule: str, written: Source | None) -> object:
        calls.append(start)
        return real(source, start, end, rule, written)

    monkeypatch.setattr(engine(), "parse", counting)
    file = parse(Source("t", "block A { }\nblock B { }\nblock C { bad bad }"))
    assert calls == []
    assert file.items[1].tree is file.items[1].tree and file.items[1].diagnostics == ()
    assert calls == [12]


def test_comments_are_kept() -> None:
    file = parse(Source("t", '# one\nx = "# no"  # two\nblock A { # three\n  y = f( # four\n  1) }\n"""\n# no\n"""\n#'))
    assert [comment.text for comment in file.comments] == ["# one", "# two", "# three", "# four", "#"]
    assert file.diagnostics == ()
