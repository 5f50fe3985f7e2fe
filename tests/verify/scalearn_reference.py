"""ScaLearn and AdapterFusion once more, in plain torch on the official names: random configurations, what they compute, and cases of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

Config = Mapping[str, Any]
ACTIVATIONS = {
    "relu": F.relu, "gelu (exact erf)": F.gelu, "gelu_new": partial(F.gelu, approximate="tanh"), "swish": F.silu, "tanh": torch.tanh,
    "leakyrelu": F.leaky_relu,
}  # fmt: skip
LAYER = "roberta.encoder.layer"


class Masks:
    """Draws what dropout keeps, and remembers it by the paths of the examples."""

    def __init__(self, training: bool, seed: int = 0) -> None:
        self.training = training
        self.drawn: dict[str, list[Tensor]] = {}
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, x: Tensor, p: float, path: str) -> Tensor:
        """Return x with some entries zero, the others larger."""
        if not self.training or p == 0:
            return x
        kept = torch.rand(x.shape, generator=self._generator) >= p
        self.drawn.setdefault(path, []).append(kept)
        return x * kept / (1 - p)


def configuration(system: str, seed: int) -> dict[str, Any]:
    """Draw a configuration with the authors' keys."""
    draw = Random(f"{system} {seed}")
    heads, names = draw.randint(1, 3), draw.sample(["rte", "mrpc", "cola", "mnli", "qnli", "sst2"], draw.randint(1, 4))
    hidden = heads * draw.choice([4, 5, 7])
    fusion = {name: draw.random() < chance for name, chance in (("value", 0.7), ("query_before_ln", 0.5), ("residual_before", 0.5))}
    fusion |= {"query": draw.random() < 0.7, "key": draw.random() < 0.7}
    scales = {
        "omega_shape": draw.choice(["vector", "scalar"]), "per_layer": draw.random() < 0.5, "residual": draw.random() < 0.8,
        "take_mean": draw.random() < 0.3, "take_softmax": draw.random() < 0.3, "learn_omega": True, "dropout_ratio": draw.choice([0.0, 0.3, 0.5]),
        "omega_init_type": "avg", "omega_init_scale": 2.0, "lambda_reg": 0.0,
    }  # fmt: skip
    before, after = draw.choice([(True, True), (True, False), (False, True)])
    place = {"ln_before": False, "ln_after": False, "mh_adapter": False, "output_adapter": True}
    place |= {"original_ln_before": before, "original_ln_after": after, "residual_before_ln": draw.random() < 0.6}
    return {
        "system": system, "mode": draw.choice(["train", "eval"]) if system == "scalearn" else "eval", "adapters": names,
        "hidden_size": hidden, "num_hidden_layers": draw.randint(1, 3), "num_attention_heads": heads, "intermediate_size": draw.randint(5, 12),
        "reduction_factor": draw.randint(2, 40), "num_labels": draw.randint(1, 4), "vocab_size": 23, "max_position_embeddings": 14,
        "pad_token_id": draw.randint(0, 2), "type_vocab_size": draw.randint(1, 2), "layer_norm_eps": draw.choice([1e-5, 1e-3]),
        "hidden_act": draw.choice(["gelu (exact erf)", "relu"]), "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "adapter_config": {"non_linearity": draw.choice(sorted(ACTIVATIONS)), "scaling": draw.choice([1.0, 0.7]), **place},
        "transfer_config": {"regularization": False, "temperature": draw.random() < 0.3, **(scales if system == "scalearn" else fusion)},
    }  # fmt: skip


def shapes(config: Config) -> dict[str, list[int]]:
    """Return the shape of every parameter by its official name."""
    dim, ffn, classes, names = config["hidden_size"], config["intermediate_size"], config["num_labels"], config["adapters"]
    width, joined, transfer = max(1, dim // config["reduction_factor"]), ",".join(names), config["transfer_config"]
    found: dict[str, list[int]] = {}

    def linear(path: str, out: int, into: int) -> None:
        found.update({f"{path}.weight": [out, into], f"{path}.bias": [out]})

    def norm(path: str) -> None:
        found.update({f"{path}.LayerNorm.weight": [dim], f"{path}.LayerNorm.bias": [dim]})

    for table, rows in (("word", "vocab_size"), ("position", "max_position_embeddings"), ("token_type", "type_vocab_size")):
        found[f"roberta.embeddings.{table}_embeddings.weight"] = [config[rows], dim]
    norm("roberta.embeddings")
    omega = [len(names), dim if transfer.get("omega_shape") == "vector" else 1]
    for layer in (f"{LAYER}.{number}" for number in range(config["num_hidden_layers"])):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{layer}.attention.{part}", dim, dim)
        norm(f"{layer}.attention.output")
        norm(f"{layer}.output")
        linear(f"{layer}.intermediate.dense", ffn, dim)
        linear(f"{layer}.output.dense", dim, ffn)
        for name in names:
            linear(f"{layer}.output.adapters.{name}.adapter_down.0", width, dim)
            linear(f"{layer}.output.adapters.{name}.adapter_up", dim, width)
        if "per_layer" not in transfer:
            for part in (part for part in ("query", "key") if transfer[part]):
                linear(f"{layer}.output.adapter_fusion_layer.{joined}.{part}", dim, dim)
            found |= {f"{layer}.output.adapter_fusion_layer.{joined}.value.weight": [dim, dim]} if transfer["value"] else {}
        else:
            shared = transfer["per_layer"]
            found[f"roberta.shared_parameters.{joined}.omega" if shared else f"{layer}.output.scalearn_layer.{joined}.omega"] = omega
    linear("classifier.dense", dim, dim)
    linear("classifier.out_proj", classes, dim)
    return found


def parameters(config: Config, seed: int) -> dict[str, Tensor]:
    """Return random parameters, exact in float32; omega is positive, so that its sum is far from zero."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for name, shape in shapes(config).items():
        drawn = 0.4 * torch.randn(shape, generator=generator)
        found[name] = (drawn.abs() + 0.2 if name.endswith("omega") else drawn + float("LayerNorm.weight" in name)).double()
    return found


def texts(config: Config, seed: int) -> tuple[Tensor, Tensor]:
    """Return token ids, the last of the second text padding, and their mask."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, config["vocab_size"], (2, 5), generator=generator)
    ids[1, 3:] = config["pad_token_id"]
    return ids, ids != config["pad_token_id"]


def forward(config: Config, w: Mapping[str, Tensor], ids: Tensor, mask: Tensor, drop: Masks) -> dict[str, Tensor]:
    """Return the logits and the inner values by their stored names."""
    hidden, eps, pad = config["hidden_dropout_prob"], config["layer_norm_eps"], config["pad_token_id"]

    def linear(x: Tensor, path: str) -> Tensor:
        return F.linear(x, w[f"{path}.weight"], w[f"{path}.bias"])

    def norm(x: Tensor, path: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], w[f"{path}.LayerNorm.weight"], w[f"{path}.LayerNorm.bias"], eps)

    def attend(h: Tensor, layer: str, path: str) -> Tensor:
        heads = config["num_attention_heads"]
        q, k, v = (linear(h, f"{layer}.attention.self.{part}").unflatten(-1, (heads, -1)).transpose(1, 2) for part in ("query", "key", "value"))
        scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask[:, None, None], float("-inf")).softmax(-1)
        mixed = (drop(scores, config["attention_probs_dropout_prob"], f"{path}.self.attention") @ v).transpose(1, 2).flatten(2)
        mixed = drop(linear(mixed, f"{layer}.attention.output.dense"), hidden, f"{path}.output.dropout")
        return norm(mixed + h, f"{layer}.attention.output")

    real = (ids != pad).long()
    embed = "roberta.embeddings"
    h = F.embedding(ids, w[f"{embed}.word_embeddings.weight"], pad) + w[f"{embed}.token_type_embeddings.weight"][0]
    h = h + F.embedding(real.cumsum(1) * real + pad, w[f"{embed}.position_embeddings.weight"], pad)
    h = drop(norm(h, embed), hidden, "embeddings.dropout")
    values = {"hidden_states.0": h}
    for number in range(config["num_hidden_layers"]):
        layer = f"{LAYER}.{number}"
        a = attend(h, layer, f"attention.{number}")
        f = linear(ACTIVATIONS[config["hidden_act"]](linear(a, f"{layer}.intermediate.dense")), f"{layer}.output.dense")
        f = drop(f, hidden, f"dropout_{number}" if number else "dropout")
        place = config["adapter_config"]
        x = norm(f + a, f"{layer}.output") if place["original_ln_before"] else f
        said: dict[str, Tensor] = {}
        for name in config["adapters"]:
            path, bend = f"{layer}.output.adapters.{name}", ACTIVATIONS[place["non_linearity"]]
            said[name] = linear(bend(linear(x, f"{path}.adapter_down.0")), f"{path}.adapter_up") * place["scaling"]
        u = torch.stack(list(said.values()), dim=2)
        o = (_fused if config["system"] == "adapterfusion" else _scaled)(config, w, number, u, f, x, drop)
        h = norm(o + a, f"{layer}.output") if place["original_ln_after"] else o
        values |= {f"layer{number}.attn_out": a, f"layer{number}.ffn_out": f, f"layer{number}.transfer_out": o, f"hidden_states.{number + 1}": h}
        values |= {f"layer{number}.up.{name}": up for name, up in said.items()}
    pooled = torch.tanh(linear(drop(h[:, 0], hidden, "head.dropout"), "classifier.dense"))
    return {**values, "logits": linear(drop(pooled, hidden, "head.dropout_1"), "classifier.out_proj")}


def _scaled(config: Config, w: Mapping[str, Tensor], number: int, u: Tensor, f: Tensor, x: Tensor, drop: Masks) -> Tensor:
    transfer, joined = config["transfer_config"], ",".join(config["adapters"])
    shared = transfer["per_layer"]
    omega = w[f"roberta.shared_parameters.{joined}.omega" if shared else f"{LAYER}.{number}.output.scalearn_layer.{joined}.omega"]
    omega = drop(omega, transfer["dropout_ratio"], "shared.dropout" if shared else f"scale.{number}.dropout")
    if transfer["take_mean"] and not shared:
        omega = omega / omega.sum(0)
    elif transfer["take_softmax"] and not shared:
        omega = omega.softmax(0)
    mixed = (omega * u).sum(2)
    residual = f if config["adapter_config"]["residual_before_ln"] else x
    return mixed + residual if transfer["residual"] else mixed


def _fused(config: Config, w: Mapping[str, Tensor], number: int, u: Tensor, f: Tensor, x: Tensor, drop: Masks) -> Tensor:
    transfer = config["transfer_config"]
    path = f"{LAYER}.{number}.output.adapter_fusion_layer.{','.join(config['adapters'])}"
    residual = f if config["adapter_config"]["residual_before_ln"] else x
    if transfer["residual_before"]:
        u = u + residual[:, :, None]
    asked = f if transfer["query_before_ln"] else x
    query = F.linear(asked, w[f"{path}.query.weight"], w[f"{path}.query.bias"]) if transfer["query"] else asked
    key = F.linear(u, w[f"{path}.key.weight"], w[f"{path}.key.bias"]) if transfer["key"] else u
    scores = torch.einsum("bnd,bnsd->bns", query, key)
    weight = (drop(scores, config["attention_probs_dropout_prob"], f"fusion.{number}.dropout") / (50 if transfer["temperature"] else 1)).softmax(-1)
    mixed = torch.einsum("bns,bnsd->bnd", weight, F.linear(u, w[f"{path}.value.weight"]) if transfer["value"] else u)
    return mixed if transfer["residual_before"] else mixed + residual


def write(folder: Path, config: Config, seed: int = 0) -> Path:
    """Write what the reference computes as a case."""
    weights = {name: value.requires_grad_() for name, value in parameters(config, seed).items()}
    ids, mask = texts(config, seed)
    drop = Masks(config["mode"] == "train", seed)
    outputs = forward(config, weights, ids, mask, drop)
    masks = [mask for kept in drop.drawn.values() for mask in kept]
    ratio = config["transfer_config"].get("dropout_ratio", 0.0)
    inputs = {"input_ids": ids, "attention_mask": mask.long()}
    inputs |= {f"dropout_multiplier.layer{number}": mask / (1 - ratio) for number, mask in enumerate(masks)}
    torch.manual_seed(seed)
    cotangents = {name: torch.randn(outputs[name].shape) for name in ("logits", f"hidden_states.{config['num_hidden_layers']}")}
    total: Sequence[Tensor] = [(outputs[name] * value.double()).sum() for name, value in cotangents.items()]
    torch.stack(total).sum().backward()
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    stored = {
        "weights": weights,
        "inputs": inputs | {f"cotangent.{name}": value for name, value in cotangents.items()},
        "outputs": outputs,
        "grads": {f"param.{name}": value.grad for name, value in weights.items() if value.grad is not None},
    }
    for name, tensors in stored.items():
        plain = {key: (value.float() if value.is_floating_point() else value).detach().contiguous() for key, value in tensors.items()}
        save_file(plain, folder / f"{name}.safetensors")
    return folder
