"""The losses of dense tasks against their authors' numbers, and against the same written out in torch, with any subset of the tasks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

import archloom

from .cases import failing, write

ROOT = Path(archloom.__file__).parent
EXAMPLE = ROOT / "examples" / "mtlosses.arch"
GOLDEN = ROOT / "tests" / "golden" / "MTLosses"
CASES = sorted(GOLDEN.iterdir())
TEXT = EXAMPLE.read_text()


@pytest.mark.parametrize("source", [False, True], ids=["compiled", "emitted"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_the_authors_numbers(case: Path, dtype: str, source: bool) -> None:
    report = archloom.verify(EXAMPLE, case, dtype=dtype, source=source)
    assert report.ok, failing(report)
    assert (report.share, report.left_out) == (1.0, ())
    assert set(report.unread) == {"system", "case", "dataset_style", "seed", "shape", "grad_of"}


def classes(x: Tensor, label: Tensor, config: Mapping[str, Any]) -> Tensor:
    kept = label[:, 0] != config["ignore_index"]
    at = label[:, 0].long().where(kept, 0)
    return -(x.log_softmax(1).gather(1, at[:, None])[:, 0] * kept).sum() / max(1, int(kept.sum()))


def saliency(x: Tensor, label: Tensor, config: Mapping[str, Any]) -> Tensor:
    kept = label[:, 0] != config["ignore_index"]
    negative = float((label[:, 0] == 0).sum()) / int(kept.sum())
    weight = torch.where(label[:, 0] == 1, negative, 1 - negative) * kept
    at = label[:, 0].long().where(kept, 0)
    return -(x.log_softmax(1).gather(1, at[:, None])[:, 0] * weight).sum() / int(kept.sum())


def depth(x: Tensor, label: Tensor, config: Mapping[str, Any]) -> Tensor:
    kept = (label != config["depth_ignore_value"]) | (not config["depth_ignore_invalid_area"])
    return (x - label).abs()[kept].mean()


def normals(x: Tensor, label: Tensor, config: Mapping[str, Any]) -> Tensor:
    kept = (label != config["ignore_index"]).all(1, keepdim=True)
    apart = (x / x.norm(dim=1, keepdim=True) - label).abs() * kept
    return apart.sum() / int(kept.sum())


def edge(x: Tensor, label: Tensor, config: Mapping[str, Any]) -> Tensor:
    kept, w = label != config["ignore_index"], config["edge_w"]
    cost = -w * label * F.logsigmoid(x) - (1 - w) * (1 - label) * F.logsigmoid(-x)
    return cost[kept].mean()


LOSSES: dict[str, Callable[[Tensor, Tensor, Mapping[str, Any]], Tensor]] = {
    "semseg": classes, "human_parts": classes, "sal": saliency, "depth": depth, "normals": normals, "edge": edge,
}  # fmt: skip


def make(folder: Path, seed: int) -> Path:
    """Write a case of some tasks, in any order, with other weights, values of what nobody labelled and shares of it."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    tasks = draw.sample(list(LOSSES), draw.randint(1, 6))
    void = draw.choice([255, 99])
    config: dict[str, Any] = {
        "mode": "train", "loss_weights": {task: draw.choice([1.0, 2.5, 50.0]) for task in tasks}, "edge_w": draw.choice([0.5, 0.9]),
        "ignore_index": void, "depth_ignore_invalid_area": draw.random() < 0.7, "depth_ignore_value": draw.choice([-1, 0, 255]),
    }  # fmt: skip
    batch, height, width = draw.randint(1, 3), draw.randint(2, 7), draw.randint(2, 7)
    given: dict[str, Tensor] = {}
    for task in tasks:
        channels = {"sal": 2, "depth": 1, "normals": 3, "edge": 1}.get(task, draw.randint(2, 6))
        count = channels if task == "normals" else 1
        label = torch.randn(batch, count, height, width)
        if LOSSES[task] in (classes, saliency, edge):
            label = torch.randint(0, max(2, channels), label.shape).float()
        hidden = torch.rand(label.shape) < 0.3
        hidden[0, :, 0, 0] = False
        given[f"pred.{task}"] = torch.randn(batch, channels, height, width)
        given[f"gt.{task}"] = label.where(~hidden, config["depth_ignore_value"] if task == "depth" else void)

    def run(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {f"loss.{task}": LOSSES[task](tensors[f"pred.{task}"], tensors[f"gt.{task}"].detach(), config) for task in tasks}
        total = torch.stack([config["loss_weights"][task] * found[f"loss.{task}"] for task in tasks]).sum()
        return {**found, "loss.total": total}

    nothing = nn.Module()
    nothing.register_buffer("none", torch.zeros(1))
    return write(folder, nothing, config, given, run, ["loss.total"])


@pytest.mark.parametrize("seed", range(8))
def test_other_tasks_and_settings(seed: int, tmp_path: Path) -> None:
    report = archloom.verify(EXAMPLE, make(tmp_path / "MTLosses" / str(seed), seed), source=seed % 2 == 1)
    assert report.ok, failing(report)
    assert (report.share, report.unread) == (1.0, ())


def test_gradients_are_those_of_differences() -> None:
    """Along a random direction of each prediction."""
    config = json.loads((GOLDEN / "b" / "config.json").read_text())
    params = {"emphasis": config["loss_weights"], "edge_w": config["edge_w"], "depth_void": config["depth_ignore_value"]}
    model = archloom.compile(EXAMPLE, params, dtype=torch.float64)
    stored = load_file(GOLDEN / "b" / "inputs.safetensors")
    pred, label = ({task: stored[f"{kind}.{task}"].double() for task in config["loss_weights"]} for kind in ("pred", "gt"))
    torch.manual_seed(0)
    for task, value in pred.items():
        way = torch.randn_like(value)
        ends = [model(pred={**pred, task: value + step * way}, label=label).loss for step in (1e-6, -1e-6)]
        model(pred={**pred, task: value.requires_grad_()}, label=label).loss.backward()
        assert value.grad is not None
        torch.testing.assert_close((ends[0] - ends[1]) / 2e-6, (value.grad * way).sum(), rtol=1e-6, atol=1e-8, msg=task)


@pytest.mark.parametrize(
    ("right", "wrong", "caught"),
    [
        ("param edge_w = config.edge_w", "param edge_w = 0.9", "loss.edge"),
        ("sal: Saliency(void)", "sal: SemSeg(void)", "loss.sal"),
        ("emphasis[t] * each", "each", "loss.total"),
        ("Normals(void)", "Normals(void + 1)", "loss.normals"),
    ],
)
def test_another_loss_is_caught(right: str, wrong: str, caught: str) -> None:
    assert TEXT.count(right) == 1
    report = archloom.verify(TEXT.replace(right, wrong), GOLDEN / "b")
    assert not report.ok
    assert caught in [stored for stored, _, _ in failing(report)]
