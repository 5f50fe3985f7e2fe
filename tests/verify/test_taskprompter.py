"""TaskPrompter against its authors' numbers and an independent reference: scores before any softmax, tasks that meet, official counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import archloom
from archloom.compiler.check import check_text
from archloom.compiler.summary import summarise
from archloom.dsl.source import Source

from .cases import failing
from .dense_reference import Backbone
from .derivatives import along_directions
from .taskprompter_reference import configuration, make

ROOT = Path(archloom.__file__).parent
EXAMPLE = ROOT / "examples" / "taskprompter.arch"
GOLDEN = ROOT / "tests" / "golden" / "TaskPrompter"
CASES = sorted(GOLDEN.iterdir())
TEXT = EXAMPLE.read_text()
UNREAD = {
    "system", "case", "seed", "batch", "dataset", "n_params", "dropout_and_drop_path", "params_without_gradient",
    "intermediates_dropped_for_size", "train_mode_note", "shims",
}  # fmt: skip
DEAD = {"blocks.2.attn.token_trans1.weight", "blocks.2.attn.token_trans1.bias"}
"""What the last of three blocks writes into the prompts."""


@pytest.mark.parametrize("source", [False, True], ids=["compiled", "emitted"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_the_authors_numbers(case: Path, dtype: str, source: bool) -> None:
    report = archloom.verify(EXAMPLE, case, dtype=dtype, source=source)
    assert report.ok, failing(report)
    assert (report.share, report.left_out) == (1.0, ())
    assert set(report.unread) == UNREAD


@pytest.mark.parametrize("seed", range(4))
def test_other_configurations(seed: int, tmp_path: Path) -> None:
    report = archloom.verify(EXAMPLE, make(tmp_path / "TaskPrompter" / str(seed), configuration(seed)), source=seed % 2 == 1)
    assert report.ok, failing(report)
    assert report.share == 1.0


@pytest.mark.parametrize(
    ("case", "right", "wrong", "caught"),
    [
        (
            "a",
            '"backbone.blocks.{i}.norm1"\n  blocks[i].norm2 <- "backbone.blocks.{i}.norm2"',
            '"backbone.blocks.{i}.norm2"\n  blocks[i].norm2 <- "backbone.blocks.{i}.norm1"',
            "backbone.blocks.0.out",
        ),
        (
            "b",
            'spa <- "backbone.fea_decode_spa.{l}.{t}.0"\n  task_features[l].feature[t].chan <- "backbone.fea_decode_chan',
            'spa <- "backbone.fea_decode_chan.{l}.{t}.0"\n  task_features[l].feature[t].chan <- "backbone.fea_decode_spa',
            "backbone.task_feature.sal",
        ),
        ("b", "param windows = config.chan_nheads", "param windows = 1", "backbone.task_feature.sal"),
        ("a", "select[l] - 1]", "select[l]]", "backbone.task_feature.edge"),
        ("c", '"backbone.ctr_attn_conv.{l}.{t}"', '"backbone.ctr_attn_conv.{3 - l}.{t}"', "backbone.task_feature.normals"),
    ],
)
def test_another_wiring_is_caught(case: str, right: str, wrong: str, caught: str) -> None:
    assert TEXT.count(right) == 1
    report = archloom.verify(TEXT.replace(right, wrong), GOLDEN / case)
    assert not report.ok
    assert caught in [stored for stored, _, _ in failing(report)]


SMALL: dict[str, Any] = {"classes": {"depth": 1, "normals": 3}, "size": [32, 64], "rate": 0.0, "depth": 3}
"""Two tasks, and no block is left out."""


def made(tasks: list[str] | None = None, weights: Any = None, **params: Any) -> Any:
    torch.manual_seed(0)
    return archloom.compile(EXAMPLE, SMALL | params, preset="small", tasks=tasks, weights=weights, dtype=torch.float64)


def picture() -> Tensor:
    return torch.randn(2, 3, 32, 64, dtype=torch.float64)


def labels() -> dict[str, Tensor]:
    return {"depth": torch.rand(2, 1, 32, 64).double(), "normals": torch.randn(2, 3, 32, 64).double()}


@pytest.mark.parametrize("cross", [False, True])
def test_tasks_meet_in_the_backbone_and_a_step_moves_all_but_what_is_dead(cross: bool) -> None:
    model = made(cross=cross).train()
    stage = model.stage("joint")
    label = labels()
    result = model(image=picture(), label=label)
    away = torch.nn.functional.normalize(result.normals.pred, dim=1) - label["normals"]
    losses = {"depth.main": (result.depth.pred - label["depth"]).abs().mean(), "normals.main": 10 * away.abs().sum(1).mean()}
    torch.testing.assert_close(dict(result.losses), losses)
    names, values = zip(*model.named_parameters(), strict=True)
    reached: dict[str, set[str]] = {}
    for task in ("depth", "normals"):
        found = torch.autograd.grad(result.losses[f"{task}.main"], values, retain_graph=True, materialize_grads=True)
        reached[task] = {name for name, gradient in zip(names, found, strict=True) if gradient.any()}
        prompts = found[names.index("task_prompts")]
        assert prompts.abs().sum(1).gt(0).all()  # each task's, whichever task asks
    apart = {name for name in reached["depth"] if "normals" in name} | {name for name in reached["normals"] if "depth" in name}
    assert all(".feature." in name for name in apart) and bool(apart) == cross
    assert set(names) - reached["depth"] - reached["normals"] == DEAD
    assert sum(v.numel() for group in stage.groups for v in group["params"]) == sum(v.numel() for v in values)


def test_what_is_dead_is_told() -> None:
    found = check_text(Source("taskprompter.arch", TEXT), preset="small").diagnostics
    assert [(d.code, d.message) for d in found] == [("A122", "no output and no loss depends on `blocks.3.attn.token_trans1` (600 parameters)")]


def test_one_task_alone_is_the_same_with_all_prompts_and_builds_no_more() -> None:
    both, alone = made().eval(), made(["depth"]).eval()
    assert not [name for name in alone.state_dict() if "normals" in name]
    assert alone.task_prompts.shape == (2, 24)
    alone.load_state_dict({name: value for name, value in both.state_dict().items() if name in alone.state_dict()})
    image = picture()
    assert torch.equal(alone(image=image).depth.pred, both(image=image).depth.pred)


def test_patches_and_prompts_are_left_out_apart() -> None:
    """Two branches of patches and two of prompts in each block but the first, whose rate is zero, and the last, whose prompts are read by nothing."""
    model = made(rate=0.3).train()
    drawn = model.draw_names()
    assert {name.partition(".drop_path")[0] for name in drawn} == {"blocks.1", "blocks.2"}
    assert [sum(name.startswith(f"blocks.{i}.") for name in drawn) for i in (1, 2)] == [4, 2]


def test_prompts_start_around_one() -> None:
    prompts = made(length=4, heads=6).task_prompts
    assert prompts.shape == (8, 24) and prompts.min() >= -2 and prompts.max() <= 2
    assert 0.5 < prompts.mean() < 1.1


def test_the_backbone_starts_as_a_pretrained_one(tmp_path: Path) -> None:
    """Read a vision transformer under the names of timm; what belongs to prompts starts anew."""
    torch.manual_seed(0)
    config = {"vit_dim": 24, "patch_size": 16, "img_size": SMALL["size"], "num_heads": 3, "depth": 3, "select_list": [1, 2, 3]}
    theirs = Backbone(config, cls=False).double()
    tensors = {name: torch.randn_like(value) for name, value in theirs.state_dict().items()}
    save_file({**tensors, "cls_token": torch.zeros(1, 1, 24), "head.weight": torch.zeros(5, 24)}, tmp_path / "model.safetensors")
    ours = made(weights={"start": tmp_path / "model.safetensors"}).state_dict()
    for i in range(3):
        attn = [ours[f"blocks.{i}.attn.{name}_proj.weight"] for name in ("q", "k", "v")]
        assert torch.equal(torch.cat(attn), tensors[f"blocks.{i}.attn.qkv.weight"])
    same = {
        "embed.pos_embed": "pos_embed",
        "embed.patch_embed.proj.bias": "patch_embed.proj.bias",
        "blocks.2.mlp.fc1.weight": "blocks.2.mlp.fc1.weight",
    }
    assert all(torch.equal(ours[mine], tensors[official]) for mine, official in same.items())


def test_gradients_are_those_of_differences() -> None:
    """Along a random direction of each part, and of the picture."""
    model, image = made(cross=True).eval(), picture().requires_grad_()
    parts = {name: list(part.parameters()) for name, part in model.named_children()} | {"prompts": [model.task_prompts], "image": [image]}

    def total() -> Tensor:
        found = model(image=image)
        return torch.stack([found[task].pred.sin().sum() for task in ("depth", "normals")]).sum()

    along_directions(total, parts)


@pytest.mark.parametrize(
    ("preset", "parameters", "billions"),
    [("nyud", 513_505_709, 839.7), ("pascal", 401_104_864, 496.6), ("pascal_base", 418_332_214, 1153.4)],
)
def test_official_counts(preset: str, parameters: int, billions: float) -> None:
    """The authors' code multiplies more than is read, and what it multiplies besides makes up the rest."""
    result = check_text(Source("taskprompter.arch", TEXT), preset=preset)
    assert result.ok, result.diagnostics
    program = result.programs["TaskPrompter"]
    summary = summarise(program, {"B": 1})
    assert summary.expense is not None
    assert [path for path, _ in summary.unread] == [f"blocks.{program.arguments['depth'] - 1}.attn.token_trans1"]
    given = program.arguments
    rows, width, depth, taps = len(program.tasks), given["width"], given["depth"], len(given["select"]) + 1
    pixels = given["size"][0] // 16 * (given["size"][1] // 16)
    unread = (2 * depth - taps) * rows * pixels * width  # scores of channels, and values weighted by their softmax
    unread += rows * pixels * width + 8 * rows * width**2  # what the last block writes into prompts, and makes of them
    again = taps * rows * (rows + pixels) * width  # ours: prompts' scores apart from attention's, where they are read
    adds = summary.expense.multiply_adds + unread - again
    assert (summary.parameters, round(adds / 1e9, 1)) == (parameters, billions)
