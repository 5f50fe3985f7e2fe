"""`--optimize` and what goes with it: the passes of a command, run over its programs and told of on standard error."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ...dsl.program import Program
from ...dsl.record import record
from ._options import PASSES

if TYPE_CHECKING:
    from ..optimize.interface import Pass
    from ..optimize.manager import Step, Watch

ALL = "all"


@record
class Chosen:
    """The passes that a command was asked for, and what it is to print of them: the graph after each or after one, times, places."""

    passes: tuple[Pass, ...] | None = None
    between: str | None = None
    times: bool = False
    places: bool = False
    by: str = ""
    """What tells these passes from others of the same command."""

    @property
    def tells(self) -> bool:
        """Whether anything is to be printed."""
        return self.between is not None or self.times or self.places

    @property
    def watch(self) -> Watch | None:
        """What prints the graph between passes, if that is asked for."""
        from ..optimize.report import Between

        return Between(_say, self.between if self.between != ALL else None) if self.between is not None else None

    def tell(self, name: str, steps: Sequence[Step]) -> None:
        """Print what was asked for of passes that have run over a model."""
        from ..optimize.report import Passes

        done = Passes(tuple(steps))
        for text in [done.explain()] * self.places + [str(done)] * self.times:
            _say(f"passes of {name}{f' by {self.by}' if self.by else ''}\n{textwrap.indent(text, '  ')}")

    def optimized(self, program: Program, tasks: Sequence[str] = ()) -> Program:
        """Return the program cut to tasks, if there are any, after the passes, and verified.

        Raises ClickException for a task or a result that the model hasn't, and where a pass left no legal graph.
        """
        from ..graph import Graph
        from ..optimize.manager import optimize
        from ..verify import verify

        if self.passes is None and not tasks:
            return program
        if self.by and self.between in (ALL, *(each.name() for each in self.passes or ())):
            _say(f"passes of {program.name} by {self.by}, one by one\n")
        try:
            found = optimize(program, self.passes or (), self.watch, tasks or None)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        self.tell(program.name, found.steps)
        problems = verify(Graph(found.program))
        if problems:
            raise click.ClickException(f"passes left a graph that isn't legal, a fault of archloom: {problems[0]}")
        return found.program


def chosen() -> Chosen:
    """Return the passes that the command at hand was called with; UsageError for a pass, a pipeline or an option that there isn't."""
    ctx = click.get_current_context()
    asked: dict[str, Any] = ctx.meta.get(PASSES, {})
    if asked.get("optimize") is None:
        extra = [name for name in ("print_between", "time_passes", "explain_passes") if asked.get(name)]
        if extra:
            raise click.UsageError(f"`--{extra[0].replace('_', '-')}` is about passes: add --optimize", ctx)
        return Chosen()
    return told(asked["optimize"])


def told(optimize: str, more: Sequence[str] = ()) -> Chosen:
    """Return a pipeline with what is to be printed of its passes, of which `more` may run behind, for a command with an `--optimize` of its own.

    Raises UsageError for a pass, a pipeline or an option that there isn't.
    """
    from ..optimize.pipelines import pipeline

    ctx = click.get_current_context()
    asked: dict[str, Any] = ctx.meta.get(PASSES, {})
    between = asked.get("print_between")
    try:
        found = pipeline(optimize)
    except ValueError as error:
        raise click.UsageError(str(error), ctx) from None
    names = list(dict.fromkeys([*(each.name() for each in found), *more]))
    if between is not None and between not in (ALL, *names):
        run = f"those that run are {', '.join(names)}" if names else "none is run"
        raise click.UsageError(f"`--print-between` takes a pass that is run, not `{between}`: {run}; `all`, or nothing behind it, means each", ctx)
    return Chosen(found, between, bool(asked.get("time_passes")), bool(asked.get("explain_passes")))


def _say(text: str) -> None:
    from ...dsl.render import printable

    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr)
