"""Types and what a declaration names: parameters, binders."""

from __future__ import annotations

from ..record import record
from .expressions import Expr, Name, Node


@record
class TypeRef(Node):
    """`float[B, S, dim]`, `int`, `list[int]`, `map[tasks, int]`, `index`, `block`, `fn`.

    `arguments` is None when no bracket is written: `float` is a number, `float[]` a tensor without dimensions.
    """

    name: str
    arguments: tuple[Expr | TypeRef, ...] | None


@record
class EnumType(Node):
    """`{add, gated, replace}`."""

    members: tuple[Name, ...]


@record
class TypeChoice(Node):
    """`int[B] if vocab[f] > 0 else float[B]`, decided statically."""

    then: Type
    condition: Expr
    otherwise: Type


Type = TypeRef | EnumType | TypeChoice


@record
class Parameter(Node):
    """`dim: int = 768` of a block, model, fn, extern or entry."""

    name: str
    type: Type
    default: Expr | None


@record
class Binder(Node):
    """`c in chains` inside the brackets of a declared name."""

    name: str
    set: Expr


@record
class Declared(Node):
    """A name that a declaration makes, with its binders: `x`, `x[c in chains]`, `move[i in a, j in b]`."""

    name: str
    binders: tuple[Binder, ...]
