"""InvPT's equations in torch under its authors' names, those of their modules that nothing reads too, and cases of it."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cases import randomise, write
from .dense_reference import Backbone, resized

CLASSES = {"semseg": 4, "human_parts": 3, "sal": 2, "depth": 1, "normals": 3, "edge": 1}


def named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def conv_block(cin: int, cout: int) -> nn.Sequential:
    return named(conv=nn.Conv2d(cin, cout, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(cout), relu=nn.ReLU())


def by_channel(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply what works on the last axis to the channels of a map."""
    return layer(x.movedim(1, 3)).movedim(3, 1)


def flat(maps: list[Tensor]) -> Tensor:
    """Lay maps out as one sequence of places: [B, places of all, C]."""
    return torch.cat([x.movedim(1, 3).flatten(1, 2) for x in maps], 1)


class Attention(nn.Module):
    """Takes a map of each task and the scores of a map half as fine; gives maps half as fine, and scores [B, 2, queries, keys]."""

    def __init__(self, tasks: int, dim: int, ratio: int) -> None:
        super().__init__()
        self.proj_q, self.proj_k, self.proj_v, self.proj = (nn.Linear(dim, dim) for _ in range(4))
        self.conv_proj_q = nn.ModuleList(
            named(conv=nn.Conv2d(dim, dim, 3, 2, 1, groups=dim, bias=False), bn=nn.BatchNorm2d(dim)) for _ in range(tasks)
        )
        self.fuse_attn = nn.Conv2d(4, 2, 1)
        self.ratio = ratio

    def forward(self, maps: list[Tensor], before: Tensor | None) -> tuple[list[Tensor], Tensor]:
        queries = [part(x) for part, x in zip(self.conv_proj_q, maps, strict=True)]
        keys, grid = flat([F.avg_pool2d(x, self.ratio, ceil_mode=True) for x in maps]), queries[0].shape[2:]
        rows = ((self.proj_q, flat(queries)), (self.proj_k, keys), (self.proj_v, keys))
        q, k, v = (layer(x).unflatten(2, (2, -1)).transpose(1, 2) for layer, x in rows)
        scores = q @ k.mT / maps[0].shape[1] ** 0.5
        if before is not None:
            # [B, 2, tasks, keys, h, w], so that places are doubled and keys kept
            coarse = before.unflatten(2, (len(maps), grid[0] // 2, grid[1] // 2)).movedim(5, 3)
            fine = F.interpolate(coarse.flatten(0, 2), scale_factor=2, mode="bilinear").unflatten(0, coarse.shape[:3])
            scores = self.fuse_attn(torch.cat([scores, fine.movedim(3, 5).flatten(2, 4)], 1))
        mixed = self.proj((scores.softmax(3) @ v).transpose(1, 2).flatten(2))
        return [x.mT.unflatten(2, grid) for x in mixed.chunk(len(maps), 1)], scores


class Block(nn.Module):
    def __init__(self, tasks: int, dim: int, ratio: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attn = nn.LayerNorm(dim), nn.LayerNorm(dim), Attention(tasks, dim, ratio)
        self.mlp = named(fc1=nn.Linear(dim, 4 * dim), act=nn.GELU(), fc2=nn.Linear(4 * dim, dim))

    def forward(self, maps: list[Tensor], before: Tensor | None) -> tuple[list[Tensor], Tensor]:
        seen, scores = self.attn([by_channel(self.norm1, x) for x in maps], before)
        maps = [x + resized(y, x.shape[2:]) for x, y in zip(maps, seen, strict=True)]
        return [x + by_channel(self.mlp, by_channel(self.norm2, x)) for x in maps], scores


class UpEmbed(nn.Module):
    def __init__(self, cin: int, dim: int) -> None:
        super().__init__()
        convs = [nn.Conv2d(n, dim, 3, padding=2, dilation=2, bias=False) for n in (cin, dim)]
        layers = [layer for conv in convs for layer in (conv, nn.BatchNorm2d(dim), nn.ReLU())]
        self.proj = nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), *layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Stage(nn.Module):
    def __init__(self, tasks: int, number: int, cin: int, dim: int) -> None:
        super().__init__()
        if number:
            self.patch_embed = nn.ModuleList(UpEmbed(cin, dim) for _ in range(tasks))
        self.blocks = nn.ModuleList([Block(tasks, dim, 2 ** (number + 1))])

    def forward(self, maps: list[Tensor], skip: Tensor | None, before: Tensor | None) -> tuple[list[Tensor], Tensor]:
        if skip is not None:
            maps = [grow(x) + skip for grow, x in zip(self.patch_embed, maps, strict=True)]
        return self.blocks[0](maps, before)


class Pyramid(nn.Module):
    """What the authors' files call `invpt`."""

    def __init__(self, config: dict[str, Any], dims: list[int]) -> None:
        super().__init__()
        tasks, count = config["tasks"], len(config["tasks"])
        self.mix_proj = nn.ModuleDict({t: nn.Sequential(nn.Conv2d(config["embed_dim"] + config["num_output"][t], dims[0], 1)) for t in tasks})
        self.mt_proj = nn.ModuleDict({t: nn.Sequential(nn.Conv2d(dims[0], dims[0], 3, padding=1), nn.BatchNorm2d(dims[0]), nn.ReLU()) for t in tasks})
        self.norm_mts = nn.ModuleList(nn.LayerNorm(count * dim) for dim in dims)
        self.norm_mt = nn.LayerNorm(count * dims[2])
        self.redu_chan = nn.ModuleList(nn.ModuleList(nn.Conv2d(dim, dims[0], 1) for _ in tasks) for dim in dims)
        self.invpt_stages = nn.ModuleList(Stage(count, s, dims[max(0, s - 1)], dims[s]) for s in range(3))

    def forward(self, first: dict[str, Tensor], skips: list[Tensor | None]) -> dict[str, Tensor]:
        maps, scores = [self.mix_proj[t](x) for t, x in first.items()], None
        grid, total = [8 * side for side in maps[0].shape[2:]], [torch.zeros((), dtype=maps[0].dtype)] * len(maps)
        for s, (stage, norm) in enumerate(zip(self.invpt_stages, self.norm_mts, strict=True)):
            maps, scores = stage(maps, skips[s], scores)
            wide = by_channel(norm, torch.cat(maps, 1)).chunk(len(maps), 1)
            if s:
                reduce: Any = self.redu_chan[s]
                wide = [layer(x) for layer, x in zip(reduce, wide, strict=True)]
            total = [y + resized(x, grid) for y, x in zip(total, wide, strict=True)]
        return {t: self.mt_proj[t](x) for t, x in zip(first, total, strict=True)}


class Decoder(nn.Module):
    def __init__(self, config: dict[str, Any], dims: list[int]) -> None:
        super().__init__()
        width, dim, tasks = config["vit_dim"], config["embed_dim"], config["tasks"]
        self.preliminary_decoder = nn.ModuleDict({t: nn.Sequential(conv_block(width, width), conv_block(width, dim)) for t in tasks})
        self.intermediate_head = nn.ModuleDict({t: nn.Conv2d(dim, config["num_output"][t], 1) for t in tasks})
        same = [nn.Conv2d(width, dims[s], 3, padding=1) for s in (1, 0)]
        self.scale_embed = nn.ModuleList([nn.ConvTranspose2d(width, dims[2], 3, 2, 1, 1), *same])
        self.invpt = Pyramid(config, dims)

    def forward(self, taps: list[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        small = resized(taps[3], [side // 2 for side in taps[3].shape[2:]])
        seen = {t: layers(small) for t, layers in self.preliminary_decoder.items()}
        inter = {t: self.intermediate_head[t](x) for t, x in seen.items()}
        skips = [None, self.scale_embed[1](taps[1]), self.scale_embed[0](taps[0])]
        return self.invpt({t: torch.cat([x, inter[t]], 1) for t, x in seen.items()}, skips), inter


class InvPT(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        first = config["embed_dim"] + config["PRED_OUT_NUM_CONSTANT"]
        self.grid = [side // config["patch_size"] for side in config["img_size"]]
        self.backbone = Backbone(config)
        self.multi_task_decoder = Decoder(config, [first, first // 2, first // 4])
        self.heads = nn.ModuleDict({t: named(linear_pred=nn.Conv2d(first, config["num_output"][t], 1)) for t in config["tasks"]})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        taps = self.backbone(image)
        found = {f"backbone.tap{i}": tap for i, tap in enumerate(taps)}
        features, inter = self.multi_task_decoder([tap.mT.unflatten(2, self.grid) for tap in taps])
        for t, head in self.heads.items():
            found[f"decoder.inter_pred.{t}"] = inter[t]
            found[f"inter_preds.{t}"] = resized(inter[t], image.shape[2:])
            found[t] = resized(head(features[t]), image.shape[2:])
        return found


def configuration(seed: int) -> dict[str, Any]:
    """Draw a configuration: tasks and their order, sizes, depths, and whether it is trained."""
    draw = random.Random(seed)
    heads, patch, depth = draw.choice([1, 2, 3]), draw.choice([2, 4]), draw.randint(3, 5)
    tasks, dim = draw.sample(list(CLASSES), draw.randint(1, 4)), draw.randint(3, 9)
    return {
        "system": "InvPT", "source": "tests", "mode": "train" if seed % 3 == 2 else "eval", "module": "all", "seed": seed, "tasks": tasks,
        "num_output": {task: CLASSES[task] for task in tasks}, "img_size": [4 * patch * draw.randint(1, 3), 4 * patch * draw.randint(1, 3)],
        "patch_size": patch, "downsample": 2, "vit_dim": 4 * heads, "num_heads": heads, "depth": depth,
        "select_list": sorted(draw.sample(range(1, depth + 1), 3)), "embed_dim": dim, "PRED_OUT_NUM_CONSTANT": 8 * draw.choice([2, 3]) - dim,
    }  # fmt: skip


def make(folder: Path, config: dict[str, Any], weights: Mapping[str, Tensor] | None = None) -> Path:
    """Write a case of a configuration, with given weights or random ones."""
    torch.manual_seed(config["seed"])
    module = InvPT(config)
    randomise(module)
    if weights is not None:
        assert not module.load_state_dict(dict(weights), strict=False).unexpected_keys
    differentiated = [name for task in config["tasks"] for name in (task, f"inter_preds.{task}")]
    image = torch.randn(2, 3, *config["img_size"])
    return write(folder, module, config, {"image": image}, lambda given: module(given["image"]), differentiated)
