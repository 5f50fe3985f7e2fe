"""Parameters side by side in one storage, as one value that gives each its part of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

_transformed: Callable[[], bool] = vars(torch)["_C"]._are_functorch_transforms_active
_executes: Callable[[Any], bool] = vars(torch)["_C"]._will_engine_execute_node
_pointer = cast("Callable[[Tensor], int]", Tensor.data_ptr)
_hooks = attrgetter("_backward_hooks")
_later_hooks = attrgetter("_post_accumulate_grad_hooks")
_learns = attrgetter("requires_grad")
_LEAF = 2**64 - 1
"""The sequence number of nodes that add to the gradient of a parameter, which the engine runs as soon as they are ready."""


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
        ctx.set_materialize_grads(False)
        ctx.parts = inputs[1:]
        ctx.sizes = None if inputs[0].dim() > inputs[1].dim() else [part.size(0) for part in inputs[1:]]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        """Part the gradient, if there is one."""
        if grads[0] is None:
            return (None,) * (1 + len(ctx.parts))
        return None, *(grads[0].unbind(0) if ctx.sizes is None else torch.split_with_sizes(grads[0], ctx.sizes))


class Beside:
    """The storage of parameters as a value that gradients go through, made once: it keeps nothing of a call, and each can begin from it."""

    def __init__(self) -> None:
        self._value: Tensor | None = None

    def get(self, whole: Tensor, parts: Sequence[Tensor]) -> Tensor:
        """Return the value, the first time from the storage and its parts."""
        if _transformed():
            return beside(whole, parts)
        if self._value is None:
            self._value = beside(whole, parts)
            cast(Any, self._value.grad_fn)._set_sequence_nr(
                _LEAF
            )  # else it is the last to run, and all gradients wait for it in memory, out of the caches
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


def side_of(value: Tensor) -> Any:
    """Return the node that gives each parameter its part of the gradient of a packed value, or of a view of one in another shape.

    There is none for anything else, and where a transform of `torch.func` is at work.
    """
    node: Any = None if _transformed() else value.grad_fn
    if node is not None and node.name() == "ViewBackward0":
        node = node.next_functions[0][0]
    return node if isinstance(node, cast(Any, Side)._backward_cls) else None


def gradients(side: Any) -> Tensor | None:
    """Return the gradients of all parameters in a packed value as one vector, if what they get may be added to it at once.

    That is where the engine would do nothing else: the backward pass at work adds to each of them, they lie side by side in one storage, as a first
    pass leaves them, and no hook waits for what one of them gets.
    """
    parts: tuple[Tensor, ...] = side.parts
    grads: list[Any] = [part.grad for part in parts]
    first = grads[0]
    if type(first) is not Tensor or torch.is_grad_enabled() or any(map(_hooks, parts)) or any(map(_later_hooks, parts)):
        return None
    places, leaves = _layout(side)
    try:
        pointers = list(map(_pointer, grads))
    except TypeError:  # one has no gradient yet
        return None
    start, storage = pointers[0], first.untyped_storage()
    if [pointer - start for pointer in pointers] != places[:-1] or start + places[-1] > storage.data_ptr() + storage.nbytes():
        return None
    if not all(map(Tensor.is_contiguous, grads)) or any(map(_learns, grads)) or not _adds(leaves):
        return None
    return first.as_strided((places[-1] // first.element_size(),), (1,))


def _layout(side: Any) -> tuple[list[int], list[Any]]:
    """Return where each part begins and the last one ends, in bytes, and the nodes that add to their gradients: found once for a node."""
    found: tuple[list[int], list[Any]] | None = getattr(side, "layout", None)
    if found is None:
        parts: tuple[Tensor, ...] = side.parts
        leaves = [leaf for leaf, _ in side.next_functions[-len(parts) :]]
        found = side.layout = [*accumulate((part.nbytes for part in parts), initial=0)], leaves
    return found


def _adds(leaves: Sequence[Any]) -> bool:
    """Tell whether the backward pass at work adds to the gradient of each of these nodes."""
    try:
        return None not in leaves and all(map(_executes, leaves))
    except RuntimeError:  # it is to return one of them
        return False


def unpack(whole: Tensor, sources: Sequence[Tensor]) -> list[Tensor]:
    """Return the parts of a storage that stand for the tensors stacked or concatenated in it along axis 0."""
    return parted(whole, [source.shape for source in sources])


def parted(whole: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Part a stack or a concatenation along axis 0."""
    if whole.dim() == len(shapes[0]) + 1:
        return list(whole.unbind(0))
    return list(torch.split(whole, [shape[0] for shape in shapes]))
