"""TaskPrompter's equations in torch under its authors' names, and cases of it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cases import randomise, write
from .dense_reference import ConvHead, resized

CLASSES = {"semseg": 4, "human_parts": 3, "sal": 2, "depth": 1, "normals": 3, "edge": 1}


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int, pixels: int) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), heads
        self.token_trans, self.token_trans1 = nn.Linear(dim, pixels), nn.Linear(pixels, dim)

    def forward(self, p: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what is added to prompts and to patches, all scores, and the prompts over places."""
        both = torch.cat([p, x], 1)
        q, k, v = self.qkv(both).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT
        y = self.proj(((scores / q.shape[-1] ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2))
        spread = self.token_trans(p)
        return y[:, : p.shape[1]] + self.token_trans1(spread), y[:, p.shape[1] :], scores, spread


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, pixels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)
        self.attn = Attention(dim, heads, pixels)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(self, p: Tensor, x: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Return prompts and patches, and what the scores are made of: the patches as attention sees them, too."""
        seen = self.norm1(x)
        to_p, to_x, scores, spread = self.attn(self.norm1(p), seen)
        p, x = p + to_p, x + to_x
        return self._transformed(p), self._transformed(x), (scores, spread, seen)

    def _transformed(self, x: Tensor) -> Tensor:
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Backbone(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        dim, patch, heads, tasks = config["vit_dim"], config["patch_size"], config["num_heads"], config["tasks"]
        self.config, self.grid = config, [length // patch for length in config["img_size"]]
        pixels = self.grid[0] * self.grid[1]
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch, patch)})
        self.pos_embed = nn.Parameter(torch.zeros(1, pixels + 1, dim))
        self.task_prompts = nn.Parameter(torch.zeros(len(tasks) * config["prompt_len"], dim))
        self.blocks = nn.ModuleList(Block(dim, heads, pixels) for _ in range(config["depth"]))
        self.norm = nn.LayerNorm(dim, 1e-6)
        levels, narrow, final = range(len(config["select_list"]) + 1), config["embed_dim"], config["final_embed_dim"]

        def each(made: Any) -> Any:
            return nn.ModuleList(nn.ModuleDict({task: nn.Sequential(*made()) for task in tasks}) for _ in levels)

        self.fea_decode_spa, self.fea_decode_chan = (each(lambda: [nn.Conv2d(dim, narrow, 1)]) for _ in range(2))
        self.fea_fuse = each(
            lambda: [
                nn.Conv2d(2 * narrow, final, 1), nn.Conv2d(final, final, 3, padding=1), nn.BatchNorm2d(final), nn.GELU(), nn.Conv2d(final, final, 1),
            ]
        )  # fmt: skip
        if config["use_ctr"]:
            self.ctr_attn_conv = each(lambda: [nn.Conv2d(heads, heads, 1), nn.GELU(), nn.Conv2d(heads, 1, 1)])

    def forward(self, image: Tensor, found: dict[str, Tensor]) -> dict[str, Tensor]:
        x = self.patch_embed["proj"](image).flatten(2).mT + self.pos_embed[:, 1:]
        p = self.task_prompts.expand(len(x), -1, -1)
        total: dict[str, Tensor] = {}
        for number, block in enumerate(self.blocks, 1):
            p, x, made = block(p, x)
            found[f"backbone.blocks.{number - 1}.out"] = x
            levels = [level for level, at in enumerate(self.config["select_list"]) if at == number]
            for level in levels:
                self._add(total, level, x, *made)
            if number == len(self.blocks):
                self._add(total, len(self.config["select_list"]), self.norm(x), *made)
        return total

    def _add(self, total: dict[str, Tensor], level: int, x: Tensor, scores: Tensor, spread: Tensor, seen: Tensor) -> None:
        """Add a level's features of each task to the sums."""
        tasks, rows = self.config["tasks"], len(self.task_prompts)
        plane = x.mT.unflatten(2, self.grid)
        features = [self._feature(level, at, task, plane, scores[:, :, :rows, rows:], spread, seen) for at, task in enumerate(tasks)]
        for at, task in enumerate(tasks):
            y = features[at]
            if self.config["use_ctr"]:
                shares = self.ctr_attn_conv[level][task](scores[:, :, at : at + 1, :rows]).flatten(1)
                y = torch.stack([shares[:, other, None, None, None] * feature for other, feature in enumerate(features)]).sum(0)
            total[task] = total[task] + y if task in total else y

    def _feature(self, level: int, at: int, task: str, plane: Tensor, scores: Tensor, spread: Tensor, seen: Tensor) -> Tensor:
        """Weigh groups of channels by maps of scores, and windows of the map by scores of channels; each window is cut out by hand."""
        length, side, (height, width) = self.config["prompt_len"], int(self.config["chan_nheads"] ** 0.5), self.grid
        maps = scores[:, :, at * length : (at + 1) * length].flatten(1, 2).unflatten(2, self.grid)
        by_place = plane * maps.repeat_interleave(plane.shape[1] // maps.shape[1], 1)
        mine, theirs = spread[:, at].unflatten(1, self.grid), seen.mT.unflatten(2, self.grid)
        by_channel = torch.zeros_like(plane)
        for i in range(side):
            for j in range(side):
                down = slice(i * height // side, (i + 1) * height // side)
                across = slice(j * width // side, (j + 1) * width // side)
                score = (mine[:, None, down, across] * theirs[:, :, down, across]).sum((2, 3), keepdim=True)
                by_channel[:, :, down, across] = plane[:, :, down, across] * score
        spa, chan = self.fea_decode_spa[level][task], self.fea_decode_chan[level][task]
        return self.fea_fuse[level][task](torch.cat([spa(by_place + plane), chan(by_channel + plane)], 1))


class DeconvHead(nn.Module):
    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        half = dim // 2
        self.mt_proj = nn.Sequential(
            nn.ConvTranspose2d(dim, half, 2, 2), nn.BatchNorm2d(half), nn.GELU(),
            nn.Conv2d(half, half, 3, padding=1), nn.BatchNorm2d(half), nn.GELU(),
        )  # fmt: skip
        self.linear_pred = nn.Conv2d(half, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_pred(self.mt_proj(x))


class TaskPrompter(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.backbone = Backbone(config)
        head = DeconvHead if config["head"] == "deconv" else ConvHead
        self.heads = nn.ModuleDict({task: head(config["final_embed_dim"], config["num_output"][task]) for task in config["tasks"]})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for task, feature in self.backbone(image, found).items():
            found[f"backbone.task_feature.{task}"] = resized(feature, [4 * side for side in self.backbone.grid])
            found[task] = resized(self.heads[task](found[f"backbone.task_feature.{task}"]), image.shape[2:])
        return found


def configuration(seed: int) -> dict[str, Any]:
    """Draw a configuration: tasks and their order, sizes, depths, windows, prompts, heads, and whether tasks are mixed."""
    draw = random.Random(seed)
    heads, patch, depth, side = draw.choice([1, 2, 3]), draw.choice([2, 4]), draw.randint(3, 5), draw.randint(1, 3)
    cross = seed % 2 == 0
    length = 1 if cross else draw.randint(1, 3)
    tasks = draw.sample(list(CLASSES), draw.randint(1, 4))
    return {
        "system": "TaskPrompter", "source": "tests", "mode": draw.choice(["eval", "train"]), "module": "all", "seed": seed, "tasks": tasks,
        "num_output": {task: CLASSES[task] for task in tasks}, "img_size": [patch * side * draw.randint(1, 2), patch * side * draw.randint(2, 3)],
        "patch_size": patch, "vit_dim": heads * length * draw.randint(2, 4), "num_heads": heads, "depth": depth,
        "select_list": sorted(draw.sample(range(1, depth + 1), 3)), "chan_nheads": side**2, "prompt_len": length, "use_ctr": cross,
        "embed_dim": draw.randint(3, 6), "final_embed_dim": 2 * draw.randint(2, 4), "head": draw.choice(["conv", "deconv"]),
    }  # fmt: skip


def make(folder: Path, config: dict[str, Any]) -> Path:
    """Write a case of a configuration."""
    torch.manual_seed(config["seed"])
    module = TaskPrompter(config)
    randomise(module)
    return write(folder, module, config, {"image": torch.randn(2, 3, *config["img_size"])}, lambda given: module(given["image"]), config["tasks"])
