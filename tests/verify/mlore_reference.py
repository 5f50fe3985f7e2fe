"""MLoRE's equations in torch under its authors' names, and cases of it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cases import randomise, write
from .dense_reference import Backbone, ConvHead, resized

CLASSES = {"semseg": 4, "human_parts": 3, "sal": 2, "depth": 1, "normals": 3, "edge": 1}


class LowRank(nn.Module):
    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.W, self.M = nn.Conv2d(dim, rank, 3, padding=1), nn.Conv2d(rank, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.M(self.W(x))


class Summary(nn.Module):
    def __init__(self, dim: int, pixels: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(dim, dim // 4, 1), nn.Conv2d(dim, dim // 4, 1), nn.Conv2d(dim // 4, dim // 4, 1)
        self.ln, self.ln_sp, self.convsp = nn.LayerNorm(dim // 4), nn.LayerNorm(dim), nn.Linear(pixels, 1)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.ln(self.conv1(x).movedim(1, 3)).movedim(3, 1)
        places = self.ln_sp(self.convsp(x.flatten(2)).flatten(1))
        seen = [self.conv3(F.gelu(narrow)).mean((2, 3), keepdim=True), self.conv2(F.gelu(places)[:, :, None, None])]
        return torch.cat(seen, 1)


class Mixture(nn.Module):
    def __init__(self, config: dict[str, Any], pixels: int) -> None:
        super().__init__()
        d, tasks, self.n = config["final_embed_dim"], config["tasks"], len(config["rank_list"])
        self.lora_list_1 = nn.ModuleList(LowRank(d, rank) for rank in config["rank_list"])
        self.share_conv = nn.Conv2d(d, d, 3, padding=1)
        self.conv1, self.conv3 = (nn.ModuleDict({task: nn.Conv2d(d, d, 1) for task in tasks}) for _ in range(2))
        self.conv2 = nn.ModuleDict({task: LowRank(d, config["spe_rank"]) for task in tasks})
        self.bn, self.bn_all = (nn.ModuleDict({task: nn.BatchNorm2d(d) for task in tasks}) for _ in range(2))
        self.router_1 = nn.ModuleDict({t: nn.Sequential(Summary(d, pixels), nn.Conv2d(d // 2, 2 * self.n + 1, 1)) for t in tasks})
        self.topk, self.before = config["topk"], config["pre_softmax"]
        self.noise: list[Tensor] = []  # of each task, in order

    def weights(self, logits: Tensor) -> Tensor:
        chosen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, logits.topk(self.topk, dim=1).indices, True)
        return logits.masked_fill(~chosen, -torch.inf).softmax(1) if self.before else logits.softmax(1) * chosen

    def forward(self, x: Tensor, task: str) -> tuple[Tensor, Tensor]:
        o = self.conv1[task](x)
        scores = self.router_1[task](o).flatten(1)
        logits = scores[:, : self.n]
        if self.training:
            self.noise.append(torch.randn_like(logits))
            logits = logits + self.noise[-1] * scores[:, self.n : -1]
        g = self.weights(logits)
        mixed = torch.stack([g[:, e, None, None, None] * expert(o) for e, expert in enumerate(self.lora_list_1)]).sum(0)
        y = self.bn_all[task](mixed) + self.conv2[task](o) * scores[:, -1, None, None, None] + self.share_conv(o.detach())
        return self.conv3[task](F.gelu(self.bn[task](y))), g


class Decoder(Backbone):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config, cls=False)
        d, levels = config["final_embed_dim"], len(config["select_list"]) + 1
        self.grid = [side // config["patch_size"] for side in config["img_size"]]
        self.fea_fuse = nn.ModuleList(nn.Conv2d(config["vit_dim"], d, 1) for _ in range(levels))
        self.MLoRE_1, self.MLoRE_2 = (nn.ModuleList(Mixture(config, self.grid[0] * self.grid[1]) for _ in range(levels)) for _ in range(2))
        self.task_mask = nn.ModuleDict(
            {t: nn.Sequential(nn.Conv2d(levels * d, d, 1), nn.BatchNorm2d(d), nn.GELU(), nn.Conv2d(d, levels, 3, padding=1)) for t in config["tasks"]}
        )

    def features(self, image: Tensor, found: dict[str, Tensor]) -> None:
        taps = [fuse(tap.mT.unflatten(2, self.grid)) for fuse, tap in zip(self.fea_fuse, self(image), strict=True)]
        for task, mask in self.task_mask.items():
            maps: list[Tensor] = []
            for level, x in enumerate(taps):
                for name, mixtures in (("MLoRE_1", self.MLoRE_1), ("MLoRE_2", self.MLoRE_2)):
                    x, found[f"router.{name}.{level}.{task}.prob"] = mixtures[level](x, task)
                maps.append(x)
            shares = mask(torch.cat(maps, 1)).softmax(1)
            fused = torch.stack([shares[:, level, None] * x for level, x in enumerate(maps)]).sum(0)
            found[f"backbone.task_feature.{task}"] = resized(fused, [4 * side for side in self.grid])


class MLoRE(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.backbone = Decoder(config)
        self.heads = nn.ModuleDict({task: ConvHead(config["final_embed_dim"], config["num_output"][task]) for task in config["tasks"]})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        self.backbone.features(image, found)
        for task, head in self.heads.items():
            found[task] = resized(head(found[f"backbone.task_feature.{task}"]), image.shape[2:])
        return found


def configuration(seed: int) -> dict[str, Any]:
    """Draw a configuration: tasks and their order, sizes, depths, ranks, and when the softmax is taken."""
    draw = random.Random(seed)
    heads, patch, depth, experts = draw.choice([1, 2, 3]), draw.choice([2, 4]), draw.randint(3, 4), draw.randint(1, 4)
    tasks = draw.sample(list(CLASSES), draw.randint(1, 3))
    return {
        "system": "MLoRE", "source": "tests", "mode": "eval", "module": "all", "seed": seed, "tasks": tasks,
        "num_output": {task: CLASSES[task] for task in tasks}, "img_size": [patch * draw.randint(2, 4), patch * draw.randint(2, 4)],
        "patch_size": patch, "vit_dim": 4 * heads, "num_heads": heads, "depth": depth,
        "select_list": sorted(draw.sample(range(1, depth + 1), draw.randint(1, 3))), "final_embed_dim": draw.choice([8, 12, 16]),
        "rank_list": [draw.randint(1, 4) for _ in range(experts)], "spe_rank": draw.randint(1, 3), "topk": draw.randint(1, experts),
        "pre_softmax": seed % 2 == 0,
    }  # fmt: skip


def make(folder: Path, config: dict[str, Any]) -> Path:
    """Write a case of a configuration."""
    torch.manual_seed(config["seed"])
    module = MLoRE(config)
    randomise(module)
    return write(folder, module, config, {"image": torch.randn(2, 3, *config["img_size"])}, lambda given: module(given["image"]), config["tasks"])
