"""The precedence of operators: a flat chain `not a + b == c` becomes a tree.

The grammar leaves a chain of operands and operators flat, which costs one reduction for an operand and not one for each level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, cast

from .. import ast
from ..source import Source, Span

NOT: Final = 3
COMPARISON: Final = 4
RANGE: Final = 6
UNARY: Final = 11
POWER: Final = 12

LEVELS: Final[dict[str, int]] = {
    "or": 1, "and": 2, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "in": 4, "not in": 4, "except": 5, "..": 6, "..=": 6,
    "|": 7, "&": 8, "+": 9, "-": 9, "*": 10, "/": 10, "//": 10, "%": 10, "@": 10, "**": 12,
}  # fmt: skip
"""Binary operators by how tightly they bind; 3 is `not`, 11 are `-x` and `~x`."""

LONGEST: Final = 500
"""Operands and operators in a row without brackets; more would nest deeper than a recursive walk can follow."""

STACKED: Final = 50
"""Signs and powers in a row: these nest to the right."""


class BuildError(Exception):
    """Raised inside a reduction for what the grammar lets through; becomes the item's one syntax error."""

    def __init__(self, code: str, message: str, start: int, end: int, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.end, self.help = code, message, start, end, help


def is_token(child: Any) -> bool:
    """Return whether something that a rule matched is a token: a string with `type`, `start_pos` and `end_pos`."""
    return isinstance(child, str)


def operator(token: Any) -> str:
    """Return the operator's text in its one spelling.

    >>> operator("not   in")
    'not in'
    """
    text = str(token)
    return "not in" if text.startswith("not") and text != "not" else text


class Climber:
    """Turns one chain into a tree; `chain` holds nodes and tokens in their order."""

    def __init__(self, source: Source, chain: Sequence[Any]) -> None:
        self.source = source
        self.chain: Sequence[Any] = chain
        self.at = 0

    def tree(self) -> ast.Expr:
        """Return the chain's tree.

        Raises BuildError where comparisons or ranges chain, where `not` needs parentheses, and for a chain that is too long.
        """
        if len(self.chain) > STACKED and (len(self.chain) > LONGEST or self.stacked() > STACKED):
            first: Any = self.chain[0]
            start: int = first.start_pos if is_token(first) else first.span.start
            long = len(self.chain) > LONGEST
            what = f"{LONGEST} operands and operators in a row" if long else f"{STACKED} powers and signs in a row"
            raise BuildError("A805", f"an expression of more than {what}", start, start + 1, "give parts of the expression names of their own")
        return self.climb(1)

    def stacked(self) -> int:
        """Return how many tokens of the chain nest to the right."""
        return sum(1 for token in self.chain if is_token(token) and (token.value == "**" or token.type == "PREFIX"))

    def climb(self, least: int) -> ast.Expr:
        left = self.operand(least)
        last = ""
        while self.at < len(self.chain):
            token = self.chain[self.at]
            op = operator(token)
            level = LEVELS[op]
            if level < least:
                break
            if last and level in (COMPARISON, RANGE) and LEVELS[last] == level:
                raise chained(token, last, op)
            self.at += 1
            right = self.climb(level if level == POWER else level + 1)
            left = self.join(op, left, right)
            last = op
        return left

    def join(self, op: str, left: ast.Expr, right: ast.Expr) -> ast.Expr:
        span = Span(self.source, left.span.start, right.span.end)
        if op == ".." or op == "..=":
            return ast.Range(span, left, right, op == "..=")
        return ast.Binary(span, cast(ast.BinaryOp, op), left, right)

    def operand(self, least: int) -> ast.Expr:
        token: Any = self.chain[self.at]
        self.at += 1
        if not is_token(token):
            return token
        op = operator(token)
        start: int = token.start_pos
        if op == "not" and least > NOT:
            raise BuildError("A013", "`not` here needs parentheses", start, start + 3, "write `(not x)`")
        inner = self.climb(NOT if op == "not" else UNARY)
        return ast.Unary(Span(self.source, start, inner.span.end), cast(Literal["-", "not", "~"], op), inner)


def chained(token: Any, first: str, second: str) -> BuildError:
    """Say that `a < b < c` and `a..b..c` don't chain."""
    if second in ("..", "..="):
        return BuildError("A012", "a range has one start and one end", token.start_pos, token.end_pos, "write `a..b`")
    return BuildError(
        "A011", f"comparisons don't chain: `{second}` after `{first}`", token.start_pos, token.end_pos,
        f"write `a {first} b and b {second} c`",
    )  # fmt: skip
