"""Conditions on sizes: what the facts at hand say about one, those that a called block brings along, and whether any sizes meet them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..diagnostics import Diagnostic, Label
from ..dims import Dim, Symbol
from ..facts import Truth, Verdict
from ..program import Body, Condition
from ..source import Span
from ..types import extent
from .below import frozen_paths
from .builder import Builder
from .context import fail
from .inputs import substitute
from .values import Module, ModuleChain


def judge(builder: Builder, condition: Condition) -> Verdict:
    """Ask the facts at hand about a condition."""
    return builder.facts.decide(condition.kind, condition.left, condition.right)


def lift_conditions(builder: Builder, body: Body, binding: Mapping[Any, Any], span: Span, name: str, module: Module | None = None) -> None:
    """Ask of the caller what a called body, that of a `module` or of a function, asks of its sizes."""
    for condition in body.conditions:
        left, right = (extent(substitute(side, binding)) for side in (condition.left, condition.right))
        asking = _outer_path(condition.module, module) if condition.module is not None and module is not None else None
        _lifted(builder, Condition(condition.kind, left, right, condition.span, condition.reason, module=asking), span, name)


def _outer_path(path: str, module: Module) -> str:
    """Return the path, as the caller of `module` has it, of a module inside it or one that it was handed."""
    for name, value in module.arguments.items():
        if isinstance(value, (Module, ModuleChain)) and f"{path}.".startswith(f"@{name}."):
            return value.path + path[len(name) + 1 :]
    return f"{module.path}.{path}"


def _lifted(builder: Builder, condition: Condition, span: Span, name: str) -> None:
    """Take over a condition of a called block, in the caller's sizes: proved, refuted, or a condition of the caller."""
    verdict = judge(builder, condition)
    if verdict.truth is Truth.TRUE:
        return
    if verdict.truth is Truth.FALSE and condition.module is None:
        _refuted(condition, span, name, verdict)
    builder.condition(condition)


def _refuted(condition: Condition, span: Span, name: str, verdict: Verdict) -> None:
    message = f"`{name}` needs `{condition.text}`, which does not hold here" + (f": fails at {verdict.sizes}" if verdict.sizes else "")
    fail("A302" if condition.kind == "divides" else "A301", message, span, None, [(condition.span, condition.reason)])


def settle_training(builder: Builder) -> None:
    """Drop what a whole model's modules ask in training where they are frozen for good; report what no size meets.

    An entry is not asked: it may be meant for evaluation alone.  What is reported is no condition of the model any more.
    """
    asking = [c for c in builder.body.conditions if c.module is not None]
    still = [path for path, _ in frozen_paths(builder.body)] if asking else []
    for condition in asking:
        if any(f"{condition.module}.".startswith(f"{path}.") for path in still):
            builder.body.conditions.remove(condition)
        elif (verdict := judge(builder, condition)).truth is Truth.FALSE:
            builder.body.conditions.remove(condition)
            message = f"`{condition.module}` can't run in training: {condition.reason}" + (f", fails at {verdict.sizes}" if verdict.sizes else "")
            help = f"give it more rows or places, or `freeze {condition.module}` if it is never trained"
            builder.context.report(Diagnostic("A303", message, condition.span, help=help))


def refuse_conflicts(builder: Builder, trains: bool) -> None:
    """Report the first condition of a whole model that no sizes meet together with those before it; what is asked in training counts where
    the model `trains`."""
    facts, met = builder.facts, list[Condition]()
    for condition in builder.body.conditions:
        if condition.given or (condition.module is not None and not trains):
            continue
        larger = facts.require(condition.kind, condition.left, condition.right)
        if larger.contradiction or (condition.kind != "==" and facts.decide(condition.kind, condition.left, condition.right).is_false):
            _conflict(condition, met, builder)
            return
        facts = larger
        met.append(condition)


def _conflict(condition: Condition, met: Sequence[Condition], builder: Builder) -> None:
    symbols = _symbols(condition)
    tied = [one for one in met if _symbols(one) & symbols][:3]
    others = " and ".join(f"`{one.text}`" for one in tied)
    message = f"no sizes meet both `{condition.text}` and {others or 'what is required'}"
    labels = tuple(Label(one.span, one.reason or "asked for here") for one in tied)
    builder.context.report(Diagnostic("A309", message, condition.span, labels, "change what one of them asks for"))


def _symbols(condition: Condition) -> set[Symbol]:
    return {s for side in (condition.left, condition.right) if isinstance(side, Dim) for s in side.symbols()}
