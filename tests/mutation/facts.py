# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""What the oracle judges when a body is whole: asserted facts, what depends on what, what is frozen, tied and renamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from archloom.dsl import ast

from .arithmetic import truth
from .checks import need
from .expressions import clauses, evaluate, loosely
from .scopes import Body, Frame
from .values import Family, Late, Made, Result, Wrong


def judge(body: Body, frame: Frame) -> None:
    """Judge what a body says of itself, now that it is whole."""
    from .paths import Holdings

    body.holdings = Holdings.of(body.made)
    for statement, inner in sorted(body.claims, key=lambda claim: isinstance(claim[0], ast.Assert)):
        handler = _HANDLERS.get(type(statement))
        if handler is not None:
            handler(statement, inner)
    body.holdings = None


def stated(node: Any, frame: Frame) -> Any:
    """Return what a requirement or fact comes to: each part of `a and b` and of `all(e for m in set)` may be a relation of sizes."""
    every = node.arguments[0].value if isinstance(node, ast.Call) and len(node.arguments) == 1 else None
    if isinstance(node, ast.Binary) and node.op == "and":
        parts = [(node.left, frame), (node.right, frame)]
    elif every is not None and isinstance(node.function, ast.Name) and node.function.id == "all" and isinstance(every, ast.Comprehension):
        need(every.kind in ("bare", "list") and every.where is None, "no facts")
        parts = [(every.element, inner) for inner in clauses(every.clauses, frame)]
    else:
        return evaluate(node, frame)
    late = [v for v in (stated(*part) for part in parts) if isinstance(v, Late) or need(truth(v), "a fact doesn't hold")]
    return Late(all(v.value for v in late)) if late else True


def assert_fact(statement: ast.Assert, frame: Frame) -> None:
    if statement.relation is None:
        value = stated(statement.fact, frame)
        if isinstance(value, Late):
            need(bool(value.value), "an asserted fact doesn't hold", "run")
            return
        need(truth(value), "an asserted fact doesn't hold")
        return
    left, part = _side(statement.fact, frame)
    right, other = _side(statement.other, frame)
    need(all(isinstance(v, Tensor) for v in left), "the left side of a claim is a value")
    for value in left if right or not other else ():
        reached = reaches(value, right, frame)
        if statement.relation == "uses":
            need(reached, "a value doesn't use what it should")
        elif not (part or other):
            need(not reached, "a value doesn't ignore what it should")


def _side(node: Any, frame: Frame) -> tuple[list[Any], bool]:
    """Return the values and modules of one side, and whether it is a part of a tensor."""
    from .paths import select_made

    try:
        if isinstance(node, ast.Index):
            base = _named(node.object, frame)
            if isinstance(base, Tensor):
                part = evaluate(node, frame)
                need(part.numel() > 0, "an empty part")
                return [base], True
        found = list(leaves(_named(node, frame)))
    except Wrong as wrong:
        if wrong.kind == "run":
            frame.body.world.doubts.add(f"{node.span.text} is not there at these sizes: nothing is claimed of it")
            return [], True
        found = select_made([node], frame)
        if not found:
            raise wrong from None
    return found, False


def _named(node: Any, frame: Frame) -> Any:
    links = frame.body.world.links
    before = len(links)
    value = loosely(node, frame)
    made = list(links.values())[before:]
    need(not any(isinstance(s, Tensor) for _, sources in made for s in sources), "a value is computed by the claim itself")
    return value


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (Tensor, Made)):
        yield value
    elif isinstance(value, (Family, Result)):
        for part in (value.members if isinstance(value, Family) else value.fields).values():
            yield from leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from leaves(part)
    else:
        raise Wrong(f"nothing depends on {value!r}")


def reaches(value: Tensor, targets: list[Any], frame: Frame) -> bool:
    links = frame.body.world.links
    wanted: set[int] = set()
    for target in targets:
        wanted |= {id(target)} | ({id(m) for m in _inside(target)} if isinstance(target, Made) else set())
    seen: set[int] = set()
    stack: list[Any] = [value]
    while stack:
        one = stack.pop()
        if id(one) in wanted or (isinstance(one, Made) and one.module is not None and any(id(p) in wanted for p in one.module.parameters())):
            return True
        if id(one) in seen:
            continue
        seen.add(id(one))
        stack.extend(links.get(id(one), (None, ()))[1])
    return False


def _inside(made: Made) -> Iterator[Any]:
    yield made
    yield from made.own.values()
    if made.module is not None:
        yield from made.module.parameters()
    for child in made.children.values():
        yield from _inside(child)
    for part in made.parts:
        if isinstance(part, Made):
            yield from _inside(part)


def _freeze(statement: ast.Freeze, frame: Frame) -> None:
    from .paths import matched

    for selector in statement.selectors:
        frame.body.world.frozen |= {id(o.value) for o in matched([selector], frame)}


def _tie(statement: ast.Tie, frame: Frame) -> None:
    from .paths import matched

    one, two = matched([statement.first], frame), matched([statement.second], frame)
    need(len(one) == len(two) == 1, "two parameters are tied")
    need(one[0].value.shape == two[0].value.shape, "tied shapes differ")
    pair = frozenset((id(one[0].value), id(two[0].value)))
    here = (id(statement), frame.members())  # a module that is called again ties again what it ties
    need(len(pair) == 2 and frame.body.world.pairs.setdefault(pair, here) == here, "a parameter is tied to itself")
    frame.body.world.tied.add(id(two[0].value))


_HANDLERS: dict[type, Any] = {ast.Assert: assert_fact, ast.Freeze: _freeze, ast.Tie: _tie}
