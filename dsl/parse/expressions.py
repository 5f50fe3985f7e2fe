"""Builds expressions and types: one method for each rule or alias of the grammar, called with what the rule matched, tokens included."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from .. import ast
from ..record import record
from ..source import Source, Span
from .operators import LEVELS, RANGE, BuildError, Climber, is_token, operator

Children = list[Any]
"""What a rule matched, in order: tokens (strings with `type`, `start_pos`, `end_pos`) and nodes (with `span`)."""

DIGITS: Final = 1000
ESCAPES: Final = {"\\\\": "\\", '\\"': '"', "\\n": "\n", "\\t": "\t"}


@record
class Part:
    """Something between tokens and nodes, such as the statements of a body or the tail of an `in`."""

    span: Span
    kind: str
    value: Any


def nodes(children: Children) -> Children:
    """Return the children that are no tokens."""
    return [child for child in children if not is_token(child)]


def tokens(children: Children, kind: str) -> Children:
    """Return the tokens of one kind."""
    return [child for child in children if is_token(child) and child.type == kind]


class Expressions:
    """Reductions of expressions and types; `source` is the text being parsed."""

    source: Source

    def span(self, children: Children) -> Span:
        first, last = children[0], children[-1]
        start: int = first.start_pos if is_token(first) else first.span.start
        end: int = last.end_pos if is_token(last) else last.span.end
        return Span(self.source, start, end)

    def at(self, token: Any) -> Span:
        return Span(self.source, token.start_pos, token.end_pos)

    # -------------------------------------------------------------------------------------------------------- operands

    def name(self, c: Children) -> ast.Name:
        return ast.Name(self.at(c[0]), c[0].value)

    def number(self, c: Children) -> ast.Number:
        token = c[0]
        text: str = token.value
        if len(text) > DIGITS:
            raise BuildError("A015", f"a number of {len(text)} digits", token.start_pos, token.end_pos, f"write at most {DIGITS} digits")
        if len(text) > 1 and text[0] == "0" and text[1].isdigit():
            help = f"{f'write `{less}`; ' if (less := text.lstrip('0_')) else ''}digits are grouped by `_`: `1_000`"
            raise BuildError("A015", f"`{text}` begins with a zero", token.start_pos, token.end_pos, help)
        if "." not in text and "e" not in text and "E" not in text:
            return ast.Number(self.at(token), int(text))
        value = float(text)
        if value == float("inf"):
            raise BuildError("A015", f"`{text}` is larger than the largest float", token.start_pos, token.end_pos, "write `inf` for infinity")
        return ast.Number(self.at(token), value)

    def string(self, c: Children) -> ast.String:
        return ast.String(self.at(c[0]), self.text(c[0]))

    def text(self, token: Any) -> str:
        """Return what a string token says: raw between triple quotes, else with four escapes.

        Raises BuildError for another escape.
        """
        text: str = token.value
        if text.startswith('"""'):
            return text[3:-3]
        if "\\" not in text:
            return text[1:-1]

        def replace(match: re.Match[str]) -> str:
            if match[0] not in ESCAPES:
                start = token.start_pos + 1 + match.start()
                help = 'the escapes are `\\\\`, `\\"`, `\\n` and `\\t`'
                raise BuildError("A016", f"unknown escape `{match[0]}` in a string", start, start + 2, help)
            return ESCAPES[match[0]]

        return re.sub(r"\\.", replace, text[1:-1])

    def constant(self, c: Children) -> ast.Constant:
        return ast.Constant(self.at(c[0]), {"true": True, "false": False, "none": None}[c[0].value])

    def whole(self, c: Children) -> ast.Whole:
        return ast.Whole(self.at(c[0]))

    def any_path(self, c: Children) -> ast.AnyPath:
        return ast.AnyPath(self.at(c[0]))

    def open(self, c: Children) -> ast.Open:
        return ast.Open(self.at(c[0]))

    def ellipsis(self, c: Children) -> ast.Ellipsis:
        return ast.Ellipsis(self.at(c[0]))

    def paren(self, c: Children) -> ast.Expr:
        # The node was made by this reduction's own child and is known to nobody else, so its place may still grow to the parentheses.
        object.__setattr__(c[1], "span", self.span(c))
        return c[1]

    def tuple_(self, c: Children) -> ast.Tuple:
        return ast.Tuple(self.span(c), tuple(nodes(c)))

    def list_(self, c: Children) -> ast.List:
        return ast.List(self.span(c), tuple(nodes(c)))

    def set_literal(self, c: Children) -> ast.SetLiteral:
        return ast.SetLiteral(self.span(c), tuple(nodes(c)))

    path_set = set_literal

    def map_literal(self, c: Children) -> ast.MapLiteral:
        return ast.MapLiteral(self.span(c), tuple(pair.value for pair in nodes(c)))

    def pair(self, c: Children) -> Part:
        return Part(self.span(c), "pair", (c[0], c[2]))

    # -------------------------------------------------------------------------------------------------- comprehensions

    def names(self, c: Children) -> Part:
        return Part(self.span(c), "names", tuple(token.value for token in tokens(c, "NAME")))

    def clause(self, c: Children) -> ast.Clause:
        return ast.Clause(self.span(c), c[1].value, c[3], c[5] if len(c) > 4 else None)

    def comprehension(self, c: Children) -> ast.Comprehension:
        where = c[-1] if is_token(c[-2]) else None
        return ast.Comprehension(self.span(c), "bare", c[0], None, tuple(c[1:-2] if where else c[1:]), where)

    def list_comprehension(self, c: Children) -> ast.Comprehension:
        return self.bracketed("list", c)

    def set_comprehension(self, c: Children) -> ast.Comprehension:
        return self.bracketed("set", c)

    def map_comprehension(self, c: Children) -> ast.Comprehension:
        key, value = c[1].value
        return ast.Comprehension(self.span(c), "map", key, value, tuple(c[2:-1]), None)

    def bracketed(self, kind: Literal["list", "set"], c: Children) -> ast.Comprehension:
        return ast.Comprehension(self.span(c), kind, c[1], None, tuple(c[2:-1]), None)

    # -------------------------------------------------------------------------------------------------------- operators

    def operation(self, c: Children) -> ast.Expr:
        return Climber(self.source, c).tree()

    def ternary(self, c: Children) -> ast.Ternary:
        return ast.Ternary(self.span(c), c[0], c[2], c[4])

    def with_(self, c: Children) -> ast.With:
        return ast.With(self.span(c), c[0])

    def graft(self, c: Children) -> Part:
        return Part(self.span(c), "graft", None)

    # ------------------------------------------------------------------------------------------------ calls and indices

    def call(self, c: Children) -> ast.Call:
        arguments = tuple(a if isinstance(a, ast.Argument) else ast.Argument(a.span, None, a) for a in nodes(c[2:]))
        return ast.Call(self.span(c), c[0], arguments)

    def argument(self, c: Children) -> ast.Argument:
        return ast.Argument(c[0].span, None, c[0])

    def named(self, c: Children) -> ast.Argument:
        return ast.Argument(self.span(c), c[0].value, c[2])

    def attribute(self, c: Children) -> ast.Attribute:
        part: Any = c[2]
        if isinstance(c[0], ast.Number):
            raise BuildError("A015", "a number has no parts", c[0].span.start, self.span(c).end, "write one point in a number")
        if not is_token(part):
            return ast.Attribute(self.span(c), c[0], part, part.span)
        place = self.at(part)
        if part.value == "*":
            return ast.Attribute(self.span(c), c[0], ast.Whole(place), place)
        return ast.Attribute(self.span(c), c[0], ast.AnyPath(place) if part.value == "**" else part.value, place)

    def index(self, c: Children) -> ast.Index:
        return ast.Index(self.span(c), c[0], tuple(nodes(c[1:])))

    def slice_(self, c: Children) -> ast.Slice:
        parts: Children = [None, None, None]
        at = 0
        for child in c:
            if is_token(child):
                at += 1
            else:
                parts[at] = child
        return ast.Slice(self.span(c), *parts)

    def open_range(self, c: Children) -> ast.Range:
        if len(c) > 1 and not is_token(c[-1]):
            return ast.Range(self.span(c), None, self.end(c[1:]), c[0].value == "..=")
        token = c[-1]
        if token.value == "..=":
            raise BuildError("A012", "`..=` needs an end", token.start_pos, token.end_pos, "write `..` to go on to the last member")
        return ast.Range(self.span(c), self.end(c[:-1]) if len(c) > 1 else None, None, False)

    def end(self, chain: Children) -> ast.Expr:
        """Return the one end of an open range; what binds looser than the range needs parentheses."""
        for token in chain:
            if is_token(token) and token.value != "~" and LEVELS.get(operator(token), 0) <= RANGE:
                message = f"`{operator(token)}` at the end of an open range needs parentheses"
                raise BuildError("A012", message, token.start_pos, token.end_pos, "write `(a) ..` or name the end first")
        return chain[0] if len(chain) == 1 else Climber(self.source, chain).tree()

    def of_kind(self, c: Children) -> ast.OfKind:
        return ast.OfKind(self.span(c), c[0], tuple(ast.Name(self.at(token), token.value) for token in tokens(c, "NAME")))

    # ------------------------------------------------------------------------------------------------------------ types

    def type_ref(self, c: Children) -> ast.TypeRef:
        if len(c) == 1:
            return ast.TypeRef(self.span(c), c[0].value, None)
        arguments: Children = nodes(c)
        if arguments and c[0].value in ("list", "map"):
            arguments[-1] = as_type(arguments[-1])
        return ast.TypeRef(self.span(c), c[0].value, tuple(arguments))

    def enum(self, c: Children) -> ast.EnumType:
        return ast.EnumType(self.span(c), tuple(ast.Name(self.at(token), token.value) for token in tokens(c, "NAME")))

    def type_choice(self, c: Children) -> ast.TypeChoice:
        return ast.TypeChoice(self.span(c), c[0], c[2], c[4])

    def role(self, c: Children) -> Part:
        name = self.name(c[1:2])
        return Part(self.span(c), "role", self.call([name, *c[2:]]) if len(c) > 2 else name)

    def within(self, c: Children) -> Part:
        return Part(self.span(c), "range", c[1])

    def when(self, c: Children) -> Part:
        return Part(self.span(c), "condition", c[1])

    def typed(self, c: Children) -> Part:
        if len(c) > 3 and is_token(c[3]):
            inner = c[4]
            choice = ast.TypeChoice(Span(self.source, c[0].span.start, inner.value["type"].span.end), c[0], c[2], inner.value["type"])
            return Part(self.span(c), "typed", {**inner.value, "type": choice})
        parts = {part.kind: part.value for part in c[1:]}
        return Part(self.span(c), "typed", {"type": c[0], **{kind: parts.get(kind) for kind in ("role", "range", "condition")}})


def as_type(written: ast.Expr | ast.TypeRef) -> ast.Expr | ast.TypeRef:
    """Return the type that `int` or `list[int]`, read as an expression inside `list[..]` or `map[..]`, means there."""
    if isinstance(written, ast.Name):
        return ast.TypeRef(written.span, written.id, None)
    if isinstance(written, ast.Index) and isinstance(written.object, ast.Name):
        items: list[Any] = [*written.items]
        if items and written.object.id in ("list", "map"):
            items[-1] = as_type(items[-1])
        return ast.TypeRef(written.span, written.object.id, tuple(items))
    return written
