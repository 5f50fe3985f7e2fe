"""The search: each weight is quantized alone and the error measured; then as many as a target allows, the least sensitive first."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from ...dsl.diagnostics import closest
from ...dsl.program import Program
from ...dsl.record import record
from ..optimize.manager import optimize
from ..optimize.pipelines import Asked
from ..optimize.selecting import spelt
from ..passes.quantize import KINDS, STATIC, Quantize
from ..runtime.compiling import compile_program
from ..runtime.model import Model
from ..runtime.rounded import Quantized, braced
from ..tables import table
from .batches import Batch, outputs, ranges

Measure = Callable[[Any, Batch], float]
"""A number for what a model gives on a batch, such as a loss: the lower the better."""
PAIRS = 9


class Progress(Protocol):
    """Is told how many steps are done."""

    def count(self, text: str, done: int, total: int) -> None: ...


@record
class Choice:
    """Weights that are one matrix, the selectors of them, what they are quantized to, and the error of the model when nothing else is."""

    weights: tuple[str, ...]
    where: tuple[str, ...]
    to: str
    error: float


@record
class Found:
    """What to quantize: the choices that are taken, least sensitive first, and those that are left; the passes that do it, as they are asked
    for; and of the model so made the error, and the size and, where it was the target, the time as shares of the floats'."""

    taken: tuple[Choice, ...]
    left: tuple[Choice, ...]
    passes: tuple[str, ...]
    error: float
    size: float
    time: float | None

    def __str__(self) -> str:
        rows = [[braced(c.weights), c.to, f"{c.error:.3g}", "yes" if c in self.taken else ""] for c in (*self.taken, *self.left)]
        timed = f", {self.time:.3f} of the time" if self.time is not None else ""
        ends = f"together: error {self.error:.3g}, {self.size:.3f} of the size{timed}\n"
        return table([["weights", "to", "error alone", "taken"], *rows], (2,)) + ends + f'--optimize "{", ".join(self.passes)}"'

    def json(self) -> dict[str, Any]:
        """Return the fields as what JSON holds."""
        fields = {name: getattr(self, name) for name in ("passes", "error", "size", "time")}
        return fields | {"taken": [_fields(choice) for choice in self.taken], "left": [_fields(choice) for choice in self.left]}


def _fields(choice: Choice) -> dict[str, Any]:
    return {name: getattr(choice, name) for name in Choice.__annotations__}


class Search:
    """Makes models with some weights quantized, and measures them against the one of floats."""

    def __init__(self, program: Program, base: Asked, floats: Model, data: Sequence[Batch], measure: Measure | None, progress: Progress) -> None:
        self.floats, self.data, self.measure, self.progress = floats, data, measure, progress
        self.base = base
        self.program = optimize(program, base).program
        self.state: Mapping[str, Tensor] = floats.state_dict()
        self.ranges = ranges(floats, data)
        with torch.no_grad():
            self.wanted = [outputs(floats, number, batch) for number, batch in enumerate(data)]

    def model(self, passes: Sequence[Quantize], meta: bool = False) -> Model:
        """Return the model with what the passes quantize; on the meta device for its sizes alone."""
        made = compile_program(optimize(self.program, passes).program if passes else self.program, device="meta")
        return made if meta else made.materialize(given=self.state)

    def choices(self, kinds: Sequence[str]) -> list[list[Choice]]:
        """Return, for each kind, everything that can be quantized to it, with its error alone, the least first."""
        names = spelt(self.program)
        every = [Quantize(to=kind, ranges=self.known(self.ranges) if kind == STATIC else ()) for kind in kinds]
        rows = [[(each.to, row.weights) for row in self.model([each], meta=True).quantized] for each in every]
        total = sum(map(len, rows))
        if not total:
            what = "linear or convolution" if STATIC in kinds else f"linear (convolutions are for `{STATIC}`)"
            raise ValueError(f"nothing can be quantized: there is no {what} of {Quantize().least} numbers or more")
        found: list[list[Choice]] = []
        for each in rows:
            made: list[Choice] = []
            for kind, weights in each:
                self.progress.count("measuring weights one by one", sum(map(len, found)) + len(made), total)
                choice = Choice(weights, tuple(names[path] for path in weights), kind, 0.0)
                made.append(replace(choice, error=self.error(self.model(self.passes([choice])))))
            found.append(sorted(made, key=lambda choice: choice.error))
        return found

    def known(self, paths: Iterable[str]) -> tuple[tuple[str, float, float], ...]:
        """Return the ranges for some weights as the pass takes them."""
        return tuple((path, *self.ranges[path]) for path in paths if path in self.ranges)

    def passes(self, choices: Sequence[Choice]) -> list[Quantize]:
        """Return the passes that do what is chosen, one for each kind; a weight that is chosen twice goes by the later choice."""
        last = {choice.weights: choice for choice in choices}
        found: list[Quantize] = []
        for kind in KINDS:
            of = [choice for choice in last.values() if choice.to == kind]
            where = joined([each for choice in of for each in choice.where])
            known = self.known(path for choice in of for path in choice.weights) if kind == STATIC else ()
            found += [Quantize(to=kind, where=where, ranges=known)] if of else []
        return found

    def error(self, model: Model) -> float:
        """Return how far the outputs are from the floats', relative to these, at most; or how much higher the measure is."""
        with torch.inference_mode():
            if self.measure is not None:
                return statistics.fmean(self.measure(model(**batch), batch) - self.measure(self.floats(**batch), batch) for batch in self.data)
            missed: dict[Any, list[float]] = {}
            for number, (batch, wanted) in enumerate(zip(self.data, self.wanted, strict=True)):
                for name, value in outputs(model, number, batch).items():
                    if value.is_floating_point():
                        known = missed.setdefault(name, [0.0, 0.0])
                        known[0] += float((value - wanted[name]).square().sum())
                        known[1] += float(wanted[name].square().sum())
        return max((above / max(below, 1e-30)) ** 0.5 for above, below in missed.values())

    def size(self, passes: Sequence[Quantize]) -> float:
        """Return the bytes of the state dict without the floats that nothing reads, as a share of the floats'."""
        model = self.model(passes, meta=True)
        if passes:
            model.drop_folded(Quantized())
        return _bytes(model.state_dict()) / _bytes(self.state)

    def time(self, passes: Sequence[Quantize]) -> float:
        """Return the time of the first batch, as a share of that of the floats with the same other passes: the ratio of medians."""
        plain, other = self.model(()), self.model(passes)
        with torch.inference_mode():
            pairs = [(_seconds(plain, self.data[0]), _seconds(other, self.data[0])) for _ in range(PAIRS + 1)][1:]
        return statistics.median(b for _, b in pairs) / statistics.median(a for a, _ in pairs)


def joined(selectors: Sequence[str]) -> str:
    """Return several selectors as one."""
    return selectors[0] if len(selectors) == 1 else f"{{{', '.join(selectors)}}}"


def _bytes(state: Mapping[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in state.values())


def _seconds(model: Model, batch: Batch) -> float:
    start = time.perf_counter()
    model(**batch)
    return time.perf_counter() - start


def check_kinds(to: str | Sequence[str]) -> tuple[str, ...]:
    """Return the kinds that are asked for; ValueError with a suggestion for one that there isn't."""
    asked = (to,) if isinstance(to, str) else tuple(to)
    for kind in asked:
        if kind not in KINDS:
            near = closest(kind, KINDS)
            raise ValueError(f"nothing is quantized to `{kind}`{f', did you mean `{near}`' if near else ''}: there is {', '.join(KINDS)}")
    return asked
