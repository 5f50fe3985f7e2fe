"""Measures the configurations of a model side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from ...dsl.record import entity
from . import ceilings as limits
from .configuration import INT8, QUANTIZE, REFERENCE, Configuration
from .expected import Expected
from .machine import computing_with, describe, device_of
from .memory import kept, peak, weights
from .report import Ceilings, Quartiles, Report, Row
from .subject import Subject, Task
from .timing import Batch, batch, ratio, rounds, seconds, spread
from .traffic import traffic


class Watch(Protocol):
    """Is told what is going on."""

    def say(self, text: str) -> None:
        """Hear which step it is now."""
        ...

    def count(self, text: str, done: int, total: int) -> None:
        """Hear how many rounds are done; what it does about that it does at once, since the next thing is timed."""
        ...


class Silent:
    """Watches without a word."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def count(self, text: str, done: int, total: int) -> None:
        """Say nothing."""


FAILURES = (RuntimeError, NotImplementedError, OSError)
"""What torch raises where it has no kernel for a dtype, or can't compile."""
REASON = 300
BYTES = "bytes"
BACKWARD = 2
"""A backward pass in forward passes: the products with the weights transposed, and with the inputs."""


@entity
class Lane:
    """One configuration with what is known of it before it is timed, and its timer: none where the row says that it failed."""

    row: Row
    timer: Batch | None = None


def bench(task: Task, configurations: Sequence[Configuration], pairs: int, threads: int, watch: Watch | None = None) -> Report:
    """Measure every configuration `pairs` times in turn, and what the machine can do after each round.

    A configuration that can't be built, compiled or run is a row that says why.  Interrupted in the middle, it reports the rounds that are
    done, if there are any.  Raises Failure and ValueError for what is wrong with the task itself, RuntimeError where the plain model fails.
    """
    with computing_with(threads):
        try:
            return Bench(task, configurations, watch or Silent()).report(pairs)
        finally:
            torch.compiler.reset()


class Bench:
    """One measurement."""

    def __init__(self, task: Task, configurations: Sequence[Configuration], watch: Watch) -> None:
        """Compute what all are compared with: the model without passes."""
        self.task, self.watch = task, watch
        self.device = device_of(task.device)
        self.configurations = configurations
        self.subjects: dict[tuple[str, str], tuple[Subject, float]] = {}
        watch.say(f"building {task.program.name}")
        self.reference = self._subject(REFERENCE)[0]
        self.expected = Expected(self.reference)

    def _subject(self, configuration: Configuration) -> tuple[Subject, float]:
        """Return a configuration's model, which eager and compiled calls share, and the seconds that it took to build."""
        key = configuration.passes, configuration.dtype
        if key not in self.subjects:
            start = time.perf_counter()
            subject = Subject(self.task, configuration, self.reference.state if self.subjects else None)
            self.subjects[key] = subject, time.perf_counter() - start
        return self.subjects[key]

    def report(self, pairs: int) -> Report:
        """Prepare every configuration, time them in turn, and return what was found."""
        lanes = [self._lane(configuration, number) for number, configuration in enumerate(self.configurations, 1)]
        timers = [lane.timer for lane in lanes if lane.timer is not None]
        times, found, interrupted = self._times(timers, pairs)
        columns = iter(zip(*times, strict=True))
        base = next((lane.row for lane in lanes if lane.timer is not None), None)
        first = [each[0] for each in times]
        rows = [_timed(lane.row, next(columns), first, lane.timer.calls, found) if lane.timer is not None else lane.row for lane in lanes]
        return self._document(rows, found, len(times), interrupted, base)

    # --------------------------------------------------------------------------------------------------- preparing

    def _lane(self, configuration: Configuration, number: int) -> Lane:
        """Build a configuration and measure everything but its time."""
        self.watch.say(f"preparing {configuration} ({number} of {len(self.configurations)})")
        row = Row(passes=configuration.passes, mode=configuration.mode, dtype=configuration.dtype)
        try:
            return self._prepared(configuration, row)
        except FAILURES as error:
            return Lane(row.model_copy(update={"failed": reason(error)}))

    def _prepared(self, configuration: Configuration, row: Row) -> Lane:
        subject, building = self._subject(configuration)
        step = subject.eager()
        start = time.perf_counter()
        step()
        if configuration.mode == "compile":  # which follows only calls of a kind that there has been
            step, start = subject.compiled(), time.perf_counter()
            step()
        prepare = building + time.perf_counter() - start
        found = self.expected.compare(subject, step, configuration.mode == "compile")
        expense = subject.expense()
        subject.forget()
        facts = {
            "prepare": prepare,
            "kept": kept(subject.model),
            "peak": peak(step, self.device),
            "weights": weights(subject.model),  # behind the others: whole numbers come back where they are asked for
            "error": found.error,
            "multiply_adds": expense.multiply_adds * (1 + BACKWARD * self.task.train),
            "moved": traffic(subject.eager()),
            "notes": [*found.notes, *_unquantized(configuration, subject)],
        }
        return Lane(row.model_copy(update=facts), batch(limits.waited(step, self.device)))

    # ------------------------------------------------------------------------------------------------------ timing

    def _times(self, timers: Sequence[Batch], pairs: int) -> tuple[list[list[float]], Ceilings, bool]:
        """Return the seconds of each timer in each round, what the machine did between the rounds, and whether all was interrupted."""
        self.watch.say("measuring what the machine can do")
        probes = {dtype: limits.gemm(dtype, self.device) for dtype in dict.fromkeys(each.dtype for each in self.configurations)}
        probes[BYTES] = [limits.triad(self.device)]
        spent = {name: [[seconds(probe.call)] for probe in some] for name, some in probes.items()}
        found: list[list[float]] = []
        interrupted = False
        try:
            for each in rounds(timers, pairs if timers else 0):
                found.append(each)
                for name, some in probes.items():
                    for probe, times in zip(some, spent[name], strict=True):
                        times.append(seconds(probe.call))
                self.watch.count(f"timing {self.task.program.name}", len(found), pairs)
        except KeyboardInterrupt:
            if not found:
                raise
            interrupted = True
        rates = {name: limits.rate(probes[name], spent[name]) for name in probes}
        return found, Ceilings(bandwidth=rates.pop(BYTES), gemm=rates), interrupted

    def _document(self, rows: list[Row], ceilings: Ceilings, pairs: int, interrupted: bool, base: Row | None) -> Report:
        unknown = sorted(self.reference.expense().unknown)
        told = self.expected.note(any(row.mode == "compile" for row in rows))
        notes = [told] if told is not None else []
        notes += [f"multiply-adds are without {', '.join(f'`{name}`' for name in unknown)}, of unknown cost"] if unknown else []
        task = self.task
        return Report(
            model=task.program.name,
            preset=task.program.preset,
            tasks=list(task.tasks),
            entry=task.entry,
            train=task.train,
            sizes=self.reference.sizes(),
            weights=str(task.weights) if task.weights is not None else None,
            seed=task.seed,
            pairs=pairs,
            interrupted=interrupted,
            baseline=base.name if base is not None else None,
            machine=describe(self.device),
            ceilings=ceilings,
            notes=notes,
            rows=rows,
        )


def _timed(row: Row, times: Sequence[float], first: Sequence[float], calls: int, ceilings: Ceilings) -> Row:
    """Return a row with its times, and the shares of the ceilings that follow from them."""
    found = spread(times)
    facts: dict[str, Any] = {"seconds": Quartiles.of(found), "ratio": Quartiles.of(ratio(times, first)), "times": list(times), "calls": calls}
    if row.multiply_adds is not None:
        facts["gemm_share"] = 2 * row.multiply_adds / found.median / ceilings.gemm[row.dtype]
    if row.moved is not None:
        facts["bandwidth_share"] = row.moved / found.median / ceilings.bandwidth
    return row.model_copy(update=facts)


def _unquantized(configuration: Configuration, subject: Subject) -> list[str]:
    """Say that and why a model that was to be quantized is as it was."""
    steps = [step for step in subject.steps if step.name == QUANTIZE]
    if configuration.dtype != INT8 or any(step.fired for step in steps):
        return []
    declined = [event for step in steps for event in step.declined]
    return [f"nothing is quantized: {declined[0].what}" if declined else "nothing is quantized: there is no linear"]


def reason(error: BaseException) -> str:
    """Return what failed on one line: the first paragraph of the message, as far as it goes."""
    text = " ".join(str(error).split("\n\n")[0].split()) or type(error).__name__
    return text if len(text) <= REASON else f"{text[: REASON - 1]}…"
