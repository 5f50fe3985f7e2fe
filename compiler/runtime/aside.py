"""Parameters that a call reads for the sake of others beside them: they take no gradient, as they would take none without passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...dsl.program import Body
from ..census import Census
from .standing import Standing


class Aside:
    """The function of a view after passes, which may compute more than was asked for: the heads of all tasks in one product for the loss of one.

    What the text itself doesn't read for that has no gradient then, rather than one of zeros, by which an optimiser would decay it and move it
    on. Compiled code leaves it at the zeros.
    """

    def __init__(self, function: Callable[..., Any], body: Body, plain: Callable[[], Body], settle: Callable[[Callable[..., Any]], object]) -> None:
        """Take the function, its body, how to get at the same without passes, and what is told where the function itself will do."""
        self.function = function
        self._body, self._plain, self._settle = body, plain, settle
        self._paths: tuple[str, ...] | None = None

    def __call__(self, model: nn.Module, *values: Any) -> Any:
        """Call the function."""
        if torch.compiler.is_compiling():
            return self.function(model, *values)
        if self._paths is None:
            self._paths = self._beside(model)
        if not self._paths:
            self._settle(self.function)
        resting = [own for own in (_parameter(model, path) for path in self._paths) if own is not None and own.requires_grad and own.is_leaf]
        standing = vars(model).get("_standing")
        if resting and isinstance(standing, Standing):
            standing.holds = False  # what it keeps for derivatives is made with all of them
        for own in resting:
            own.requires_grad_(False)
        try:
            return self.function(model, *values)
        finally:
            for own in resting:
                own.requires_grad_(True)

    def _beside(self, model: nn.Module) -> tuple[str, ...]:
        """Return the paths that the body reads and the text doesn't, by this or a tied name."""
        plain = _read(self._plain())
        needed = {id(_parameter(model, path)) for path in plain}
        return tuple(path for path in _read(self._body) if path not in plain and id(_parameter(model, path)) not in needed)


def _read(body: Body) -> dict[str, None]:
    return {tensor.path: None for tensor in Census((body,)).tensors() if not tensor.buffer}


def _parameter(model: nn.Module, path: str) -> Tensor | None:
    """Return a parameter as it is at this moment, None where something else has taken its place."""
    above, _, name = path.rpartition(".")
    module: Any = model
    for word in above.split(".") if above else ():
        module = getattr(module, word, None)
    found = getattr(module, name, None)
    return found if isinstance(found, Tensor) else None
