"""The runs that decide a claim at one sample of inputs: one for derivatives, and one in which a part is given other values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from ...blocks.primitives.index import slice_bounds
from ...dsl.dims import Dim, Symbol
from ...dsl.program import Claim, ClaimPart, Ref
from ...dsl.record import entity, record
from ..claims import Root, Site, Watch
from .border import bind_sizes
from .subject import Subject
from .watching import Session, Values

Entry = tuple[int, ...]
Given = dict[str, dict[int, Tensor]]


@entity
class Source:
    """What a value should ignore or use, as it is in one call: a watched value by name, or parameters and buffers by path."""

    name: str  # of the watched value; empty for parameters
    tensors: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]  # bool, true for the entries that the claim is about


@entity
class Case:
    """A claim in one call of its body."""

    claim: Claim
    site: Site
    name: str  # of the watched value
    mask: Tensor
    sources: tuple[Source, ...]


@record
class Effect:
    """One entry of a source that moves one entry of a value; the derivative where there is one, else how many entries moved."""

    value: Entry
    source: Entry | None
    tensor: str  # the path of the parameter; empty for a value
    derivative: float | None


SOME = Effect((), None, "", None)
"""An effect that nobody asks more of: it is what `uses` wants."""


class Trials:
    """Runs a root on a sample of inputs; a second sample tells what other values a part may take."""

    def __init__(self, subject: Subject, root: Root, watch: Watch, samples: Sequence[Mapping[str, Tensor]], seed: int) -> None:
        self.subject, self.root, self.watch, self.seed = subject, root, watch, seed
        self.inputs = samples[0]
        self.generator = torch.Generator().manual_seed(seed)
        self.base = subject.run(root, samples[0], Session(), seed).seen
        self.other = subject.run(root, samples[1], Session(), seed).seen

    # -------------------------------------------------------------------------------------------------------- cases

    def case(self, claim: Claim, site: Site) -> Case | None:
        """Return a claim in one call, or None where a part of it is empty or reaches beyond its tensor at these sizes."""
        inputs = [(d, self.base[name][site.turn]) for d in site.body.inputs if (name := self.watch.key(site.body, Ref(d.node))) in self.base]
        sizes = {symbol: size for symbol, (size, _) in bind_sizes(inputs)[0].items()}
        assert isinstance(claim.value.source, Ref)
        name = self.watch.key(site.body, claim.value.source)
        mask = _mask(self.base[name][site.turn], claim.value.items, sizes)
        sources = [self._source(part, site, sizes) for part in claim.others]
        if not mask.any() or not all(mask.any() for source in sources for mask in source.masks.values()):
            return None
        return Case(claim, site, name, mask, tuple(sources))

    def _source(self, part: ClaimPart, site: Site, sizes: Mapping[Symbol, int]) -> Source:
        if isinstance(part.source, Ref):
            name = self.watch.key(site.body, part.source)
            tensors = {"": self.base[name][site.turn]}
        else:
            name, tensors = "", self.subject.tensors(site.path(part.source))
        return Source(name, tensors, {path: _mask(value, part.items, sizes) for path, value in tensors.items()})

    def value(self, case: Case) -> Tensor:
        """Return the value that the claim is about, as computed."""
        return self.base[case.name][case.site.turn]

    def _held(self, cases: Sequence[Case], leaves: bool = False) -> Given:
        """Return the inputs of the calls as they were: each case stands alone with them."""
        given: Given = {}
        for site in {id(case.site): case.site for case in cases}.values():
            for declared in site.body.inputs:
                name = self.watch.key(site.body, Ref(declared.node))
                if name in self.base:
                    value = self.base[name][site.turn]
                    given.setdefault(name, {})[site.turn] = value.detach().clone().requires_grad_() if leaves and _differentiable(value) else value
        return given

    def _run(self, given: Values, traced: frozenset[str] = frozenset()) -> dict[str, list[Tensor]]:
        return self.subject.run(self.root, self.inputs, Session(given, traced), self.seed).seen

    # -------------------------------------------------------------------------------------------------- derivatives

    def derivatives(self, cases: Sequence[Case]) -> dict[tuple[int, int], Effect]:
        """Return, by numbers of case and source, where a derivative is not 0; one that isn't a number says nothing."""
        traced = frozenset(source.name for case in cases for source in case.sources) | {case.name for case in cases}
        seen = self._run(self._held(cases, leaves=True), traced)
        found: dict[tuple[int, int], Effect] = {}
        for i, case in enumerate(cases):
            value = seen[case.name][case.site.turn]
            for j, source in enumerate(case.sources):
                tensors = {"": seen[source.name][case.site.turn]} if source.name else source.tensors
                wanted = {path: tensor for path, tensor in tensors.items() if tensor.requires_grad}
                if value.requires_grad and wanted:
                    effect = self._derivative(value, case, wanted, source.masks)
                    if effect is not None:
                        found[i, j] = effect
        return found

    def _derivative(self, value: Tensor, case: Case, tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Effect | None:
        """Return the strongest derivative of the first entry that has one; a random direction over many entries hides none."""

        def gradient(entries: Tensor) -> dict[str, Tensor]:
            direction = torch.zeros_like(value)
            noise = torch.randn(len(entries), dtype=value.dtype, generator=self.generator) if len(entries) > 1 else torch.ones(1, dtype=value.dtype)
            direction[tuple(entries.T)] = noise
            grads = torch.autograd.grad(value, list(tensors.values()), direction, retain_graph=True, allow_unused=True)
            found = cast("Sequence[Tensor | None]", grads)
            named = {path: grad for path, grad in zip(tensors, found, strict=True) if grad is not None}
            return {path: torch.where(masks[path], grad, 0).nan_to_num(0.0).abs() for path, grad in named.items()}

        entries = case.mask.nonzero()
        if not any(bool(grad.any()) for grad in gradient(entries).values()):
            return None
        if case.claim.relation == "uses":
            return SOME
        while len(entries) > 1:
            half = len(entries) // 2
            entries = entries[:half] if any(bool(grad.any()) for grad in gradient(entries[:half]).values()) else entries[half:]
        path, grad = max(gradient(entries).items(), key=lambda item: float(item[1].max()))
        return Effect(_entry(entries[0]), _entry((grad == grad.max()).nonzero()[0]), path, float(grad.max()))

    # ------------------------------------------------------------------------------------------------------- changes

    def changes(self, cases: Sequence[Case], number: int) -> tuple[dict[tuple[int, int], Effect], set[tuple[int, int]]]:
        """Return, by numbers of case and source, where a change of the source moves the value, and which sources could be changed.

        The cases are about the same parts of the same body, perhaps in several calls.
        """
        found: dict[tuple[int, int], Effect] = {}
        changed: set[tuple[int, int]] = set()
        for j in range(max(len(case.sources) for case in cases)):
            given, new, others = self._held(cases), dict[int, Tensor](), dict[int, Tensor | None]()
            for i, case in enumerate(cases):
                if j < len(case.sources) and not case.sources[j].name:
                    self._change_parameters(i, j, case, found, changed)
                elif j < len(case.sources):
                    turn = case.site.turn
                    if turn not in others:
                        others[turn] = self._other(case.sources[j], turn, number)
                    value = others[turn]
                    if value is not None:
                        new[i] = given.setdefault(case.sources[j].name, {})[turn] = value
            changed |= {(i, j) for i in new}
            seen = self._run(given) if new else {}
            for i, value in new.items():
                if self._moved(cases[i], seen).any():
                    found[i, j] = SOME if cases[i].claim.relation == "uses" else self._narrowed(cases[i], cases[i].sources[j], value)
        return found, changed

    def _other(self, source: Source, turn: int, number: int) -> Tensor | None:
        """Return the value with other, valid entries in the part that the claim is about."""
        value, mask, other = source.tensors[""], source.masks[""], self.other[source.name][turn]
        if value.dtype is torch.bool:
            new = ~value if number == 0 else value ^ (torch.rand(value.shape, generator=self.generator) < 0.5)
        else:
            new = other
            if not bool((value != new)[mask].any()):  # the same in every sample: noise, or entries that it has in other places
                new = value + torch.randn(value.shape, generator=self.generator) if _differentiable(value) else value.flatten().flip(0).view_as(value)
        new = torch.where(mask, new, value)
        return new if bool((new != value).any()) else None

    def _change_parameters(self, i: int, j: int, case: Case, found: dict[tuple[int, int], Effect], changed: set[tuple[int, int]]) -> None:
        source = case.sources[j]
        new = {
            path: torch.where(source.masks[path], value.detach() + torch.rand(value.shape, generator=self.generator) + 0.1, value.detach())
            for path, value in source.tensors.items()
            if _differentiable(value)
        }
        if new:
            changed.add((i, j))
            with self.subject.holding(new):
                moved = self._moved(case, self._run(self._held([case])))
            if moved.any():
                found[i, j] = Effect(_entry(moved.nonzero()[0]), None, next(iter(new)) if len(new) == 1 else "", None)

    def _moved(self, case: Case, seen: Mapping[str, Sequence[Tensor]]) -> Tensor:
        """Return which entries of the part differ from what was computed first."""
        before, after = self.value(case), seen[case.name][case.site.turn]
        return (before != after) & ~((before != before) & (after != after)) & case.mask

    def _narrowed(self, case: Case, source: Source, new: Tensor) -> Effect:
        """Find one entry whose change moves the value, by halves; None for it where only several together do."""
        value, held = source.tensors[""], self._held([case])

        def moved(entries: Tensor) -> Tensor:
            part = value.clone()
            part[tuple(entries.T)] = new[tuple(entries.T)]
            return self._moved(case, self._run({**held, source.name: {**held.get(source.name, {}), case.site.turn: part}}))

        entries = source.masks[""].nonzero()
        first = moved(entries)
        while len(entries) > 1:
            half = len(entries) // 2
            entries = entries[:half] if moved(entries[:half]).any() else entries[half:]
        last = moved(entries)
        return Effect(_entry((last if last.any() else first).nonzero()[0]), _entry(entries[0]) if last.any() else None, "", None)


def _differentiable(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def _entry(position: Tensor) -> Entry:
    return tuple(int(place) for place in position)


def _mask(value: Tensor, items: tuple[Any, ...], sizes: Mapping[Symbol, int]) -> Tensor:
    """Return a bool tensor that is true at the entries of an index; nowhere where it reaches beyond the tensor."""
    mask = torch.zeros(value.shape, dtype=torch.bool)
    try:
        mask[tuple(_item(item, sizes) for item in items) if items else ...] = True
    except IndexError:
        return mask
    return mask


def _item(item: Any, sizes: Mapping[Symbol, int]) -> Any:
    if isinstance(item, (slice, tuple)):
        return slice(*(_item(bound, sizes) for bound in slice_bounds(item)))
    return int(item.value(sizes)) if isinstance(item, Dim) else item
