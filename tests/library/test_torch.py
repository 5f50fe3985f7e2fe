"""The rest of the library against torch's own modules and functions, or against its equation written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import archloom

from .reference import close, randomise

B, S, T, DIM, HEADS, FFN = 3, 5, 4, 8, 2, 12
F64 = torch.float64
SPLIT = {"q_proj": 0, "k_proj": 1, "v_proj": 2}
MASK = torch.arange(S)[None] < torch.tensor([5, 3, 2])[:, None]
CONTEXT_MASK = torch.arange(T)[None] < torch.tensor([4, 1, 2])[:, None]


def made(name: str, arguments: str, inputs: dict[str, str], call: str | None = None) -> Any:
    """Compile one block in float64, with random weights."""
    item = name.rpartition(".")[2]
    declared = "\n".join(f"in {k}: {v}" for k, v in inputs.items())
    given = call or ", ".join(inputs)
    model = archloom.compile(f"import {name}\nmodel Test {{\n{declared}\npart = {item}({arguments})\nout y = part({given})\n}}", dtype=F64).eval()
    randomise(model)
    return model


def applied(name: str, call: str, **values: Tensor) -> Tensor:
    """Return what a function of the library gives for some values."""
    item = name.rpartition(".")[2]
    sizes: dict[int, str] = {B: "B", S: "S", T: "T"}
    words = {torch.float64: "float", torch.int64: "int", torch.bool: "bool"}
    types = {k: f"{words[v.dtype]}[{', '.join(sizes.get(n, str(n)) for n in v.shape)}]" for k, v in values.items()}
    declared = "\n".join(f"in {k}: {v}" for k, v in types.items())
    model = archloom.compile(f"import {name}\nmodel Test {{\n{declared}\nout y = {item}({call})\n}}", dtype=F64)
    return model(**values).y


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def copy_attention(ours: Any, theirs: nn.MultiheadAttention) -> None:
    """Give torch's attention the weights of ours, its three projections stacked."""
    with torch.no_grad():
        for kind in ("weight", "bias"):
            stacked = torch.cat([ours.get_submodule(n).get_parameter(kind) for n in SPLIT])
            theirs.get_parameter(f"in_proj_{kind}").copy_(stacked)
            theirs.out_proj.get_parameter(kind).copy_(ours.out_proj.get_parameter(kind))


def copy_layer(ours: Any, theirs: Any) -> None:
    """Give torch's layer the weights of ours."""
    copy_attention(ours.self_attn, theirs.self_attn)
    if hasattr(ours, "cross_attn"):
        copy_attention(ours.cross_attn, theirs.multihead_attn)
    names = [n for n in ("norm1", "norm2", "norm3") if hasattr(ours, n)]
    for mine, other in [*((getattr(ours, n), getattr(theirs, n)) for n in names), (ours.mlp.fc1, theirs.linear1), (ours.mlp.fc2, theirs.linear2)]:
        other.load_state_dict(mine.state_dict())


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("causal", [False, True], ids=["both-ways", "causal"])
def test_self_attention(masked: bool, causal: bool) -> None:
    inputs = {"x": f"float[B, S, {DIM}]"} | ({"mask": "bool[B, S]"} if masked else {})
    ours = made("attention.SelfAttention", f"{DIM}, {HEADS}, causal = {str(causal).lower()}", inputs)
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True, dtype=F64)
    copy_attention(ours.part, theirs)
    x = vectors(B, S, DIM)
    given = {"x": x} | ({"mask": MASK} if masked else {})
    unseen = ~torch.ones(S, S, dtype=torch.bool).tril() if causal else None
    wanted, _ = theirs(x, x, x, key_padding_mask=~MASK if masked else None, attn_mask=unseen, need_weights=False)
    close(ours(**given).y, wanted, 1e-12, "self-attention")


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "padded"])
def test_cross_attention(masked: bool) -> None:
    inputs = {"x": f"float[B, S, {DIM}]", "context": f"float[B, T, {DIM}]"} | ({"mask": "bool[B, T]"} if masked else {})
    ours = made("attention.CrossAttention", f"{DIM}, {HEADS}", inputs)
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True, dtype=F64)
    copy_attention(ours.part, theirs)
    x, context = vectors(B, S, DIM), vectors(B, T, DIM, seed=1)
    given = {"x": x, "context": context} | ({"mask": CONTEXT_MASK} if masked else {})
    wanted, _ = theirs(x, context, context, key_padding_mask=~CONTEXT_MASK if masked else None, need_weights=False)
    close(ours(**given).y, wanted, 1e-12, "cross-attention")


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize(("block", "first", "activation"), [("PreNormLayer", True, "gelu"), ("PostNormLayer", False, "relu")])
def test_encoder_layer(block: str, first: bool, activation: str, masked: bool) -> None:
    inputs = {"x": f"float[B, S, {DIM}]"} | ({"mask": "bool[B, S]"} if masked else {})
    ours = made(f"encoder.{block}", f"{DIM}, {HEADS}, {FFN}", inputs)
    theirs = nn.TransformerEncoderLayer(DIM, HEADS, FFN, 0.0, activation, batch_first=True, norm_first=first, dtype=F64)
    copy_layer(ours.part, theirs)
    x = vectors(B, S, DIM)
    given = {"x": x} | ({"mask": MASK} if masked else {})
    found, wanted = ours(**given).y, theirs(x, src_key_padding_mask=~MASK if masked else None)
    close(found[MASK], wanted[MASK], 1e-12, block)


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize(("block", "first", "activation"), [("PreNormLayer", True, "gelu"), ("PostNormLayer", False, "relu")])
def test_decoder_layer(block: str, first: bool, activation: str, masked: bool) -> None:
    inputs = {"x": f"float[B, S, {DIM}]", "context": f"float[B, T, {DIM}]"} | ({"mask": "bool[B, S]", "context_mask": "bool[B, T]"} if masked else {})
    ours = made(f"decoder.{block}", f"{DIM}, {HEADS}, {FFN}", inputs)
    theirs = nn.TransformerDecoderLayer(DIM, HEADS, FFN, 0.0, activation, batch_first=True, norm_first=first, dtype=F64).eval()
    copy_layer(ours.part, theirs)
    x, context = vectors(B, S, DIM), vectors(B, T, DIM, seed=1)
    given = {"x": x, "context": context} | ({"mask": MASK, "context_mask": CONTEXT_MASK} if masked else {})
    unseen = ~torch.ones(S, S, dtype=torch.bool).tril()
    masks = {"tgt_key_padding_mask": ~MASK, "memory_key_padding_mask": ~CONTEXT_MASK} if masked else {}
    close(ours(**given).y[MASK], theirs(x, context, tgt_mask=unseen, **masks)[MASK], 1e-12, block)


def test_grouped_queries_are_heads_that_share_keys() -> None:
    """With its key heads repeated, grouped-query attention is attention with a key head for each query head."""
    few = made("attention.GroupedQueryAttention", f"{DIM}, 4, 2", {"x": f"float[B, S, {DIM}]"})
    many = made("attention.GroupedQueryAttention", f"{DIM}, 4, 4", {"x": f"float[B, S, {DIM}]"})
    state = few.state_dict()
    for name in ("k_proj", "v_proj"):
        weight = state[f"part.{name}.weight"]
        state[f"part.{name}.weight"] = weight.unflatten(0, (2, 2)).repeat_interleave(2, dim=0).flatten(0, 1)
    many.load_state_dict(state)
    x = vectors(B, S, DIM)
    close(few(x=x).y, many(x=x).y, 1e-12, "grouped queries")


@pytest.mark.parametrize(
    ("block", "activation"),
    [("SwiGLU", F.silu), ("GeGLU", F.gelu), ("ReGLU", F.relu), ("GLU", torch.sigmoid)],
    ids=["SwiGLU", "GeGLU", "ReGLU", "GLU"],
)
def test_gated_feed_forward(block: str, activation: Any) -> None:
    ours = made(f"ffn.{block}", f"{DIM}, {FFN}", {"x": f"float[B, S, {DIM}]"})
    part, x = ours.part, vectors(B, S, DIM)
    wanted = part.down_proj(activation(part.gate_proj(x)) * part.up_proj(x))
    close(ours(x=x).y, wanted, 1e-12, block)


def test_deep_linear_has_no_activation_at_the_end() -> None:
    ours = made("linear.DeepLinear", "[8, 6, 5]", {"x": "float[B, 8]"})
    x, layers = vectors(B, 8), ours.part.linear
    close(ours(x=x).y, layers.get_submodule("1")(torch.relu(layers.get_submodule("0")(x))), 1e-12, "DeepLinear")


def test_adapter_starts_as_nearly_nothing() -> None:
    torch.manual_seed(0)
    model = archloom.compile("import linear.Adapter\nmodel Test {\nin x: float[B, 8]\npart = Adapter(8, 2)\nout y = part(x)\n}", dtype=F64)
    x = vectors(B, 8)
    assert 0 < float((model(x=x).y - x).detach().abs().max()) < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_llama_norm_rounds_as_llama(dtype: torch.dtype) -> None:
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    ours = archloom.compile("import norm.LlamaNorm\nmodel Test {\nin x: float[B, 64]\npart = LlamaNorm(64)\nout y = part(x)\n}", dtype=dtype)
    theirs = LlamaRMSNorm(64)
    randomise(theirs)
    theirs.to(dtype)
    ours.get_submodule("part").load_state_dict(theirs.state_dict())
    x = (10 * vectors(B, 64)).to(dtype)
    assert torch.equal(ours(x=x).y, theirs(x))


def test_scale_norm_gives_every_vector_one_length() -> None:
    ours = archloom.compile("import norm.ScaleNorm\nmodel Test {\nin x: float[B, 16]\npart = ScaleNorm(16)\nout y = part(x)\n}", dtype=F64)
    close(ours(x=vectors(B, 16)).y.norm(dim=-1), torch.full((B,), 4.0, dtype=F64), 1e-12, "the length")


def test_adaptive_norm() -> None:
    ours = made("norm.AdaptiveNorm", "8, 6", {"x": "float[B, S, 8]", "c": "float[B, 6]"})
    x, c = vectors(B, S, 8), vectors(B, 6, seed=1)
    scale, shift = ours.part.linear(F.silu(c)).chunk(2, dim=-1)
    close(ours(x=x, c=c).y, F.layer_norm(x, (8,), eps=1e-6) * (1 + scale[:, None]) + shift[:, None], 1e-12, "AdaptiveNorm")


def test_sinusoid() -> None:
    found = applied("position.sinusoid", "at, 6", at=torch.arange(S, dtype=F64))
    wanted = [[f(p / 10000 ** (2 * i / 6)) for i in range(3) for f in (math.sin, math.cos)] for p in range(S)]
    close(found, torch.tensor(wanted, dtype=F64), 1e-12, "the waves")


# -------------------------------------------------------------------------------------------------------- losses

LOGITS, LABELS = vectors(B, S, 7), torch.randint(0, 7, (B, S), generator=torch.Generator().manual_seed(3))


def test_next_token_loss() -> None:
    found = applied("loss.next_token", "logits, ids, mask", logits=LOGITS, ids=LABELS, mask=MASK)
    shifted = torch.where(MASK, LABELS, -100)[:, 1:]
    close(found, F.cross_entropy(LOGITS[:, :-1].flatten(0, 1), shifted.flatten()), 1e-12, "the loss")


def test_token_class_loss() -> None:
    found = applied("loss.token_class", "logits, labels, mask", logits=LOGITS, labels=LABELS, mask=MASK)
    close(found, F.cross_entropy(LOGITS[MASK], LABELS[MASK]), 1e-12, "the loss")


def test_span_loss() -> None:
    start, end, first, last = vectors(B, S), vectors(B, S, seed=1), torch.tensor([0, 1, 2]), torch.tensor([4, 2, 2])
    found = applied("loss.span", "start, end, first, last", start=start, end=end, first=first, last=last)
    close(found, (F.cross_entropy(start, first) + F.cross_entropy(end, last)) / 2, 1e-12, "the loss")


def test_masked_mse_loss() -> None:
    x, target = vectors(B, S, 8), vectors(B, S, 8, seed=1)
    found = applied("loss.masked_mse", "x, goal, mask", x=x, goal=target, mask=MASK)
    close(found, F.mse_loss(x[MASK], target[MASK]), 1e-12, "the loss")


def test_distillation_loss() -> None:
    teacher = vectors(B, 7, seed=1)
    found = applied("loss.distill", "logits, teacher, temperature = 2.0", logits=LOGITS[:, 0], teacher=teacher)
    wanted = 4 * F.kl_div(F.log_softmax(LOGITS[:, 0] / 2, -1), F.softmax(teacher / 2, -1), reduction="batchmean")
    close(found, wanted, 1e-12, "the loss")


def test_contrastive_loss() -> None:
    a, b = vectors(B, 8), vectors(B, 8, seed=1)
    found = applied("loss.contrast", "a, b, temperature = 0.1", a=a, b=b)
    scores = F.cosine_similarity(a[:, None], b[None], dim=-1) / 0.1
    close(found, (F.cross_entropy(scores, torch.arange(B)) + F.cross_entropy(scores.mT, torch.arange(B))) / 2, 1e-12, "the loss")


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_focal_loss(gamma: float) -> None:
    target = (vectors(B, 7, seed=2) > 0).double()
    found = applied("loss.focal", f"logits, goal, gamma = {gamma}", logits=LOGITS[:, 0], goal=target)
    p = torch.where(target > 0, LOGITS[:, 0].sigmoid(), 1 - LOGITS[:, 0].sigmoid())
    close(found, (-((1 - p) ** gamma) * p.log()).mean(), 1e-12, "the loss")
