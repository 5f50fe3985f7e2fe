"""The paper's CoLM and CoLM-Air written out plainly, and cases of it in configurations drawn at random."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor


class Reference:
    """The paper's equations on one matrix for each map: chains are the block-triangular part of it."""

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        self.config, self.weights = config, weights
        self.ratio: list[int] = config["chains"]

    def cut(self, width: int, chain: int) -> slice:
        ratio = self.ratio
        return slice(width * sum(ratio[:chain]) // sum(ratio), width * sum(ratio[: chain + 1]) // sum(ratio))

    def map(self, name: str, x: Tensor, width: int) -> Tensor:
        parts: list[Tensor] = []
        for chain in range(len(self.ratio)):
            weight, bias = self.weights[f"{name}.mlps.{chain}.weight"], self.weights.get(f"{name}.mlps.{chain}.bias")
            parts.append(F.linear(x[..., : self.cut(x.shape[-1], chain).stop], weight, bias))
        found = torch.cat(parts, -1)
        assert found.shape[-1] == width
        return found

    def norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias, eps = self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"), self.config["norm_eps"]
        parts: list[Tensor] = []
        for chain in range(len(self.ratio)):
            own = self.cut(x.shape[-1], chain)
            y = x[..., own]
            if self.config["norm"] == "layernorm":
                assert bias is not None
                y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, unbiased=False, keepdim=True) + eps).sqrt() * weight[own] + bias[own]
            else:
                y = y / (y.square().mean(-1, keepdim=True) + eps).sqrt() * weight[own]
            parts.append(y)
        return torch.cat(parts, -1)

    def turn(self, x: Tensor) -> Tensor:
        d, length = x.shape[-1], x.shape[1]
        angle = torch.arange(length, dtype=x.dtype)[:, None] * self.config["rope_theta"] ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
        turned = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * torch.polar(torch.ones_like(angle), angle)[None, :, None]
        return torch.view_as_real(turned).flatten(-2)

    def attention(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        c = self.config
        d = c["dim"] // c["n_head"]
        q = self.map(f"{name}.wq", x, c["dim"]).unflatten(-1, (-1, d))
        if c["air"]:
            first = x[..., self.cut(c["dim"], 0)]
            k, v = (F.linear(first, self.weights[f"{name}.{w}.weight"], self.weights.get(f"{name}.{w}.bias")) for w in ("wk", "wv"))
        else:
            k, v = (self.map(f"{name}.{w}", x, c["n_kv_head"] * d) for w in ("wk", "wv"))
        k, v = k.unflatten(-1, (-1, d)), v.unflatten(-1, (-1, d))
        q, k = self.turn(q), self.turn(k)
        times = c["n_head"] // c["n_kv_head"]
        k, v = (t.repeat(1, 1, times, 1) if c["air"] else t.repeat_interleave(times, 2) for t in (k, v))
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / d**0.5
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        probs = scores.masked_fill(hidden, float("-inf")).softmax(-1)
        return self.map(f"{name}.wo", torch.einsum("bhij,bjhd->bihd", probs, v).flatten(2), c["dim"]), probs

    def feed_forward(self, name: str, x: Tensor) -> Tensor:
        c = self.config
        u = self.map(f"{name}.w1", x, c["hidden_dim"])
        h = F.silu(u) * self.map(f"{name}.w3", x, c["hidden_dim"]) if c["ffn"] == "swiglu" else F.gelu(u)
        return self.map(f"{name}.w2", h, c["dim"])

    def __call__(self, ids: Tensor, targets: Tensor) -> dict[str, Tensor]:
        x, found = self.weights["tok_embeddings.weight"][ids], dict[str, Tensor]()
        for i in range(self.config["n_layers"]):
            a, found[f"layers.{i}.attn_probs"] = self.attention(f"layers.{i}.attention", self.norm(f"layers.{i}.attention_norm", x))
            x = x + a
            x = x + self.feed_forward(f"layers.{i}.feed_forward", self.norm(f"layers.{i}.ffn_norm", x))
            found[f"layers.{i}.out"] = x
        x = found["final_norm"] = self.norm("norm", x)
        ends = [self.cut(x.shape[-1], chain).stop for chain in range(len(self.ratio))]
        logits = {f"logits.scale{i}": x[..., :end] @ self.weights["output.weight"][:, :end].T for i, end in enumerate(ends)}
        losses = torch.stack([F.cross_entropy(value.flatten(0, 1), targets.flatten()) for value in logits.values()])
        return {**found, **logits, "loss_per_scale": losses, "loss_ce_last": losses[-1], "loss_multi_chain_sum": losses.sum()}


def drawn(seed: int) -> dict[str, Any]:
    """Draw a configuration."""
    pick = random.Random(seed)
    air = pick.random() < 0.5
    kv_heads = pick.choice([1, 2])
    ratio = [kv_heads * pick.choice([1, 2, 3]) for _ in range(pick.choice([1, 2, 3, 4]))]
    total = sum(ratio)
    return {
        "mode": "eval", "chains": ratio, "dim": total * pick.choice([2, 4]), "n_head": total, "air": air,
        "n_kv_head": kv_heads if air else pick.choice([total, total // kv_heads]), "hidden_dim": total * pick.choice([1, 3]),
        "n_layers": pick.choice([0, 1, 3]), "vocab_size": pick.randrange(5, 30), "ffn": pick.choice(["swiglu", "gelu"]),
        "norm": pick.choice(["rmsnorm", "layernorm"]), "norm_eps": pick.choice([1e-5, 1e-3]), "rope_theta": pick.choice([100.0, 1e4]),
        "bias": pick.random() < 0.5,
    }  # fmt: skip


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return what a configuration's checkpoint holds."""
    reference = Reference(config, {})
    dim, hidden, chains = config["dim"], config["hidden_dim"], range(len(config["chains"]))
    kv = config["n_kv_head"] * dim // config["n_head"]
    found: dict[str, tuple[int, ...]] = {"tok_embeddings.weight": (config["vocab_size"], dim), "output.weight": (config["vocab_size"], dim)}
    norms = [f"layers.{i}.{name}" for i in range(config["n_layers"]) for name in ("attention_norm", "ffn_norm")]
    for name in [*norms, "norm"]:
        found |= {f"{name}.{part}": (dim,) for part in (["weight", "bias"] if config["norm"] == "layernorm" else ["weight"])}
    maps = {"attention.wq": (dim, dim), "attention.wo": (dim, dim), "attention.wk": (kv, dim), "attention.wv": (kv, dim)}
    maps |= {"feed_forward.w1": (hidden, dim), "feed_forward.w2": (dim, hidden)}
    maps |= {"feed_forward.w3": (hidden, dim)} if config["ffn"] == "swiglu" else {}
    for name, (rows, columns) in ((f"layers.{i}.{name}", shape) for i in range(config["n_layers"]) for name, shape in maps.items()):
        sizes = {f"{name}.mlps.{c}": (len(range(rows)[reference.cut(rows, c)]), reference.cut(columns, c).stop) for c in chains}
        if config["air"] and name.endswith((".wk", ".wv")):
            sizes = {name: (rows, reference.cut(columns, 0).stop)}
        found |= {f"{part}.weight": shape for part, shape in sizes.items()}
        found |= {f"{part}.bias": shape[:1] for part, shape in sizes.items()} if config["bias"] else {}
    return found


def write(folder: Path, config: Mapping[str, Any], seed: int) -> Path:
    """Write a case of the reference."""
    torch.manual_seed(seed)
    weights = {name: torch.randn(shape).mul(0.5).double().requires_grad_() for name, shape in shapes(config).items()}
    ids, targets = torch.randint(config["vocab_size"], (2, 2, 4))
    outputs = Reference(config, weights)(ids, targets)
    named = [name for name in outputs if name.startswith("logits")] + ["loss_multi_chain_sum"]
    cotangents = {name: torch.randn(outputs[name].shape).double() for name in named}
    torch.stack([(outputs[name] * value).sum() for name, value in cotangents.items()]).sum().backward()
    stored = {
        "weights": weights,
        "inputs": {
            "input_ids": ids.contiguous(),
            "targets": targets.contiguous(),
            **{f"cotangent.{name}": value for name, value in cotangents.items()},
        },
        "outputs": outputs,
        "grads": {f"param.{name}": value.grad for name, value in weights.items() if value.grad is not None},
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    for name, tensors in stored.items():
        flat = {k: (v.float() if v.is_floating_point() else v).detach().contiguous() for k, v in tensors.items()}
        save_file(flat, folder / f"{name}.safetensors")
    return folder
