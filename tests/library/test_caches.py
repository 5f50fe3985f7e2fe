"""Decoders with caches: what entries give step by step is what the whole sequence gives at once, and what transformers gives with its cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, Qwen2Config
from transformers.cache_utils import DynamicCache
from transformers.models.llama.modeling_llama import LlamaForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2ForCausalLM

import archloom

from .reference import build, close, randomise

B, S, VOCAB, DIM, HEADS, KV, FFN = 3, 9, 50, 32, 4, 2, 48
CUTS = [pytest.param([4, 1, 1, 1, 1, 1], id="token-by-token"), pytest.param([3, 4, 2], id="in-parts")]
PADDINGS = [pytest.param("none", id="unmasked"), pytest.param("right", id="padding-right"), pytest.param("left", id="padding-left")]


def padding(kind: str) -> Tensor:
    """Return which tokens are real: rows of different lengths, padded on one side."""
    mask = torch.arange(S)[None, :] < torch.tensor([S, 7, 4])[:, None]
    return {"none": torch.ones(B, S, dtype=torch.bool), "right": mask, "left": mask.flip(1)}[kind]


def stepwise(entries: tuple[Any, Any], given: dict[str, Tensor], lengths: list[int], fixed: dict[str, Tensor] | None = None) -> Tensor:
    """Run a sequence in parts, each with the caches that the part before it left: the first entry takes many tokens, the second one."""
    many, one = entries
    found: list[Tensor] = []
    states: Any = None
    start = 0
    for length in lengths:
        part = {name: value[:, start : start + length] for name, value in given.items()}
        result = (one if length == 1 else many)(**part, **(fixed or {}), states=states)
        found.append(result.y)
        states, start = result.states, start + length
        assert {value.shape[2] for name, value in states.items() if name.endswith(("past_k", "past_v"))} == {start}
    return torch.cat(found, dim=1)


# -------------------------------------------------------------------------------------------------- language models

MODELS = [
    pytest.param("llama", LlamaConfig, LlamaForCausalLM, 10000.0, id="llama"),
    pytest.param("qwen2", Qwen2Config, Qwen2ForCausalLM, 1e6, id="qwen2"),
]


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("lengths", CUTS)
@pytest.mark.parametrize("pad", PADDINGS)
@pytest.mark.parametrize(("family", "config", "model", "theta"), MODELS)
def test_causal_language_model(family: str, config: Any, model: Any, theta: float, pad: str, lengths: list[int]) -> None:
    options = config(
        vocab_size=VOCAB, hidden_size=DIM, intermediate_size=FFN, num_attention_heads=HEADS, num_key_value_heads=KV, num_hidden_layers=2,
        rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": theta},
    )  # fmt: skip
    options._attn_implementation = "sdpa"
    theirs = model(options)
    randomise(theirs)
    theirs = theirs.double().eval()
    masked = pad != "none"
    text = f"""
    import {family}.CausalLM
    model Test {{
      in ids: int[B, S] in 0..{VOCAB}
      {"in mask: bool[B, S]" if masked else ""}
      part = CausalLM({VOCAB}, {DIM}, depth = 2, heads = {HEADS}, kv_heads = {KV}, ffn = {FFN})
      out y = part(ids{", mask" if masked else ""})
      entry prefill {{ out y }}
      entry decode {{ in ids: int[B, 1] in 0..{VOCAB}; {"in mask: bool[B, 1];" if masked else ""} out y }}
    }}"""
    ours: Any = build(text, torch.float64, theirs)
    mask = padding(pad)
    ids = torch.randint(0, VOCAB, (B, S), generator=torch.Generator().manual_seed(1))
    given = {"ids": ids} | ({"mask": mask} if masked else {})
    with torch.no_grad():
        found = stepwise((ours.entry("prefill"), ours.entry("decode")), given, lengths)
        close(found[mask], ours(**given).y[mask], 1e-12, "the whole sequence")
        cache, start = DynamicCache(config=options), 0
        wanted: list[Tensor] = []
        for length in lengths:
            stop = start + length
            at = torch.arange(start, stop).expand(B, -1)
            seen = mask[:, :stop].long() if masked else None
            wanted.append(theirs(ids[:, start:stop], attention_mask=seen, position_ids=at, past_key_values=cache, use_cache=True).logits)
            start = stop
    close(found[mask], torch.cat(wanted, dim=1)[mask], 1e-12, "the reference")


@pytest.mark.parametrize("kind", ["PreNormLayer", "PostNormLayer"])
@pytest.mark.parametrize("positions", ["LearnedPositions(16, 8, cached = true)", "Sinusoid(8, cached = true)"])
def test_decoder_that_reads_another_sequence(kind: str, positions: str) -> None:
    """Positions go on where they stopped, and padding of earlier calls stays unseen."""
    text = f"""
    import decoder.{kind}
    import position.{positions.partition("(")[0]}
    model Test {{
      in x: float[B, S, 8]
      in mask: bool[B, S]
      in context: float[B, T, 6]
      positions = {positions}
      h = positions(x)
      repeat i in 0..2 carry h {{ layer = {kind}(8, 2, 12, source = 6); h = layer(h, context, mask) }}
      out y = h
      entry prefill {{ out y }}
      entry decode {{ in x: float[B, 1, 8]; in mask: bool[B, 1]; out y }}
    }}"""
    model: Any = archloom.compile(text, dtype="float64").eval()
    x, context = torch.randn(B, S, 8, dtype=torch.float64), torch.randn(B, 5, 6, dtype=torch.float64)
    mask = padding("left")
    with torch.no_grad():
        found = stepwise((model.entry("prefill"), model.entry("decode")), {"x": x, "mask": mask}, [4, 1, 1, 1, 1, 1], {"context": context})
        close(found[mask], model(x=x, mask=mask, context=context).y[mask], 1e-12, "the whole sequence")
