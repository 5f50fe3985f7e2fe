"""A model held against reference tensors, forward and backward: outputs, inner values, gradients, moved buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from os import PathLike

import torch
from torch import Tensor

from ...dsl.diagnostics import Failure
from ...dsl.elaborate import references
from ...dsl.limits import DEFAULT, Limits, limits_of
from ...dsl.plans import GoldenPlan
from ...dsl.program import Program
from ...dsl.record import record
from ...dsl.source import Source
from ..api import read_text
from ..optimize.manager import Step, Watch
from ..optimize.pipelines import Asked, pipeline
from ..optimize.report import NO_PASSES, Passes
from .case import Case, read_case
from .compare import NOISE, Row, compare, explained
from .run import Run

LEAST = 0.95
"""The share of a case's stored tensors that must be compared."""


@record
class Report:
    """What came of one case."""

    spec: str
    golden: str
    case: str
    dtype: str
    rows: tuple[Row, ...]
    left_out: tuple[tuple[str, str], ...]  # stored tensors that were not compared, each with its reason
    unread: tuple[str, ...]  # keys of the configuration that no clause reads, `outer.inner` for those of a map that is read in part
    idle: tuple[str, ...] = ()  # stored inputs that nothing reads
    passes: Passes = NO_PASSES
    beyond: tuple[str, ...] = ()  # gradients that can't be compared, as passes keep numbers in evaluation alone
    stated: Mapping[str, float] = field(default_factory=dict[str, float])  # errors of passes that round: the limit, where they changed something
    nothing: tuple[Step, ...] = ()  # passes that round and found nothing to: these are not verified

    @property
    def share(self) -> float:
        """The share of the stored tensors that were compared, of those that the passes let compare."""
        compared = len({row.stored for row in self.rows})
        return compared / max(1, compared + len(self.left_out))

    @property
    def ok(self) -> bool:
        """Whether all that was compared is within its limit, and enough was compared: every gradient, and 95 % of all."""
        gradients = [name for name, _ in self.left_out if name.startswith(("param.", "input."))]
        return bool(self.rows) and all(row.holds for row in self.rows) and self.share >= LEAST and not gradients


def verify(
    spec: str | PathLike[str] | Source,
    folder: str | PathLike[str],
    *,
    golden: str | None = None,
    dtype: str = "float64",
    source: bool = False,
    optimize: Asked = "none",
    watch: Watch | None = None,
    limits: Mapping[str, int] | Limits | None = None,
    folders: Sequence[str | PathLike[str]] = (),
) -> Report:
    """Hold a spec against the case in a folder; see docs/verify.md for the format.

    The `golden` clause is the one of that name, or the only one whose inputs the case stores.  The computation is in `dtype`, float64 or
    float32, of the compiled module, or with `source` of the emitted one, after the passes `optimize` (`watch` sees the graph between them).
    After passes that keep numbers in evaluation alone no gradients are compared; after passes that round, their stated error is the limit.
    `limits` and `folders` are those of `load_program`.  Raises Failure with all that is wrong in the text, the clause or the case, ValueError
    for passes that there aren't.
    """
    passes = pipeline(optimize)
    case = read_case(folder)
    allowed = limits_of(limits)
    text = spec if isinstance(spec, Source) else read_text(spec, allowed)
    program = golden_program(text, case, golden, allowed, folders)
    plan = program.goldens[program.golden or ""]
    unread = references.unread((*(text for _, text in plan.parameters), *plan.facts), case.config)
    try:
        run = Run(program, plan, case, getattr(torch, dtype), source, passes, watch)
    except Failure as failure:
        warning = references.warning_of(unread, plan.name, plan.span)
        raise Failure((*failure.diagnostics, *([warning] if warning is not None else []))) from None
    rows, left = _compared(run, plan, case)
    above = [row for row in rows if not row.holds]
    if above and all(row.kind == "gradient" and not row.reason for row in above):
        again = Run(program, plan, case, torch.float32 if run.dtype == torch.float64 else torch.float64, source, passes)
        _compared(again, plan, case)
        rows = [explained(row, _computed(run, row), _computed(again, row)) for row in rows]
    beyond = tuple(case.gradients) if run.optimized.program.only_evaluates else ()
    done = Passes(run.optimized.steps)
    return Report(text.name, plan.name, case.name, dtype, tuple(rows), tuple(left), unread, run.idle, done, beyond, run.stated, run.nothing)


def golden_program(text: Source, case: Case, golden: str | None, limits: Limits = DEFAULT, folders: Sequence[str | PathLike[str]] = ()) -> Program:
    """Return the program of the model that a golden clause is for, with the arguments of a case."""
    from ..check import check_text

    names = frozenset(name for name in case.inputs if not name.startswith("cotangent."))
    result = check_text(text, reference=references.Reference(case.config, names, frozenset(case.outputs), golden), limits=limits, folders=folders)
    if not result.ok:
        raise Failure(result.diagnostics)
    return next(iter(result.programs.values()))


def _compared(run: Run, plan: GoldenPlan, case: Case) -> tuple[list[Row], list[tuple[str, str]]]:
    """Compare every stored tensor that something was computed for."""
    values, stated = run.values(), max(run.stated.values(), default=0.0)
    rows, left = list[Row](), list[tuple[str, str]]()
    unmapped = [name for name in case.cotangents if name not in values]
    for name, theirs in case.outputs.items():
        if name in values:
            rows += [compare("output", name, theirs, path, ours, run.dtype, stated=stated) for path, ours in values[name].items()]
        elif name.startswith("after."):
            ours = run.official.get(name.removeprefix("after."))
            rows.append(compare("buffer", name, theirs, name.removeprefix("after."), ours, run.dtype, stated=stated))
        else:
            left.append((name, "no `value` clause names it"))
    if run.optimized.program.only_evaluates:
        return rows, left
    given = {name: next(iter(values[name].values())) for name in case.cotangents if name in values}
    unfit = [name for name, value in given.items() if value.shape != case.cotangents[name].shape or not value.requires_grad]
    if case.gradients and unfit:
        left += [(name, f"`{unfit[0]}` can't be differentiated as it was: it has another shape, or no gradient") for name in case.gradients]
    elif case.gradients and unmapped:
        left += [(name, f"no `value` clause names `{unmapped[0]}`, which is differentiated") for name in case.gradients]
    elif case.gradients:
        run.backward(given)
        rows += _gradients(run, case)
    return rows, left


def _gradients(run: Run, case: Case) -> list[Row]:
    """Compare every stored gradient; a parameter without one must get none."""
    largest = max(value.abs().max().item() for value in case.gradients.values() if value.numel())
    rows: list[Row] = []
    for name, theirs in case.gradients.items():
        kind, _, inner = name.partition(".")
        leaf = (run.official if kind == "param" else run.given).get(inner)
        rows.append(compare("gradient", name, theirs, inner, leaf.grad if leaf is not None else None, run.dtype, NOISE * largest))
    for name, leaf in run.official.items():
        if leaf.grad is not None and f"param.{name}" not in case.gradients and leaf.grad.abs().max().item() > NOISE * largest:
            rows.append(Row("gradient", f"param.{name}", name, float("inf"), 0.0, "the reference has no gradient there"))
    return rows


def _computed(run: Run, row: Row) -> Tensor | None:
    """Return the gradient that a row compares."""
    kind, _, inner = row.stored.partition(".")
    leaf = (run.official if kind == "param" else run.given).get(inner) if row.kind == "gradient" else None
    return leaf.grad if leaf is not None else None
