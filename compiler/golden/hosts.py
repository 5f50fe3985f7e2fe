"""What `host "name"` of a golden clause means: moving a case's data to where a model takes it, and back.

A host may cut, pad, join and rename tensors, and run a sampling loop; it computes nothing that the model is to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from ...dsl.record import record
from ..lower.names import identifier
from ..runtime.chance import Values
from ..runtime.model import Model
from ..runtime.sampling import Choice, sample

Tensors = Mapping[str, Tensor]
Config = Mapping[str, Any]


@record
class Host:
    """The hooks of one name; each is given the case's configuration."""

    inputs: Callable[[Config, Tensors], Tensors] | None = None  # stored inputs -> tensors that the `in` clauses name
    draws: Callable[[Config, Tensors], Values] | None = None  # stored inputs -> draws and masks of dropout by their paths
    values: Callable[[Config, Any, Tensors, Tensors], Tensors] | None = None  # model, its inputs, values by stored name -> more of them


def entry_of(model: Any, name: str) -> Callable[..., Mapping[str, Any]]:
    """Return an entry of a model, compiled or made by its emitted class."""
    return model.entry(name) if isinstance(model, Model) else getattr(model, identifier(name))


# ---------------------------------------------------------------------------------------------------------- UniFork


def _unifork_batches(config: Config, given: Tensors) -> Tensors:
    """Split a batch by task: each task's samples are cut to their longest, and the picture's mark becomes its place."""
    found: dict[str, Tensor] = {}
    for task, is_gen in (("understand", False), ("generate", True)):
        rows = given["is_gen"].bool() == is_gen
        if not rows.any():
            continue
        mask = given["attention_mask"][rows].bool()
        longest = int(mask.sum(1).max())
        ids = given["input_ids"][rows][:, :longest]
        mark = ids == config["image_token_id"]
        found |= {
            f"ids.{task}": ids.masked_fill(mark, 0),
            f"mask.{task}": mask[:, :longest],
            f"at.{task}": mark.int().argmax(1),
            f"{task}.labels": given["labels"][rows][:, :longest],
        }
    return {**given, **found}


def _unifork_labels(config: Config, model: Any, given: Tensors, values: Tensors) -> Tensors:
    """Lay the codes out as the authors label a sequence, -1 before them, and drop the batch axes of the scores."""
    batch = _unifork_batches(config, given)
    if "at.generate" not in batch:
        return {}
    codes, real = values["codes_gen"], values["mask_gen"]
    labels = torch.full((*real.shape, codes.shape[-1]), config["ignore_index"])
    for row, place, own in zip(labels, batch["at.generate"], codes, strict=True):
        at = int(place)
        row[at] = -1
        row[at + 1 : at + 1 + len(own)] = own
    return {"labels_gen": labels, "logits_gen": values["logits_gen"].flatten(0, 2)}


def _unifork_pictures(config: Config, model: Any, given: Tensors, values: Tensors) -> Tensors:
    """Sample a picture for each prompt by the library's sampler, always the likeliest code."""
    first, step, score = (entry_of(model, name) for name in ("prompt", "place", "score"))
    prompts = {"words": given["prompt_ids"], "known": given["prompt_mask"].bool()}
    found = sample(first, step, prompts, choose=Choice(temperature=0), score=score, depth=config["depth"], guidance=config["cfg"])
    positions = list(islice(found, config["steps"] + 1))  # the latent of a position is a result of the next step
    drawn = positions[:-1]
    return {
        "gen_codes": torch.stack([position.codes for position in drawn], dim=1),
        "cfg_logits": torch.stack([position.scores.transpose(0, 1) for position in drawn]),
        "gen_last_hidden": torch.cat([position.result["state"] for position in drawn], dim=1),
        "gen_latent": torch.cat([position.result["latent"] for position in positions[1:]], dim=1),
    }


# ------------------------------------------------------------------------------------------------------------- CoLM


def _chain_caches(config: Config, model: Any, given: Tensors, values: Tensors) -> Tensors:
    """Read the first tokens with chain 0 of CoLM-Air, and the others at every scale from the caches that it left."""
    if "prefill_len" not in config:
        return {}
    ids, first = given["input_ids"], int(config["prefill_len"])
    seen = entry_of(model, "prefill")(ids=ids[:, :first])
    found: dict[str, Tensor] = {}
    for name, cache in seen["states"].items():  # layers.0.attention.k.0: float[B, heads, P, d]
        _, layer, _, kind, _ = name.split(".")
        found[f"prefill_chain1.layers.{layer}.{kind}"] = cache.transpose(1, 2)
    later = entry_of(model, "decode")(ids=ids[:, first:], states=seen["states"])
    return found | {f"decode_from_prefill.logits.scale{scale}": logits for scale, logits in later["next"].items()}


# --------------------------------------------------------------------------------------------------------- ScaLearn


def _omega_masks(config: Config, inputs: Tensors) -> Values:
    """ScaLearn: what dropout leaves of omega in each layer; one omega for all layers is drawn for in each of them."""
    stored = [f"dropout_multiplier.layer{number}" for number in range(config["num_hidden_layers"])]
    masks = [inputs[name] != 0 for name in stored if name in inputs]
    if config["transfer_config"]["per_layer"]:
        return {"shared.dropout": masks} if masks else {}
    return {f"scale.{number}.dropout": mask for number, mask in enumerate(masks)}


HOSTS: dict[str, Host] = {
    "chain_caches": Host(values=_chain_caches),
    "scalearn": Host(draws=_omega_masks),
    "unifork": Host(inputs=_unifork_batches, values=_unifork_labels),
    "unifork_painting": Host(inputs=_unifork_batches, values=_unifork_pictures),
}
"""By the name that a golden clause gives."""
