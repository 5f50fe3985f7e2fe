"""What passes compute from parameters alone: kept from call to call where that is exact, computed anew where gradients need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..lower.code import Written
from .beside import Beside, beside, unpack
from .bypassed import Bypassed
from .keeping import Keeper, holding
from .standing import Standing, dispatched
from .unchanged import Link


class Derived(nn.Module):
    """A value computed from parameters of the block that holds it.

    A packed one is the storage of its parameters, which are views of it: it is never stale and costs no copy, and in training its gradient goes
    to each of them by itself.  Any other one is computed at the first call after its parameters changed, in compiled code by the `Keeper` of the
    model; where one of them needs a gradient, and the value has one to give, at each call.  Both are computed at each call while other tensors
    stand in the places of the parameters, as `functional_call` puts them there.
    """

    recipe: Written
    rests = False
    learns = False
    modules_there: Sequence[Link] = ()
    tensors_there: Sequence[Link] = ()
    sources: Sequence[Tensor] = ()
    pointers: Sequence[int] = ()
    versions: Sequence[int] = ()
    value: Tensor | None = None
    keeper: Keeper | None = None
    _owner: tuple[nn.Module, ...] = ()
    _standing: Standing | None = None
    _packed = False
    _beside: Beside
    _held: Any = None

    def __init__(self, recipe: Written) -> None:
        super().__init__()
        vars(self).update(recipe=recipe, _beside=Beside())  # at once: torch looks at each attribute that is set, and a model has many of these

    def bind(self, owner: nn.Module, taken: set[int]) -> None:
        """Look up the parameters; pack them, unless one is in `taken`, the storages that others have packed, or on the meta device."""
        modules, tensors = links(owner, self.recipe.paths)
        found = {
            "modules_there": self.modules_there or modules,  # those of the first time
            "tensors_there": tensors,
            "sources": [known for _, _, known in tensors if isinstance(known, Tensor)],
        }
        nothing = {"_standing": None, "keeper": None, "rests": False, "_packed": False, "value": None, "pointers": (), "versions": ()}
        vars(self).update(_owner=(owner,), **found, **nothing)
        if len(self.sources) < len(self.recipe.paths):
            return  # parametrized: there is a property in the place of a tensor
        self._held = holding(self.recipe.paths, self.sources)
        ids = {id(source) for source in self.sources}
        alike = len({(source.dtype, source.device) for source in self.sources}) == 1
        if self.recipe.packed and alike and not self.sources[0].is_meta and not ids & taken and len(ids) == len(self.sources):
            taken |= ids
            self._pack()
        elif not self.recipe.packed and not any(source.is_meta for source in self.sources):
            self._reserve()

    def _reserve(self) -> None:
        """Give the value storage for code that is compiled before the first call; none to a view of a parameter, which costs nothing."""
        like = [torch.empty_like(source, device="meta") for source in self.sources]
        made = cast(Tensor, self.recipe.code.function(holding(self.recipe.paths, like)))
        if not any(made is source or made._base is source for source in like):
            self.value = torch.empty_like(made, device=self.sources[0].device)

    @property
    def kept(self) -> tuple[Tensor, ...]:
        """The parameters of a folded value that has storage of its own, none for any other."""
        return () if self._packed or self.value is None else tuple(self.sources)

    def _pack(self) -> None:
        with torch.no_grad():
            whole = cast(Tensor, self.recipe.code.function(self._owner[0])).contiguous()
            parts = unpack(whole, self.sources)
            for source, part in zip(self.sources, parts, strict=True):
                source.data = part
        self._packed = True
        self._keep(whole, [])

    def _keep(self, value: Tensor, versions: list[int]) -> None:
        self.value, self.versions = value.detach(), versions  # a recipe may give a parameter itself, which would become one of this module
        self.pointers = [source.data_ptr() for source in self.sources]
        if self._standing is not None:
            self._standing.stale = True

    def join(self, standing: Standing) -> bool:
        """Let one look for all values of a model do for this one, too, where it keeps a value; tell whether it does."""
        self._standing, self.rests = standing, bool(self.pointers)
        self._beside.forget()
        self.learns = not self.recipe.still and any(source.requires_grad for source in self.sources)
        return self.rests

    def is_of(self, standing: Standing) -> bool:
        """Tell whether one look of this model does for it: another model's value, or a copy, looks for itself."""
        return self._standing is standing

    def __call__(self) -> Tensor:
        """Return the value; it has no hooks.  Raises RuntimeError where a module that it reads from was replaced."""
        if torch.compiler.is_compiling():
            return self._compiled()
        if self.rests and self._standing is not None and self._standing.holds:
            needed = self.learns and torch.is_grad_enabled()
            return self._beside.get(cast(Tensor, self.value), self.sources) if needed and self._packed else self._given(needed)
        return self._looked()

    def _given(self, needed: bool) -> Tensor:
        """Return what is kept, or where it is `needed` something that gradients go through, from the parameters that are known to be in place."""
        whole = self.value
        assert whole is not None
        if not needed:
            return whole
        return beside(whole, self.sources) if self._packed else self.recipe.code.function(self._held)

    def _looked(self) -> Tensor:
        """Return the value after a look at all that it is computed from."""
        for held, name, known in self.modules_there:
            if held.get(name) is not known:
                raise RuntimeError(f'`{name}` was replaced, and passes compute the first one: compile the model with optimize="none"')
        if len(self.sources) < len(self.recipe.paths) or any(held.get(name) is not known for held, name, known in self.tensors_there):
            return self.recipe.code.function(self._owner[0])
        needed = torch.is_grad_enabled() and not self.recipe.still and any(source.requires_grad for source in self.sources)
        moved = [source.data_ptr() for source in self.sources] != self.pointers  # by a copy, or `.data = `
        if self._packed:
            if moved:
                self._pack()
        elif needed or self.sources[0].is_meta or self.sources[0].is_inference() or dispatched():  # the first count no versions
            return self.recipe.code.function(self._owner[0])
        else:
            versions = [source._version for source in self.sources]
            if moved or versions != self.versions:
                with torch.inference_mode(False), torch.no_grad():
                    self._keep(cast(Tensor, self.recipe.code.function(self._owner[0])), versions)
        return self._given(needed)

    def _compiled(self) -> Tensor:
        """Return the storage of packed parameters, or what the model's keeper has brought up to date; compute anything else."""
        needed = torch.is_grad_enabled() and not self.recipe.still and any(source.requires_grad for source in self.sources)
        swapped = any(held.get(name) is not known for held, name, known in self.tensors_there)
        known = self._packed or (self.keeper is not None and self.keeper.fresh)
        if needed or swapped or not known:
            return self.recipe.code.function(self._owner[0])
        return cast(Tensor, self.value)

    def extra_repr(self) -> str:
        """Say what it is computed from."""
        return self.recipe.text


class Together(nn.Module):
    """The derived values that the code of a block reads, or views of them, handed out by one call."""

    def __init__(self, names: Sequence[str], views: Sequence[tuple[Any, ...]]) -> None:
        """Take the names of the modules that keep the values, and for each a method that gives a view, with its arguments, if one is wanted."""
        super().__init__()
        self.names, self.views = tuple(names), tuple(views)
        self._values: tuple[Callable[[], Tensor], ...] = ()
        self._standing: Standing | None = None
        self.kept: tuple[Tensor, ...] | None = None
        """What is handed out while all is as it was."""
        self._learns = False

    def bind(self, owner: nn.Module) -> None:
        """Look up the modules that keep the values."""
        self._values, self._standing, self.kept = tuple(owner.get_submodule(name) for name in self.names), None, None

    def join(self, standing: Standing) -> None:
        """Take what all of them keep, for the calls for which one look has told that they may hand it out."""
        resting = [value for value in self._values if isinstance(value, Derived) and value.rests]
        self._standing, self.kept = standing, None
        self._learns = any(value.learns for value in resting)
        if len(resting) == len(self._values):
            with torch.no_grad():
                self.kept = tuple(self._viewed(place, cast(Tensor, value.value)) for place, value in enumerate(resting))

    def _viewed(self, place: int, value: Tensor) -> Tensor:
        if not self.views[place]:
            return value
        method, *arguments = self.views[place]
        return getattr(value, method)(*arguments)

    def is_of(self, standing: Standing) -> bool:
        """Tell whether one look of this model does for what is handed out."""
        return self._standing is standing

    def __call__(self) -> tuple[Tensor, ...] | Together:
        """Return the values in the order of their names, or itself, which looks for each where it is read; it has no hooks."""
        standing, kept = self._standing, self.kept
        if kept is None or standing is None or torch.compiler.is_compiling() or not standing.holds:
            return self
        return self if self._learns and torch.is_grad_enabled() else kept

    def __getitem__(self, place: int) -> Tensor:
        """Return the value at a place."""
        return self._viewed(place, self._values[place]())

    def extra_repr(self) -> str:
        """Name them."""
        return ", ".join(self.names)


def links(owner: nn.Module, paths: Sequence[str]) -> tuple[list[Link], list[Link]]:
    """Return every step from a module to the modules that hold tensors below it, once, and the steps to the tensors.

    At a step that leads nowhere, as after a replacement, nothing is known.
    """
    found: dict[tuple[int, str], Link] = {}
    tensors: list[Link] = []
    for path in paths:
        module: nn.Module | None = owner
        *above, name = path.split(".")
        for word in above:
            held = _held(module, "_modules")
            found[id(module), word] = (held, word, held.get(word))
            module = held.get(word)
        held = _held(module, "_parameters")
        held = held if name in held else _held(module, "_buffers")
        tensors.append((held, name, held.get(name)))
    return list(found.values()), tensors


def _held(module: nn.Module | None, kind: str) -> dict[str, Any]:
    """Return the dictionary in which a module holds its modules, parameters or buffers."""
    return vars(module)[kind] if module is not None else {}


def bind(model: nn.Module, keeper: Keeper, bypassed: Bypassed | None) -> Standing | None:
    """Bind every derived value of a model to its parameters, and the folded ones to what brings them up to date in compiled code.

    To be called whenever the parameters may be other objects or have moved.  Return what is to be looked at before each call, if anything is.
    """
    taken: set[int] = set()
    tree: Any = model
    everything: dict[str, nn.Module] = dict(tree.named_modules())
    found: list[Derived] = []
    together: list[Together] = []
    for path, module in everything.items():
        if isinstance(module, Derived):
            module.bind(everything[path.rpartition(".")[0]], taken)
            found.append(module)
    for path, module in everything.items():
        if isinstance(module, Together):
            module.bind(everything[path.rpartition(".")[0]])
            together.append(module)
    folded = [module for module in found if module.kept]
    for module in folded:
        module.keeper = keeper
    keeper.bind(folded)
    return Standing([each for each in everything.values() if each is not model], found, together, bypassed) if found or bypassed is not None else None
