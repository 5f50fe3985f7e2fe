"""Small parts of the library against torch's own modules, or against their equations written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import archloom

from .reference import close, randomise

F64 = torch.float64
B, S = 3, 5
MASK = torch.arange(S)[None] < torch.tensor([5, 3, 2])[:, None]


def made(name: str, arguments: str, call: str = "", around: str = "{}", **inputs: str) -> Any:
    """Compile one block in float64, with random weights; `part` holds it."""
    item = name.rpartition(".")[2]
    declared = "\n".join(f"in {k}: {v}" for k, v in inputs.items())
    result = around.format(f"part({call or ', '.join(inputs)})")
    model = archloom.compile(f"import {name}\nmodel Test {{\n{declared}\npart = {item}({arguments})\nout y = {result}\n}}", dtype=F64).eval()
    randomise(model)
    return model


def applied(name: str, call: str, inputs: dict[str, str], dtype: torch.dtype = F64, **values: Tensor) -> Tensor:
    declared = "\n".join(f"in {k}: {v}" for k, v in inputs.items())
    text = f"import {name}\nmodel Test {{\n{declared}\nout y = {name.rpartition('.')[2]}({call})\n}}"
    return archloom.compile(text, dtype=dtype)(**values).y


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


# ------------------------------------------------------------------------------------------------------ adapters


def bottleneck(part: Any, x: Tensor) -> Tensor:
    return part.up(torch.relu(part.down(x)))


@pytest.mark.parametrize("block", ["HoulsbyLayer", "PfeifferLayer", "ParallelLayer"])
def test_adapters_stand_where_their_papers_put_them(block: str) -> None:
    model = made(f"adapter.{block}", "8, 2, 12, 3", "x, mask", x="float[B, S, 8]", mask="bool[B, S]")
    p, x = model.part, vectors(B, S, 8)
    attended = p.self_attn(x, MASK)
    if block == "HoulsbyLayer":
        h = p.norm1(x + attended + bottleneck(p.adapter1, attended))
        f = p.mlp(h)
        wanted = p.norm2(h + f + bottleneck(p.adapter2, f))
    else:
        h = p.norm1(x + attended)
        f = h + p.mlp(h)
        wanted = p.norm2(f + (bottleneck(p.adapter, p.norm2(f)) if block == "PfeifferLayer" else 4 * bottleneck(p.adapter, h)))
    close(model(x=x, mask=MASK).y[MASK], wanted[MASK], 1e-12, block)


def test_fusion_attends_to_what_adapters_say() -> None:
    model = made("adapter.AdapterFusion", "{a, b, c}, 8", "x, u[*]", **{"x": "float[B, S, 8]", "u[s in {a, b, c}]": "float[B, S, 8]"})
    p, x, u = model.part, vectors(B, S, 8), {name: vectors(B, S, 8, seed=i + 1) for i, name in enumerate("abc")}
    said = torch.stack(list(u.values()), dim=2)
    weight = torch.softmax((p.query(x)[:, :, None] * p.key(said)).sum(-1), dim=-1)
    close(model(x=x, u=u).y, (weight[..., None] * p.value(said)).sum(2), 1e-12, "the fusion")


def test_low_rank_updates_are_those_of_peft() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(8, 6, dtype=F64))
    theirs = inject_adapter_in_model(LoraConfig(r=2, lora_alpha=5, target_modules=["0"]), base).get_submodule("0").to(F64)
    randomise(theirs)
    model = made("adapter.LoraLinear", "8, 6, rank = 2, alpha = 5.0", x="float[B, 8]")
    names = {"base_layer.": "base_layer.", "lora.lora_A.": "lora_A.default.", "lora.lora_B.": "lora_B.default."}
    state = theirs.state_dict()
    model.part.load_state_dict(
        {ours + kind: state[name + kind] for ours, name in names.items() for kind in ("weight", "bias") if name + kind in state}
    )
    x = vectors(B, 8)
    close(model(x=x).y, theirs(x), 1e-12, "LoRA")


def test_a_low_rank_update_starts_as_nothing() -> None:
    text = "import adapter.LoraMixture\nmodel M {\nin x: float[B, 8]\npart = LoraMixture({a, b}, 8, 6)\nout y = part(x)\n}"
    model: Any = archloom.compile(text, dtype=F64)
    x = vectors(B, 8)
    assert torch.equal(model(x=x).y, model.part.base_layer(x))


# -------------------------------------------------------------------------------------------------- convolutions


def conv(part: Any, x: Tensor, activation: Any = torch.relu) -> Tensor:
    return activation(part.norm(part.conv(x)))


def test_convolution_norm_and_activation_of_sequences() -> None:
    model = made("conv.ConvNormAct", "4, 6, 5, dilation = 2, groups = 2, Conv = Conv1d, Norm = BatchNorm1d, activation = silu", x="float[B, 4, S]")
    p, x = model.part, vectors(B, 4, 12)
    assert (type(p.conv), p.conv.dilation, p.conv.groups) == (nn.Conv1d, (2,), 2)
    close(model(x=x).y, conv(p, x, F.silu), 1e-12, "the block")
    assert model(x=x).y.shape == (B, 6, 12)


def test_inverted_residual_and_squeeze() -> None:
    model = made("conv.InvertedResidual", "4, 4, expand = 2, squeeze = 3", x="float[B, 4, 6, 5]")
    p, x = model.part, vectors(B, 4, 6, 5)
    h = conv(p.around, conv(p.widen, x, F.relu6), F.relu6)
    h = h * torch.sigmoid(p.excite.fc2(F.silu(p.excite.fc1(h.mean((2, 3), keepdim=True)))))
    close(model(x=x).y, x + p.norm(p.narrow(h)), 1e-12, "the block")


def test_dilated_pyramid() -> None:
    model = made("pyramid.ASPP", "4, 3, rates = [1, 2]", x="float[B, 4, 6, 5]")
    p, x = model.part, vectors(B, 4, 6, 5)
    whole = conv(p.pool, F.adaptive_avg_pool2d(x, 1)).expand(B, 3, 6, 5)
    apart = [conv(p.apart.get_submodule(str(i)), x) for i in range(2)]
    assert [m.get_submodule("conv").dilation for m in p.apart.children()] == [(1, 1), (2, 2)]
    close(model(x=x).y, conv(p.project, torch.cat([conv(p.point, x), *apart, whole], 1)), 1e-12, "the pyramid")


def test_pooling_pyramid() -> None:
    model = made("pyramid.PyramidPooling", "4, 3, bins = [1, 3]", x="float[B, 4, 6, 9]")
    p, x = model.part, vectors(B, 4, 6, 9)
    seen = [F.interpolate(conv(p.level.get_submodule(str(i)), F.adaptive_avg_pool2d(x, n)), (6, 9), mode="bilinear") for i, n in enumerate((1, 3))]
    close(model(x=x).y, torch.cat([x, *seen], 1), 1e-12, "the pyramid")


def test_feature_pyramid_goes_from_coarse_to_fine() -> None:
    model: Any = archloom.compile(
        "import pyramid.FeaturePyramid\nmodel M { in x[s in 0..3]: float[B, 4 + s, H[s], W[s]]; part = FeaturePyramid([4, 5, 6], 3); y = part(x[*])\n"
        "out y0 = y[0]; out y1 = y[1]; out y2 = y[2] }", dtype=F64,
    )  # fmt: skip
    x = [vectors(B, 4 + s, 12 // 2**s, 8 // 2**s, seed=s) for s in range(3)]
    p, found, m = model.part, model(x=dict(enumerate(x))), torch.zeros(())
    for s in (2, 1, 0):
        here = p.inner.get_submodule(str(s))(x[s])
        m = here if s == 2 else here + F.interpolate(m, here.shape[2:], mode="nearest")
        close(found[f"y{s}"], p.layer.get_submodule(str(s))(m), 1e-12, f"scale {s}")


# ---------------------------------------------------------------------------------------------------- recurrence


def test_both_ways_of_a_recurrence_are_torch_s() -> None:
    model = made("rnn.BiLSTM", f"8, 6, {S}", x=f"float[B, {S}, 8]")
    theirs = nn.LSTM(8, 6, batch_first=True, bidirectional=True, dtype=F64)
    with torch.no_grad():
        for side, suffix in ((model.part.there, ""), (model.part.back, "_reverse")):
            for ours, name in ((side.cell.input, "ih"), (side.cell.hidden, "hh")):
                theirs.get_parameter(f"weight_{name}_l0{suffix}").copy_(ours.weight)
                theirs.get_parameter(f"bias_{name}_l0{suffix}").copy_(ours.bias)
    x = vectors(B, S, 8)
    close(model(x=x).y, theirs(x)[0], 1e-12, "the recurrence")


@pytest.mark.parametrize("backwards", [False, True])
def test_gated_units_are_torch_s(backwards: bool) -> None:
    model = made("rnn.GRU", f"8, 6, {S}, backwards = {str(backwards).lower()}", x=f"float[B, {S}, 8]")
    theirs, cell = nn.GRU(8, 6, batch_first=True, dtype=F64), model.part.cell
    with torch.no_grad():
        for ours, name in ((cell.input, "ih"), (cell.hidden, "hh")):
            for kind in ("weight", "bias"):
                gates = [ours.get_submodule(gate).get_parameter(kind) for gate in ("reset", "update", "new")]
                theirs.get_parameter(f"{kind}_{name}_l0").copy_(torch.cat(gates))
    x = vectors(B, S, 8)
    wanted = theirs(x.flip(1))[0].flip(1) if backwards else theirs(x)[0]
    close(model(x=x).y, wanted, 1e-12, "the recurrence")


# --------------------------------------------------------------------------------------------- pictures and steering


def test_taps_are_the_hidden_states() -> None:
    sizes = "size = 8, patch = 4, ffn = 12"
    hidden = made("vit.Hidden", f"8, 3, 2, {sizes}", image="float[B, 3, 8, 8]", around="stack({}[*], dim = 1)")
    taps = made("vit.Taps", "8, [3, 1], [8, 8], depth = 3, heads = 2, patch = 4, ffn = 12", image="float[B, 3, 8, 8]", around="stack({}[*], dim = 1)")
    taps.load_state_dict({**taps.state_dict(), **hidden.state_dict()})
    image = vectors(B, 3, 8, 8)
    states = hidden(image=image).y[:, [2, 0, 2], 1:]
    wanted = torch.stack([states[:, 0], states[:, 1], taps.part.norm(states[:, 2])], dim=1)  # the last block's own, too
    close(taps(image=image).y, wanted.mT.unflatten(3, (2, 2)), 1e-12, "the maps")


def test_patches_without_a_class_token() -> None:
    """The table of places keeps the row of the class token, unread, so that weights made with one fit."""
    model = made("vit.Tokens", "8, [8, 4], 4, cls = false", image="float[B, 3, 8, 4]")
    image = vectors(B, 3, 8, 4)
    patches = F.conv2d(image, model.part.patch_embed.proj.weight, model.part.patch_embed.proj.bias, stride=4).flatten(2).mT
    assert model.part.pos_embed.shape == (1, 3, 8) and "part.cls_token" not in model.state_dict()
    close(model(image=image).y, patches + model.part.pos_embed[:, 1:], 1e-12, "the tokens")


def test_a_condition_scales_shifts_and_gates() -> None:
    model = made("dit.DiTBlock", "8, 2, 12", x="float[B, S, 8]", c="float[B, 8]")
    p, x, c = model.part, vectors(B, S, 8), vectors(B, 8, seed=1)
    shift1, scale1, gate1, shift2, scale2, gate2 = (part[:, None] for part in p.modulation(F.silu(c)).chunk(6, 1))
    h = x + gate1 * p.attn(F.layer_norm(x, (8,), eps=1e-6) * (1 + scale1) + shift1)
    wanted = h + gate2 * p.mlp(F.layer_norm(h, (8,), eps=1e-6) * (1 + scale2) + shift2)
    close(model(x=x, c=c).y, wanted, 1e-12, "the block")


# ----------------------------------------------------------------------------------- distributions and transforms


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.7])
def test_entmax_adds_up_and_has_its_gradient(alpha: float) -> None:
    x, weights = (2 * vectors(B, 7)).requires_grad_(), vectors(B, 7, seed=1)
    y = applied("sparse.entmax", f"x, {alpha}, 60", {"x": "float[B, 7]"}, x=x)
    close(y.sum(-1), torch.ones(B, dtype=F64), 1e-12, "the sum")
    score = ((alpha - 1) * x - torch.where(y > 0, y, 1.0) ** (alpha - 1))[y > 0]  # the threshold, one for each row
    rows = torch.arange(B)[:, None].expand(B, 7)[y > 0]
    assert all(float(score[rows == row].detach().std(correction=0)) < 1e-9 for row in range(B))
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    s = torch.where(y > 0, y ** (2 - alpha), 0.0)
    close(gradient, s * (weights - (s * weights).sum(-1, keepdim=True) / s.sum(-1, keepdim=True)), 1e-9, "the gradient")


def test_sparsemax_is_the_nearest_distribution() -> None:
    x = (2 * vectors(B, S, 7)).requires_grad_()
    found = applied("sparse.sparsemax", "x", {"x": "float[B, S, 7]"}, x=x)
    near = applied("sparse.entmax", "x, 2.0, 60", {"x": "float[B, S, 7]"}, x=x)
    close(found, near, 1e-9, "sparsemax")
    assert (found == 0).any()
    close(found.sum(-1), torch.ones(B, S, dtype=F64), 1e-12, "the sum")
    weights = vectors(B, S, 7, seed=1)
    (gradient,) = torch.autograd.grad((found * weights).sum(), x)
    kept = found > 0
    wanted = torch.where(kept, weights - (weights * kept).sum(-1, keepdim=True) / kept.sum(-1, keepdim=True), 0.0)
    close(gradient, wanted, 1e-12, "the gradient")


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_cosine_transform_is_its_matrix_and_turns_back(n: int) -> None:
    x = vectors(B, n).float()
    k = torch.arange(n, dtype=F64)
    matrix = math.sqrt(2 / n) * torch.cos(math.pi * k[:, None] * (2 * k + 1) / (2 * n))
    matrix[0] /= math.sqrt(2)
    found = applied("spectrum.dct", "x", {"x": "float32[B, S]"}, torch.float32, x=x)
    close(found, (x.double() @ matrix.mT).float(), 1e-6, "the transform")
    close(applied("spectrum.idct", "x", {"x": "float32[B, S]"}, torch.float32, x=found), x, 1e-6, "the way back")


# --------------------------------------------------------------------------------------------- heads and quantisers


def test_pooling_by_attention_leaves_out_padding() -> None:
    model = made("heads.AttentionPool", "8, 6", "x, mask", x="float[B, S, 8]", mask="bool[B, S]")
    p, x = model.part, vectors(B, S, 8)
    weight = torch.softmax(p.score(torch.tanh(p.dense(x)))[..., 0].masked_fill(~MASK, -math.inf), 1)
    close(model(x=x, mask=MASK).y, (weight[..., None] * x).sum(1), 1e-12, "the pool")


def test_biaffine_scores_are_a_bilinear_form() -> None:
    model = made("heads.BiaffineHead", "8, 6, 2", x="float[B, S, 8]")
    p, x = model.part, vectors(B, S, 8)
    u, v = F.gelu(p.first(x)), F.gelu(p.second(x))
    form = torch.einsum("bid,lde,bje->bijl", u, p.weight, v)
    close(model(x=x).y, form + p.own(u)[:, :, None] + p.other(v)[:, None], 1e-12, "the scores")


def test_residual_quantiser_takes_the_nearest_of_what_is_left() -> None:
    text = "import rq.ResidualVectorQuantizer\nmodel M { in x: float[B, S, 8]; part = ResidualVectorQuantizer(8, 5, 3); r = part(x)\n"
    model: Any = archloom.compile(text + "out codes = r.codes; out y = r.y; out penalty = sum(losses(part.**)[*]) }", dtype=F64)
    randomise(model)
    x = vectors(B, S, 8).requires_grad_()
    rest, codes, penalty = x.detach(), [], torch.zeros((), dtype=F64)
    for d in range(3):
        table = model.part.quantizer.get_submodule(str(d)).codebook
        codes.append(torch.cdist(rest, table).argmin(-1))
        rest = rest - table[codes[-1]]
        penalty = penalty + 1.25 * rest.square().mean()
    result = model(x=x)
    assert torch.equal(result.codes, torch.stack(codes, -1))
    close(result.y, x - rest, 1e-12, "the sum")
    close(result.penalty, penalty, 1e-12, "the losses")
    (gradient,) = torch.autograd.grad(result.y.sum(), x)
    assert torch.equal(gradient, torch.ones_like(x))


# -------------------------------------------------------------------------------------------------------- losses


def test_pairs_by_themselves() -> None:
    a, b = vectors(B, 8), vectors(B, 8, seed=1)
    given = {"a": "float[B, 8]", "b": "float[B, 8]", "t": "float[]", "c": "float[]"}
    found = applied("loss.sigmoid_contrast", "a, b, t, c", given, a=a, b=b, t=torch.tensor(10.0).double(), c=torch.tensor(-3.0).double())
    scores = 10 * F.cosine_similarity(a[:, None], b[None], dim=-1) - 3
    close(found, F.binary_cross_entropy_with_logits(scores, torch.eye(B, dtype=F64), reduction="sum") / B, 1e-12, "the loss")


def test_overlap_triplets_and_divergence() -> None:
    a, b, c = (vectors(B, 8, seed=i) for i in range(3))
    given = {"a": "float[B, 8]", "b": "float[B, 8]", "c": "float[B, 8]"}
    p, t = torch.sigmoid(a), (b > 0).double()
    overlap = 1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)
    close(applied("loss.dice", "a, b", {k: given[k] for k in "ab"}, a=a, b=t), overlap.mean(), 1e-12, "dice")
    close(applied("loss.triplet", "a, b, c", given, a=a, b=b, c=c), F.triplet_margin_loss(a, b, c, eps=0.0), 1e-12, "triplet")
    p, q = torch.softmax(a, -1), torch.softmax(b, -1)
    middle = ((p + q) / 2).log()
    wanted = (F.kl_div(middle, p, reduction="batchmean") + F.kl_div(middle, q, reduction="batchmean")) / 2
    close(applied("loss.jensen_shannon", "a, b", {k: given[k] for k in "ab"}, a=a, b=b), wanted, 1e-12, "divergence")


def test_losses_weigh_by_their_learned_variance() -> None:
    model = made("loss.UncertaintyWeights", "{a, b}", "l[*]", **{"l[t in {a, b}]": "float[]"})
    first, second = model.part.log_variance.parameters()
    found = model(l={"a": torch.tensor(2.0, dtype=F64), "b": torch.tensor(3.0, dtype=F64)}).y
    close(found, 2 * torch.exp(-first) + first + 3 * torch.exp(-second) + second, 1e-12, "the sum")
