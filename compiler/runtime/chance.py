"""What chance decides in a call, by path: draws and the masks of dropout can be listed, given from outside, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...dsl.diagnostics import closest
from ...dsl.types import DType, TensorType
from ..lower.unit import Unit
from ..paths import join
from .bypassed import Bypassed
from .draws import Draw, Random
from .errors import InputError
from .modes import Attention, DropPath
from .recording import Recorded

Values = Mapping[str, Tensor | Sequence[Tensor]]
"""Given values by path; a sequence where the path draws several times in one call."""

Take = Callable[[Sequence[int], torch.dtype, torch.device, Callable[[], Tensor]], Tensor]
"""Returns the given value for a shape, dtype and device, or makes one."""


GUMBEL = "torch.nn.functional.gumbel_softmax"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one class of modules uses chance: the type of what it draws, whether it draws now, and its forward with the value taken."""

    type: Callable[[Sequence[TensorType]], TensorType]  # of the types of its inputs
    live: Callable[[Any], bool]
    forward: Callable[..., Any]  # module, take, inputs


def _take_mask(take: Take, shape: Sequence[int], p: float, x: Tensor) -> Tensor:
    """Return a mask that is true where a value is kept, which it is with likelihood `1 - p`."""
    return take(shape, torch.bool, x.device, lambda: torch.rand(tuple(shape), device=x.device) >= p)


def _scaled(kept: Tensor, p: float, x: Tensor) -> Tensor:
    return x * (kept.to(x.dtype) / (1 - p)) if p < 1 else x * 0


def _dropout(module: nn.Dropout, take: Take, x: Tensor) -> Tensor:
    return _scaled(_take_mask(take, x.shape, module.p, x), module.p, x)


def _drop_path(module: DropPath, take: Take, x: Tensor) -> Tensor:
    kept = _take_mask(take, x.shape[:1], module.p, x)
    return _scaled(kept.reshape(-1, *(1,) * (x.ndim - 1)), module.p, x)


def _attention(module: Attention, take: Take, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attend as `Attention` does, step by step: `dropout(softmax(q k^T scale + mask)) v`."""
    if module.enable_gqa:
        k, v = (x.repeat_interleave(q.shape[-3] // x.shape[-3], dim=-3) for x in (k, v))
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if module.scale is None else module.scale)
    if module.is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype is torch.bool else scores + mask
    return _scaled(_take_mask(take, scores.shape, module.drop, q), module.drop, scores.softmax(dim=-1)) @ v


def _draw(module: Draw, take: Take, given: Tensor | None, shape: Sequence[int], **options: Any) -> Tensor:
    if given is not None:
        return given
    return take(shape, options["dtype"], options["device"], lambda: Draw.forward(module, None, shape, **options))


def _random(module: Random, take: Take, *args: Any, **kwargs: Any) -> Tensor:
    """Take what the function gives; for `gumbel_softmax`, through which gradients flow, the noise that it adds."""
    if module.function == GUMBEL:
        return _gumbel_softmax(take, *args, **kwargs)
    value = Random.forward(module, *args, **kwargs)
    return take(value.shape, value.dtype, value.device, lambda: value)


def _gumbel_softmax(take: Take, x: Tensor, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Tensor:
    noise = take(x.shape, x.dtype, x.device, lambda: -torch.empty_like(x).exponential_().log())
    soft = ((x + noise) / tau).softmax(dim)
    if not hard:
        return soft
    chosen = torch.zeros_like(soft).scatter_(dim, soft.argmax(dim, keepdim=True), 1.0)
    return chosen - soft.detach() + soft


def _bool(*shape: Any) -> TensorType:
    return TensorType(DType.BOOL, shape)


KINDS: Mapping[type[nn.Module], Kind] = {
    Draw: Kind(lambda types: types[0], lambda module: True, _draw),
    Random: Kind(lambda types: types[0], lambda module: True, _random),
    nn.Dropout: Kind(lambda types: _bool(*types[0].shape), lambda module: module.training and module.p > 0, _dropout),
    DropPath: Kind(lambda types: _bool(types[0].shape[0]), lambda module: module.training and module.p > 0, _drop_path),
    Attention: Kind(lambda types: _bool(*types[0].shape[:-1], types[1].shape[-2]), lambda module: module.training and module.drop > 0, _attention),
}
"""The modules whose chance can be given from outside."""


class Chance:
    """`with Chance(model, values) as drawn`: while it is open, draws and dropouts take what is given and keep what was drawn."""

    def __init__(self, model: nn.Module, values: Values) -> None:
        """Take values by path; modules that passes skip draw nothing."""
        bypassed = vars(model).get("_bypassed")
        skipped = bypassed.modules if isinstance(bypassed, Bypassed) else []
        self.drawn: dict[str, list[Tensor]] = {}
        """What the last call drew or was given, by path, in order."""
        self._modules = {path: module for path, module in _named(model) if type(module) in KINDS and module not in skipped}
        self._regions = [module for _, module in _named(model) if isinstance(module, Recorded) and module.again]
        self._given = {path: [value] if isinstance(value, Tensor) else list(value) for path, value in values.items()}
        self._most = dict.fromkeys(self._given, 0)
        for path in self._given:
            if path not in self._modules:
                near = closest(path, self._modules)
                known = ", ".join(f"`{name}`" for name in self._modules) or "nothing"
                hint = f"did you mean `{near}`?" if near else f"chance decides {known}"
                raise InputError(f"nothing is drawn at `{path}`: {hint}")

    def __enter__(self) -> dict[str, list[Tensor]]:
        """Let the modules ask here."""
        for path, module in self._modules.items():
            kind = KINDS[type(module)]
            vars(module)["forward"] = partial(_forward, module, kind, partial(self._take, path))
        for region in self._regions:  # run twice, they would take twice
            vars(region)["forward"] = region.run
        return self.drawn

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Give the modules their own ways back; raises InputError for a given value that no call has used."""
        for module in (*self._modules.values(), *self._regions):
            vars(module).pop("forward", None)
        if error is None:
            self._check_used()

    def restart(self) -> None:
        """Begin a call of the model: every path draws for the first time again."""
        self.drawn.clear()

    def _check_used(self) -> None:
        problems = [
            f"`{path}` is drawn {_times(self._most[path])} in a call and {_counted(values)} given{self._why(path)}"
            for path, values in self._given.items()
            if self._most[path] < len(values)
        ]
        if problems:
            raise InputError("\n".join(problems))

    def _why(self, path: str) -> str:
        module = self._modules[path]
        return "" if KINDS[type(module)].live(module) else ": it drops nothing in eval mode"

    def _take(self, path: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device, draw: Callable[[], Tensor]) -> Tensor:
        kept = self.drawn.setdefault(path, [])
        number = len(kept)
        given = self._given.get(path)
        if given is None:
            value = draw()
        elif number >= len(given):
            raise InputError(f"`{path}` is drawn more than {_times(len(given))} in a call: give a list with a value for each")
        else:
            value = given[number]
            wanted = (tuple(shape), dtype, device)
            if (tuple(value.shape), value.dtype, value.device) != wanted:
                needs = f"{_dtype(dtype)} {list(shape)} on {device}"
                raise InputError(f"`{path}` needs {needs} here, and is given {_dtype(value.dtype)} {list(value.shape)} on {value.device}")
            self._most[path] = max(self._most[path], number + 1)
        kept.append(value)
        return value


def _forward(module: nn.Module, kind: Kind, take: Take, *args: Any, **kwargs: Any) -> Any:
    """Run a module while chance is given from outside."""
    if kind.live(module):
        return kind.forward(module, take, *args, **kwargs)
    return type(module).forward(module, *args, **kwargs)


def draw_types(model: nn.Module, unit: Unit, view: int, prefix: str = "", given: frozenset[str] = frozenset()) -> Iterator[tuple[str, TensorType]]:
    """Yield what a call of one view draws in the present mode, in order, with the type that the text gives it."""
    called = unit.views[view]
    graph = called.code(model.get_submodule(prefix).training).graph
    keys: dict[fx.Node, str] = dict(zip((node for node in graph.nodes if node.op == "placeholder"), called.inputs, strict=True))
    for node in _calls(model.get_submodule(prefix), graph):
        path = join(prefix, node.target)
        child = unit.children.get(node.target)
        if child is not None:
            number: int = node.kwargs.get("view", 0)
            names = child.views[number].inputs
            passed = frozenset(name for name, arg in zip(names, node.args, strict=True) if arg is not None)
            yield from draw_types(model, child, number, path, passed)
            continue
        module = model.get_submodule(path)
        kind = KINDS.get(type(module))
        if kind is not None and kind.live(module) and not (isinstance(module, Draw) and _is_given(node.args[0], keys, given)):
            yield path, kind.type(node.meta["types"])


def _calls(owner: nn.Module, graph: fx.Graph) -> Iterator[Any]:
    """Yield the calls of modules in a graph, in order, those in its regions too."""
    for node in graph.nodes:
        if node.op == "call_module":
            region = owner.get_submodule(str(node.target))
            if isinstance(region, Recorded):
                yield from _calls(owner, region.steps.code.graph)
            else:
                yield node


def _is_given(argument: Any, keys: Mapping[fx.Node, str], given: frozenset[str]) -> bool:
    """Tell whether a draw's value comes from its block's caller."""
    return argument is not None and (argument not in keys or keys[argument] in given)


def _named(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    tree: Any = model
    return tree.named_modules()


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number} times")


def _counted(values: Sequence[Tensor]) -> str:
    return "a value is" if len(values) == 1 else f"{len(values)} values are"


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
