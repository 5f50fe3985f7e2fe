"""The library's vision models equal those of transformers: weights carried over by name, results and gradients compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from transformers import ConvNextConfig, ResNetConfig, SegformerConfig, SiglipVisionConfig, SwinConfig, ViTConfig
from transformers.models.convnext.modeling_convnext import ConvNextForImageClassification
from transformers.models.resnet.modeling_resnet import ResNetForImageClassification
from transformers.models.segformer.modeling_segformer import SegformerForSemanticSegmentation
from transformers.models.siglip.modeling_siglip import SiglipVisionModel
from transformers.models.swin.modeling_swin import SwinForImageClassification
from transformers.models.vit.modeling_vit import ViTModel

import archloom

from .reference import close, gradients, randomise

F64 = torch.float64
Rules = Sequence[tuple[str, str]]

VIT = (
    ("embeddings.cls_token", "embed.cls_token"), ("embeddings.position_embeddings", "embed.pos_embed"),
    (r"embeddings.patch_embeddings.projection", "embed.patch_embed.proj"), (r"^layers\.(\d+)", r"blocks.\1"), (r"attention\.o_proj", "attn.out_proj"),
    ("attention", "attn"), ("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("^layernorm", "norm"),
)  # fmt: skip
SWIN = (
    ("swin.embeddings.patch_embeddings.projection", "patch_embed"), ("swin.embeddings.norm", "patch_norm"), ("swin.layernorm", "final_norm"),
    ("classifier", "head"), (r"attention.relative_position_bias.relative_position_bias_table", "attn.table"), ("attention.o_proj", "attn.proj"),
    (r"attention.([qkv])_proj", r"attn.\1"), ("layernorm_before", "norm1"), ("layernorm_after", "norm2"),
    (r"swin.encoder.layers.0.downsample", "stage.1.downsample"), (r"swin.encoder.layers.(\d+)", r"stage.\1"),
)  # fmt: skip
CONVNEXT = (
    ("convnext.embeddings.patch_embeddings", "stem.0"), ("convnext.embeddings.layernorm", "stem_norm.0"), ("convnext.layernorm", "norm"),
    (r"convnext.encoder.stages.(\d+).downsampling_layer.0", r"down_norm.\1"), (r"convnext.encoder.stages.(\d+).downsampling_layer.1", r"down.\1"),
    (r"convnext.encoder.stages.(\d+).layers.(\d+)", r"layer.\1.\2"), ("layer_scale_parameter", "gamma"), ("layernorm", "norm"), ("classifier", "head"),
)  # fmt: skip
SEGFORMER = (
    (r"segformer.stages.(\d+).patch_embeddings.proj", r"patch.\1"), (r"segformer.stages.(\d+).patch_embeddings.layer_norm", r"patch_norm.\1"),
    (r"segformer.stages.(\d+).layer_norm", r"norm.\1"), (r"segformer.stages.(\d+).blocks.(\d+)", r"layer.\1.\2"),
    (r"attention.sequence_reduction.sequence_reduction", "shrink"), (r"attention.sequence_reduction.layer_norm", "shrink_norm"),
    ("attention.q_proj", "query"), ("attention.k_proj", "key"), ("attention.v_proj", "value"), ("attention.o_proj", "proj"),
    ("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("mlp.dwconv.dwconv", "dwconv"), ("mlp.fc", "fc"),
    (r"decode_head.linear_projections.(\d+).proj", r"linear.\1"), ("decode_head.linear_fuse", "fuse"), ("decode_head.batch_norm", "fuse_norm"),
    ("decode_head.classifier", "classify"),
)  # fmt: skip
RESNET = (
    ("resnet.embedder.embedder.convolution", "conv1"), ("resnet.embedder.embedder.normalization", "bn1"), (r"classifier.1", "fc"),
    (r"resnet.encoder.stages.(\d+).layers.(\d+)", r"layer.\1.\2"), ("shortcut.convolution", "downsample.0"),
    ("shortcut.normalization", "downsample.1"), ("layer.0.convolution", "conv1"), ("layer.1.convolution", "conv2"), ("layer.2.convolution", "conv3"),
    ("layer.0.normalization", "bn1"), ("layer.1.normalization", "bn2"), ("layer.2.normalization", "bn3"),
)  # fmt: skip


def translated(tensors: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """Give tensors the library's names; queries, keys and values that it holds in one weight are joined."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for pattern, ours in rules:
            name = re.sub(pattern, ours, name)
        found[f"part.{name}"] = tensor
    for name in [n for n in found if ".attn.q." in n]:
        joined = [found.pop(name.replace(".attn.q.", f".attn.{part}.")) for part in "qkv"]
        found[name.replace(".attn.q.", ".attn.qkv.")] = torch.cat(joined)
    return found


def compare(text: str, theirs: Any, rules: Rules, image: Tensor, of: Any, name: str) -> Any:
    """Carry the weights over, compare one result and the gradients of its mixture; returns our model."""
    randomise(theirs)
    theirs.to(F64).eval()
    model = archloom.compile(text, dtype=F64).eval()
    model.load_state_dict(translated(theirs.state_dict(), rules), strict=True)
    mine, other = image.clone().requires_grad_(), image.clone().requires_grad_()
    found, wanted = model(image=mine)[name], of(theirs(pixel_values=other))
    assert found.shape == wanted.shape
    close(found, wanted, 1e-10, "the result")
    left, right = gradients(model, found, {"image": mine}), gradients(theirs, wanted, {"image": other})
    close(left.pop("input image"), right.pop("input image"), 1e-9, "the gradient of the picture")
    right = translated(right, rules)
    assert left.keys() == right.keys()
    for key, gradient in right.items():
        close(left[key], gradient, 1e-9, f"the gradient of {key}")
    return model


def picture(size: int, width: int | None = None) -> Tensor:
    return torch.randn(2, 3, size, width or size, generator=torch.Generator().manual_seed(1), dtype=F64)


def test_vit() -> None:
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12, "image_size": 8}
    theirs = ViTModel(ViTConfig(**sizes, patch_size=4, layer_norm_eps=1e-6), add_pooling_layer=False)
    text = """import vit.ViT
    model M { in image: float[B, 3, 8, 8]; part = ViT(8, 2, 2, size = 8, patch = 4, ffn = 12); r = part(image); out y = concat([r.cls, r.patches], dim = 1) }"""
    compare(text, theirs, VIT, picture(8), lambda r: r.last_hidden_state, "y")


@pytest.mark.parametrize("result", ["patches", "pooled", "map"])
def test_siglip(result: str) -> None:
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 12, "image_size": 12}
    theirs = SiglipVisionModel(SiglipVisionConfig(**sizes, patch_size=4))
    given = {
        "patches": ("r.patches", lambda r: r.last_hidden_state),
        "pooled": ("r.pooled", lambda r: r.pooler_output),
        "map": ("r.map[0]", lambda r: r.hidden_states[2].mT.unflatten(2, (3, 3))),
    }
    ours, of = given[result]
    text = f"""import siglip.Vision
    model M {{ in image: float[B, 3, 12, 12]; part = Vision(8, 3, 2, 12, size = 12, patch = 4, at = [1]); r = part(image); out y = {ours}
    out all = mean(r.pooled) }}"""

    class Whole(nn.Module):
        """Gives all hidden states, under the names of the model."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = theirs

        def forward(self, pixel_values: Tensor) -> Any:
            return self.inner(pixel_values=pixel_values, output_hidden_states=True)

    compare(text, Whole(), (("^inner.", ""),), picture(12), of, "y")


@pytest.mark.parametrize("window", [4, 2])
def test_swin(window: int) -> None:
    sizes: dict[str, Any] = {"image_size": 16, "patch_size": 2, "embed_dim": 4, "depths": [2, 2], "num_heads": [2, 4], "num_labels": 5}
    theirs = SwinForImageClassification(SwinConfig(**sizes, window_size=window))
    text = f"""import swin.{{Swin, WindowAttention}}
    model M {{ in image: float[B, 3, 16, 16]
    part = Swin(4, [2, 2], [2, 4], size = 16, patch = 2, window = [{window}, {window}], classes = 5, attention = [WindowAttention, WindowAttention])
    out y = part(image).logits }}"""
    compare(text, theirs, SWIN, picture(16), lambda r: r.logits, "y")


def test_convnext() -> None:
    sizes: dict[str, Any] = {"hidden_sizes": [4, 6], "depths": [1, 2], "num_stages": 2, "num_labels": 5}
    theirs = ConvNextForImageClassification(ConvNextConfig(**sizes, layer_norm_eps=1e-6))
    text = "import convnext.ConvNeXt\nmodel M { in image: float[B, 3, H, W]; part = ConvNeXt([4, 6], [1, 2], 5); out y = part(image).logits }"
    compare(text, theirs, CONVNEXT, picture(16, 24), lambda r: r.logits, "y")


def test_segformer() -> None:
    sizes: dict[str, Any] = {"depths": [1, 1, 1, 2], "sr_ratios": [8, 4, 2, 1], "hidden_sizes": [4, 4, 8, 8], "num_attention_heads": [1, 2, 2, 2]}
    more: dict[str, Any] = {"mlp_ratios": [4] * 4, "decoder_hidden_size": 8, "num_labels": 5}
    theirs = SegformerForSemanticSegmentation(SegformerConfig(**sizes, **more))
    for name, module in theirs.named_modules():
        if re.search(r"layernorm_|stages\.\d+\.layer_norm", name):
            cast("nn.LayerNorm", module).eps = 1e-6  # as in the authors' code, where transformers leaves torch's default
    text = """import segformer.SegFormer
    model M { in image: float[B, 3, H, W]; require H % 32 == 0 and W % 32 == 0
    part = SegFormer([4, 4, 8, 8], [1, 1, 1, 2], [1, 2, 2, 2], decoder = 8, classes = 5); out y = part(image).logits }"""
    compare(text, theirs, SEGFORMER, picture(64, 32), lambda r: r.logits, "y")


def test_resnet() -> None:
    sizes: dict[str, Any] = {"embedding_size": 2, "hidden_sizes": [8, 16], "depths": [1, 2], "layer_type": "bottleneck", "num_labels": 5}
    theirs = ResNetForImageClassification(ResNetConfig(**sizes))
    text = "import resnet.ResNet\nmodel M { in image: float[B, 3, H, W]; part = ResNet([1, 2], 5, width = 2); out y = part(image).logits }"
    compare(text, theirs, RESNET, picture(33, 40), lambda r: r.logits, "y")
