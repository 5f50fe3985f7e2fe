"""Text to module on the meta device, against transformers and torch.export.  Run: python tests/bench/building.py"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from pairs import Ratio, compare, show
from transformers import Qwen2Config, Qwen2ForCausalLM

import archloom

SPEC = """
import qwen2.CausalLM
model Qwen(vocab: int = 151936) {
  in ids: int[B, S] in 0..vocab
  lm = CausalLM(vocab, dim = 896, depth = 24, heads = 14, kv_heads = 2, ffn = 4864, theta = 1000000.0, tied = true)
  out logits = lm(ids)
}
"""
UNIFORK = (Path(__file__).parents[2] / "examples" / "unifork.arch").read_text(encoding="utf-8")
NUMBERS = count(1)


def qwen() -> None:
    """Compile a text that is new each time."""
    model = archloom.compile(SPEC + "\n" * next(NUMBERS), device="meta")
    assert sum(p.numel() for p in model.parameters()) == 494_032_768


def unifork() -> None:
    """Compile the example at its full size, as a text that is new each time."""
    model = archloom.compile(UNIFORK + "\n" * next(NUMBERS), preset="paper", device="meta")
    parts = (model.embed_tokens, model.lm, model.head, model.projector)
    assert sum(p.numel() for part in parts for p in part.parameters()) == 1_076_643_072


def theirs() -> None:
    """Build the model from its configuration, and export it."""
    config: Any = Qwen2Config(
        vocab_size=151936,
        hidden_size=896,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        intermediate_size=4864,
        use_cache=False,
    )
    config.tie_word_embeddings = True
    with torch.device("meta"):
        model: Any = Qwen2ForCausalLM(config).eval()
    torch.export.export(model, (), {"input_ids": torch.zeros(2, 16, dtype=torch.long, device="meta")}, strict=False)


def ratios() -> Iterator[Ratio]:
    """Measure all of this page."""
    reference = "transformers' Qwen2.5-0.5B from its configuration on meta and `torch.export`"
    yield compare(f"a decoder of Qwen2.5-0.5B's size, text to module on meta / {reference}", qwen, theirs, 0.15, 7)
    yield compare(f"`examples/unifork.arch` at full size, text to module on meta / {reference}", unifork, theirs, 0.15, 7)


if __name__ == "__main__":
    show(ratios())
