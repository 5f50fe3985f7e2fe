"""Expressions.  Names follow the words of the language."""

from __future__ import annotations

from typing import Literal

from ..record import record
from ..source import Span


@record
class Node:
    """What all nodes have."""

    span: Span


@record
class Name(Node):
    id: str


@record
class Number(Node):
    """`3`, `178_949_504` (int); `0.5`, `1e-5` (float)."""

    value: int | float


@record
class String(Node):
    value: str


@record
class Constant(Node):
    """`true`, `false`, `none`."""

    value: bool | None


@record
class List(Node):
    """`[a, b]`."""

    items: tuple[Expr, ...]


@record
class Tuple(Node):
    """`(a, b)`, or bare `a, b` on either side of an assignment."""

    items: tuple[Expr, ...]


@record
class SetLiteral(Node):
    """`{semseg, depth}`, `{(A, P), (P, A)}`, `{}`: an index set, an enum type, or alternatives in a path."""

    items: tuple[Expr, ...]


@record
class MapLiteral(Node):
    """`{semseg: 40, depth: 1}`."""

    items: tuple[tuple[Expr, Expr], ...]


@record
class Clause(Node):
    """`for NAMES in ITERABLE [if COND]` of a comprehension."""

    names: tuple[str, ...]
    iterable: Expr
    condition: Expr | None


@record
class Comprehension(Node):
    """`[e for ..]` (list), `{e for ..}` (set), `{k: v for ..}` (map) or `e for .. [where MASK]` (bare, in a call).

    `value` is set for maps only; `where` (rows not kept add exact zero) for bare ones only.
    """

    kind: Literal["list", "set", "map", "bare"]
    element: Expr
    value: Expr | None
    clauses: tuple[Clause, ...]
    where: Expr | None


@record
class Unary(Node):
    """`-x`, `not x`, `~x`."""

    op: Literal["-", "not", "~"]
    operand: Expr


BinaryOp = Literal[
    "+", "-", "*", "/", "//", "%", "**", "@", "&", "|",
    "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or", "except",
]  # fmt: skip


@record
class Binary(Node):
    """`a + b` and so on; `except` is the difference of index sets and of selectors."""

    op: BinaryOp
    left: Expr
    right: Expr


@record
class Ternary(Node):
    """`then if condition else otherwise`."""

    then: Expr
    condition: Expr
    otherwise: Expr


@record
class Range(Node):
    """`a..b` (exclusive) or `a..=b`; ends are open (None) only inside `[ ]`, where `..` alone is every member."""

    start: Expr | None
    stop: Expr | None
    inclusive: bool


@record
class Slice(Node):
    """`a:b` or `a:b:c` by position, inside a tensor index."""

    start: Expr | None
    stop: Expr | None
    step: Expr | None


@record
class Whole(Node):
    """`*` inside `[ ]`: the whole family, to be read as one argument; or a path part that stands for any one name."""


@record
class AnyPath(Node):
    """`**` where an operand is expected: any path, in a selector."""


@record
class Ellipsis(Node):
    """`...`: leading dimensions in a tensor index or type; as the last argument of a call, leaves the rest open."""


@record
class Open(Node):
    """`_` as an argument: left open in a partial application."""


@record
class Argument(Node):
    """One argument of a call; `name` is None for a positional one."""

    name: str | None
    value: Expr


@record
class Call(Node):
    function: Expr
    arguments: tuple[Argument, ...]


@record
class Attribute(Node):
    """`x.name`; in selectors also `x.*`, `x.**` (part is Whole or AnyPath) and `x.{q, v}` (part is SetLiteral)."""

    object: Expr
    part: str | Whole | AnyPath | SetLiteral
    part_span: Span


@record
class Index(Node):
    """`x[i, j]`: items may be expressions, Range, Slice, Whole, Ellipsis, Constant(None)."""

    object: Expr
    items: tuple[Expr, ...]


@record
class OfKind(Node):
    """`SELECTOR: Linear | Conv2d`: those modules of the selector that are of one of the kinds."""

    selector: Expr
    kinds: tuple[Name, ...]


@record
class With(Node):
    """Reserved: `base with { ... }`."""

    base: Expr


Expr = (
    Name | Number | String | Constant | List | Tuple | SetLiteral | MapLiteral | Comprehension | Unary | Binary | Ternary | Range | Slice | Whole
    | AnyPath | Ellipsis | Open | Call | Attribute | Index | OfKind | With
)  # fmt: skip
