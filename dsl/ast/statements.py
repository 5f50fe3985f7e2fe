"""Statements of blocks, models, functions, tasks and entries."""

from __future__ import annotations

from typing import Literal

from ..record import record
from .expressions import Expr, Name, Node
from .types import Binder, Declared, Parameter, Type


@record
class In(Node):
    """`in q, k: float[B, S, dim] [as picture(...)] [in 0..S] [if COND]`; `role` is the call after `as`."""

    names: tuple[Declared, ...]
    type: Type
    role: Expr | None
    range: Expr | None
    condition: Expr | None


@record
class Target(Node):
    """`target labels: int[B, S] [in 0..classes] [if COND]`."""

    names: tuple[Declared, ...]
    type: Type
    range: Expr | None
    condition: Expr | None


@record
class Draw(Node):
    """`draw eps: float[B, d] ~ normal(0, 1)`."""

    names: tuple[Declared, ...]
    type: Type
    distribution: Expr


@record
class State(Node):
    """`state k: float[B, P, heads, d] = empty`."""

    name: Declared
    type: Type
    initial: Expr


@record
class Out(Node):
    """`out logits = f(x)`, `out y` (the value of that name), `out a, b = pair(x)`; extern blocks: `out y: float[B]`."""

    names: tuple[Declared, ...]
    value: Expr | None
    type: Type | None


@record
class Goal(Node):
    """A place an assignment writes: `x`, `memory[t]`, or with binders `head[c in chains]`."""

    name: str
    items: tuple[Expr | Binder, ...]


@record
class Assign(Node):
    """`x = e`, `a, b = e` (value may be a Tuple)."""

    goals: tuple[Goal, ...]
    value: Expr


@record
class IndexSet(Node):
    """`index tasks = {a, b}`, `index slots[t in types] = ...`."""

    name: Declared
    value: Expr


@record
class For(Node):
    """`for t in tasks [if COND] { ... }`; several names unpack tuples."""

    names: tuple[str, ...]
    set: Expr
    condition: Expr | None
    body: tuple[Statement, ...]


@record
class Repeat(Node):
    """`repeat i in 0..depth carry x, y { ... }`; `carry` keeps the names with their spans."""

    name: str
    set: Expr
    carry: tuple[Name, ...]
    body: tuple[Statement, ...]


@record
class If(Node):
    """`if c { } else if d { } else { }`; an `else if` is an If alone in `otherwise`."""

    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] | None


@record
class Task(Node):
    """`task understand { ... }`; inside a loop the name may be the loop's variable."""

    name: str
    body: tuple[Statement, ...]


@record
class Entry(Node):
    """`entry decode { ... }`: another signature over the same modules."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


@record
class Loss(Node):
    """`loss NAME = expr`."""

    name: str
    value: Expr


@record
class Require(Node):
    condition: Expr


@record
class Assert(Node):
    """`assert FACT`, or with relation `a ignores b` / `a uses b` (then `fact` is a and `other` is b)."""

    fact: Expr
    relation: Literal["ignores", "uses"] | None
    other: Expr | None


@record
class Freeze(Node):
    selectors: tuple[Expr, ...]


@record
class Tie(Node):
    """`tie a.weight, b.weight`: the second is the first."""

    first: Expr
    second: Expr


@record
class Update(Node):
    """`update total = total + 1`: a buffer's next value, in training only, after the outputs."""

    name: str
    value: Expr


@record
class Renamed(Node):
    """`renamed old.path -> new.path`."""

    old: Expr
    new: Expr


@record
class Bare(Node):
    """An expression alone on its line: a docstring, or an error that the checker explains."""

    value: Expr


@record
class Reserved(Node):
    """A construct whose place the grammar holds: `what` is its word (`scan`, `choice`, `const`, `transform`, `for` in train)."""

    what: str


@record
class Broken(Node):
    """Stands for a statement that doesn't parse; `names` are those that it may bind, all in an assignment, which declares nothing."""

    names: tuple[str, ...]
    is_assignment: bool


Statement = (
    In | Target | Draw | State | Out | Assign | IndexSet | For | Repeat | If | Task | Entry | Loss | Require | Assert | Freeze | Tie | Update
    | Renamed | Bare | Reserved | Broken
)  # fmt: skip
