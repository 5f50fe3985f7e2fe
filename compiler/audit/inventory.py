"""What a module owns: parameters once each, under their first name, and which parts of it stand still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from ..paths import covers
from .errors import failure
from .selectors import Miss, matched


class Inventory:
    """The parameters and buffers of a model by path.

    A tied parameter stands under the path that comes first; `aliases` has the others.  Frozen is what requires no gradient and what
    `declared` selectors say; a frozen part is a module all of whose parameters are frozen.
    """

    def __init__(self, model: nn.Module, declared: Sequence[str] = (), select: Sequence[str] = ()) -> None:
        tree: Any = model
        self.model = model
        self.modules: Mapping[str, nn.Module] = dict(tree.named_modules())
        self.parameters: dict[str, nn.Parameter] = {}
        self.aliases: dict[str, list[str]] = {}
        first: dict[int, str] = {}
        for path, value in tree.named_parameters(remove_duplicate=False):
            if not isinstance(value, nn.Parameter):
                message = f"`{path}` of the model is a `{type(value).__name__}`, not a parameter"
                raise failure("A561", message, "wrap it: `nn.Parameter(...)`, or keep it under a plain attribute")
            kept = first.setdefault(id(value), path)
            self.parameters.setdefault(kept, value)
            if kept != path:
                self.aliases.setdefault(kept, []).append(path)
        self.first = {path: first[id(value)] for path, value in tree.named_parameters(remove_duplicate=False)}
        self.selected = {pattern: self._select(pattern) for pattern in (*declared, *select)}
        self.declared: dict[str, str] = {}
        for pattern in declared:
            found = self.selected[pattern]
            self.declared.update({} if isinstance(found, Miss) else dict.fromkeys(found, pattern))
        still = {path for path, value in self.parameters.items() if not value.requires_grad}
        self.frozen = frozenset(still | set(self.declared))
        self.trained = tuple(path for path in self.parameters if path not in self.frozen)
        self.still_modules = self._still()

    def _select(self, pattern: str) -> tuple[str, ...] | Miss:
        """Return what a selector matches, each tied parameter once."""
        found = matched(pattern, list(self.first))
        if isinstance(found, Miss):
            bare = pattern in self.modules
            return Miss(found.code, f"`{pattern}` matches nothing: it holds no parameters", "select a module that does") if bare else found
        return tuple(dict.fromkeys(self.first[path] for path in found))

    def _still(self) -> dict[str, nn.Module]:
        """Return every module of the frozen parts by path; one without parameters belongs to the part around it."""
        held: dict[str, bool] = {}
        for path, first in self.first.items():
            above = path
            while above:
                above = above.rpartition(".")[0]
                held[above] = held.get(above, True) and first in self.frozen
        still: dict[str, nn.Module] = {}
        for path, module in self.modules.items():
            parent = path.rpartition(".")[0]
            if held.get(path, parent in still if path else False):
                still[path] = module
        return still

    def still_part(self, path: str) -> str | None:
        """Return the largest frozen part that holds a module or tensor; None if that isn't frozen."""
        while path and path not in self.still_modules:
            path = path.rpartition(".")[0]
        if path not in self.still_modules:
            return None
        while path and path.rpartition(".")[0] in self.still_modules:
            path = path.rpartition(".")[0]
        return path

    def names(self, path: str) -> str:
        """Return a parameter's name, with those that it is tied under."""
        others = self.aliases.get(path, [])
        return f"`{path}`" + (f" (tied: {', '.join(f'`{other}`' for other in others)})" if others else "")

    def groups(self, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return paths by the largest module all of whose parameters are among them; a parameter by itself where there is none."""
        chosen = dict.fromkeys(paths)
        whole: dict[str, bool] = {}
        for path in self.parameters:
            above = path
            while above:
                whole[above] = whole.get(above, True) and path in chosen
                above = above.rpartition(".")[0]
        found: dict[str, list[str]] = {}
        for path in chosen:
            words = path.split(".")
            prefixes = (".".join(words[:n]) for n in range(1, len(words) + 1))
            found.setdefault(next((prefix for prefix in prefixes if whole.get(prefix)), path), []).append(path)
        return {group: tuple(members) for group, members in found.items()}

    def size(self, paths: Iterable[str]) -> int:
        """Return how many numbers parameters hold."""
        return sum(self.parameters[path].numel() for path in paths)

    def is_called(self, group: str, called: frozenset[int]) -> bool:
        """Tell whether any module at or below a path was called; parameters and lists of them are used, and never called."""
        module = self.modules.get(group)
        if module is None or isinstance(module, (nn.ParameterList, nn.ParameterDict)):
            return True
        return any(id(module) in called for path, module in self.modules.items() if covers(group, path))
