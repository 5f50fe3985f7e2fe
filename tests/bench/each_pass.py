"""Passes one by one, on small texts that have what each looks for, eager.

Run: python tests/bench/each_pass.py [ROW...], a row by a part of its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import torch
from pairs import Ratio, show
from part import EXPERTS, MIXTURE, Part, part
from texts import (
    ATTENTION,
    FUSED,
    GATED,
    HALVES,
    HEAD,
    KERNELS,
    LANES,
    LENGTH,
    LORA,
    MAPPED,
    MAPS,
    MATMUL,
    NORM,
    NORMED,
    NOTHING,
    PAIRS,
    PREFIXES,
    QKV,
    READ,
    REPBN,
    ROUTED,
    SHOWN,
    SIDES,
    SUM,
    SUMMED,
    TASKS,
    TWICE,
    TWINS,
)

QUERIES = ((2, 8, 256, 32),) * 3
VIEWS = ((512, 256), (512, 256))
ROWS: Mapping[str, tuple[Part, ...]] = {
    "batch_families": (
        Part("batch_families and pack, 8 experts of width 64, batch 4", EXPERTS, ((4, 64),), "batch_families, pack", 0.5, calls=20),
        Part("batch_families and pack, 8 heads with a batch norm, width 64, 16 rows", NORMED, ((16, 64),), "batch_families, pack", 0.8, calls=5),
        Part("batch_families, the same, forward and backward", NORMED, ((16, 64),), "batch_families, pack", 1.0, trains=True, calls=3),
        Part("batch_families, 3 heads of 1x1 convolutions, forward and backward", MAPPED, ((2, 8, 8, 8),), "batch_families, pack", 1.05, True, 3),
    ),
    "cancel": (Part("cancel, what is done to both halves of a map", HALVES, ((4, 64, 64, 64),), "cancel", 0.9),),
    "checkpoint": (
        Part("checkpoint, two encoders of 4 layers of 256, batch 512", TWINS, VIEWS, "checkpoint", 1.5, trains=True, pairs=20),
        Part("checkpoint, the same, the most bytes of a step", TWINS, VIEWS, "checkpoint", 0.7, trains=True, held=True),
    ),
    "compose_maps": (
        Part("compose_maps, a map of two maps side by side", FUSED, ((1, 384, 14, 18),), "compose_maps, fold_parameters", 0.9, calls=5),
    ),
    "cse": (Part("cse, a linear of width 256 written twice, batch 64", TWICE, ((64, 256),), "cse", 0.7, calls=10),),
    "dead_code": (Part("dead_code before sdpa, an entropy of weights that nobody asks for", SHOWN, QUERIES, "dead_code, sdpa", 0.95),),
    "dead_parameters": (Part("dead_parameters, a state dict: of two linears one is read", READ, ((64, 256),), "dead_parameters", 0.55, sized=True),),
    "fold_forward": (
        Part("fold_forward, a norm of PRepBN before three linears", REPBN, ((1, 196, 256),), "fold_forward, fold_parameters", 0.95, calls=5),
    ),
    "fold_norms": (
        Part("fold_norms and fold_parameters, a norm behind a linear, 196 rows", NORM, ((196, 256),), "fold_norms, fold_parameters", 0.95, calls=10),
    ),
    "fold_parameters": (
        Part("fold_parameters, rows of weights by their lengths, width 512, batch 8", LENGTH, ((8, 512),), "fold_parameters", 0.6, calls=10),
    ),
    "lay_channels_last": (
        Part("lay_channels_last, two convolutions, norms and a resize by 4", MAPS, ((1, 96, 32, 32),), "lay_channels_last, fold_parameters", 0.9),
        Part("lay_channels_last with fold_norms, the same", MAPS, ((1, 96, 32, 32),), "fold_norms, lay_channels_last, fold_parameters", 0.9),
    ),
    "merge_attentions": (
        Part("merge_attentions, 4 of 2 heads of 32, 32 tokens, batch 2", LANES, ((4, 2, 32, 64),), "merge_attentions", 0.9, calls=5),
        Part("merge_attentions, the same, forward and backward", LANES, ((4, 2, 32, 64),), "merge_attentions", 0.95, trains=True, calls=3),
    ),
    "merge_linears": (
        Part("merge_linears and pack, queries, keys and values of one token", QKV, ((1, 1, 256),), "merge_linears, pack", 0.95, calls=20),
    ),
    "merge_maps": (
        Part(
            "merge_maps and fold_parameters, a LoRA of rank 8, width 512, batch 32", LORA, ((32, 512),), "merge_maps, fold_parameters", 0.95, calls=10
        ),
    ),
    "mix_kernels": (
        Part("mix_kernels and fold_parameters, 6 low-rank convolutions", KERNELS, ((1, 96, 32, 32), (1, 6)), "mix_kernels, fold_parameters", 0.5),
    ),
    "mix_matmul": (
        Part("mix_matmul, 4 mixtures of 5 maps, batch 2", MATMUL, ((5, 2, 192, 14, 18), (4, 2, 5)), "mix_matmul", 0.8),
        Part("mix_matmul, the same, batch 8, forward and backward", MATMUL, ((5, 8, 192, 14, 18), (4, 8, 5)), "mix_matmul", 0.9, trains=True),
    ),
    "mix_members": (
        Part(
            "mix_members and what makes its batch, 8 experts of width 64, batch 4",
            MIXTURE,
            ((4, 64),),
            "batch_families, mix_members, pack",
            0.5,
            calls=20,
        ),
        Part("mix_members, the same, forward and backward", MIXTURE, ((4, 64),), "batch_families, mix_members, pack", 0.6, trains=True, calls=5),
    ),
    "mix_pairs": (
        Part(
            "mix_pairs, 6 low-rank updates of a linear, width 256, batch 4 of 32 tokens",
            PAIRS,
            ((4, 32, 256),),
            "mix_pairs, pack, fold_parameters",
            0.9,
        ),
    ),
    "onednn_linears": (
        Part(
            "onednn_linears and merge_linears, a gated MLP 512-2048-512, 64 rows",
            GATED,
            ((64, 512),),
            "merge_linears, onednn_linears, fold_parameters",
            0.95,
        ),
    ),
    "pack": (Part("pack, three weights of 256 by 256 side by side, batch 4", SIDES, ((4, 256),), "pack", 0.95, calls=20),),
    "quantize": (Part("quantize, the same in int8, dynamically", GATED, ((64, 512),), "quantize", 0.4, error=3e-2),),
    "read_prefixes": (
        Part(
            "read_prefixes, queries, keys and values of 4 chains of 96, 128 tokens",
            PREFIXES,
            ((4, 1, 128, 96),),
            "simplify, read_prefixes, cse, merge_linears, fold_parameters",
            1.0,
        ),
    ),
    "resize_late": (
        Part("resize_late, a 3x3 convolution behind a resize by 4", HEAD, ((1, 192, 14, 18),), "resize_late", 0.5),
        Part("resize_late, the same, forward and backward", HEAD, ((1, 192, 14, 18),), "resize_late", 0.6, trains=True),
        Part(
            "resize_late, a sum of three resized maps", SUM, ((1, 192, 8, 8), (1, 96, 16, 16), (1, 48, 32, 32)), "resize_late, fold_parameters", 0.5
        ),
    ),
    "route_experts": (
        Part("route_experts, 2 of 8 experts of 256, 64 tokens", ROUTED, ((1, 64, 256),), "route_experts, pack", 0.5),
        Part("route_experts, the same, forward and backward", ROUTED, ((1, 64, 256),), "route_experts, pack", 0.6, trains=True),
    ),
    "sdpa": (
        Part("sdpa, 256 tokens, 8 heads of 32, batch 2", ATTENTION, QUERIES, "sdpa", 0.95),
        Part("sdpa, the same, forward and backward", ATTENTION, QUERIES, "sdpa", 0.95, trains=True),
    ),
    "simplify": (Part("simplify, what changes nothing", NOTHING, ((512, 512),), "simplify", 0.5, calls=10),),
    "slice": (Part("slice, one task of five", TASKS, ((64, 256),), "slice(tasks = ('c',))", 0.5, calls=5),),
    "sum_linears": (
        Part("sum_linears and fold_parameters, 8 linears summed", SUMMED, ((8, 64, 32),), "sum_linears, fold_parameters", 0.8, calls=10),
    ),
    "unrecord": (
        Part("unrecord, one of two encoders detached, 4 layers of 256, batch 512", TWINS, VIEWS, "unrecord", 1.0, trains=True, pairs=20),
        Part("unrecord, the same, the most bytes of a step", TWINS, VIEWS, "unrecord", 0.7, trains=True, held=True),
    ),
}
"""What each pass is measured by; others run beside it where it needs them."""


def rows(asked: list[str]) -> Iterator[Ratio]:
    """Yield the rows that are asked for, or all."""
    torch.set_num_threads(1)
    for row in (row for own in ROWS.values() for row in own):
        if not asked or any(word.lower() in row.name.lower() for word in asked):
            yield part(row)


if __name__ == "__main__":
    show(rows(sys.argv[1:]))
