"""Operators bind as in Python: random expressions, read by Python's own parser and by ours."""

from __future__ import annotations

import ast as python

from hypothesis import given
from hypothesis import strategies as st

from archloom.dsl import ast
from archloom.dsl.parser import parse_expression
from archloom.dsl.source import Source

BINARY = ["or", "and", "==", "<", ">=", "in", "not in", "|", "&", "+", "-", "*", "/", "//", "%", "@", "**"]


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["a", "b", "3", "f(x)", "x[i]", "x.y"]))
    part = expressions(depth=depth - 1)
    shape = draw(st.sampled_from(["binary", "binary", "binary", "unary", "group", "ternary"]))
    if shape == "binary":
        return f"{draw(part)} {draw(st.sampled_from(BINARY))} {draw(part)}"
    if shape == "unary":
        return f"{draw(st.sampled_from(['-', '~', 'not ']))}{draw(part)}"
    if shape == "ternary":
        return f"{draw(part)} if {draw(part)} else {draw(part)}"
    return f"({draw(part)})"


def ours(node: ast.Expr) -> object:
    match node:
        case ast.Binary():
            return (node.op, ours(node.left), ours(node.right))
        case ast.Unary():
            return (node.op, ours(node.operand))
        case ast.Ternary():
            return ("if", ours(node.then), ours(node.condition), ours(node.otherwise))
        case ast.Attribute():
            return (".", ours(node.object), node.part)
        case ast.Index():
            return ("[]", ours(node.object), ours(node.items[0]))
        case ast.Call():
            return ("()", ours(node.function), ours(node.arguments[0].value))
        case ast.Name():
            return node.id
        case ast.Number():
            return node.value
        case _:
            raise AssertionError(node)


SIGNS: dict[type[python.AST], str] = {
    python.Add: "+", python.Sub: "-", python.Mult: "*", python.Div: "/", python.FloorDiv: "//", python.Mod: "%", python.MatMult: "@",
    python.Pow: "**", python.BitOr: "|", python.BitAnd: "&", python.Eq: "==", python.Lt: "<", python.GtE: ">=", python.In: "in",
    python.NotIn: "not in", python.Or: "or", python.And: "and", python.USub: "-", python.Not: "not", python.Invert: "~",
}  # fmt: skip


def pythons(node: python.expr) -> object:
    """Python's own reading of a text, in the shape of `ours`; comparisons in a row raise LookupError."""
    match node:
        case python.BinOp():
            return (SIGNS[type(node.op)], pythons(node.left), pythons(node.right))
        case python.BoolOp():
            tree = pythons(node.values[0])
            for value in node.values[1:]:
                tree = (SIGNS[type(node.op)], tree, pythons(value))
            return tree
        case python.Compare():
            if len(node.ops) > 1:
                raise LookupError
            return (SIGNS[type(node.ops[0])], pythons(node.left), pythons(node.comparators[0]))
        case python.UnaryOp():
            return (SIGNS[type(node.op)], pythons(node.operand))
        case python.IfExp():
            return ("if", pythons(node.body), pythons(node.test), pythons(node.orelse))
        case _:
            return operand(node)


def operand(node: python.expr) -> object:
    match node:
        case python.Attribute():
            return (".", pythons(node.value), node.attr)
        case python.Subscript():
            return ("[]", pythons(node.value), pythons(node.slice))
        case python.Call():
            return ("()", pythons(node.func), pythons(node.args[0]))
        case python.Name():
            return node.id
        case python.Constant():
            return node.value
        case _:
            raise AssertionError(node)


@given(expressions())
def test_operators_bind_as_in_python(text: str) -> None:
    tree, diagnostics = parse_expression(Source("t", text))
    try:
        expected = pythons(python.parse(text, mode="eval").body)
    except SyntaxError:
        assert diagnostics and diagnostics[0].code in ("A001", "A008", "A011", "A013")
        return
    except LookupError:
        assert diagnostics[0].code == "A011"
        return
    assert diagnostics == () and tree is not None
    assert ours(tree) == expected


def test_what_python_lacks_binds_as_the_grammar_says() -> None:
    for text, same in [
        ("a except b in c", "(a except b) in c"),
        ("tune_all except x + y", "tune_all except (x + y)"),
        ("a except b except c", "(a except b) except c"),
        ("m..m + k", "m..(m + k)"),
        ("0..n | x", "0..(n | x)"),
        ("i in 0..depth - 1", "i in (0..(depth - 1))"),
        ("all except a..b", "all except (a..b)"),
        ("-x ** 2", "-(x ** 2)"),
        ("2 ** -x ** 2", "2 ** (-(x ** 2))"),
    ]:
        assert shape(text) == shape(same)


def shape(text: str) -> object:
    tree, diagnostics = parse_expression(Source("t", text))
    assert tree is not None, diagnostics
    return ranges(tree)


def ranges(node: ast.Expr) -> object:
    """As `ours`, with ranges."""
    match node:
        case ast.Range():
            assert node.start and node.stop
            return ("..", ranges(node.start), ranges(node.stop))
        case ast.Binary():
            return (node.op, ranges(node.left), ranges(node.right))
        case ast.Unary():
            return (node.op, ranges(node.operand))
        case _:
            return ours(node)
