"""TaskExpert in torch, as the sheet of the reconstruction has it, and cases of it: our own, as its authors published no code."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .cases import randomise, write
from .dense_reference import Backbone, ConvHead, resized

CLASSES = {"semseg": 4, "human_parts": 3, "sal": 2, "depth": 1, "normals": 3, "edge": 1}


class Gate(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(config["vit_dim"], config["gate_hidden"], 1)
        self.fc2 = nn.Conv2d(config["gate_hidden"], config["n_experts"] + 1, 1)
        self.pooled = config["gate"] != "spatial"

    def forward(self, x: Tensor) -> Tensor:
        seen = x.mean((2, 3), keepdim=True) if self.pooled else x
        return self.fc2(nn.functional.gelu(self.fc1(seen))).softmax(1)


class Mixture(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        cin, d, k = config["vit_dim"], config["d"], config["expert_kernel"]
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Conv2d(cin, d, k, padding=k // 2), nn.BatchNorm2d(d), nn.GELU(), nn.Conv2d(d, d, 1)) for _ in range(config["n_experts"])
        )
        self.gates = nn.ModuleDict({task: Gate(config) for task in config["num_output"]})
        self.write = config["write"]
        wide = {"add": d, "gated": 2 * d}
        self.writes = nn.ModuleDict({task: nn.Conv2d(wide[self.write], d, 1) for task in config["num_output"] if self.write in wide})

    def forward(self, x: Tensor, memory: dict[str, Tensor], found: dict[str, Tensor], name: str) -> dict[str, Tensor]:
        features = [expert(x) for expert in self.experts]
        after: dict[str, Tensor] = {}
        for task, m in memory.items():
            g = found[f"{name}.gate.{task}"] = self.gates[task](x)
            y = torch.stack([g[:, n, None] * f for n, f in enumerate([*features, m])]).sum(0)
            if self.write == "add":
                y = m + self.writes[task](y)
            elif self.write == "gated":
                u = self.writes[task](torch.cat([m, y], 1)).sigmoid()
                y = (1 - u) * m + u * y
            after[task] = found[f"{name}.memory.{task}"] = y
        if name.endswith(".0"):
            found |= {f"{name}.expert.{n}": f for n, f in enumerate(features)}
        return after


class TaskExpert(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        d, tasks = config["d"], config["num_output"]
        self.backbone = Backbone(config)
        self.memory = nn.ParameterDict({task: torch.zeros(d, 1, 1) for task in tasks})
        self.mmoe = nn.ModuleList(Mixture(config) for _ in range(len(config["select_list"]) + 1))
        self.heads = nn.ModuleDict({task: ConvHead(d, classes) for task, classes in tasks.items()})
        self.grid = [side // config["patch_size"] for side in config["img_size"]]

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        taps = self.backbone(image)
        found = {f"backbone.tap{level}": tap for level, tap in enumerate(taps)}
        memory = {task: start.expand(len(image), -1, *self.grid) for task, start in self.memory.items()}
        for level, (tap, mixture) in enumerate(zip(taps, self.mmoe, strict=True)):
            memory = mixture(tap.mT.unflatten(2, self.grid), memory, found, f"mmoe.{level}")
        for task, m in memory.items():
            found[task] = resized(self.heads[task](resized(m, [4 * side for side in self.grid])), image.shape[2:])
        return found


def configuration(seed: int) -> dict[str, Any]:
    """Draw a configuration: tasks and their order, sizes, depths, gates and rules."""
    draw = random.Random(seed)
    heads, patch, depth = draw.choice([1, 2, 3]), draw.choice([2, 4]), draw.randint(2, 4)
    tasks = draw.sample(list(CLASSES), draw.randint(1, 4))
    return {
        "system": "TaskExpert", "source": "tests", "mode": draw.choice(["eval", "train"]), "module": "all", "seed": seed,
        "img_size": [patch * draw.randint(2, 4), patch * draw.randint(2, 4)], "patch_size": patch, "vit_dim": 4 * heads, "num_heads": heads,
        "depth": depth, "select_list": sorted(draw.sample(range(1, depth + 1), draw.randint(1, depth))), "d": draw.randint(3, 6),
        "n_experts": draw.randint(1, 4), "gate": draw.choice(["sample (global average pool)", "spatial"]), "gate_hidden": draw.randint(2, 5),
        "write": ["add", "gated", "replace"][seed % 3], "expert_kernel": draw.choice([1, 3, 5]),
        "num_output": {task: CLASSES[task] for task in tasks},
    }  # fmt: skip


def make(folder: Path, config: dict[str, Any]) -> Path:
    """Write a case of a configuration."""
    torch.manual_seed(config["seed"])
    module = TaskExpert(config)
    randomise(module)
    image = torch.randn(2, 3, *config["img_size"])
    return write(folder, module, config, {"image": image}, lambda given: module(given["image"]), list(config["num_output"]))
