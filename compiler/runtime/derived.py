"""What passes compute from parameters alone: kept from call to call where that is exact, computed anew where gradients need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from ..lower.code import Written
from .keeping import Keeper, holding

Link = tuple[dict[str, Any], str, object]
"""A dictionary of a module, a key in it, and what was found there."""


class Derived(nn.Module):
    """A value computed from parameters of the block that holds it.

    A packed one is the storage of its parameters, which are views of it: it is never stale and costs no copy, and in training its gradient goes
    to each of them by itself.  Any other one is computed at the first call after its parameters changed, in compiled code by the `Keeper` of the
    model; where one of them needs a gradient, at each call.  Both are computed at each call while other tensors stand in the places of the
    parameters, as `functional_call` puts them there.
    """

    def __init__(self, recipe: Written) -> None:
        super().__init__()
        self.recipe = recipe
        self._owner: tuple[nn.Module, ...] = ()
        self._modules_there: list[Link] = []
        self._tensors_there: list[Link] = []
        self._sources: list[Tensor] = []
        self._pointers: list[int] = []
        self._versions: list[int] = []
        self.value: Tensor | None = None
        self.keeper: Keeper | None = None

    def bind(self, owner: nn.Module, taken: set[int]) -> None:
        """Look up the parameters; pack them, unless one is in `taken`, the storages that others have packed, or on the meta device."""
        self._owner, self.value, self.keeper, self._pointers, self._versions = (owner,), None, None, [], []
        modules, self._tensors_there = links(owner, self.recipe.paths)
        self._modules_there = self._modules_there or modules  # those of the first time
        self._sources = [known for _, _, known in self._tensors_there if isinstance(known, Tensor)]
        if len(self._sources) < len(self.recipe.paths):
            return  # parametrized: there is a property in the place of a tensor
        ids = {id(source) for source in self._sources}
        alike = len({(source.dtype, source.device) for source in self._sources}) == 1
        if self.recipe.packed and alike and not self._sources[0].is_meta and not ids & taken and len(ids) == len(self._sources):
            taken |= ids
            self._pack()
        elif not self.recipe.packed and not any(source.is_meta for source in self._sources):
            self._reserve()

    def _reserve(self) -> None:
        """Give the value storage for code that is compiled before the first call; none to a view of a parameter, which costs nothing."""
        like = [torch.empty_like(source, device="meta") for source in self._sources]
        made = cast(Tensor, self.recipe.code.function(holding(self.recipe.paths, like)))
        if not any(made is source or made._base is source for source in like):
            self.value = torch.empty_like(made, device=self._sources[0].device)

    @property
    def kept(self) -> tuple[Tensor, ...]:
        """The parameters of a folded value that has storage of its own, none for any other."""
        return () if self._pointers or self.value is None else tuple(self._sources)

    def _pack(self) -> None:
        with torch.no_grad():
            whole = cast(Tensor, self.recipe.code.function(self._owner[0])).contiguous()
            parts = unpack(whole, self._sources)
            for source, part in zip(self._sources, parts, strict=True):
                source.data = part
        self.value = whole
        self._pointers = [source.data_ptr() for source in self._sources]

    def forward(self) -> Tensor:
        """Return the value.  Raises RuntimeError where a module that it reads from was replaced."""
        if torch.compiler.is_compiling():
            return self._compiled()
        for held, name, known in self._modules_there:
            if held.get(name) is not known:
                raise RuntimeError(f'`{name}` was replaced, and passes compute the first one: compile the model with optimize="none"')
        if len(self._sources) < len(self.recipe.paths) or any(held.get(name) is not known for held, name, known in self._tensors_there):
            return self.recipe.code.function(self._owner[0])
        needed = torch.is_grad_enabled() and any(source.requires_grad for source in self._sources)
        if self._pointers:
            return self._packed(needed)
        if needed or self._sources[0].is_meta or self._sources[0].is_inference():  # these count no versions
            return self.recipe.code.function(self._owner[0])
        versions = [source._version for source in self._sources]
        if self.value is None or versions != self._versions:
            with torch.no_grad():
                self.value = cast(Tensor, self.recipe.code.function(self._owner[0]))
            self._versions = versions
        return self.value

    def _packed(self, needed: bool) -> Tensor:
        if [source.data_ptr() for source in self._sources] != self._pointers:
            self._pack()  # a copy, or `.data = `, has parted them
        whole = cast(Tensor, self.value)
        apply: Callable[..., Tensor] = cast(Any, Side).apply
        return apply(whole, *self._sources) if needed else whole

    def _compiled(self) -> Tensor:
        """Return the storage of packed parameters, or what the model's keeper has brought up to date; compute anything else."""
        needed = torch.is_grad_enabled() and any(source.requires_grad for source in self._sources)
        swapped = any(held.get(name) is not known for held, name, known in self._tensors_there)
        known = self._pointers or (self.keeper is not None and self.keeper.fresh)
        if needed or swapped or not known:
            return self.recipe.code.function(self._owner[0])
        return cast(Tensor, self.value)

    def extra_repr(self) -> str:
        """Say what it is computed from."""
        return self.recipe.text


class Side(torch.autograd.Function):
    """Gives the storage of several parameters as one value, and each its part of the gradient; made so that `torch.func` follows it, too."""

    generate_vmap_rule: ClassVar[bool] = True

    @staticmethod
    def forward(whole: Tensor, *parts: Tensor) -> Tensor:
        """Return the storage itself."""
        return whole.view_as(whole)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep the shapes of the parts."""
        ctx.shapes = [part.shape for part in inputs[1:]]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Part the gradient."""
        parts = parted(grads[0], ctx.shapes)
        return (None, *(part if wanted else None for part, wanted in zip(parts, ctx.needs_input_grad[1:], strict=True)))


def unpack(whole: Tensor, sources: Sequence[Tensor]) -> list[Tensor]:
    """Return the parts of a storage that stand for the tensors stacked or concatenated in it along axis 0."""
    return parted(whole, [source.shape for source in sources])


def parted(whole: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Part a stack or a concatenation along axis 0."""
    if whole.dim() == len(shapes[0]) + 1:
        return list(whole.unbind(0))
    return list(torch.split(whole, [shape[0] for shape in shapes]))


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


def bind(model: nn.Module, keeper: Keeper) -> None:
    """Bind every derived value of a model to its parameters, and the folded ones to what brings them up to date in compiled code.

    To be called whenever the parameters may be other objects or have moved.
    """
    taken: set[int] = set()
    everything: list[tuple[str, nn.Module]] = [*model.named_modules()]
    found = [(path, module) for path, module in everything if isinstance(module, Derived)]
    for path, module in found:
        module.bind(model.get_submodule(path.rpartition(".")[0]), taken)
    folded = [module for _, module in found if module.kept]
    for module in folded:
        module.keeper = keeper
    keeper.bind(folded)
