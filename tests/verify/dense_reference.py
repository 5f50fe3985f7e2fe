"""What networks of dense tasks have in common, written out in torch under the authors' names: a vision transformer's maps, and heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), heads

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT / (x.shape[2] // self.heads) ** 0.5
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)
        self.attn = Attention(dim, heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Backbone(nn.Module):
    """Gives the patches after so many blocks, for each number in `select_list`, and those of the normalised end: [B, N, dim]."""

    def __init__(self, config: dict[str, Any], cls: bool = True) -> None:
        super().__init__()
        dim, patch, (height, width) = config["vit_dim"], config["patch_size"], config["img_size"]
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch, patch)})
        if cls:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, height // patch * (width // patch) + 1, dim))
        self.blocks = nn.ModuleList(Block(dim, config["num_heads"]) for _ in range(config["depth"]))
        self.norm = nn.LayerNorm(dim, 1e-6)
        self.select, self.cls = config["select_list"], cls

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.patch_embed["proj"](image).flatten(2).mT
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed if self.cls else x + self.pos_embed[:, 1:]
        seen = [x]
        for block in self.blocks:
            seen.append(block(seen[-1]))
        return [y[:, int(self.cls) :] for y in (*(seen[i] for i in self.select), self.norm(seen[-1]))]


class ConvHead(nn.Module):
    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.mt_proj = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1), nn.BatchNorm2d(dim), nn.GELU())
        self.linear_pred = nn.Conv2d(dim, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_pred(self.mt_proj(x))


def resized(x: Tensor, size: Any) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
