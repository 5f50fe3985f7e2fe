"""One layer in eager mode, against the same layer of transformers with SDPA and the same weights.  Run: python tests/bench/layers.py"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pairs import Ratio, compare, show
from torch import Tensor, nn
from transformers import BertConfig, LlamaConfig
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask
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
model M(dim: int, heads: int) {
  in x: float[B, S, dim]
  in mask: bool[B, S]
  in cos, sin: float[S, dim // heads]
  layer = DecoderLayer(dim, heads, kv_heads = heads // 2, ffn = 4 * dim)
  out y = layer(x, GIVEN)
}
"""
ENCODER = """
import bert.Layer
model M(dim: int, heads: int) {
  in x: float[B, S, dim]
  in mask: bool[B, S]
  layer = Layer(dim, heads, ffn = 4 * dim)
  out y = layer(x, GIVEN)
}
"""
Calls = tuple[Callable[[], Tensor], Callable[[], Tensor]]


def padding(size: Size) -> Tensor:
    """Return which tokens are real: rows of different lengths, the longest one short of the batch's."""
    return torch.arange(size.length)[None] < torch.linspace(size.length / 2, size.length - 1, size.batch).long()[:, None]


def ours(text: str, size: Size, given: str, theirs: nn.Module) -> Any:
    """Return our layer, compiled for what it is given, with the weights of theirs."""
    model = archloom.compile(text.replace("GIVEN", given), params={"dim": size.dim, "heads": size.heads}).eval()
    layer: Any = model.layer
    layer.load_state_dict(theirs.state_dict())
    return layer


def small(config: Any, size: Size, **more: int) -> Any:
    """Return a configuration of one layer that attends by torch's own kernel."""
    sizes = {"hidden_size": size.dim, "num_attention_heads": size.heads, "intermediate_size": 4 * size.dim, "num_hidden_layers": 1}
    found = config(**sizes, **more)
    found._attn_implementation = "sdpa"
    return found


def decoder(size: Size, padded: bool = False, own_tables: bool = False) -> Calls:
    """Return our Llama layer and theirs as calls.

    Both are handed the tables of their rotary positions, as a model hands them to its layers; or both make them.  A padded batch
    comes to theirs with the mask over pairs of tokens that its model makes once for all layers; ours makes it of the mask over tokens.
    """
    config = small(LlamaConfig, size, num_key_value_heads=size.heads // 2)
    theirs: Any = LlamaDecoderLayer(config, 0).eval()
    layer = ours(DECODER, size, ", ".join(["mask = mask"] * padded + ["cos = cos, sin = sin"] * (not own_tables)), theirs)
    x, mask, at = torch.randn(size.batch, size.length, size.dim), padding(size), torch.arange(size.length)[None]
    rotary: Any = LlamaRotaryEmbedding(config)
    position = rotary(x, at)
    cos, sin = position[0][0], position[1][0].clone()
    sin[:, : sin.shape[1] // 2].neg_()
    tables = () if own_tables else (cos, sin)
    given = (x, mask, *tables) if padded else (x, *tables)
    pairs = create_causal_mask(config=config, inputs_embeds=x, attention_mask=mask.long(), past_key_values=None, position_ids=at) if padded else None
    if own_tables:
        return same(lambda: layer(*given), lambda: theirs(x, pairs, position_embeddings=rotary(x, torch.arange(size.length)[None])), mask)
    return same(lambda: layer(*given), lambda: theirs(x, pairs, position_embeddings=position), mask)


def encoder(size: Size, padded: bool = False) -> Calls:
    """Return our BERT layer and theirs as calls; a padded batch comes to theirs with the mask that its model makes once for all layers."""
    config = small(BertConfig, size)
    theirs: Any = BertLayer(config).eval()
    layer = ours(ENCODER, size, "mask" if padded else "", theirs)
    x, mask = torch.randn(size.batch, size.length, size.dim), padding(size)
    given = (x, mask) if padded else (x,)
    pairs = create_bidirectional_mask(config=config, inputs_embeds=x, attention_mask=mask.long()) if padded else None

    def refer() -> Tensor:
        result = theirs(x, pairs)
        return result[0] if isinstance(result, tuple) else result

    return same(lambda: layer(*given), refer, mask)


def same(found: Callable[[], Tensor], wanted: Callable[[], Tensor], mask: Tensor) -> Calls:
    """Require equal results where tokens are real, and return the two calls."""
    torch.testing.assert_close(found()[mask], wanted()[mask], rtol=1e-4, atol=1e-4)
    return found, wanted


KINDS: dict[str, Callable[[Size], Calls]] = {
    "decoder layer": decoder,
    "decoder layer, padded": lambda size: decoder(size, padded=True),
    "decoder layer that makes its tables": lambda size: decoder(size, own_tables=True),
    "encoder layer": encoder,
    "encoder layer, padded": lambda size: encoder(size, padded=True),
}


def ratios() -> Iterator[Ratio]:
    """Measure each kind of layer at every size, with 1 and 2 threads, inference and a training step, and their geometric mean."""
    found: list[Ratio] = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for kind, make in KINDS.items():
            for size in SIZES:
                mine, theirs = make(size)
                calls = max(1, min(50, 40_000_000 // (size.batch * size.length * size.dim * size.dim)))
                name = f"{kind}, batch {size.batch}, {size.length} tokens, width {size.dim}, {threads} thread{'s' * (threads > 1)}"
                with torch.no_grad():
                    found.append(compare(f"{name}, inference", mine, theirs, 1.08, 30, calls))
                yield found[-1]
                fewer = max(1, calls // 3)
                found.append(compare(f"{name}, forward and backward", lambda f=mine: step(f), lambda f=theirs: step(f), 1.08, 30, fewer))
                yield found[-1]
    yield mean(found, "geometric mean of the layers")


def mean(found: Sequence[Ratio], name: str) -> Ratio:
    """Return the geometric mean of ratios, with the lowest and the highest."""
    value = math.exp(sum(math.log(r.value) for r in found) / len(found))
    return Ratio(name, value, min(r.value for r in found), max(r.value for r in found), 1.0)


def step(call: Callable[[], Tensor]) -> None:
    """Go forward and backward."""
    call().sum().backward()


if __name__ == "__main__":
    show(ratios())
