"""What passes rest on in a model, looked at once for each of its calls instead of once for each value that they keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules import module as modules
from torch.utils.hooks import RemovableHandle

from .bypassed import HOOKS, Bypassed
from .unchanged import place, unchanged

if TYPE_CHECKING:
    from .derived import Derived, Together

_version = attrgetter("_version")
_learns = attrgetter("requires_grad")
dispatched: Callable[[], int] = vars(torch)["_C"]._len_torch_dispatch_stack
"""Tells whether a mode follows each operation, as the one does that computes with shapes alone: nothing that it gives is kept."""


class Standing:
    """Tells whether the derived values of a model may hand out what they keep, unseen.

    `holds` is true during a call that began with every module, parameter, storage and version as they were when the values were made, and no hook
    anywhere that could change one on the way.  Outside such a call each value looks for itself, and says with `stale` that it keeps another.
    """

    def __init__(self, below: Sequence[nn.Module], values: Sequence[Derived], together: Sequence[Together], bypassed: Bypassed | None) -> None:
        """Take all modules below a model, its derived values, what hands several of them out, and the modules that passes skip."""
        self.holds = False
        self.stale = True
        self._values = values
        self._together = together
        self._bypassed = bypassed
        self._below = below
        links = bypassed.links if bypassed is not None else []
        self._links = [*links, *(link for value in values for link in value.modules_there)]
        self._own = list(map(vars, self._skipped))
        self._registered = -1
        self._asked: Callable[[], bool] | None = None
        self._resting: list[Derived] | None = None
        self._held = unchanged(())
        self._places: list[int] = []

    def look(self) -> None:
        """See whether all is as it was.  Raises RuntimeError where something was done to a module that passes skip."""
        self.holds = False
        hooked = self._registered != RemovableHandle.next_id and self._hooked()
        if not hooked and not self.stale and self._is_same():
            self.holds = True
        elif hooked or not (self._asked or self._ask())():
            if self._bypassed is not None:
                self._bypassed.check()
        elif not dispatched() and (self.stale or not self._learns_the_same()):
            self._gather()
            self.holds = not self.stale and self._is_same()

    def _is_same(self) -> bool:
        """Tell whether the modules, the tensors that what is kept rests on, where these lie, and what is folded are those of the last gathering."""
        return self._held() and (not self._folded or list(map(_version, self._folded)) == self._versions) and self._learns_the_same()

    def _learns_the_same(self) -> bool:
        return not torch.is_grad_enabled() or list(map(_learns, self._sources)) == self._learning

    @cached_property
    def _hooks(self) -> list[dict[Any, Any]]:
        hooks = [getattr(module, kind) for module in self._below for kind in HOOKS[:2]]
        hooks += [vars(modules)[f"_global{kind}"] for kind in HOOKS[:2]]
        return hooks + [getattr(module, kind) for module in self._skipped for kind in HOOKS[2:]]

    @property
    def _skipped(self) -> Sequence[nn.Module]:
        return self._bypassed.modules if self._bypassed is not None else ()

    def _hooked(self) -> bool:
        """Tell whether a module has a hook; it is known that none has if none had and none was registered anywhere since."""
        found = any(self._hooks)
        self._registered = -1 if found else RemovableHandle.next_id
        return found

    def _ask(self) -> Callable[[], bool]:
        """Write out what is asked of the modules: that each is in its place, and computes what its class does."""
        self._asked = unchanged(self._links, self._own)
        return self._asked

    def _gather(self) -> None:
        """Note what the values rest on that keep something now; stay stale where one of them is to be made anew."""
        resting = [value for value in self._values if value.join(self)]
        if resting != self._resting:
            links = {(id(held), name): (held, name, known) for value in resting for held, name, known in value.tensors_there}.values()
            self._sources = [known for _, _, known in links]
            self._held, self._resting = unchanged([*self._links, *links], self._own, lying=self._sources, at=self._places), resting
        self._learning: list[bool] = list(map(_learns, self._sources))
        self._places[:] = map(place, self._sources)
        folded = [value for value in resting if value.versions]
        self._folded = [source for value in folded for source in value.sources]
        self._versions = [version for value in folded for version in value.versions]
        for each in self._together:
            each.join(self)
        self.stale = any([*map(place, value.sources)] != value.pointers for value in resting)

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Stay with this model: what is copied looks for itself until a model binds it."""
