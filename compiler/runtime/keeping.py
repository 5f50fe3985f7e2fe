"""Folded values under `torch.compile`: one operation at the start of a call brings all of a model up to date, and the rest reads plain tensors."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .derived import Derived

_NUMBERS = count()
_KEEPERS: WeakValueDictionary[int, Keeper] = WeakValueDictionary()
_OPERATIONS: Any = torch.library.Library("archloom", "FRAGMENT")


class Keeper:
    """The folded values of a model, and the parameters that they are computed from.

    Compiled code can't ask whether a parameter has changed since the last call; an operation in it can.  It takes the parameters as what
    it reads and the values as what it writes, so that it comes after what the same code does to the one, and before what reads the other.
    """

    def __init__(self) -> None:
        self.fresh = False  # while compiled code reads the values
        self._values: list[Derived] = []
        self._sources: list[Tensor] = []
        self._read: list[list[int]] = []  # the places of each value's own sources
        self._known: list[int] | None = None
        self._number = next(_NUMBERS)
        _KEEPERS[self._number] = self

    def bind(self, values: list[Derived]) -> None:
        """Take other values, or the same with other parameters."""
        self._values, self._known = values, None
        self._sources = list({id(source): source for value in values for source in value.kept}.values())
        places = {id(source): place for place, source in enumerate(self._sources)}
        self._read = [[places[id(source)] for source in value.kept] for value in values]

    def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """Make a call in compiled code, which reads the values if it differentiates nothing: what a derivative needs must not be written again."""
        if not self._values or torch.compiler.is_exporting() or torch.is_grad_enabled():
            return call(*args)
        refresh: Any = torch.ops.archloom.refresh.default
        refresh([value.value for value in self._values], self._sources, self._number)
        self.fresh = True
        found = call(*args)
        self.fresh = False
        return found

    def refresh(self, kept: list[Tensor], sources: list[Tensor]) -> None:
        """Compute all values, unless nothing has changed; in code that changes parameters before, `sources` may be other tensors than these."""
        own = [source.data_ptr() for source in self._sources]
        bound = own == [source.data_ptr() for source in sources] and not any(source.is_inference() for source in self._sources)
        known = [*own, *(source._version for source in self._sources)] if bound else None
        if known is not None and known == self._known:
            return
        for value, into, read in zip(self._values, kept, self._read, strict=True):
            into.copy_(value.recipe.code.function(holding(value.recipe.paths, [sources[place] for place in read])))
        self._known = known

    def __deepcopy__(self, memo: dict[int, Any]) -> Keeper:
        return Keeper()  # a copied model binds its values


def holding(paths: Sequence[str], tensors: Sequence[Tensor]) -> SimpleNamespace:
    """Return something that has tensors at dotted paths."""
    whole = SimpleNamespace()
    for path, tensor in zip(paths, tensors, strict=True):
        *above, name = path.split(".")
        holder = whole
        for word in above:
            holder = vars(holder).setdefault(word, SimpleNamespace())
        vars(holder)[name] = tensor
    return whole


def _compute(kept: list[Tensor], sources: list[Tensor], number: int) -> None:
    _KEEPERS[number].refresh(kept, sources)


def _nothing(kept: list[Tensor], sources: list[Tensor], number: int) -> None:
    """Stand for the operation where shapes alone are known."""


_OPERATIONS.define("refresh(Tensor(a!)[] kept, Tensor[] sources, int number) -> ()", tags=(torch.Tag.cudagraph_unsafe,))
_OPERATIONS.impl("refresh", _compute, "CompositeExplicitAutograd")
_OPERATIONS.impl("refresh", _nothing, "Meta")
