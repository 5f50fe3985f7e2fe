"""Every sketch at a size small enough to train at once, and those that wait for a reserved construct."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archloom.compiler.api import load_program
from archloom.dsl.program import Program

FOLDER = Path(__file__).parents[2] / "examples" / "sketches"


@dataclass(frozen=True)
class Tiny:
    """How a sketch is built and fed: arguments of its model, sizes for `example_inputs`, tensors in the place of made ones."""

    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    dims: Mapping[str, int] = field(default_factory=dict[str, int])
    extern: Mapping[str, Any] = field(default_factory=dict[str, Any])
    model: str | None = None  # one of several in the file
    beyond: tuple[str, ...] = ()  # beginnings of the paths of parameters that no loss reaches


@dataclass(frozen=True)
class Waiting:
    """What of a sketch is reserved: arguments of its model, and how the text of each such construct begins."""

    stops: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])


def cheapest(cost: list[list[float]]) -> list[int]:
    """Return for each column a row, no two the same, so that the sum is the least."""
    columns = list(zip(*cost, strict=True))
    return list(min(permutations(range(len(cost)), len(columns)), key=lambda rows: sum(c[i] for c, i in zip(columns, rows, strict=True))))


class Assign(nn.Module):
    """The cheapest assignment of rows to columns."""

    def forward(self, cost: Tensor) -> Tensor:
        if cost.is_meta:  # its signature is verified there
            return cost.new_empty(cost.shape[:1], dtype=torch.int64)
        return torch.tensor(cheapest(cost.mT.tolist()))


def hungarian(cost: Tensor) -> Tensor:
    """Return the cheapest row for each column, in each sample; it needs values, so it can't be verified on the meta device."""
    return torch.tensor([cheapest(rows) for rows in cost.tolist()])


class Solver(nn.Module):
    """Adds what is kept of one graph to another, in the place of a solver that is not published."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.kinds = kinds

    def forward(self, source: Tensor, target_graph: Tensor, kept: Tensor) -> Tensor:
        return target_graph + (source * kept[:, None]).mean()


PICTURE_TASKS: Any = {"semseg": 4, "depth": 1}
SCENE: dict[str, Any] = {"tasks": ["semseg", "depth"], "classes": PICTURE_TASKS, "size": [32, 64]}
VIT: dict[str, Any] = {"width": 8, "depth": 4, "heads": 2, "select": [0, 1, 2]}
LM: dict[str, Any] = {"vocab": 11, "dim": 8, "depth": 2, "heads": 2, "ffn": 12}

TINY: dict[str, Tiny] = {
    "ACM": Tiny({"dim": 8, "depth": 2, "heads": 2, "ffn": 12, "size": 16, "patch": 8, "classes": 3, "k": 2}),
    "ARM-Net": Tiny({"features": 20, "n_fields": 4, "dim": 4, "n_heads": 2, "n_neurons": 3, "hidden": [6], "deep": [5], "ensemble": True}),
    "CoLM": Tiny({"ratio": [2, 2], "dim": 16, "depth": 2, "kv_heads": 2, "ffn": 16, "vocab": 11}),
    "ControllableMTA": Tiny({"cs": [4, 6], "dec": 5}),
    "CrossNER": Tiny({**LM, "crf": True, "labels": {d: ["O", f"B-{d}", f"I-{d}"] for d in ("politics", "science", "music", "literature", "ai")}}),
    "FILTER": Tiny({**LM, "m": 1, "k": 1, "depth": 3}),
    "FinalMLP": Tiny({"vocab": {"user": 9, "item": 7, "tag": 3, "price": 0}, "dim": 4, "hidden1": [8, 4], "hidden2": [6, 4], "gate": [5]}),
    "Gateformer": Tiny({"length": 16, "horizon": 6, "dim": 8, "ffn": 8, "heads": 2, "patch": 4, "stride": 4}),
    "Hiformer": Tiny(
        {"cats": ["user", "item"], "vocab": {"user": 5, "item": 6}, "n_dense": 3, "dim": 8, "heads": 2, "dk": 4, "dv": 4, "ffn": 8, "depth": 2,
         "rank": {"q": 3, "k": 3, "v": 3}, "tasks": ["ctr", "cvr"]},
    ),
    "InvPT": Tiny({**SCENE, **VIT, "select": [1, 2, 3], "E": 8, "K": 8, "size": [64, 64]}),
    "LATTE": Tiny({"features": {"A": 5, "P": 6}, "dim": 8, "heads": 2}, beyond=("att.1.mix.P", "norm.1.P")),
    "MLoRE": Tiny({**SCENE, **VIT, "dim": 8, "ranks": [1, 2, 3], "special": 2, "topk": 2}),
    "MTLosses": Tiny({"dim": 4}),
    "MossFormer": Tiny({"filters": 8, "dim": 8, "depth": 2, "kernel": 4, "group": 4, "qk": 4}),
    "RMoE": Tiny({**LM, "kv_heads": 2, "n_experts": 3, "width": 4}),
    "TaskExpert": Tiny({**SCENE, **VIT, "dim": 8, "n": 2, "hidden": 4}),
    "TaskPrompter": Tiny(
        {**SCENE, "depth": 4, "heads": 2, "dim": 8, "tar": 4, "last": 4, "win": 4, "select": [0, 1, 2]}, beyond=("blocks.3.attn.token_trans1",),
    ),
    "UniFork": Tiny(
        {"vocab": 11, "dim": 16, "depth": 2, "heads": 2, "kv_heads": 1, "ffn": 12, "vision": 8, "codes": 6, "code_depth": 2, "size": 16, "patch": 8,
         "wide": 16, "wide_heads": 2, "head_depth": 1, "tower_depth": 2, "tower_heads": 2, "top_k": 4},
    ),
    "UnifiedView": Tiny({"dim": 8, "tokens": 6, "hidden": 12, "classes": 3}),
    "WideNet": Tiny({"dim": 8, "depth": 3, "heads": 2, "group": 2, "mlp": 12, "moe": 10, "n": 3, "H": 16, "W": 16, "patch": 8, "classes": 4}),
    "alm": Tiny(
        {"student_vocab": 11, "teacher_vocab": 13, "width": 8, "depth": 1, "heads": 2, "kv_heads": 2, "ffn": 12, "twidth": 12, "tdepth": 1,
         "theads": 2, "tkv_heads": 2, "tffn": 12},
    ),
    "concept_centric": Tiny({"dim": 8, "classes": 3, "concepts": 4, "depth": 2, "heads": 2, "size": 16, "patch": 8, "spatial": 3}),
    "crossformer": Tiny({"H": 32, "W": 32, "dim": 32, "depths": [1, 2], "heads": [2, 4], "group": [2, 2], "interval": [4, 2], "classes": 3}),
    "crosstune": Tiny({**LM, "take_last": 1}),
    "cswin": Tiny({"H": 32, "dim": 8, "depths": [1, 1, 1, 1], "heads": [2, 2, 4, 4], "stripes": [1, 2, 2, 1], "classes": 3}),
    "dependencyvit": Tiny({"dim": 8, "depth": 3, "heads": 2, "size": 16, "patch": 4, "classes": 3, "at": [1]}),
    "eca": Tiny({"width": 4, "depths": [1, 1, 1, 1], "classes": 3}),
    "fit": Tiny(
        {"vocab": 7, "groups": 2, "n": 3, "latents": 2, "dx": 8, "dl": 8, "x_heads": 2, "l_heads": 2, "near": [1, 1], "glob": [1, 0]},
        model="FITAR",
        beyond=("core.l_out",),
    ),
    "gamma-MoD": Tiny({**LM, "depth": 5, "P": 4, "Q": 3}),
    "kmax_deeplab": Tiny(
        {"classes": 3, "key": 4, "queries": 4, "heads": 2, "widths": [4, 4, 8, 8], "depths": [1, 1, 1, 1], "base": [8, 4, 4, 2],
         "layers": [1, 1, 1, 1], "repeats": [1, 1, 1], "samples": 16},
        dims={"M": 2, "H": 64, "W": 32}, beyond=("backbone.norm", "backbone.head"), extern={"kmax_losses:hungarian": hungarian},
    ),
    "llm_drop": Tiny({**LM, "kv_heads": 2, "depth": 3, "no_attn": [1], "no_mlp": [2]}),
    "mix_kd": Tiny({"classes": 3}),
    "ms_mlp": Tiny({"H": 32, "W": 32, "dim": 8, "depths": [1, 1, 1, 1], "shifts": [-1, 0, 1], "kernels": [[1, 1, 3]] * 4, "classes": 3}),
    "mt4crossoie": Tiny({**LM, "k": 2, "rank": 2, "posdim": 4, "arg_heads": 2, "lora": True}),
    "noprop": Tiny({"steps": 3, "dx": 6, "classes": 4, "d": 4, "hidden": 5}),
    "ofa_kd": Tiny(
        {"widths": [4, 4, 8, 8], "depths": [1, 1, 1, 1], "dim": 8, "depth": 2, "heads": 2, "size": 32, "patch": 8, "classes": 3},
        beyond=("teacher",),
    ),
    "pagcp": Tiny({"classes": 3, "deep": 0.33, "wide": 0.0625}),
    "proc_kd": Tiny({"dim": 8, "count": 3, "classes": 3, "heads": 2, "size": 16, "patch": 8}, beyond=("teacher",)),
    "scalearn": Tiny({**LM, "sources": ["a", "b"], "dim": 16}, beyond=("adapter.0.own", "adapter.1.own")),
    "scalekd": Tiny({"classes": 3, "size": 64, "width": 4, "depths": [1, 1, 1, 1], "dim": 8, "t_depths": [1, 1, 1, 1], "t_heads": [1, 1, 2, 2],
                     "window": 4, "heads": [2, 2]}, beyond=("patches", "patch_norm", "last", "last_norm", "teacher.0", "teacher.1", "teacher.2")),
    "selective_amnesia": Tiny({**LM}),
    "sherl": Tiny({**LM, "embed": 8, "N": 5}),
    "slab": Tiny({"classes": 3, "dim": 8, "depths": [1, 1, 1, 1], "heads": [1, 1, 2, 2], "size": 32, "window": [8, 4, 2, 1], "steps": 10}),
    "strip_mlp": Tiny({"size": 32, "dim": 8, "depths": [1, 1, 1, 1], "classes": 3}),
    "switch_dit": Tiny({"dim": 8, "depth": 2, "heads": 2, "steps": 7, "classes": 3, "size": 4}, extern={"scipy_shim:Assign": Assign}),
    "trans_encoder": Tiny({"trunks": ["a", "b"], "dim": {"a": 8, "b": 8}, "depth": {"a": 1, "b": 2}, "heads": {"a": 2, "b": 2}, "vocab": 11}),
    "transkd": Tiny({"classes": 3, "mid": 4, "size": [32, 64], "widths": [4, 4, 8, 8], "t_widths": [4, 8, 8, 8], "t_depths": [1, 1, 1, 1],
                     "heads": [1, 1, 2, 2], "decoder": 8, "t_decoder": 8}, beyond=("teacher",)),
    "x_cross": Tiny({**LM, "domains": ["a", "b"], "rank": 2}),
}  # fmt: skip

RESERVED: dict[str, Waiting] = {
    "atlas": Waiting(("weights",), {"sources": ["a"], "bank": {"a": 0}, "tasks": ["t"], "classes": {"t": 3}}),
    "aug_hessian": Waiting(("transform AugHessian(",)),
    "cbq": Waiting(("full with {",)),
    "graftllm": Waiting(("transform Pack(", "weights"), {"tasks": ["a"], "packs": {"a": 0}, "vocab": 11}),
    "lines": Waiting(("transform Lines(", "transform LinesMulti(")),
    "ph3": Waiting(("transform PathPatch(", "lm with {"), {"silent": []}),
    "qvlm": Waiting(("transform QVLM(",)),
    "rep_mtl": Waiting(("grad(t.cost, z)",)),
    "structured_diffusion": Waiting(("unet with {",)),
    "ties_merging": Waiting(("transform Ties(",)),
    "twin_merging": Waiting(("transform Twins(", "weights"), {"tasks": ["a"], "twin": {"a": 0}, "classes": {"a": 3}}),
}

UNTRAINED: dict[str, Tiny] = {"ACRET": Tiny({"kinds": 5, "dim": 4}, extern={"acret.solver:TransferSolver": Solver})}
"""Sketches of papers that publish no loss: they run."""


@cache
def sketch(name: str) -> Program:
    """Return a sketch at its small sizes, checked once for all tests."""
    tiny = TINY.get(name) or UNTRAINED[name]
    return load_program(FOLDER / f"{name}.arch", tiny.params, model=tiny.model)
