"""What a model gives and takes by path: its state dict, with tied parameters and renamed ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from ...dsl.diagnostics import closest
from ..optimize.report import Passes
from . import recording
from .bypassed import Bypassed
from .derived import bind
from .dropping import drop, droppable
from .keeping import Keeper
from .plan import Plan
from .rounded import Quantized, quantized
from .settled import Settling
from .stage import expand
from .standing import Standing
from .whole import Whole

if TYPE_CHECKING:
    from .offers import Source, StrPath


class Saved(nn.Module):
    """The part of a compiled model that knows its tensors by path."""

    _plan: ClassVar[Plan]
    _keeper: Keeper | None = None
    _bypassed: Bypassed | None = None
    _standing: Standing | None = None
    _settling: Settling
    _quantized: Quantized | None = None

    @property
    def passes(self) -> Passes:
        """The passes that made the model, in order: printed, a table of them; `passes.explain()` says where each applied."""
        return self._plan.passes

    def save_weights(self, path: StrPath, map: str | None = None, *, like: Source | None = None, partial: bool = False) -> list[Path]:
        """Save all tensors as safetensors, in a file or a folder's `model.safetensors`; returns the paths of what was written.

        With `map` they go under the names that this weights map reads, each through its rule's steps backwards (a map with a file for
        each member takes a folder).  `like`, the weights that the map was written for, tells the shapes that the map leaves open, and
        gives what the map drops.  With `partial` what the map doesn't read is left out.  Raises Failure that lists what can't be saved
        so, KeyError with a suggestion for an unknown map; nothing is half-written.
        """
        from .saving import Writer, write_tensors

        state: dict[str, Tensor] = self.state_dict()
        if any(value.is_meta for value in state.values()):
            raise ValueError("the model is on the meta device and has no values to save: materialize it first")
        if map is None:
            if like is not None or partial:
                raise ValueError("`like` and `partial` are for saving through a weights map: name it, `map=...`")
            return [write_tensors(path, state)]
        maps = self._plan.program.weights
        if map not in maps:
            near = closest(map, maps)
            raise KeyError(f"`{type(self).__name__}` has no weights map `{map}`{f', did you mean `{near}`' if near else ''}")
        tied = {name: self.get_parameter(name) for pair in self._plan.ties for name in pair}
        files = Writer(maps[map], {**state, **tied}, self._plan.ties, like).tensors(partial)
        return [write_tensors(Path(path) / file if file is not None else path, tensors) for file, tensors in files.items()]

    @property
    def quantized(self) -> Quantized:
        """What passes have quantized: printed, a table of the weights and of their errors; `quantized.json()` is the same as JSON."""
        return self._quantized if self._quantized is not None else quantized(self, self._plan.program)

    def drop_folded(self, known: Quantized | None = None) -> list[str]:
        """Keep what passes computed from parameters alone, and let go of the parameters that are read for nothing else; returns their paths.

        The state dict holds the computed values in their place then: of a quantized model the whole numbers, about a quarter of the size.
        `known` is what `quantized` gave, for a model whose values come later.  Raises ValueError for a model that trains: its parameters are
        what is trained.
        """
        if not self._plan.program.only_evaluates:
            raise ValueError(f"`{type(self).__name__}` trains, so its parameters stay: passes that fold them leave models that only evaluate")
        whole: Any = self
        for name in self._plan.program.entries:
            whole.entry(name).prepare()  # whose code may read other parameters
        self._bind()
        self._quantized = known if known is not None else self.quantized
        paths = droppable(self, self._plan.unit, self._plan.ties)
        drop(self, paths, self._quantized)
        self._bind()
        return paths

    def named_buffers(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Tensor]]:
        """Return buffers by path, whole numbers among them in the order in which they are saved."""
        for module in self.modules():
            if isinstance(module, Whole):
                module.plain()
        return super().named_buffers(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return parameters and buffers by path, a tied parameter once: under the path that stays, as safetensors want it."""
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        prefix: str = kwargs.get("prefix", "")
        for _, second in self._plan.ties:
            state.pop(prefix + second, None)
        return state

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take either name of a tied parameter and the old names of `renamed`, pass over what is dropped; torch calls this before what is below."""
        for old, new in self._plan.program.renamed:
            for path in expand([prefix + old], list(state_dict)):
                state_dict.setdefault(prefix + new + path[len(prefix + old) :], state_dict.pop(path))
        for path in expand([prefix + path for path in self._plan.program.dropped], list(state_dict)):
            state_dict.pop(path)
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

    def _bind(self) -> None:
        """Let what passes derived from parameters look them up again."""
        if self._plan.program.original is not None:
            self._keeper = self._keeper or Keeper()
            self._standing = bind(self, self._keeper, self._bypassed)
            self._settling = Settling()
            recording.bind(self)

    def _loaded(self, keys: Any) -> None:
        """Tie and bind after loading, which may have put new objects in place."""
        self._tie()
        self._bind()

    def _holder(self, path: str) -> tuple[nn.Module, str]:
        above, _, name = path.rpartition(".")
        return self.get_submodule(above), name
