"""The library's language models equal those of transformers: weights copied by name, results and gradients compared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import BertConfig, LlamaConfig, Qwen2Config, RobertaConfig, XLMRobertaConfig
from transformers.models.bert.modeling_bert import BertEmbeddings, BertForMaskedLM, BertLayer, BertModel, BertPooler
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaForCausalLM, LlamaRotaryEmbedding
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer, Qwen2ForCausalLM
from transformers.models.roberta.modeling_roberta import RobertaEmbeddings, RobertaModel
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaEmbeddings

import archloom

from .reference import agree, build, randomise

PRECISIONS = [pytest.param(torch.float64, 1e-10, id="float64"), pytest.param(torch.float32, 1e-5, id="float32")]
B, S, VOCAB, DIM, HEADS, KV, FFN = 3, 7, 50, 32, 4, 2, 48
PADDINGS = [pytest.param("none", id="unmasked"), pytest.param("right", id="padding-right"), pytest.param("left", id="padding-left")]


def padding(kind: str) -> Tensor | None:
    """Return which tokens are real: rows of different lengths, padded on one side."""
    if kind == "none":
        return None
    mask = torch.arange(S)[None, :] < torch.tensor([S, 4, 2])[:, None]
    return mask if kind == "right" else mask.flip(1)


def tokens(pad: int = 0, mask: Tensor | None = None) -> Tensor:
    ids = torch.randint(2, VOCAB, (B, S), generator=torch.Generator().manual_seed(1))
    return ids if mask is None else torch.where(mask, ids, pad)


def vectors(dtype: torch.dtype) -> Tensor:
    return torch.randn(B, S, DIM, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)


def real(value: Tensor, mask: Tensor | None) -> Tensor:
    """Leave out the places of padding: what stands there is nobody's business."""
    return value if mask is None else value[mask]


def small(config: Any, **more: Any) -> Any:
    """Return a small configuration that attends by torch's own kernel."""
    sizes: dict[str, Any] = {"vocab_size": VOCAB, "hidden_size": DIM, "intermediate_size": FFN, "num_attention_heads": HEADS, "num_hidden_layers": 2}
    found = config(**(sizes | more))
    found._attn_implementation = "sdpa"
    return found


def prepared(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    randomise(module)
    return module.to(dtype).eval()


# ----------------------------------------------------------------------------------------------------- decoders

DECODERS = [
    pytest.param("llama", LlamaConfig, LlamaDecoderLayer, LlamaForCausalLM, 10000.0, id="llama"),
    pytest.param("qwen2", Qwen2Config, Qwen2DecoderLayer, Qwen2ForCausalLM, 1e6, id="qwen2"),
]


def decoder_settings(config: Any, theta: float, tied: bool = False) -> Any:
    return small(
        config, num_key_value_heads=KV, rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": theta}, tie_word_embeddings=tied
    )


def seen(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return the causal mask with padding as the reference's layer takes it."""
    if mask is None:
        return None
    allowed = torch.ones(S, S, dtype=torch.bool).tril() & mask[:, None, None]
    return torch.zeros(B, 1, S, S, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("pad", PADDINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(("family", "config", "layer", "model", "theta"), DECODERS)
@pytest.mark.parametrize("tables", [False, True], ids=["own-tables", "given-tables"])
def test_decoder_layer(
    family: str, config: Any, layer: Any, model: Any, theta: float, dtype: torch.dtype, tolerance: float, pad: str, tables: bool
) -> None:
    options = decoder_settings(config, theta)
    theirs = prepared(layer(options, 0), dtype)
    mask = padding(pad)
    given = ["mask"] * (mask is not None) + ["cos", "sin"] * tables
    text = f"""
    import {family}.DecoderLayer
    model Test {{
      in x: float[B, S, {DIM}]
      in mask: bool[B, S]
      in at: int[S]
      {"cos, sin = rope_table(at, " + str(DIM // HEADS) + ", " + str(theta) + ")" if tables else ""}
      part = DecoderLayer({DIM}, {HEADS}, {KV}, {FFN})
      out y = part(x{"".join(f", {name} = {name}" for name in given)})
    }}"""
    ours = build(text, dtype, theirs)
    at = torch.arange(S)
    rotary = LlamaRotaryEmbedding(options)(vectors(dtype), at[None])

    def run(values: Any) -> Tensor:
        wanted = {"x": values["x"]} | ({"mask": mask} if mask is not None else {}) | ({"at": at} if tables else {})
        return real(ours(**wanted).y, mask)

    def refer(values: Any) -> Tensor:
        return real(theirs(values["x"], attention_mask=seen(mask, dtype), position_embeddings=rotary), mask)

    agree(ours, theirs, run, refer, {"x": vectors(dtype)}, tolerance)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("pad", PADDINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(("family", "config", "layer", "model", "theta"), DECODERS)
def test_causal_language_model(
    family: str, config: Any, layer: Any, model: Any, theta: float, dtype: torch.dtype, tolerance: float, pad: str, tied: bool
) -> None:
    theirs = prepared(model(decoder_settings(config, theta, tied)), dtype)
    mask = padding(pad)
    text = f"""
    import {family}.CausalLM
    model Test {{
      in ids: int[B, S] in 0..{VOCAB}
      {"in mask: bool[B, S]" if mask is not None else ""}
      part = CausalLM({VOCAB}, {DIM}, depth = 2, heads = {HEADS}, kv_heads = {KV}, ffn = {FFN}, tied = {str(tied).lower()})
      out y = part(ids{", mask" if mask is not None else ""})
    }}"""
    ours = build(text, dtype, theirs)
    ids = tokens(0, mask)
    # the reference counts positions from the first real token on; rotations are relative, so ours may count from the first column
    extra = {} if mask is None else {"mask": mask}
    at = None if mask is None else {"position_ids": (mask.long().cumsum(-1) - 1).clamp(min=0)}
    run = lambda values: real(ours(ids=ids, **extra).y, mask)  # noqa: E731
    refer = lambda values: real(theirs(ids, attention_mask=None if mask is None else mask.long(), use_cache=False, **(at or {})).logits, mask)  # noqa: E731
    agree(ours, theirs, run, refer, {}, tolerance if pad != "left" else max(tolerance, 2e-5))


@given(
    groups=st.integers(1, 3), shared=st.integers(1, 3), half=st.integers(1, 4), batch=st.integers(1, 3), length=st.integers(1, 9), bias=st.booleans()
)
@settings(max_examples=15)
def test_llama_layer_of_any_size(groups: int, shared: int, half: int, batch: int, length: int, bias: bool) -> None:
    """Heads of a width of their own, one key head or many, a single token: all as the reference has it."""
    heads = {"num_attention_heads": groups * shared, "num_key_value_heads": groups, "head_dim": 2 * half, "attention_bias": bias}
    options = small(LlamaConfig, hidden_size=36, intermediate_size=20, **heads)
    theirs = prepared(LlamaDecoderLayer(options, 0), torch.float32)
    text = f"""
    import llama.DecoderLayer
    model Test {{
      in x: float[B, S, 36]
      part = DecoderLayer(36, {groups * shared}, {groups}, 20, head_dim = {2 * half}, bias = {str(bias).lower()})
      out y = part(x)
    }}"""
    ours = build(text, torch.float32, theirs)
    x = torch.randn(batch, length, 36, generator=torch.Generator().manual_seed(length))
    rotary = LlamaRotaryEmbedding(options)(x, torch.arange(length)[None])
    agree(ours, theirs, lambda v: ours(**v).y, lambda v: theirs(v["x"], position_embeddings=rotary), {"x": x}, 1e-5)


# --------------------------------------------------------------------------------------------------------- BERT


@pytest.mark.parametrize("pad", PADDINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_bert_layer(dtype: torch.dtype, tolerance: float, pad: str) -> None:
    theirs = prepared(BertLayer(small(BertConfig)), dtype)
    mask = padding(pad)
    text = f"""
    import bert.Layer
    model Test {{
      in x: float[B, S, {DIM}]
      {"in mask: bool[B, S]" if mask is not None else ""}
      part = Layer({DIM}, {HEADS}, {FFN})
      out y = part(x{", mask" if mask is not None else ""})
    }}"""
    ours = build(text, dtype, theirs)
    extra = {} if mask is None else {"mask": mask}
    wide = None if mask is None else mask[:, None, None].expand(B, 1, S, S)
    agree(ours, theirs, lambda v: ours(**v, **extra).y, lambda v: theirs(v["x"], attention_mask=wide), {"x": vectors(dtype)}, tolerance)


@pytest.mark.parametrize("segments", [False, True], ids=["one-text", "two-texts"])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_bert_embeddings(dtype: torch.dtype, tolerance: float, segments: bool) -> None:
    theirs = prepared(BertEmbeddings(small(BertConfig)), dtype)
    text = f"""
    import bert.Embeddings
    model Test {{
      in ids: int[B, S]
      {"in segments: int[B, S]" if segments else ""}
      part = Embeddings({VOCAB}, {DIM})
      out y = part(ids{", segments" if segments else ""})
    }}"""
    ours = build(text, dtype, theirs)
    kinds = (torch.arange(S) > 3).long().expand(B, S)
    extra = {"segments": kinds} if segments else {}
    theirs_extra = {"token_type_ids": kinds} if segments else {}
    agree(ours, theirs, lambda v: ours(ids=tokens(), **extra).y, lambda v: theirs(tokens(), **theirs_extra), {}, tolerance)


@pytest.mark.parametrize("pad", PADDINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_bert_and_its_pooler(dtype: torch.dtype, tolerance: float, pad: str) -> None:
    theirs = prepared(BertModel(small(BertConfig)), dtype)
    mask = padding(pad)
    text = f"""
    import bert.{{Embeddings, Encoder, Pooler}}
    model Test {{
      in ids: int[B, S]
      {"in mask: bool[B, S]" if mask is not None else ""}
      embeddings = Embeddings({VOCAB}, {DIM})
      encoder = Encoder({DIM}, 2, {HEADS}, {FFN})
      pooler = Pooler({DIM})
      out y = pooler(encoder(embeddings(ids){", mask" if mask is not None else ""}))
    }}"""
    ours = build(text, dtype, theirs, "")
    ids = tokens(0, mask)
    extra = {} if mask is None else {"mask": mask}
    long = None if mask is None else mask.long()
    agree(ours, theirs, lambda v: ours(ids=ids, **extra).y, lambda v: theirs(ids, attention_mask=long).pooler_output, {}, tolerance, "")


def test_bert_masked_head() -> None:
    theirs = prepared(BertForMaskedLM(small(BertConfig)), torch.float64)
    head: Any = theirs.get_submodule("cls.predictions")
    text = f"""
    import bert.MaskedHead
    model Test {{
      in x: float[B, S, {DIM}]
      part = MaskedHead({DIM}, {VOCAB})
      out y = part(x)
    }}"""
    ours = archloom.compile(text, dtype=torch.float64).eval()
    state = {f"part.{k}": v for k, v in head.state_dict().items() if k not in ("bias",)}
    ours.load_state_dict(state, strict=True)
    x = vectors(torch.float64)
    torch.testing.assert_close(ours(x=x).y, head(x), rtol=0, atol=1e-10)


def test_bert_pooler() -> None:
    theirs = prepared(BertPooler(small(BertConfig)), torch.float64)
    ours = build(f"import bert.Pooler\nmodel Test {{\n in x: float[B, S, {DIM}]\n part = Pooler({DIM})\n out y = part(x)\n}}", torch.float64, theirs)
    agree(ours, theirs, lambda v: ours(**v).y, lambda v: theirs(v["x"]), {"x": vectors(torch.float64)}, 1e-10)


# ------------------------------------------------------------------------------------------------------ RoBERTa


@pytest.mark.parametrize("pad", PADDINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(
    ("config", "embeddings"),
    [pytest.param(RobertaConfig, RobertaEmbeddings, id="roberta"), pytest.param(XLMRobertaConfig, XLMRobertaEmbeddings, id="xlm-r")],
)
def test_roberta_embeddings(config: Any, embeddings: Any, dtype: torch.dtype, tolerance: float, pad: str) -> None:
    options = small(config, max_position_embeddings=20, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5)
    theirs = prepared(embeddings(options), dtype)
    text = f"""
    import roberta.Embeddings
    model Test {{
      in ids: int[B, S]
      part = Embeddings({VOCAB}, {DIM}, positions = 20)
      out y = part(ids)
    }}"""
    ours = build(text, dtype, theirs)
    ids = tokens(1, padding(pad))
    agree(ours, theirs, lambda v: ours(ids=ids).y, lambda v: theirs(ids), {}, tolerance)


@pytest.mark.parametrize("pad", PADDINGS)
def test_roberta(pad: str) -> None:
    options = small(RobertaConfig, max_position_embeddings=20, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5)
    theirs = prepared(RobertaModel(options, add_pooling_layer=False), torch.float64)
    mask = padding(pad)
    text = f"""
    import roberta.{{Embeddings, Encoder}}
    model Test {{
      in ids: int[B, S]
      in mask: bool[B, S]
      embeddings = Embeddings({VOCAB}, {DIM}, positions = 20)
      encoder = Encoder({DIM}, 2, {HEADS}, {FFN})
      out y = encoder(embeddings(ids), mask)
    }}"""
    ours = build(text, torch.float64, theirs, "")
    ids, whole = tokens(1, mask), torch.ones(B, S, dtype=torch.bool) if mask is None else mask
    agree(
        ours,
        theirs,
        lambda v: real(ours(ids=ids, mask=whole).y, mask),
        lambda v: real(theirs(ids, whole.long()).last_hidden_state, mask),
        {},
        1e-10,
        "",
    )
