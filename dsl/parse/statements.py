"""Builds the statements of blocks, models, functions, tasks and entries."""

from __future__ import annotations

from typing import Any

from .. import ast
from .expressions import Children, Expressions, Part, nodes, tokens
from .operators import BuildError, is_token


def split(children: Children, mark: str) -> tuple[Children, Children]:
    """Return what stands before and after the first token of kind `mark`."""
    for at, child in enumerate(children):
        if is_token(child) and child.type == mark:
            return children[:at], children[at + 1 :]
    return children, []


class Statements(Expressions):
    """Reductions of statements."""

    def body(self, c: Children) -> Part:
        return Part(self.span(c), "body", tuple(nodes(c)))

    # ----------------------------------------------------------------------------------------------------- declarations

    def parameter(self, c: Children) -> ast.Parameter:
        return ast.Parameter(self.span(c), c[0].value, c[2], c[4] if len(c) > 3 else None)

    def parameters(self, c: Children) -> Part:
        seen: set[str] = set()
        for name in (parameter.name for parameter in nodes(c)):
            if name in seen:
                last = [parameter.span for parameter in nodes(c) if parameter.name == name][-1]
                raise BuildError("A105", f"the parameter `{name}` is declared twice", last.start, last.start + len(name), "rename one of them")
            seen.add(name)
        return Part(self.span(c), "parameters", tuple(nodes(c)))

    def binder(self, c: Children) -> ast.Binder:
        return ast.Binder(self.span(c), c[0].value, c[2])

    def declared(self, c: Children) -> ast.Declared:
        return ast.Declared(self.span(c), c[0].value, tuple(nodes(c)))

    def in_(self, c: Children) -> ast.In:
        typed = c[-1].value
        return ast.In(self.span(c), tuple(nodes(c[:-1])), typed["type"], typed["role"], typed["range"], typed["condition"])

    def target(self, c: Children) -> ast.Target:
        typed = c[-1].value
        if typed["role"]:
            span = typed["role"].span
            raise BuildError("A014", "a target has no role", span.start, span.end, "leave out `as` and what follows; roles are for inputs")
        return ast.Target(self.span(c), tuple(nodes(c[:-1])), typed["type"], typed["range"], typed["condition"])

    def draw(self, c: Children) -> ast.Draw:
        parts = nodes(c)
        return ast.Draw(self.span(c), tuple(parts[:-2]), parts[-2], parts[-1])

    def state(self, c: Children) -> ast.State:
        return ast.State(self.span(c), c[1], c[3], c[5])

    def out(self, c: Children) -> ast.Out:
        names, typed = split(c, "COLON")
        names, value = split(names, "EQUAL")
        return ast.Out(self.span(c), tuple(nodes(names)), self.listed(value) if value else None, typed[0] if typed else None)

    def index_set(self, c: Children) -> ast.IndexSet:
        return ast.IndexSet(self.span(c), c[1], c[3])

    # ------------------------------------------------------------------------------------------------------ assignments

    def listed(self, c: Children) -> ast.Expr:
        """Return one expression, or the tuple that several with commas are."""
        return c[0] if len(c) == 1 else ast.Tuple(self.span(c), tuple(nodes(c)))

    def assign(self, c: Children) -> ast.Assign:
        goals, value = split(c, "EQUAL")
        return ast.Assign(self.span(c), tuple(self.goal(goal) for goal in nodes(goals)), self.listed(value))

    def goal(self, written: ast.Expr) -> ast.Goal:
        """Return the place that an expression left of `=` names.  Raises BuildError where it names none."""
        span = written.span
        if isinstance(written, ast.Name):
            return ast.Goal(span, written.id, ())
        if isinstance(written, ast.Index) and isinstance(written.object, ast.Name):
            return ast.Goal(span, written.object.id, tuple(as_binder(item) for item in written.items))
        text = span.text.splitlines()[0]
        if text.startswith("self."):
            help = f"write `{text[5:]} = ...`: a module is named where it is born"
            raise BuildError("A022", f"`{text}`: there is no `self`", span.start, span.end, help)
        if isinstance(written, ast.Attribute) and written.part == "requires_grad":
            help = f"write `freeze {written.object.span.text}`, or leave it out of what a stage tunes"
        elif isinstance(written, ast.Attribute):
            help = "write a plain name; parts of a module or a record don't change"
        elif isinstance(written, ast.Binary):
            help = "a claim about two values is `assert a == b`"
        elif isinstance(written, ast.Tuple | ast.List | ast.SetLiteral):
            help = "several names stand without brackets: `a, b = ...`"
        else:
            help = "write a name, or a member of a family: `x[t] = ...`"
        raise BuildError("A010", f"can't assign to `{text}`", span.start, span.end, help)

    def bare(self, c: Children) -> ast.Bare:
        return ast.Bare(self.span(c), c[0])

    def update(self, c: Children) -> ast.Update:
        return ast.Update(self.span(c), c[1].value, c[3])

    def setting(self, c: Children) -> ast.Setting:
        return ast.Setting(self.span(c), c[0].value, c[2])

    # ------------------------------------------------------------------------------------------------------------ blocks

    def for_(self, c: Children) -> ast.For:
        return ast.For(self.span(c), c[1].value, c[3], c[5] if len(c) > 5 else None, c[-1].value)

    def repeat(self, c: Children) -> ast.Repeat:
        carried = tuple(ast.Name(self.at(token), token.value) for token in tokens(c[4:], "NAME"))
        return ast.Repeat(self.span(c), c[1].value, c[3], carried, c[-1].value)

    def if_(self, c: Children) -> ast.If:
        otherwise: Any = None
        if len(c) > 3:
            otherwise = (c[4],) if isinstance(c[4], ast.If) else c[4].value
        return ast.If(self.span(c), c[1], c[2].value, otherwise)

    def task(self, c: Children) -> ast.Task:
        return ast.Task(self.span(c), c[1].value, c[2].value)

    def entry(self, c: Children) -> ast.Entry:
        return ast.Entry(self.span(c), c[1].value, c[2].value if len(c) > 3 else (), c[-1].value)

    # ------------------------------------------------------------------------------------------------------------ claims

    def loss(self, c: Children) -> ast.Loss:
        return ast.Loss(self.span(c), c[1].value, c[3])

    def require(self, c: Children) -> ast.Require:
        return ast.Require(self.span(c), c[1])

    def assert_(self, c: Children) -> ast.Assert:
        if len(c) == 2:
            return ast.Assert(self.span(c), c[1], None, None)
        return ast.Assert(self.span(c), c[1], c[2].value, c[3])

    def freeze(self, c: Children) -> ast.Freeze:
        return ast.Freeze(self.span(c), tuple(nodes(c)))

    def tie(self, c: Children) -> ast.Tie:
        return ast.Tie(self.span(c), c[1], c[3])

    def renamed(self, c: Children) -> ast.Renamed:
        return ast.Renamed(self.span(c), c[1], c[3])

    # ---------------------------------------------------------------------------------------------------------- reserved

    def const(self, c: Children) -> ast.Reserved:
        return ast.Reserved(self.span(c), c[0].value)

    choice = scan = const


def as_binder(item: ast.Expr) -> ast.Expr | ast.Binder:
    """Return the binder that `c in chains` is left of `=`."""
    if isinstance(item, ast.Binary) and item.op == "in" and isinstance(item.left, ast.Name):
        return ast.Binder(item.span, item.left.id, item.right)
    return item
