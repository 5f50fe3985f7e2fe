"""Checking a file: text in, findings and programs out, without torch."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from os import PathLike
from typing import TYPE_CHECKING, Any

from ..dsl.diagnostics import Diagnostic, Severity
from ..dsl.facts import Facts
from ..dsl.limits import DEFAULT, Limits, limits_of
from ..dsl.program import Body, Condition, NodeKind, OutputDecl, Program
from ..dsl.record import record
from ..dsl.source import Source

if TYPE_CHECKING:
    from ..blocks.library import StandardLibrary
    from ..dsl.elaborate.files import Loader
    from ..dsl.elaborate.references import Reference


MOST = 50
"""How many inputs, outputs or losses a line of the report names."""


@record
class CheckResult:
    """What came of a file: its findings, a program for each model without errors, and the items that no model elaborates: only their
    syntax, names, types and arguments were checked."""

    diagnostics: tuple[Diagnostic, ...]
    programs: Mapping[str, Program]
    unreached: tuple[str, ...] = ()

    @property
    def report(self) -> tuple[str, ...]:
        """Lines that say what each model is; none where there are errors.  They are written when they are asked for."""
        return tuple(line for program in self.programs.values() for line in describe(program)) if self.ok else ()

    @property
    def ok(self) -> bool:
        """True without errors (warnings may be there)."""
        return all(d.severity is not Severity.ERROR for d in self.diagnostics)


@cache
def library() -> StandardLibrary:
    """Return the one library of primitives and blocks."""
    from ..blocks.library import StandardLibrary

    return StandardLibrary()


@contextmanager
def _uncollected() -> Generator[None]:
    """Keep Python from looking for garbage: nearly all that a check makes stays in its result, so that the search would take a third of the time
    and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def check_text(
    source: Source,
    params: Mapping[str, Any] | None = None,
    preset: str | None = None,
    model: str | None = None,
    *,
    text: bool = True,
    presets: bool = False,
    reference: Reference | None = None,
    limits: Limits = DEFAULT,
    folders: Sequence[str | PathLike[str]] = (),
    beside: Loader | None = None,
) -> CheckResult:
    """Elaborate the models of a text and check all that is said about them.

    `params` are other arguments for the model; with `text` strings are read as expressions, as on the command line.  With `presets` a
    model that has no values of its own is taken with each of its presets; with a `reference` the arguments come from its configuration.
    `limits` are what the text may take; its imports stay in its own folder, the `folders` and the library, unless `beside` reads them.
    """
    from ..dsl.elaborate.model import Request, Text, elaborate
    from .facts import findings
    from .inspector import GraphInspector
    from .sources import Project

    given = {name: Text(value) if text and isinstance(value, str) else value for name, value in (params or {}).items()}
    request = Request(given, preset, model, presets, reference=reference, limits=limits)
    found = elaborate(source, library(), GraphInspector(), beside or Project.of(source, folders, limits), request)
    if not found.ok:
        return CheckResult(tuple(found.diagnostics), found.programs, found.unreached)
    unread = frozenset(told.span for told in found.diagnostics if told.code == "A120")
    facts = {(fact.code, fact.span): fact for program in found.programs.values() for fact in findings(program, unread)}
    return CheckResult((*found.diagnostics, *facts.values()), found.programs, found.unreached)


def check(
    path: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    preset: str | None = None,
    model: str | None = None,
    *,
    limits: Mapping[str, int] | None = None,
    folders: Sequence[str | PathLike[str]] = (),
) -> CheckResult:
    """Check a file; a path that can't be read is a finding too.

    `limits` replaces some of what a text may take, by name; imports stay in the file's folder, the `folders` and the library.  Raises
    ValueError for a limit that there isn't.
    """
    from .sources import read_source

    allowed = limits_of(limits)
    source = read_source(path, allowed)
    if isinstance(source, Diagnostic):
        return CheckResult((source,), {})
    return check_text(source, params, preset, model, text=False, presets=True, limits=allowed, folders=folders)


# ---------------------------------------------------------------------------------------------------------- report


def describe(program: Program, tested: Iterable[object] | None = None) -> Iterator[str]:
    """Yield what a model takes and gives, a line for each task, then what must hold at run time and what it claims.

    Claims that no proof decides are open, unless they were `tested`.
    """
    from .claims import open_claims
    from .graph import Graph

    count = Graph(program).count()
    name = program.name if program.preset is None else f"{program.name}, preset {program.preset}"
    yield f"model {name}: {count.parameters:,} parameters in {count.tensors:,} tensors"
    body = program.eval
    owners = _owners(program)
    inputs = _by_task((owners.get(i.key), f"{i.key}: {i.type}") for i in body.inputs if owners.get(i.key) is not None or not i.is_target)
    outputs = _by_task((out.task, _output(out, body)) for out in body.outputs)
    losses = _by_task((loss.task, loss.path) for loss in body.losses)
    for word, lines in (("in", inputs), ("out", outputs)):
        if None in lines:
            yield f"  {word} {_folded(lines[None])}"
    for task in program.tasks:
        parts = (("", outputs), ("from ", inputs), ("loss ", losses))
        yield f"  task {task}: {'; '.join(f'{word}{_folded(lines[task])}' for word, lines in parts if task in lines)}"
    yield from (f"  {'requires' if c.given else 'valid if'} {c.text}" for c in _telling(program))
    if tested is not None:
        yield from (f"  holds: {claim}" for claim in tested)
    chosen = f" --preset {program.preset}" if program.preset is not None else ""
    for claim in open_claims(program) if tested is None else ():
        times = f" in {claim.times} calls" if claim.times > 1 else ""
        yield f"  open: {claim.text}{times}, line {claim.span.line}: `check{chosen} --gradients` tests it"
    for preset, claims in program.open_in_presets.items():
        yield from (f"  open: {claim.text}, line {claim.span.line}: `check --preset {preset} --gradients` tests it" for claim in claims)


def _telling(program: Program) -> list[Condition]:
    """Return the conditions of both modes, each once, without those of training that another one implies."""
    found = {c.text: c for body in (program.eval, program.training) for c in body.conditions if c.module is None or body is program.training}
    facts = Facts()
    for condition in [c for c in found.values() if c.module is not None]:
        others = [c for c in found.values() if c.module is not None and c is not condition and c.right == condition.right]
        if any(facts.at_least(condition.left, other.left).is_true for other in others):
            del found[condition.text]
    return list(found.values())


def _owners(program: Program) -> dict[str, str | None]:
    """Return, for each input, the only task of several that declares or reads it; None for one that more than one reads."""
    from .reach import Reach

    body = program.eval
    owners: dict[str, str | None] = {declared.key: declared.task for declared in body.inputs if declared.task is not None}
    if len(program.tasks) < 2:
        return owners
    for ref, task in Reach(body).marks(body, ((result.task, result.ref) for result in (*body.outputs, *body.losses))).items():
        if body.nodes[ref.node].kind is NodeKind.INPUT:
            key = body.nodes[ref.node].target
            owners[key] = task if owners.get(key, task) == task else None
    return owners


def _output(out: OutputDecl, body: Body) -> str:
    return f"{'.'.join([out.name, *map(str, out.members)])}: {body.type(out.ref)}"


def _by_task(declared: Iterable[tuple[str | None, str]]) -> Mapping[str | None, Sequence[str]]:
    """Return texts by the task that they belong to."""
    found: dict[str | None, list[str]] = {}
    for task, text in declared:
        found.setdefault(task, []).append(text)
    return found


def _folded(words: Sequence[str]) -> str:
    more = len(words) - MOST
    return ", ".join(words[:MOST]) + (f" and {more:,} more" if more > 0 else "")
