"""Copies weights by name and compares results and gradients with a reference module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import archloom


def build(text: str, dtype: torch.dtype, reference: nn.Module, prefix: str = "part.") -> nn.Module:
    """Compile a text and give it the weights of the reference, by name: every name must be there on both sides."""
    model = archloom.compile(text, dtype=dtype)
    state = {prefix + name: value for name, value in reference.state_dict().items()}
    model.load_state_dict(state, strict=True)
    return model.eval()


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Fill every parameter with random numbers: zero biases and unit scales would hide what is left out."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            centre = 1.0 if name.lower().rpartition(".")[0].endswith("norm") and name.endswith("weight") else 0.0
            value.copy_(centre + 0.3 * torch.randn(value.shape, generator=generator, dtype=torch.float64))


def gradients(module: nn.Module, value: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a fixed mixture of a result to all parameters and inputs."""
    weights = torch.sin(torch.arange(value.numel(), dtype=value.dtype)).view_as(value)
    module.zero_grad()
    (value * weights).sum().backward()
    found = {name: p.grad for name, p in module.named_parameters()} | {f"input {name}": x.grad for name, x in inputs.items()}
    return {name: grad for name, grad in found.items() if grad is not None}


def close(found: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    """Require equality up to a part of the largest element (or of one)."""
    scale = max(1.0, float(wanted.detach().abs().max()))
    worst = float((found - wanted).detach().abs().max()) / scale
    assert worst <= tolerance, f"{what} differs by {worst:.1e}"


Run = Callable[[Any], Tensor]


def agree(
    ours: nn.Module, theirs: nn.Module, ours_of: Run, theirs_of: Run, inputs: Mapping[str, Tensor], tolerance: float, prefix: str = "part."
) -> None:
    """Compare results and the gradients of all parameters and inputs; each side gets its own copies of the float inputs."""
    mine = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in inputs.items()}
    other = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in inputs.items()}
    found, wanted = ours_of(mine), theirs_of(other)
    assert found.shape == wanted.shape
    close(found, wanted, tolerance, "the result")
    left, right = gradients(ours, found, mine), gradients(theirs, wanted, other)
    renamed = {name if name.startswith("input ") else prefix + name: grad for name, grad in right.items()}
    assert left.keys() == renamed.keys()
    for name, grad in renamed.items():
        close(left[name], grad, tolerance * 10, f"the gradient of {name}")
