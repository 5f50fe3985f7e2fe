"""Decoders with caches: what entries give step by step is what the whole sequence gives at once, and what transformers gives with its cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, Qwen2Config
from transformers.cache_utils import DynamicCache
from transformers.models.llama.modeling_llama import LlamaForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2ForCausalLM

import archloom

from .reference import build, close, randomise

GOLDEN = Path(archloom.__file__).parent / "tests" / "golden" / "UniFork" / "c"
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


# ---------------------------------------------------------------------------------------------------------- UniFork

PAINTER = """
import unifork.{ForkedDecoder, Projector}
import rq.DepthHead
model Painter(vocab: int, dim: int, depth: int, shared: int, ffn: int, vision: int, codes: int, code_depth: int, guidance: float) {
  index tasks = {understand, generate}
  in ids: int[B, S] in 0..vocab
  in mask: bool[B, S]
  embed = Embedding(vocab, dim)
  projector = Projector(vision, dim)
  table = Parameter([codes, vision])
  lm = ForkedDecoder(tasks, dim, depth, shared, heads = 2, kv_heads = 1, ffn = ffn, theta = 10000.0, eps = 1e-5)
  head = DepthHead(dim, codes, code_depth, source = vision, wide = 32, heads = 2, blocks = 1)
  begin = projector(zeros([B, 1, vision]))[:, :1]
  h = lm(concat([embed(ids), begin], dim = 1), concat([mask, full([B, 1], true)], dim = 1))
  out h = h[generate]
  out text = h[understand]
  entry prefill { out h = h[generate][:, -1:] }
  entry step {
    in latent: float[M, 1, vision]
    out h = lm(projector(latent)[:, 1:-1], full([M, 1], true))[generate]
  }
  entry paint {                                              # rows are [conditional, unconditional]
    in h: float[2 * M, 1, dim]
    known = zeros([2 * M, 1, 0, vision])
    total = zeros([2 * M, 1, vision])
    repeat d in 0..code_depth carry known, total {
      c, u = chunk(head(h, known)[:, :, -1], 2, dim = 0)
      score = u + guidance * (c - u)
      code = argmax(score, dim = -1)
      total = total + take(table, concat([code, code], dim = 0), dim = 0)
      known = concat([known, total[:, :, none]], dim = 2)
    }
    out codes = stack(code[*], dim = 2)
    out scores = stack(score[*], dim = 0)
    out latent = total
  }
}
"""


def painter_state(weights: dict[str, Tensor], codes: int, shared: int) -> dict[str, Tensor]:
    """Return the authors' tensors under the names of the text."""
    tower = "model.vision_tower.vision_tower."
    depth_head = tower + "rqtransformer."
    block = depth_head + "head_transformer.blocks.0."
    renamed = {
        "model.embed_tokens.": "embed.", "model.mm_projector.token_embedding.weight": "projector.token_embedding", "model.mm_projector.": "projector.",
        "model.norm.": "lm.norm.understand.", "model.norm_gen.": "lm.norm.generate.", depth_head + "classifier_mlp.linear.": "head.classifier.",
        depth_head + "classifier_mlp.": "head.", block + "attn.key.": "head.layers.0.attn.k_proj.", block + "attn.query.": "head.layers.0.attn.q_proj.",
        block + "attn.value.": "head.layers.0.attn.v_proj.", block + "attn.proj.": "head.layers.0.attn.out_proj.", block: "head.layers.0.",
        depth_head: "head.",
    }  # fmt: skip
    for i in range(shared):
        renamed[f"model.layers.{i}."] = f"lm.trunk.{i}."
        renamed[f"model.layers.{i + shared}."] = f"lm.fork.understand.{i + shared}."
        renamed[f"model.gen_fork_layers.{i}."] = f"lm.fork.generate.{i + shared}."
    found = {"table": weights[tower + "rqvaesiglip.quantizer.codebooks.0.weight"][:codes]}
    for name, value in weights.items():
        old = next((old for old in renamed if name.startswith(old)), None)
        if old is not None:
            found[renamed[old] + name[len(old) :]] = value
    found["head.pos_emb_d"] = found["head.pos_emb_d"][0]
    return found


def test_pictures_are_painted_as_the_authors_do() -> None:
    """Guidance over pairs of rows, prompts padded on the left, one cache for trunk and branch: the codes of the authors' loop."""
    config = json.loads((GOLDEN / "config.json").read_text(encoding="utf-8"))
    given, wanted, weights = (load_file(GOLDEN / f"{name}.safetensors") for name in ("inputs", "outputs", "weights"))
    params = {ours: config[theirs] for ours, theirs in {
        "vocab": "vocab", "dim": "hidden", "depth": "layers", "shared": "num_shared", "ffn": "inter", "vision": "vdim", "codes": "n_embed",
        "code_depth": "depth", "guidance": "cfg",
    }.items()}  # fmt: skip
    model: Any = archloom.compile(PAINTER, params).eval()
    model.load_state_dict(painter_state(weights, config["n_embed"], config["num_shared"]))
    prefill, step, paint = (model.entry(name) for name in ("prefill", "step", "paint"))
    with torch.no_grad():
        seen = prefill(ids=given["prompt_ids"], mask=given["prompt_mask"].bool())
        branches = {name.split(".")[2] for name in seen.states if name.startswith("lm.fork.")}
        assert branches == {"generate"}, "the other branch has no cache here"
        for place in range(config["steps"]):
            painted = paint(h=seen.h)
            assert torch.equal(painted.codes[:, 0].repeat(2, 1), wanted["gen_codes"][:, place])
            torch.testing.assert_close(painted.scores[:, :, 0], wanted["cfg_logits"][place], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(painted.latent[:, 0], wanted["gen_latent"][:, place], rtol=0, atol=1e-5)
            torch.testing.assert_close(seen.h[:, 0], wanted["gen_last_hidden"][:, place], rtol=1e-4, atol=1e-4)
            seen = step(latent=painted.latent, states=seen.states)
