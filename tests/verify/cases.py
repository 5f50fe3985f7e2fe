"""Writes a case from a torch module: what `archloom verify` is held against in tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]


def randomise(module: nn.Module) -> None:
    """Make every parameter and float buffer random, in numbers that float32 holds; variances stay positive."""
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                drawn = torch.rand(value.shape) + 0.5 if name.endswith("running_var") else 0.4 * torch.randn(value.shape)
                value.copy_(drawn + (1.0 if name.endswith("weight") and value.ndim == 1 else 0.0))


def write(
    folder: Path, module: nn.Module, config: Mapping[str, Any], inputs: Tensors, run: Callable[[Tensors], Tensors], differentiated: Sequence[str]
) -> Path:
    """Store what a module computes in float64: `run` takes the inputs and gives outputs and inner values by name."""
    module.double().train(config["mode"] == "train")
    weights = {name: value.clone() for name, value in module.state_dict().items() if value.is_floating_point()}
    given = {name: value.double().requires_grad_() if value.is_floating_point() else value for name, value in inputs.items()}
    outputs = run(given)
    cotangents = {f"cotangent.{name}": torch.randn(outputs[name].shape) for name in differentiated}
    torch.stack([(outputs[name] * cotangents[f"cotangent.{name}"]).sum() for name in differentiated]).sum().backward()
    after = {f"after.{name}": value for name, value in module.named_buffers() if module.training and value.is_floating_point()}
    found = {
        "weights": weights,
        "inputs": {**given, **cotangents},
        "outputs": {**outputs, **after},
        "grads": {
            **{f"param.{name}": value.grad for name, value in module.named_parameters() if value.grad is not None},
            **{f"input.{name}": value.grad for name, value in given.items() if value.grad is not None},
        },
    }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    for kind, tensors in found.items():
        plain = {name: (value.float() if value.is_floating_point() else value).detach().contiguous() for name, value in tensors.items()}
        save_file(plain, folder / f"{kind}.safetensors")
    return folder


def failing(report: Any) -> list[tuple[str, float, str]]:
    """Return what of a report does not hold: the stored name, the difference and the reason."""
    return [(row.stored, row.difference, row.reason) for row in report.rows if not row.holds]
