"""What the benches of passes share: results of a backbone that are given, two results compared, a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archloom.compiler.lower.block import Family

EXAMPLES = Path(__file__).parents[2] / "examples"
BEFORE = {"taskprompter": ("embed", "blocks")}
"""What runs before decoder and heads where that is no `backbone`: modules, or families of them."""


class Given(nn.Module):
    """Stands for a backbone that has run: what it gave is given again."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found

    def forward(self, *_: Any, **__: Any) -> Any:
        """Return what was found."""
        return self.found


def give(models: Sequence[Any], example: str, image: Tensor) -> None:
    """Run the first of several models, and put what its backbone gave in the place of the backbone of each."""
    families = (models[0].get_submodule(name) for name in BEFORE.get(example, ("backbone",)))
    members = {id(each) for held in families for each in (held.children() if isinstance(held, Family) else (held,))}
    names = [name for name, module in models[0].named_modules() if id(module) in members]
    found: dict[str, Any] = {}
    hooks = [models[0].get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: found.update({name: out})) for name in names]
    with torch.no_grad():
        models[0](image=image)
    for hook in hooks:
        hook.remove()
    for model in models:
        for name in names:
            model.set_submodule(name, Given(found[name]))


def step(model: Any, inputs: Mapping[str, Tensor]) -> Callable[[], None]:
    """Return a forward and a backward pass as a call."""

    def run() -> None:
        torch.autograd.backward(torch.stack([value.sum() for value in leaves(model(**inputs))]).sum())

    return run


def leaves(found: Mapping[str, Any]) -> Iterator[Tensor]:
    """Yield the tensors of nested results."""
    for value in found.values():
        if isinstance(value, Tensor):
            yield value
        else:
            yield from leaves(value)


def same(ours: Mapping[str, Any], theirs: Mapping[str, Any], error: float = 1e-5) -> None:
    """Compare nested results, those that ours gives, with an error relative to the largest entry."""
    for name, value in ours.items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=error * float(value.detach().abs().max()))
        else:
            same(value, theirs[name], error)
