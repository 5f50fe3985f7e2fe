"""What a model gives and takes by path: its state dict, with tied parameters and renamed ones."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from .plan import Plan
from .stage import expand


class Stored(nn.Module):
    """The part of a compiled model that knows its tensors by path."""

    _plan: ClassVar[Plan]

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return parameters and buffers by path, a tied parameter once: under the path that stays, as safetensors want it."""
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        prefix: str = kwargs.get("prefix", "")
        for _, second in self._plan.ties:
            state.pop(prefix + second, None)
        return state

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take either name of a tied parameter, and the old names of `renamed`; torch calls this before it loads what is below."""
        for old, new in self._plan.program.renamed:
            for path in expand([prefix + old], list(state_dict)):
                state_dict.setdefault(prefix + new + path[len(prefix + old) :], state_dict.pop(path))
        for first, second in self._plan.ties:
            known = state_dict.get(prefix + first, state_dict.get(prefix + second))
            if known is not None:
                state_dict.setdefault(prefix + first, known)
                state_dict.setdefault(prefix + second, known)
        plain: Any = super()
        plain._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _tie(self) -> None:
        """Make tied parameters one object again."""
        for first, second in self._plan.ties:
            holder, name = self._holder(second)
            kept_holder, kept = self._holder(first)
            if getattr(holder, name) is not getattr(kept_holder, kept):
                setattr(holder, name, getattr(kept_holder, kept))

    def _tied_again(self, keys: Any) -> None:
        """Tie after loading, which may have put new objects in place."""
        self._tie()

    def _holder(self, path: str) -> tuple[nn.Module, str]:
        above, _, name = path.rpartition(".")
        return self.get_submodule(above), name
