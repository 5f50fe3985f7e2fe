"""What passes rest on in a model, looked at once for each of its calls instead of once for each value that they keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .bypassed import HOOKS, Bypassed

if TYPE_CHECKING:
    from .derived import Derived, Link

_get = dict[str, Any].get
_contains = dict[str, Any].__contains__
_pointer = cast("Callable[[Tensor], int]", Tensor.data_ptr)
_version = attrgetter("_version")
_learns = attrgetter("requires_grad")


class Standing:
    """Tells whether the derived values of a model may hand out what they keep, unseen.

    `holds` is true during a call that began with every module, parameter, storage and version as they were when the values were made, and no hook
    anywhere that could change one on the way.  Outside such a call each value looks for itself, and says with `stale` that it keeps another.
    """

    def __init__(self, model: nn.Module, values: Sequence[Derived], bypassed: Bypassed | None) -> None:
        """Take all derived values of a model, and the modules that passes skip."""
        self.holds = False
        self.stale = True
        self._values = values
        self._bypassed = bypassed
        skipped = bypassed.modules if bypassed is not None else []
        below = [module for module in cast("Iterable[nn.Module]", cast(Any, model).modules()) if module is not model]
        hooks = [getattr(module, kind) for module in below for kind in HOOKS[:2]] + [getattr(m, kind) for m in skipped for kind in HOOKS[2:]]
        self._hooks: list[dict[Any, Any]] = hooks
        self._registered = -1
        self._skipped = [vars(module) for module in skipped]
        self._modules = _columns([*(bypassed.links if bypassed is not None else []), *(link for value in values for link in value.modules_there)])

    def look(self) -> None:
        """See whether all is as it was.  Raises RuntimeError where something was done to a module that passes skip."""
        self.holds = False
        if self._hooked() or any(map(_contains, self._skipped, repeat("forward"))) or not _same(self._modules):
            if self._bypassed is not None:
                self._bypassed.check()
            return
        if self.stale or (torch.is_grad_enabled() and list(map(_learns, self._tensors[2])) != self._learning):
            self._gather()
        self.holds = (
            not self.stale
            and _same(self._tensors)
            and list(map(_pointer, self._tensors[2])) == self._pointers
            and list(map(_version, self._folded)) == self._versions
        )

    def _hooked(self) -> bool:
        """Tell whether a module has a hook; it is known that none has if none had and none was registered anywhere since."""
        if self._registered == RemovableHandle.next_id:
            return False
        found = any(self._hooks)
        self._registered = -1 if found else RemovableHandle.next_id
        return found

    def _gather(self) -> None:
        """Note what the values rest on that keep something now; stay stale where one of them is to be made anew."""
        resting = [value for value in self._values if value.join(self)]
        self._tensors = _columns([link for value in resting for link in value.tensors_there])
        self._learning: list[bool] = list(map(_learns, self._tensors[2]))
        self._pointers: list[int] = list(map(_pointer, self._tensors[2]))
        folded = [value for value in resting if value.versions]
        self._folded = [source for value in folded for source in value.sources]
        self._versions = [version for value in folded for version in value.versions]
        self.stale = any([*map(_pointer, value.sources)] != value.pointers for value in resting)


Columns = tuple[list[dict[str, Any]], list[str], list[Any]]
"""Links, each once: the dictionaries, the keys, and what was there."""


def _columns(links: Iterable[Link]) -> Columns:
    once = list({(id(held), name): (held, name, known) for held, name, known in links}.values())
    return [held for held, _, _ in once], [name for _, name, _ in once], [known for _, _, known in once]


def _same(columns: Columns) -> bool:
    held, names, known = columns
    return all(map(is_, map(_get, held, names), known))
