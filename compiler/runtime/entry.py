"""Entries: another signature over the same modules, with caches as extra inputs and results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...dsl.dims import Dim, Symbol
from ...dsl.program import Body, EntryPlan, InputDecl
from ...dsl.types import TensorType, extent
from ..lower.builder import TORCH_DTYPES
from ..slice import Slicer
from .border import Names, bind_sizes
from .calls import Request, RootView, Signature
from .errors import InputError
from .example import example_inputs
from .outputs import Outputs

EVERYTHING = Request(None, frozenset())
"""All outputs of an entry, which has no losses."""


class Entry:
    """One entry of a model: `step = m.entry("decode"); r = step(ids); r = step(next, states=r.states)`.

    `states` maps each cache's name to a tensor; without it the caches are empty.  There are those that the outputs need, named by
    the call that fills them: `lm.layers.0.past_k`, `lm#2.layers.0.past_k` where the outputs need two calls of `lm`.
    """

    def __init__(
        self,
        plan: EntryPlan,
        view: Callable[[Signature, Request], RootView],
        run: Callable[[RootView, Mapping[str, Any]], Outputs],
        anchor: Callable[[], Tensor | None],
    ) -> None:
        """Take the plan, and how the model makes views, runs them, and tells its dtype and device."""
        self.plan = plan
        self._view, self._run, self._anchor = view, run, anchor
        slicer = Slicer()
        own = narrowed(plan, slicer)
        self.signature = Signature(own.eval, own.train or own.eval, slicer)
        self.names = Names([d for d in self.signature.inputs if not d.is_state])
        self.states = {d.key: d for d in self.signature.inputs if d.is_state}

    def __call__(self, *args: Any, states: Mapping[str, Tensor] | None = None, **kwargs: Any) -> Outputs:
        """Run the entry; raises InputError and ModelError as the model does."""
        values = self.names.bind(args, kwargs)
        given = dict(states or {})
        unknown = sorted(given.keys() - self.states.keys())
        if unknown:
            raise InputError(f"`{self.plan.name}` has no state `{unknown[0]}`: it has {', '.join(f'`{name}`' for name in self.states) or 'none'}")
        sizes = {} if len(given) == len(self.states) else self._sizes(values)
        for name, declared in self.states.items():
            values[name] = given[name] if name in given else self._empty(declared.type, sizes)
        return self._run(self._view(self.signature, EVERYTHING), values)

    def example_inputs(self, seed: int = 0, **dims: int) -> dict[str, Any]:
        """Return valid inputs by name, and caches as `states`, if there are any: `step(**step.example_inputs(B=1, P=128))`.

        Sizes not given are small ones that meet the conditions; ValueError where none are found.
        """
        signature = self.signature
        made = example_inputs(signature.eval_body, signature.inputs, self._anchor(), seed, dims, signature.train_body, states=True)
        states = {name: made.pop(name) for name in self.states}
        return made | ({"states": states} if states else {})

    def prepare(self) -> None:
        """Write the code of the entry before it is called."""
        self._view(self.signature, EVERYTHING)

    def _sizes(self, values: Mapping[str, Any]) -> dict[Symbol, int]:
        sound = [(d, values[d.key]) for d in self.signature.inputs if _fits(d, values.get(d.key))]
        return {symbol: size for symbol, (size, _) in bind_sizes(sound)[0].items()}

    def _empty(self, type_: TensorType, sizes: Mapping[Symbol, int]) -> Tensor:
        """Make an empty cache: sizes that no input tells are 0."""
        shape: list[int] = []
        for axis in type_.shape:
            size = extent(axis)
            shape.append(int(size.value({s: sizes.get(s, 0) for s in size.symbols()})) if isinstance(size, Dim) else size)
        anchor = self._anchor()
        dtype = TORCH_DTYPES.get(type_.dtype) or (anchor.dtype if anchor is not None else torch.get_default_dtype())
        return torch.empty(shape, dtype=dtype, device=anchor.device if anchor is not None else None)


def narrowed(plan: EntryPlan, slicer: Slicer) -> EntryPlan:
    """Return an entry with the inputs and caches alone that its outputs need, the caches named as `Entry` says."""
    whole = Signature(plan.eval, plan.train or plan.eval, slicer)
    evaluation, training = whole.pair(EVERYTHING)
    keys = list(dict.fromkeys(d.key for body in (evaluation, training) for d in body.inputs if d.is_state))
    names = dict(zip(keys, renumbered(keys), strict=True))
    return EntryPlan(plan.name, _with_caches(evaluation, names), _with_caches(training, names) if plan.train is not None else None)


def _with_caches(body: Body, names: Mapping[str, str]) -> Body:
    """Return the body with its caches under other names."""
    nodes = list(body.nodes)
    for declared in body.inputs:
        if declared.is_state:
            nodes[declared.node] = replace(nodes[declared.node], target=names[declared.key])
    inputs = [replace(d, name=names[d.key], members=()) if d.is_state else d for d in body.inputs]
    return replace(body, nodes=nodes, inputs=inputs, states=[replace(state, name=names[state.key], members=()) for state in body.states])


def renumbered(keys: Sequence[str]) -> list[str]:
    """Return the names of caches with the calls of each module counted among those that have caches here."""
    calls: dict[str, set[int]] = {}
    for key in keys:
        for place, _, count in _calls(key):
            calls.setdefault(place, set()).add(count)
    found: list[str] = []
    for key in keys:
        orders = [(name, sorted(calls[place]).index(count) + 1) for place, name, count in _calls(key)]
        found.append(".".join(name if order == 1 else f"{name}#{order}" for name, order in orders))
    return found


def _calls(key: str) -> Iterator[tuple[str, str, int]]:
    """Yield each word of a cache's name: the words up to it, itself, and which call of it is meant."""
    above = ""
    for word in key.split("."):
        name, _, count = word.partition("#")
        yield f"{above}.{name}", name, int(count or 1)
        above = f"{above}.{word}"


def _fits(declared: InputDecl, value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() == declared.type.rank
