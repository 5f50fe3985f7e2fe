"""Saving under the names that a weights map reads: the map inverted, or a list of what can't be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save
from torch import Tensor

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.plans import WeightMap, WeightSource
from ...dsl.source import Span
from ..writing import write_file
from .checkpoint import SUFFIX, empty
from .eager import rearrange
from .offers import Source, StrPath
from .weights import Reader, apply_steps, listed

Shape = tuple[int, ...]
Place = tuple[str | None, str]
"""A stored tensor: the file of its member, where a map has several, and its name."""

LIKE = "give `like=`, the weights that the map reads: they tell what the map leaves open"


def write_tensors(path: StrPath, tensors: Mapping[str, Tensor]) -> Path:
    """Write a safetensors file whole or not at all, `model.safetensors` where the path is a folder; returns its path."""
    target = Path(path)
    if target.suffix != SUFFIX:
        target /= f"model{SUFFIX}"
    target.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: value.detach().to("cpu").contiguous().clone() for name, value in tensors.items()}
    write_file(target, save(plain, metadata={"format": "pt"}))
    return target


class Writer:
    """Inverts one map: every target's numbers go where its rule takes them from."""

    def __init__(self, map_: WeightMap, values: Mapping[str, Tensor], ties: Iterable[tuple[str, str]], like: Source | None) -> None:
        """Take the model's tensors by path (tied ones by all of theirs) and the weights that tell what the map leaves open."""
        self.map = map_
        self.values = values
        self.ties = tuple(ties)
        shapes = {path: tuple(value.shape) for path, value in values.items()}
        self.reader = Reader(map_, like, shapes) if like is not None else None
        if self.reader is not None:
            self.reader.check()
        self.problems: dict[tuple[str, str | None], dict[str, Span]] = {}  # by message and help: what it is about
        self.stored: dict[Place, Tensor] = {}
        self.filled: dict[Place, Tensor] = {}
        self.targets: dict[Place, str] = {}

    def tensors(self, partial: bool) -> dict[str | None, dict[str, Tensor]]:
        """Return what is stored, by file and name; raises Failure with all that has no place or comes from elsewhere."""
        if not partial:
            self._homeless()
        rules = [rule for rule in self.map.rules if rule.names and rule.target in self.values]
        shapes = self._shapes(rules)
        for rule in rules:
            if all(shapes.get((rule.file, name)) is not None for name in rule.names):
                self._put(rule, [shapes[rule.file, name] for name in rule.names])
        self._fill_up()
        if self.problems:
            raise Failure(tuple(self._diagnostics()))
        files: dict[str | None, dict[str, Tensor]] = {}
        for (file, name), value in self.stored.items():
            files.setdefault(file, {})[name] = value
        for file, found in self.reader.offers.items() if self.reader is not None else ():
            files[file] |= {name: found.read(name) for name in found.stored if name not in files[file]}
        return files

    def _report(self, message: str, name: str, span: Span, help: str | None) -> None:
        self.problems.setdefault((message, help), {})[name] = span

    def _diagnostics(self) -> Iterator[Diagnostic]:
        for (message, help), names in self.problems.items():
            yield Diagnostic("A656", f"{listed(list(names))} {message}", next(iter(names.values())), help=help)

    def _homeless(self) -> None:
        """Report the tensors that the map reads from nowhere."""
        hit = {rule.target for rule in self.map.rules if rule.names}
        hit |= {path for pair in self.ties if hit & set(pair) for path in pair}
        for path in self.values:
            if path not in hit:
                help = "write a rule for each, or leave them out with `partial=True`"
                self._report(f"can't be saved through `{self.map.name}`: the map reads nothing for them", path, self.map.span, help)

    # ----------------------------------------------------------------------------------------------------------- shapes

    def _shapes(self, rules: Sequence[WeightSource]) -> dict[Place, Shape]:
        """Return the shape of every stored tensor: as the given weights have it, or the least that the rules take."""
        if self.reader is not None:
            return {(rule.file, name): self.reader.offers[rule.file].stored[name].shape for rule in rules for name in rule.names}
        found: dict[Place, Shape] = {}
        unknown: set[Place] = set()
        for rule in rules:
            least = _least(rule, tuple(self.values[rule.target].shape))
            for name in rule.names:
                place = (rule.file, name)
                known = found.get(place, least)
                if least is None or known is None or len(least) != len(known):
                    unknown.add(place)
                    word = next((step for step, _ in reversed(rule.steps) if step in ("concat", "reshape", "rearrange")), "the slice")
                    self._report(f"can't be saved: `{word}` doesn't tell the shapes that are stored", rule.target, rule.span, LIKE)
                else:
                    found[place] = tuple(map(max, least, known))
        return {place: shape for place, shape in found.items() if place not in unknown}

    # ----------------------------------------------------------------------------------------------------------- values

    def _put(self, rule: WeightSource, shapes: Sequence[Shape]) -> None:
        """Write a target's numbers to where they come from, found by sending positions through the rule's steps."""
        value = self.values[rule.target].detach()
        starts = [sum(map(prod, shapes[:i])) for i in range(len(shapes))]
        places = [torch.arange(prod(shape)).reshape(shape) + start for shape, start in zip(shapes, starts, strict=True)]
        positions = apply_steps(rule, places, tuple(value.shape)).flatten()
        numbers = value.to("cpu").flatten()
        for name, shape, start in zip(rule.names, shapes, starts, strict=True):
            own = (positions >= start) & (positions < start + prod(shape))
            self._write(rule, (rule.file, name), shape, positions[own] - start, numbers[own])

    def _write(self, rule: WeightSource, place: Place, shape: Shape, at: Tensor, numbers: Tensor) -> None:
        stored = self.stored.setdefault(place, torch.zeros(shape, dtype=numbers.dtype)).view(-1)
        filled = self.filled.setdefault(place, torch.zeros(shape, dtype=torch.bool)).view(-1)
        twice = filled[at]
        if not torch.equal(stored[at][twice], numbers[twice]):
            message = f"can't be saved: `{self.targets[place]}` and `{rule.target}` both come from there, and they differ now"
            self._report(message, place[1], rule.span, "save the model under its own names")
        stored[at], filled[at] = numbers, True
        self.targets[place] = rule.target

    def _fill_up(self) -> None:
        """Take from the given weights what the model doesn't hold; without them report it."""
        for place, filled in self.filled.items():
            if bool(filled.all()):
                continue
            file, name = place
            if self.reader is not None:
                old = self.reader.offers[file].read(name).to(self.stored[place].dtype)
                self.stored[place] = torch.where(filled, self.stored[place], old)
            else:
                message = f"can't be saved: the model holds {int(filled.sum()):,} of its {filled.numel():,} numbers"
                self._report(message, name, self.map.span, LIKE)


def _least(rule: WeightSource, shape: Shape) -> Shape | None:
    """Return the least shape from which a rule's steps give its target's; None where they don't tell."""
    found: Shape | None = shape
    for word, given in reversed(rule.steps):
        if found is None or word in ("concat", "reshape"):
            return None
        if word == "transpose":
            found = tuple(empty(found).transpose(*given["dims"]).shape)
        elif word == "rearrange":
            left, right = given["pattern"].split("->")
            try:
                found = tuple(rearrange(empty(found), f"{right.strip()} -> {left.strip()}", given["sizes"]).shape)
            except (RuntimeError, ValueError, TypeError):
                return None
        else:
            found = _uncut(found, list(given["items"]))
    return found


def _uncut(shape: Shape, items: list[Any]) -> Shape | None:
    """Return the least shape that a slice gives `shape` of; None for positions counted from an end that isn't known."""
    rank = len(shape) + sum(isinstance(item, int) for item in items)
    at = items.index(None) if None in items else len(items)
    items[at : at + 1] = [[None, None, None]] * (rank - len(items) + (1 if at < len(items) else 0))
    sizes = iter(shape)
    found = [item + 1 if isinstance(item, int) else _axis(item, next(sizes)) for item in items]
    return tuple(found) if all(size > 0 for size in found) else None


def _axis(item: Any, size: int) -> int:
    """Return the least length of an axis of which a slice, or a list of positions, takes `size` entries; 0 where it doesn't tell."""
    if isinstance(item, dict):
        return max(cast("Mapping[str, list[int]]", item)["take"]) + 1
    start, stop, step = (item[0] or 0, item[1] or 0, item[2] or 1)
    return start + (size - 1) * step + 1 if start >= 0 and stop >= 0 else 0
