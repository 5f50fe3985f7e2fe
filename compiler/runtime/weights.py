"""Reading weights through the text's map: everything that doesn't fit is listed at once, from the files' headers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from ...dsl.diagnostics import Diagnostic, Failure, closest
from ...dsl.plans import StagePlan, WeightMap, WeightSource
from ...dsl.primitive import Initialiser
from ...dsl.source import Span
from ..paths import covers
from .checkpoint import empty
from .eager import rearrange
from .initial import fill
from .offers import Live, Offer, Source, offer
from .stage import expand

if TYPE_CHECKING:
    from .plan import Plan

Weights = Source | Mapping[str, Source]
"""Where weights are: a source for the one map of a text, or sources by the names of maps."""

COUNT = "num_batches_tracked"
"""A batch norm's count of its steps: files from before PyTorch counted lack it, and it stays as it is then, as in PyTorch."""

SHOWN = 20
"""How many problems of one kind are listed one by one."""


def read_weights(plan: Plan, weights: Weights) -> dict[str, Tensor]:
    """Return tensors by the model's own paths; raises Failure with all that is missing, misshapen or unknown."""
    program, shapes = plan.program, plan.shapes()
    if not isinstance(weights, Mapping):
        plain = _plain_offer(weights, plan)
        if plain is not None and (not program.weights or _is_own(plain, shapes, plan)):
            return read_own(plain, shapes, plan)
        if len(program.weights) > 1:
            names = ", ".join(f"`{name}`" for name in program.weights)
            raise ValueError(f"`{program.name}` has several weights maps: say which, weights={{name: path}}, with a name of {names}")
        weights = dict.fromkeys(program.weights, weights)
    found: dict[str, Tensor] = {}
    for name, source in weights.items():
        if name not in program.weights:
            near = closest(name, program.weights)
            raise ValueError(f"`{program.name}` has no weights map `{name}`{f', did you mean `{near}`' if near else ''}")
        found.update(Reader(program.weights[name], source, shapes).read())
    return found


def _plain_offer(source: Source, plan: Plan) -> Offer | None:
    """Return what a source offers; None for a folder that holds a file for each member in folders of its own."""
    try:
        return offer(source)
    except Failure:
        if any(_family(map_) for map_ in plan.program.weights.values()):
            return None
        raise


def _family(map_: WeightMap) -> bool:
    """Tell whether a map reads a file for each member."""
    return any(source.startswith("family:") for source in map_.sources)


def start_weights(plan: Plan, stage: StagePlan, weights: Weights) -> dict[str, Tensor]:
    """Return the tensors that a stage starts from, by the model's own paths.

    `weights` is a source for the one thing after the stage's `from`, or sources by name: a map is read through its rules, a file or the
    state of an earlier stage by the model's own names.  What stands later wins.  Raises Failure as `read_weights` does.
    """
    if not stage.sources:
        raise ValueError(f"the stage `{stage.name}` names nothing to start from: write `from NAME` in it")
    if not isinstance(weights, Mapping):
        if len(stage.sources) > 1:
            names = ", ".join(f"`{name}`" for name in stage.sources)
            raise ValueError(f"the stage `{stage.name}` starts from several: say which, weights={{name: path}}, with a name of {names}")
        weights = dict.fromkeys(stage.sources, weights)
    unknown = next((name for name in weights if name not in stage.sources), None)
    if unknown is not None:
        near = closest(unknown, stage.sources)
        raise ValueError(f"the stage `{stage.name}` doesn't start from `{unknown}`{f', did you mean `{near}`' if near else ''}")
    found: dict[str, Tensor] = {}
    for name in (name for name in stage.sources if name in weights):
        mapped = name in plan.program.weights
        found.update(read_weights(plan, {name: weights[name]}) if mapped else read_own(offer(weights[name]), plan.shapes(), plan))
    return found


def _is_own(checkpoint: Offer, shapes: Mapping[str, tuple[int, ...]], plan: Plan) -> bool:
    """Tell whether a file was saved from this model: then no map is needed."""
    names = _own_names(checkpoint, plan).keys() - _dropped(checkpoint, plan)
    tied = {path for pair in plan.ties for path in pair}
    return names <= shapes.keys() and {path for path in shapes.keys() - names if not _is_count(path)} <= tied


def read_own(checkpoint: Offer, shapes: Mapping[str, tuple[int, ...]], plan: Plan) -> dict[str, Tensor]:
    """Read a file of the model's own names: what `state_dict()` gives."""
    names = _own_names(checkpoint, plan)
    groups = [{first, *(other for start, other in plan.ties if start == first)} for first, _ in plan.ties]
    tied = {path for group in groups if group & names.keys() for path in group}
    problems = _Problems(checkpoint)
    for path, shape in shapes.items():
        stored = checkpoint.stored.get(names.get(path, ""))
        if stored is not None and stored.shape != shape:
            problems.misshapen.append((checkpoint.span, f"`{path}` is {list(stored.shape)}, the model's is {list(shape)}"))
        elif stored is None and path not in tied and not _is_count(path):
            problems.missing.append((checkpoint.span, path))
    passed = _dropped(checkpoint, plan)
    problems.unknown.extend(name for path, name in names.items() if path not in shapes and path not in passed)
    problems.report()
    return {path: checkpoint.read(names[path]) for path in shapes if path in names}


def _own_names(checkpoint: Offer, plan: Plan) -> dict[str, str]:
    """Return stored names by today's paths: what the text renamed is found under its old name."""
    return {renamed(name, plan.program.renamed): name for name in checkpoint.stored}


def _dropped(checkpoint: Offer, plan: Plan) -> frozenset[str]:
    """Return today's paths of what a file holds and passes have left out of the model."""
    return expand(plan.program.dropped, _own_names(checkpoint, plan))


def renamed(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return the present path for an old one; a path may have been renamed several times.

    >>> renamed("blocks.0.weight", [("blocks.0", "layers.0")])
    'layers.0.weight'
    """
    for old, new in pairs:
        if covers(old, name):
            name = new + name[len(old) :]
    return name


@dataclass(slots=True)
class _Problems:
    """What was found wrong, to be reported together."""

    checkpoint: Offer
    missing: list[tuple[Span, str]]
    misshapen: list[tuple[Span, str]]
    unknown: list[str]

    def __init__(self, checkpoint: Offer) -> None:
        self.checkpoint = checkpoint
        self.missing, self.misshapen, self.unknown = [], [], []

    def report(self) -> None:
        """Raise Failure if anything was found."""
        found = [*self._missing(), *self._misshapen(), *self._unknown()]
        if found:
            raise Failure(tuple(found))

    def _missing(self) -> Iterator[Diagnostic]:
        by_span: dict[Span, list[str]] = {}
        for span, name in self.missing:
            by_span.setdefault(span, []).append(name)
        for span, names in by_span.items():
            near = closest(names[0], self.checkpoint.stored)
            help = f"`{names[0]}` is nearest to `{near}`" if near else None
            yield Diagnostic("A653", f"`{self.checkpoint.name}` has no {listed(names)}", span, help=help)

    def _misshapen(self) -> Iterator[Diagnostic]:
        for span, text in self.misshapen:
            yield Diagnostic("A654", text, span, help="compare the model's parameters with the configuration of the weights")

    def _unknown(self) -> Iterator[Diagnostic]:
        if self.unknown:
            span = self.checkpoint.span
            help = 'map them, or write a line that says that they are meant to be left out, as `drop "pooler.**"`'
            yield Diagnostic("A655", f"`{self.checkpoint.name}` also has {listed(self.unknown)}, which the model takes nowhere", span, help=help)


def _is_count(path: str) -> bool:
    return path.rpartition(".")[2] == COUNT


def listed(names: Sequence[str]) -> str:
    """Return names in quotes, not too many of them."""
    shown = ", ".join(f"`{name}`" for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


class Reader:
    """Reads one map."""

    def __init__(self, plan: WeightMap, source: Source, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.plan = plan
        self.source = source
        self.shapes = shapes
        self.offers: dict[str | None, Offer] = {}

    def read(self) -> dict[str, Tensor]:
        """Check all shapes from the headers, then read."""
        self.check()
        found: dict[str, Tensor] = {}
        taken: set[tuple[str | None, str]] = set()
        for rule in self.plan.rules:
            if rule.target in self.shapes and not self._lacks_count(rule):
                stored = {(rule.file, name) for name in rule.names}
                value = self._value(rule)
                # a file may give the same memory each time, and what starts as a copy must not stay one tensor
                found[rule.target] = value.clone() if stored & taken else value
                taken |= stored
        return found

    def check(self) -> None:
        """Read the headers alone; raises Failure with all that is missing, misshapen or left over."""
        stored = [rule for rule in self.plan.rules if rule.target in self.shapes and rule.names]
        self._open(dict.fromkeys(rule.file for rule in stored))
        problems = {file: _Problems(found) for file, found in self.offers.items()}
        for rule in stored:
            self._check(rule, problems[rule.file])
        for file, found in problems.items():
            used = self.offers[file].covered({name for rule in self.plan.rules if rule.file == file for name in rule.names})
            found.unknown.extend(name for name in found.checkpoint.stored if name not in used and not dropped(name, self.plan.drops))
        failures = [diagnostic for found in problems.values() for diagnostic in _collected(found)]
        if failures:
            raise Failure(tuple(failures))

    def _open(self, files: Iterable[str | None]) -> None:
        """Read the headers of every file; raises Failure with all that can't be read."""
        failures: list[Diagnostic] = []
        for file in files:
            try:
                self.offers[file] = offer(self.source if file is None else self._member(file), self.plan.span)
            except Failure as failure:
                failures.extend(failure.diagnostics)
        if failures:
            raise Failure(tuple(failures))

    def _member(self, file: str) -> Path:
        """Return where the file of one member is: below the folder that was given."""
        if not isinstance(self.source, (str, PathLike)):
            raise ValueError(f"`{self.plan.name}` reads a file for each member: give the folder that holds them")
        folder = Path(self.source)
        return (folder if folder.is_dir() else folder.parent) / file

    def _check(self, rule: WeightSource, problems: _Problems) -> None:
        stored = problems.checkpoint.stored
        missing = [name for name in rule.names if name not in stored]
        if missing and self._lacks_count(rule):
            return
        problems.missing.extend((rule.span, name) for name in missing)
        if missing:
            return
        shape = self.shapes[rule.target]
        given = ", ".join(f"`{name}` {list(stored[name].shape)}" for name in rule.names)
        try:
            value = apply_steps(rule, [empty(stored[name].shape) for name in rule.names], shape)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            problems.misshapen.append((rule.span, f"`{rule.target}` can't be made from {given}: {error}"))
            return
        if tuple(value.shape) != shape:
            steps = f", after {', '.join(step for step, _ in rule.steps)} {list(value.shape)}" if rule.steps else ""
            where = f"`{problems.checkpoint.name}`" if isinstance(problems.checkpoint, Live) else "the file"
            problems.misshapen.append((rule.span, f"`{rule.target}` is {list(shape)} in the model and {given}{steps} in {where}"))

    def _lacks_count(self, rule: WeightSource) -> bool:
        """Tell whether a rule is for a count of steps that the file lacks."""
        return _is_count(rule.target) and any(name not in self.offers[rule.file].stored for name in rule.names)

    def _value(self, rule: WeightSource) -> Tensor:
        values = [self.offers[rule.file].read(name) for name in rule.names]
        return apply_steps(rule, values, self.shapes[rule.target])


def _collected(problems: _Problems) -> tuple[Diagnostic, ...]:
    try:
        problems.report()
    except Failure as failure:
        return failure.diagnostics
    return ()


def dropped(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a tensor's name matches a `drop`: `*` is one word, `**` any number of them.

    >>> dropped("pooler.dense.weight", ["pooler.**"]), dropped("a.b", ["a"])
    (True, False)
    """
    return any(_matches(name.split("."), pattern.split(".")) for pattern in patterns)


def _matches(words: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        return any(_matches(words[i:], rest) for i in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _matches(words[1:], rest)


# ------------------------------------------------------------------------------------------------------------ steps


def apply_steps(rule: WeightSource, values: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Return a target tensor from its sources, step by step; `shape` is that of the target."""
    for name, arguments in rule.steps:
        values = _STEPS[name](values, arguments, shape)
    if len(values) != 1:
        raise ValueError(f"{len(values)} tensors for one target")
    return values[0].contiguous()


Step = Callable[[list[Tensor], Mapping[str, Any], tuple[int, ...]], list[Tensor]]


def _each(change: Callable[[Tensor, Mapping[str, Any]], Tensor]) -> Step:
    """Return a step that changes one of the tensors."""

    def step(values: list[Tensor], arguments: Mapping[str, Any], shape: tuple[int, ...]) -> list[Tensor]:
        place = arguments["on"]
        return [change(value, arguments) if i == place else value for i, value in enumerate(values)]

    return step


def _sliced(value: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """Take items one axis at a time; a list of positions is taken from its axis, whatever else is sliced."""
    items: list[Any] = list(arguments["items"])
    if None in items:
        at = items.index(None)
        items[at : at + 1] = [[None, None, None]] * (value.dim() - len(items) + 1)
    if len(items) > value.dim():
        raise IndexError(f"{len(items)} items for {value.dim()} dimensions")
    axis = 0
    for item in items:
        if isinstance(item, int):
            value = value.select(axis, item)
            continue
        if isinstance(item, dict):
            places = cast("Mapping[str, list[int]]", item)["take"]
            value = value.index_select(axis, torch.tensor(places, device=value.device))
        else:
            value = value[(slice(None),) * axis + (slice(*cast("list[int | None]", item)),)]
        axis += 1
    return value


def _concat(values: list[Tensor], arguments: Mapping[str, Any], shape: tuple[int, ...]) -> list[Tensor]:
    return [torch.cat(values, dim=arguments["dim"])]


def _init(values: list[Tensor], arguments: Mapping[str, Any], shape: tuple[int, ...]) -> list[Tensor]:
    value = torch.empty(shape)
    fill(value, Initialiser(arguments["name"], arguments["arguments"]))
    return [value]


_STEPS: Mapping[str, Step] = {
    "transpose": _each(lambda value, given: value.transpose(*given["dims"])),
    "rearrange": _each(lambda value, given: rearrange(value, given["pattern"], given["sizes"])),
    "reshape": _each(lambda value, given: value.reshape(given["shape"])),
    "slice": _each(_sliced),
    "concat": _concat,
    "init": _init,
}
