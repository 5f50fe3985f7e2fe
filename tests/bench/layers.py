"""One layer in eager mode, against the same layer of transformers with SDPA and the same weights.  Run: python tests/bench/layers.py"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pairs import HEAD, Ratio, compare
from torch import Tensor
from transformers import BertConfig, LlamaConfig
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding

import archloom


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes of one comparison."""

    batch: int
    length: int
    dim: int
    heads: int


SIZES = (Size(1, 16, 64, 4), Size(2, 64, 256, 4), Size(4, 128, 512, 8), Size(1, 256, 1024, 16))

DECODER = """
import llama.DecoderLayer
model M(dim: int = 64, heads: int = 4) {
  in x: float[B, S, dim]
  in cos, sin: float[S, dim // heads]
  layer = DecoderLayer(dim, heads, kv_heads = heads // 2, ffn = 4 * dim)
  out y = layer(x, cos = cos, sin = sin)
}
"""
ENCODER = """
import bert.Layer
model M(dim: int = 64, heads: int = 4) {
  in x: float[B, S, dim]
  layer = Layer(dim, heads, ffn = 4 * dim)
  out y = layer(x)
}
"""


def decoder(size: Size) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Return our Llama layer and theirs as calls; both are handed the tables of their rotary positions, as a model hands them to its layers."""
    config = LlamaConfig(
        hidden_size=size.dim, num_attention_heads=size.heads, num_key_value_heads=size.heads // 2, intermediate_size=4 * size.dim, num_hidden_layers=1
    )
    config._attn_implementation = "sdpa"  # pyright: ignore[reportPrivateUsage] - what a model's own loading sets
    theirs: Any = LlamaDecoderLayer(config, 0).eval()
    model = archloom.compile(DECODER, params={"dim": size.dim, "heads": size.heads}).eval()
    layer: Any = model.layer
    layer.load_state_dict(theirs.state_dict())
    x = torch.randn(size.batch, size.length, size.dim)
    rotary: Any = LlamaRotaryEmbedding(config)
    position = rotary(x, torch.arange(size.length)[None])
    cos, sin = position[0][0], position[1][0].clone()
    sin[:, : sin.shape[1] // 2].neg_()
    expected: Tensor = theirs(x, position_embeddings=position)
    torch.testing.assert_close(layer(x, cos, sin), expected, rtol=1e-4, atol=1e-4)
    return lambda: layer(x, cos, sin), lambda: theirs(x, position_embeddings=position)


def encoder(size: Size) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Return our BERT layer and theirs as calls."""
    config = BertConfig(hidden_size=size.dim, num_attention_heads=size.heads, intermediate_size=4 * size.dim)
    config._attn_implementation = "sdpa"  # pyright: ignore[reportPrivateUsage] - what a model's own loading sets
    theirs: Any = BertLayer(config).eval()
    layer: Any = archloom.compile(ENCODER, params={"dim": size.dim, "heads": size.heads}).eval().layer
    layer.load_state_dict(theirs.state_dict())
    x = torch.randn(size.batch, size.length, size.dim)

    def first(result: Any) -> Tensor:
        return result[0] if isinstance(result, tuple) else result

    torch.testing.assert_close(layer(x), first(theirs(x)), rtol=1e-4, atol=1e-4)
    return lambda: layer(x), lambda: first(theirs(x))


def ratios() -> list[Ratio]:
    """Measure both layers at every size, with 1 and 2 threads, inference and a training step, and their geometric mean."""
    found: list[Ratio] = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for kind, make in (("decoder", decoder), ("encoder", encoder)):
            for size in SIZES:
                ours, theirs = make(size)
                calls = max(1, min(50, 40_000_000 // (size.batch * size.length * size.dim * size.dim)))
                name = f"{kind} layer, batch {size.batch}, {size.length} tokens, width {size.dim}, {threads} thread{'s' * (threads > 1)}"
                with torch.no_grad():
                    found.append(compare(f"{name}, inference", ours, theirs, 1.08, 30, calls))
                found.append(compare(f"{name}, forward and backward", lambda f=ours: step(f), lambda f=theirs: step(f), 1.08, 30, max(1, calls // 3)))
    mean = math.exp(sum(math.log(r.value) for r in found) / len(found))
    return [*found, Ratio("geometric mean of the layers", mean, min(r.value for r in found), max(r.value for r in found), 1.0)]


def step(call: Callable[[], Tensor]) -> None:
    """Go forward and backward."""
    call().sum().backward()


if __name__ == "__main__":
    print(HEAD, *(r.row for r in ratios()), sep="\n")
