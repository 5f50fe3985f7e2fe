"""The spec of docs/verify.md, and the torch module that it is held against."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import archloom
from archloom.dsl.diagnostics import Failure, Severity

ROOT = Path(archloom.__file__).parent
[SPEC] = re.findall(r"```arch\n(.*?)```", (ROOT / "docs" / "verify.md").read_text(), re.DOTALL)


class Reference(nn.Module):
    """The authors' code, as it were."""

    def __init__(self, dim: int, depth: int, classes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleDict({"fc": nn.Linear(dim, dim)}) for _ in range(depth))
        self.classifier = nn.Linear(dim, classes)

    def forward(self, x: Tensor, label: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for i, block in enumerate(self.blocks):
            h = nn.functional.gelu(block.get_submodule("fc")(x))
            found[f"blocks.{i}.act"] = h
            x = x + h
        logits = self.classifier(x)
        return {**found, "logits": logits, "loss": nn.functional.cross_entropy(logits, label)}


def make(folder: Path, dim: int = 6, depth: int = 2, classes: int = 3, seed: int = 0) -> Path:
    """Write the reference's case."""
    torch.manual_seed(seed)
    model = Reference(dim, depth, classes).double()
    for value in model.parameters():
        nn.init.normal_(value)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(value.float())
    x, label = torch.randn(5, dim).double().requires_grad_(), torch.randint(classes, (5,))
    outputs = model(x, label)
    cotangents = {name: torch.randn(outputs[name].shape).double() for name in ("logits", "loss")}
    torch.stack([(outputs[name] * value).sum() for name, value in cotangents.items()]).sum().backward()
    assert x.grad is not None
    folder.mkdir()
    config = {
        "source": "here",
        "mode": "eval",
        "module": "all",
        "hidden_size": dim,
        "num_layers": depth,
        "labels": list("abcdef"[:classes]),
        "seed": seed,
    }
    (folder / "config.json").write_text(json.dumps(config))
    stored = {
        "weights": dict(model.state_dict()),
        "inputs": {"features": x, "labels": label, **{f"cotangent.{name}": value for name, value in cotangents.items()}},
        "outputs": outputs,
        "grads": {"input.features": x.grad, **{f"param.{name}": value.grad for name, value in model.named_parameters()}},
    }
    for name, tensors in stored.items():
        save_file(
            {k: (v.float() if v.is_floating_point() else v).detach().contiguous() for k, v in tensors.items() if v is not None},
            folder / f"{name}.safetensors",
        )
    return folder


def changed(case: Path, folder: Path, file: str, change: Callable[[dict[str, Any]], None]) -> Path:
    shutil.copytree(case, folder)
    path = folder / f"{file}.safetensors"
    if file == "config":
        content = json.loads((folder / "config.json").read_text())
        change(content)
        (folder / "config.json").write_text(json.dumps(content))
    else:
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)
    return folder


def failures(spec: str, folder: Path, **asked: Any) -> list[tuple[str, str]]:
    with pytest.raises(Failure) as caught:
        archloom.verify(spec, folder, **asked)
    return [(d.code, d.message) for d in caught.value.diagnostics if d.severity is Severity.ERROR]
