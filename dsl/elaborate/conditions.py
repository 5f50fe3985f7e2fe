"""Conditions on sizes: what the facts at hand say about one, and those that a called block brings along."""

from __future__ import annotations

from typing import Any

from ..facts import Truth, Verdict
from ..program import Condition
from ..source import Span
from .builder import Builder
from .context import fail


def judge(builder: Builder, condition: Condition) -> Verdict:
    """Ask the facts at hand about a condition."""
    return builder.facts.decide(condition.kind, condition.left, condition.right)


def lifted(builder: Builder, condition: Condition, span: Span, name: str) -> None:
    """Take over a condition of a called block, in the caller's sizes: proved, refuted, or a condition of the caller."""
    if isinstance(condition.left, int) and isinstance(condition.right, int):
        if not holds(condition):
            _refuted(condition, span, name, None)
        return
    verdict = judge(builder, condition)
    if verdict.truth is Truth.TRUE:
        return
    if verdict.truth is Truth.FALSE:
        _refuted(condition, span, name, verdict)
    builder.condition(condition)


def _refuted(condition: Condition, span: Span, name: str, verdict: Any) -> None:
    sizes = verdict.sizes if verdict is not None else ""
    message = f"`{name}` needs `{condition.text}`, which does not hold here" + (f": fails at {sizes}" if sizes else "")
    fail("A302" if condition.kind == "divides" else "A301", message, span, None, [(condition.span, condition.reason)])


def holds(condition: Condition) -> bool:
    """Evaluate a condition between numbers."""
    left, right = condition.left, condition.right
    assert isinstance(left, int) and isinstance(right, int)
    if condition.kind == "divides":
        return left != 0 and right % left == 0
    return {"==": left == right, "!=": left != right, ">=": left >= right}[condition.kind]
