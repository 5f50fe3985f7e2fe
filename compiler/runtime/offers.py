"""Where tensors come from: safetensors on disk, another model that is loaded already, or several of these together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.source import NOWHERE, Span
from ...dsl.source import Source as Text
from .checkpoint import Checkpoint, Stored

StrPath = str | PathLike[str]


@runtime_checkable
class Offer(Protocol):
    """Tensors by name, with their shapes known before any is read."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def span(self) -> Span:
        """Where the text asks for it."""
        ...

    @property
    def stored(self) -> Mapping[str, Stored]:
        """What there is."""
        ...

    def read(self, name: str) -> Tensor:
        """Return a tensor's values on the CPU."""
        ...

    def covered(self, names: Iterable[str]) -> set[str]:
        """Return the names of everything that is read with these, tied tensors under all of theirs."""
        ...


Source = StrPath | nn.Module | Offer | Sequence[StrPath | nn.Module | Offer]
"""A file or folder, a model whose tensors are taken as they are, tensors at hand, or several of these that together hold what is wanted."""


class Live:
    """The tensors of a module, by path; tied ones by any of their paths."""

    def __init__(self, module: nn.Module, span: Span) -> None:
        self.name, self.span = type(module).__name__, span
        state: dict[str, Tensor] = module.state_dict()
        self._tensors = {**state, **dict(module.named_parameters(remove_duplicate=False))}
        if any(value.is_meta for value in self._tensors.values()):
            raise ValueError(f"`{self.name}` is on the meta device and has no values to give: materialize it first")
        self.stored = {name: Stored(name, Path(self.name), tuple(value.shape)) for name, value in self._tensors.items()}

    def read(self, name: str) -> Tensor:
        """Return a copy of a tensor on the CPU."""
        return self._tensors[name].detach().to("cpu", copy=True)

    def covered(self, names: Iterable[str]) -> set[str]:
        """Return the names and those of the same tensors."""
        places = {self._tensors[name].data_ptr() for name in names if name in self._tensors}
        return {*names, *(name for name, value in self._tensors.items() if value.data_ptr() in places)}


class Joined:
    """Several offers as one."""

    def __init__(self, offers: Sequence[Offer], span: Span) -> None:
        """Take the offers; raises Failure for a name that two of them have."""
        self.name, self.span = ", ".join(offer.name for offer in offers), span
        self._homes: dict[str, Offer] = {}
        for offer in offers:
            for name in offer.stored:
                if name in self._homes:
                    message = f"`{name}` is in `{self._homes[name].name}` and in `{offer.name}`"
                    raise Failure((Diagnostic("A655", message, span, help="name one of them"),))
                self._homes[name] = offer
        self.stored = {name: offer.stored[name] for name, offer in self._homes.items()}

    def read(self, name: str) -> Tensor:
        """Return a tensor's values on the CPU."""
        return self._homes[name].read(name)

    def covered(self, names: Iterable[str]) -> set[str]:
        """Return the names and those of the same tensors."""
        asked = set(names)
        return asked.union(*(offer.covered(asked & offer.stored.keys()) for offer in self._homes.values()))


def offer(source: Source, span: Span | None = None) -> Offer:
    """Return what a source offers; raises Failure for a file that isn't whole safetensors, ValueError for a module without values."""
    if isinstance(source, nn.Module):
        return Live(source, span or Span(Text(type(source).__name__, ""), 0, 0))
    if isinstance(source, (str, PathLike)):
        return Checkpoint(source, span)
    if isinstance(source, Offer):
        return source
    parts: list[Any] = list(source)
    offers = [offer(part, span) for part in parts]
    return Joined(offers, span or offers[0].span if offers else NOWHERE)
