"""`archloom.quantize`: what to quantize in a model, measured on batches, under a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from ...dsl.program import Program
from ..api import load_program
from ..artifact.saving import spelt
from ..optimize.pipelines import Asked
from ..runtime.compiling import compile_program
from .batches import Batches, batches
from .search import Choice, Found, Measure, Progress, Search, check_kinds
from .targets import Target

if TYPE_CHECKING:
    from ..runtime.extern import Allowed
    from ..runtime.weights import Weights


class Quiet:
    """Tells nobody."""

    def count(self, text: str, done: int, total: int) -> None:
        """Do nothing."""


def quantize(
    path_or_text: str | PathLike[str],
    data: Batches,
    params: Mapping[str, Any] | None = None,
    *,
    error: float | None = None,
    size: float | None = None,
    time: float | None = None,
    to: str | Sequence[str] = "int8_dynamic",
    optimize: Asked = "inference",
    preset: str | None = None,
    model: str | None = None,
    weights: Weights | None = None,
    extern: Allowed = None,
    measure: Measure | None = None,
    batch: int = 32,
    progress: Progress | None = None,
) -> Found:
    """Return which weights of a model to quantize to meet a target; `found.passes` is what `optimize` of `archloom.compile` takes.

    Each weight is quantized alone, and the error of the outputs on `data` measured: relative to them, of the output where it is largest; with
    `measure`, a function of what the model gives and of the batch, how much higher its mean is.  Then weights are taken in the order of these
    errors, the least first: by bisection as many as keep the `error` of all together at most so high, or as few as bring the `size` of the state
    dict, or the `time` of the first batch, to at most such a share, above 0 and at most 1.  A time is measured anew for what was found, and one
    weight more is taken until that, which is told, keeps to the target.  `to` are kinds of the pass `quantize`; of several, the weights go to the
    first, then, in order again, on to the next.  `data` is batches, inputs by name, or a safetensors file of samples along axis 0, taken `batch` by
    `batch`.  `optimize` are the passes before, `weights` and `extern` as for `archloom.compile`.

    Raises InputError for a batch that doesn't fit the model's inputs, Failure for what is wrong in the text, the weights or the file, ValueError
    for wrong arguments and for a target that can't be met: it says what can.
    """
    program = load_program(path_or_text, params, preset, model)
    target = _target(error, size, time)
    return choose(program, data, target, to, optimize, weights, extern, measure, batch, progress or Quiet())


def choose(
    program: Program,
    data: Batches,
    target: Target,
    to: str | Sequence[str],
    before: Asked,
    weights: Weights | None,
    extern: Allowed,
    measure: Measure | None,
    batch: int,
    progress: Progress,
) -> Found:
    """Return what to quantize in the model of a program; see `quantize`."""
    kinds, found = check_kinds(to), batches(data, batch)
    floats = compile_program(program, weights=weights, dtype="float32", extern=extern).eval()
    search = Search(program, before, floats, found, measure, progress)
    order = [choice for each in search.choices(kinds) for choice in each]
    name, most = target.name, target.most

    def ask(count: int) -> float:
        passes = search.passes(order[:count])
        if name == "error":
            return search.error(search.model(passes))
        return search.size(passes) if name == "size" else search.time(passes)

    count = bisected(ask, len(order), most, rising=name == "error")
    if name != "time":
        return _found(search, order, count, None)
    count, measured = confirmed(ask, count, len(order), most)
    return _found(search, order, count, measured)


def _target(error: float | None, size: float | None, time: float | None) -> Target:
    given = {name: value for name, value in (("error", error), ("size", size), ("time", time)) if value is not None}
    if len(given) != 1:
        raise ValueError(f"give one target of error, size and time, not {', '.join(given) or 'none'}")
    return Target(*next(iter(given.items())))


def bisected(ask: Callable[[int], float], total: int, most: float, rising: bool) -> int:
    """Return the largest count for which a rising number is at most so high, or the least for which a falling one is."""
    low, high = (0, total) if rising else (-1, total)
    if rising and ask(total) <= most:
        return total
    if not rising and (least := ask(total)) > most:
        raise ValueError(_not_met(most, least))
    while high - low > 1:
        middle = (low + high) // 2
        if (ask(middle) <= most) is rising:
            low = middle
        else:
            high = middle
    return low if rising else high


def confirmed(ask: Callable[[int], float], count: int, total: int, most: float) -> tuple[int, float]:
    """Return the first count, from one on, for which what is measured anew is at most so high, and what was measured: times differ from one
    measurement to the next.  Raises ValueError where there is none.
    """
    while (measured := ask(count)) > most:
        if count == total:
            raise ValueError(_not_met(most, measured))
        count += 1
    return count, measured


def _not_met(most: float, measured: float) -> str:
    return f"no choice comes down to {most:g}: with everything quantized it is {measured:.3f}"


def _found(search: Search, order: Sequence[Choice], count: int, time: float | None) -> Found:
    passes = search.passes(order[:count])
    last = {choice.weights: choice for choice in order[:count]}
    taken = tuple(choice for choice in order[:count] if last[choice.weights] is choice)
    before = (search.base,) if isinstance(search.base, str) else search.base
    names = tuple(each if isinstance(each, str) else spelt(each) for each in (*before, *passes))
    return Found(taken, tuple(order[count:]), names, search.error(search.model(passes)), search.size(passes), time)
