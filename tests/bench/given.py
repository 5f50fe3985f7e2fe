"""What the benches of passes share: results of a backbone that are given, two results compared, a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

EXAMPLES = Path(__file__).parents[2] / "examples"


class Given(nn.Module):
    """Stands for a backbone that has run: what it gave is given again."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found

    def forward(self, *_: Any, **__: Any) -> Any:
        """Return what was found."""
        return self.found


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


def same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Compare nested results, those that ours gives."""
    for name, value in ours.items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-5 * float(value.detach().abs().max()))
        else:
            same(value, theirs[name])
