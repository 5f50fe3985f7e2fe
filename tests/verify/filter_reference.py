"""FILTER in plain torch functions over tensors under their official names, and random cases of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cases import Tensors, randomise, write

TEXTS = ("tgt", "src")


def linear(weights: Tensors, name: str, x: Tensor) -> Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def norm(weights: Tensors, name: str, x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def layer(weights: Tensors, at: str, x: Tensor, mask: Tensor, config: Mapping[str, Any]) -> Tensor:
    """Run one layer over `x` [B, S, H]; keys with a mask of 0 are seen by nobody."""
    batch, length, width = x.shape
    shape = (batch, length, config["heads"], width // config["heads"])
    q, k, v = (linear(weights, f"{at}.attention.self.{name}", x).view(shape).transpose(1, 2) for name in ("query", "key", "value"))
    scores = q @ k.transpose(2, 3) / shape[-1] ** 0.5 - 1e4 * (1 - mask[:, None, None].to(x.dtype))
    read = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
    h = norm(weights, f"{at}.attention.output.LayerNorm", x + linear(weights, f"{at}.attention.output.dense", read), config["eps"])
    wide = F.gelu(linear(weights, f"{at}.intermediate.dense", h))
    return norm(weights, f"{at}.output.LayerNorm", h + linear(weights, f"{at}.output.dense", wide), config["eps"])


def encode(weights: Tensors, inputs: Tensors, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return what the encoder makes of both texts, after each of its three parts."""
    ids, masks = ([inputs[f"{kind}.{text}"] for text in TEXTS] for kind in ("input_ids", "attention_mask"))
    at = "filter.embeddings"
    texts: list[Tensor] = []
    for row, mask in zip(ids, masks, strict=True):
        place = (row != 1).cumsum(1) * (row != 1) + 1
        words, places = (weights[f"{at}.{kind}_embeddings.weight"] for kind in ("word", "position"))
        x = F.embedding(row, words, padding_idx=1) + F.embedding(place, places, padding_idx=1)
        x = norm(weights, f"{at}.LayerNorm", x + weights[f"{at}.token_type_embeddings.weight"][0], config["eps"])
        for i in range(config["m"]):
            x = layer(weights, f"filter.encoder.layer.{i}", x, mask, config)
        texts.append(x)
    found = {f"local_out_{text}": x for text, x in zip(TEXTS, texts, strict=True)}
    both = torch.cat(texts, 1)
    k = min(config["k"], config["total_layers"] - config["m"])
    for i in range(k):
        both = layer(weights, f"filter.fusion.{i}", both, torch.cat(masks, 1), config)
    parts = list(both.split([row.shape[1] for row in ids], 1))
    for i in range(config["total_layers"] - config["m"] - k):
        parts = [layer(weights, f"filter.domain.{i}", x, mask, config) for x, mask in zip(parts, masks, strict=True)]
    return {**found, "fusion_out": both, "sequence_output": torch.cat(parts, 1)}


def divergence(logits: Tensor, soft: Tensor, tau: float) -> Tensor:
    """Sum over all elements of KL(soft, logits), each row softened by itself."""
    return tau**2 * F.kl_div((logits / tau).log_softmax(-1), (soft / tau).softmax(-1), reduction="sum")


def classification(weights: Tensors, inputs: Tensors, h: Tensor, config: Mapping[str, Any]) -> dict[str, Tensor]:
    logits = linear(weights, "output.4", linear(weights, "output.1", h).relu())
    labels, alpha = inputs["labels"], config["alpha"]
    loss = (1 - alpha) * F.cross_entropy(logits[:, 0], labels)
    if alpha > 0:
        loss = loss + alpha * divergence(logits[:, 0], inputs["soft_labels"], config["temperature"]) / logits[:, 0].numel()
    return {"logits": logits, "loss": loss if config["first_loss_only"] else loss + F.cross_entropy(logits[:, 1], labels)}


def token_tagging(weights: Tensors, inputs: Tensors, h: Tensor, config: Mapping[str, Any]) -> dict[str, Tensor]:
    lengths, alpha = [inputs[f"input_ids.{text}"].shape[1] for text in TEXTS], config["alpha"]
    scores = dict(zip(TEXTS, linear(weights, "classifier", h).split(lengths, 1), strict=True))
    real = {text: inputs[f"attention_mask.{text}"] == 1 for text in TEXTS}
    losses = {text: F.cross_entropy(scores[text][real[text]], inputs[f"labels.{text}"][real[text]]) for text in TEXTS}
    loss = losses["src"]
    if alpha > 0:
        kept = real["tgt"]
        taught = divergence(scores["tgt"][kept], inputs["soft_labels.tgt"][kept], config["temperature"]) / int(kept.sum())
        loss = (1 - alpha) * losses["tgt"] + alpha * taught + loss
    return {"logits": scores["tgt"], "loss_src": losses["src"], "loss": loss}


def qa(weights: Tensors, inputs: Tensors, h: Tensor, config: Mapping[str, Any]) -> dict[str, Tensor]:
    lengths, alpha = [inputs[f"input_ids.{text}"].shape[1] for text in TEXTS], config["alpha"]
    scores = dict(zip(TEXTS, linear(weights, "qa_outputs", h).split(lengths, 1), strict=True))
    losses: dict[str, Tensor] = {}
    for text in TEXTS:
        beyond = scores[text].shape[1]
        ends = [F.cross_entropy(scores[text][..., n], inputs[f"{end}_positions.{text}"].clamp(0, beyond), ignore_index=beyond) for n, end in ENDS]
        losses[text] = (ends[0] + ends[1]) / 2
    loss = (1 - alpha) * losses["tgt"]
    if alpha > 0:
        kept = inputs["attention_mask.tgt"] == 1
        taught = [divergence(scores["tgt"][..., n][kept], inputs[f"{end}_soft_positions.tgt"][kept], config["temperature"]) for n, end in ENDS]
        loss = loss + alpha * (taught[0] + taught[1]) / 2 / int(kept.sum())
    loss = loss if config["first_loss_only"] else loss + losses["src"]
    return {"start_logits": scores["tgt"][..., 0], "end_logits": scores["tgt"][..., 1], "loss": loss}


ENDS = ((0, "start"), (1, "end"))
HEADS = {"classification": classification, "token_tagging": token_tagging, "qa": qa}


def compute(weights: Tensors, inputs: Tensors, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the outputs and inner values of a configuration by their official names."""
    inner = encode(weights, inputs, config)
    return inner | HEADS[config["task"]](weights, inputs, inner["sequence_output"], config)


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the official names of a configuration's parameters, with their shapes."""
    width, ffn, classes = config["hidden"], config["inter"], config["num_labels"]
    linears = {
        **{f"attention.self.{name}": (width, width) for name in ("query", "key", "value")},
        "attention.output.dense": (width, width), "intermediate.dense": (ffn, width), "output.dense": (width, ffn),
    }  # fmt: skip
    k = min(config["k"], config["total_layers"] - config["m"])
    parts = {"encoder.layer": config["m"], "fusion": k, "domain": config["total_layers"] - config["m"] - k}
    layers = [f"filter.{part}.{i}" for part, count in parts.items() for i in range(count)]
    dense = {f"{at}.{name}": shape for at in layers for name, shape in linears.items()}
    heads: dict[str, dict[str, tuple[int, int]]] = {
        "classification": {"output.1": (width, width), "output.4": (classes, width)},
        "token_tagging": {"classifier": (classes, width)},
        "qa": {"qa_outputs": (2, width)},
    }
    dense |= heads[config["task"]]
    norms = ["filter.embeddings.LayerNorm", *(f"{at}.{name}.LayerNorm" for at in layers for name in ("attention.output", "output"))]
    tables = {"word": config["vocab"], "position": config["max_pos"], "token_type": 1}
    found: dict[str, tuple[int, ...]] = {f"filter.embeddings.{name}_embeddings.weight": (count, width) for name, count in tables.items()}
    found |= {f"{name}.weight": shape for name, shape in dense.items()} | {f"{name}.bias": shape[:1] for name, shape in dense.items()}
    return found | {f"{name}.{kind}": (width,) for name in norms for kind in ("weight", "bias")}


def draw(task: str, seed: int, **fixed: Any) -> dict[str, Any]:
    """Draw a configuration; what is `fixed` isn't drawn."""
    choose = random.Random(f"{task} {seed}")
    total, heads = choose.randint(2, 5), choose.randint(1, 3)
    m = choose.randint(0, total - 1)
    drawn: dict[str, Any] = {
        "system": "FILTER", "mode": "eval", "task": task, "total_layers": total, "m": m, "k": choose.randint(1, total - m),
        "alpha": choose.choice([0.0, 0.25, 0.7, 1.0]), "temperature": choose.choice([0.5, 1.0, 3.0]), "first_loss_only": choose.random() < 0.5,
        "num_labels": 2 if task == "qa" else choose.randint(2, 6), "vocab": choose.randint(12, 25), "hidden": heads * choose.choice([4, 6]),
        "inter": choose.randint(5, 14), "heads": heads, "max_pos": choose.randint(14, 20), "eps": choose.choice([1e-5, 1e-3]),
        "batch": choose.randint(2, 4), "lengths": [choose.randint(4, 9), choose.randint(4, 9)],
    }  # fmt: skip
    return drawn | fixed


def inputs_of(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Draw inputs of a configuration: padded texts, labels with holes, an answer behind the text, soft labels."""
    batch, lengths = config["batch"], dict(zip(TEXTS, config["lengths"], strict=True))
    found: dict[str, Tensor] = {}
    for text, length in lengths.items():
        real = torch.arange(length)[None] < torch.randint(3, length + 1, (batch, 1)).index_fill_(0, torch.tensor([0]), length)
        found[f"input_ids.{text}"] = torch.where(real, torch.randint(2, config["vocab"], (batch, length)), 1)
        found[f"attention_mask.{text}"] = real.long()
        if config["task"] == "token_tagging":
            labels = torch.randint(config["num_labels"], (batch, length))
            found[f"labels.{text}"] = torch.where(torch.rand(batch, length) < 0.3, -100, labels).index_fill_(1, torch.tensor([1]), 0)
            found[f"soft_labels.{text}"] = 2 * torch.randn(batch, length, config["num_labels"])
        if config["task"] == "qa":
            for _, end in ENDS:
                beyond = torch.tensor([0, *[length + 30] * (batch - 1)])
                found[f"{end}_positions.{text}"] = torch.where(torch.rand(batch) < 0.7, torch.randint(length, (batch,)), beyond)
                found[f"{end}_positions.{text}"][0] = 1
                found[f"{end}_soft_positions.{text}"] = 2 * torch.randn(batch, length)
    if config["task"] == "classification":
        found["labels"] = torch.randint(config["num_labels"], (batch,))
        found["soft_labels"] = 2 * torch.randn(batch, config["num_labels"])
    return found if config["alpha"] > 0 else {name: value for name, value in found.items() if "soft" not in name}


def module_of(config: Mapping[str, Any]) -> nn.Module:
    """Return a module that holds the parameters under their official names, and computes nothing."""
    root = nn.Module()
    for name, shape in shapes(config).items():
        *way, last = name.split(".")
        place = root
        for part in way:
            if part not in dict(place.named_children()):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.register_parameter(last, nn.Parameter(torch.empty(shape)))
    randomise(root)
    return root


def make(folder: Path, config: Mapping[str, Any]) -> Path:
    """Write a case of a configuration."""
    torch.manual_seed(0)
    module = module_of(config)
    answers = ("start_logits", "end_logits") if config["task"] == "qa" else ("logits",)
    return write(folder, module, config, inputs_of(config), lambda given: compute(dict(module.named_parameters()), given, config), (*answers, "loss"))
