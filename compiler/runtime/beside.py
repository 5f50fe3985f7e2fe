"""Parameters side by side in one storage, as one value that gives each its part of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

KEPT = 1 << 18
"""How many bytes a storage has at most whose value is made once."""
_transformed: Callable[[], bool] = vars(torch)["_C"]._are_functorch_transforms_active


class Side(torch.autograd.Function):
    """Gives the storage of several parameters as one value, and each its part of the gradient; made so that `torch.func` follows it, too."""

    generate_vmap_rule: ClassVar[bool] = True

    @staticmethod
    def forward(whole: Tensor, *parts: Tensor) -> Tensor:
        """Return the storage itself."""
        return whole.view_as(whole)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep the parts, and their sizes along axis 0 of a concatenation."""
        ctx.parts = inputs[1:]
        ctx.sizes = None if inputs[0].dim() > inputs[1].dim() else [part.size(0) for part in inputs[1:]]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Part the gradient."""
        return None, *(grads[0].unbind(0) if ctx.sizes is None else torch.split_with_sizes(grads[0], ctx.sizes))


class Beside:
    """The storage of parameters as a value that gradients go through: it keeps nothing of a call, and a small one is made once for all of them.

    The backward pass runs the newest steps first, and parts the gradient of what was made before the call at its very end: until then it holds it,
    and then it is no longer in the processor's caches.
    """

    def __init__(self) -> None:
        self._value: Tensor | None = None

    def get(self, whole: Tensor, parts: Sequence[Tensor]) -> Tensor:
        """Return the value, from the storage and its parts where it isn't kept."""
        if whole.nbytes > KEPT or _transformed():
            return beside(whole, parts)
        if self._value is None:
            self._value = beside(whole, parts)
        return self._value

    def forget(self) -> None:
        """Drop the value: which of the parts need a gradient, or where they are, has changed."""
        self._value = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Beside:
        return Beside()


def beside(whole: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """Apply `Side`; where no transform of `torch.func` is at work, without what torch does for those, which takes longer than small products."""
    if _transformed():
        return cast(Any, Side).apply(whole, *parts)
    return cast(Any, super(torch.autograd.Function, Side)).apply(whole, *parts)


def parts_of(value: Tensor) -> tuple[Tensor, ...]:
    """Return the parameters that the gradient of a packed value, or of a view of one in another shape, goes to.

    There are none for anything else, and where a transform of `torch.func` is at work.
    """
    if _transformed():
        return ()
    node: Any = value.grad_fn
    if node is not None and node.name() == "ViewBackward0":
        node = node.next_functions[0][0]
    return cast(Any, node).parts if isinstance(node, cast(Any, Side)._backward_cls) else ()


def unpack(whole: Tensor, sources: Sequence[Tensor]) -> list[Tensor]:
    """Return the parts of a storage that stand for the tensors stacked or concatenated in it along axis 0."""
    return parted(whole, [source.shape for source in sources])


def parted(whole: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Part a stack or a concatenation along axis 0."""
    if whole.dim() == len(shapes[0]) + 1:
        return list(whole.unbind(0))
    return list(torch.split(whole, [shape[0] for shape in shapes]))
