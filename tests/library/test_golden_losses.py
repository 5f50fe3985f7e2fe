"""The losses of dense prediction equal those that the authors' code gave: values and gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import archloom

GOLDEN = Path(__file__).parents[1] / "golden" / "MTLosses"
PRECISIONS = [pytest.param(torch.float64, 2e-5, 1e-4, id="float64"), pytest.param(torch.float32, 5e-5, 2e-4, id="float32")]
CLASSES = ("semseg", "human_parts", "sal")


def text(config: dict[str, Any], channels: dict[str, int]) -> str:
    """Write a model that takes predictions and gives the weighted losses of the case."""
    made = {"edge": f"Edge(w = {config['edge_w']})", "depth": f"Depth(masked = {str(config['depth_ignore_invalid_area']).lower()})"}
    rows = ["import dense_loss.{criterion, nyud, pascal, Edge, Depth}", "model Losses {"]
    weights = "pascal" if config["dataset_style"] == "PASCAL" else "nyud"
    for task, count in channels.items():
        label = "int[B, H, W]" if task in CLASSES else f"float[B, {count}, H, W]"
        if task in made:
            rows.append(f"of_{task} = {made[task]}")
        rows.append(f"in x_{task}: float[B, {count}, H, W]")
        rows.append(f"task {task} {{ target label: {label}; out pred = x_{task}")
        rows.append(f"loss main = {weights}[{task}] * {f'of_{task}' if task in made else f'criterion[{task}]'}(x_{task}, label) }}")
    return "\n".join([*rows, "}"])


def close(found: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    worst = float((found.detach() - wanted).abs().max()) / float(wanted.abs().max())
    assert worst <= tolerance, f"{what} differs by {worst:.1e}"


@pytest.mark.parametrize(("dtype", "tolerance", "slack"), PRECISIONS)
@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_losses_are_the_authors(case: str, dtype: torch.dtype, tolerance: float, slack: float) -> None:
    config = json.loads((GOLDEN / case / "config.json").read_text())
    stored, wanted, gradients = (load_file(GOLDEN / case / f"{kind}.safetensors") for kind in ("inputs", "outputs", "grads"))
    tasks = list(config["loss_weights"])
    given = {task: stored[f"pred.{task}"].to(dtype).requires_grad_() for task in tasks}
    model = archloom.compile(text(config, {task: x.shape[1] for task, x in given.items()}), dtype=dtype)
    labels = {t: stored[f"gt.{t}"][:, 0].long() if t in CLASSES else stored[f"gt.{t}"].to(dtype) for t in tasks}
    result = model(**{f"x_{task}": x for task, x in given.items()}, label=labels)
    for task, weight in config["loss_weights"].items():
        close(result.losses[f"{task}.main"] / weight, wanted[f"loss.{task}"].to(dtype), tolerance, task)
    close(result.loss, wanted["loss.total"].to(dtype), tolerance, "the total")
    result.loss.backward()
    assert {f"input.pred.{task}" for task in tasks} == gradients.keys()
    for task, x in given.items():
        assert x.grad is not None
        close(x.grad, gradients[f"input.pred.{task}"].to(dtype), slack, f"the gradient of {task}")
