"""Models of other people in which nothing is wrong: transformers' own classes at tiny sizes, some with adapters of peft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as t

Make = Callable[[], tuple[Any, Any]]
"""Makes a model and its batch."""

B, S, V, D = 2, 6, 40, 16
IDS: dict[str, Any] = {"vocab_size": V, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
LAYERS: dict[str, Any] = {"hidden_size": D, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2}
LM: dict[str, Any] = {**IDS, **LAYERS, "num_key_value_heads": 2, "max_position_embeddings": 32, "head_dim": 8}
GPT: dict[str, Any] = {**IDS, "n_embd": D, "n_layer": 2, "n_head": 2, "n_positions": 32}
DISTIL: dict[str, Any] = {**IDS, "dim": D, "hidden_dim": 24, "n_heads": 2, "n_layers": 2}
T5: dict[str, Any] = {**IDS, "d_model": D, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
BART: dict[str, Any] = {**IDS, "d_model": D, "max_position_embeddings": 32, **{
    f"{part}_{what}": number for part in ("encoder", "decoder") for what, number in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 24))
}}  # fmt: skip
PICTURE: dict[str, Any] = {**LAYERS, "image_size": 8, "patch_size": 4}
CONVNEXT: dict[str, Any] = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}
RESNET: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1], "layer_type": "basic"}
SWIN: dict[str, Any] = {"image_size": 16, "patch_size": 2, "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "window_size": 2}
SEGFORMER: dict[str, Any] = {"hidden_sizes": [8] * 4, "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 8}
CLIP: dict[str, Any] = {"text_config": {**LM, "projection_dim": 8}, "vision_config": {**PICTURE, "projection_dim": 8}, "projection_dim": 8}


def tokens() -> dict[str, Any]:
    ids, mask = torch.randint(3, V, (B, S)), torch.ones(B, S, dtype=torch.long)
    mask[1, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.clone()}


def made(family: str, model: str, sizes: dict[str, Any], batch: Callable[[], dict[str, Any]] = tokens, **more: Any) -> Make:
    """Return what makes `{family}{model}` of transformers with `{family}Config`."""

    def make() -> tuple[Any, Any]:
        library: Any = t
        config = getattr(library, f"{family}Config")(**{**sizes, **more})
        return getattr(library, f"{family}{model}")(config), batch()

    return make


def classes(family: str, sizes: dict[str, Any], **more: Any) -> Make:
    return made(family, "ForSequenceClassification", sizes, lambda: {**tokens(), "labels": torch.arange(B)}, num_labels=3, **more)


def pictures(family: str, sizes: dict[str, Any], size: int = 8) -> Make:
    def batch() -> dict[str, Any]:
        return {"pixel_values": torch.randn(B, 3, size, size), "labels": torch.arange(B)}

    return made(family, "ForImageClassification", sizes, batch, num_labels=3)


def adapted(make: Make, **options: Any) -> Make:
    def build() -> tuple[Any, Any]:
        import peft

        model, batch = make()
        return peft.get_peft_model(model, peft.LoraConfig(r=2, **options)), batch

    return build


def maps() -> dict[str, Any]:
    return {"pixel_values": torch.randn(B, 3, 64, 64), "labels": torch.randint(0, 3, (B, 64, 64))}


def captions() -> dict[str, Any]:
    words = {name: value for name, value in tokens().items() if name != "labels"}
    return {**words, "pixel_values": torch.randn(B, 3, 8, 8), "return_loss": True}


CLEAN: dict[str, Make] = {
    "llama": made("Llama", "ForCausalLM", LM),
    "qwen3, tied": made("Qwen3", "ForCausalLM", LM, tie_word_embeddings=True),
    "gemma2": made("Gemma2", "ForCausalLM", LM),
    "mixtral": made("Mixtral", "ForCausalLM", LM, num_local_experts=4, num_experts_per_tok=2),
    "opt": made("OPT", "ForCausalLM", LM, ffn_dim=24, word_embed_proj_dim=D),
    "gpt2": made("GPT2", "LMHeadModel", GPT),
    "bert, masked": made("Bert", "ForMaskedLM", LM),
    "bert, classes": classes("Bert", LM),
    "roberta, tokens": made("Roberta", "ForTokenClassification", LM, lambda: {**tokens(), "labels": torch.randint(0, 3, (B, S))}, num_labels=3),
    "distilbert, classes": classes("DistilBert", DISTIL),
    "electra, classes": classes("Electra", LM, embedding_size=D),
    "deberta, classes": classes("DebertaV2", LM, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "t5": made("T5", "ForConditionalGeneration", T5),
    "bart": made("Bart", "ForConditionalGeneration", BART),
    "vit": pictures("ViT", PICTURE),
    "deit": pictures("DeiT", PICTURE),
    "convnext": pictures("ConvNext", CONVNEXT, 64),
    "resnet": pictures("ResNet", RESNET, 32),
    "swin": pictures("Swin", SWIN, 16),
    "segformer": made("Segformer", "ForSemanticSegmentation", SEGFORMER, maps, num_labels=3),
    "clip": made("CLIP", "Model", CLIP, captions),
    "llama with lora": adapted(made("Llama", "ForCausalLM", LM), target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    "bert with lora in all linear layers": adapted(classes("Bert", LM), target_modules="all-linear", task_type="SEQ_CLS"),
    "bert with lora": adapted(classes("Bert", LM), target_modules=["query", "value"], task_type="SEQ_CLS", lora_dropout=0.1),
    "t5 with dora": adapted(made("T5", "ForConditionalGeneration", T5), target_modules=["q", "v"], task_type="SEQ_2_SEQ_LM", use_dora=True),
}
"""What makes each."""
