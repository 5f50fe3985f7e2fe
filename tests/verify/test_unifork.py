"""UniFork against its authors' numbers and against torch's functions alone: the decoder, a training batch, a sampled picture."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import archloom

from .unifork_reference import write

ROOT = Path(archloom.__file__).parent
EXAMPLE = ROOT / "examples" / "unifork.arch"
GOLDEN = ROOT / "tests" / "golden" / "UniFork"
CASES = {"a": "decoder", "b": "training", "c": "painting"}


@pytest.mark.parametrize(("dtype", "source"), [("float64", False), ("float64", True), ("float32", False)])
@pytest.mark.parametrize("case", CASES)
def test_the_example_computes_what_the_authors_do(case: str, dtype: str, source: bool) -> None:
    report = archloom.verify(EXAMPLE, GOLDEN / case, dtype=dtype, source=source)
    assert report.ok, [row for row in report.rows if not row.holds]
    assert (report.golden, report.share) == (CASES[case], 1)


def drawn(seed: int) -> dict[str, Any]:
    """Draw a configuration."""
    draw = random.Random(seed)
    heads, vheads, rq_heads = (draw.choice((1, 2, 3)) for _ in range(3))
    layers = draw.randint(2, 5)
    return {
        "seed": seed, "vocab": draw.randint(9, 20), "heads": heads, "kv": draw.choice([n for n in (1, heads) if heads % n == 0]),
        "hidden": heads * draw.choice((2, 4, 6)), "inter": draw.randint(5, 12), "layers": layers, "num_shared": draw.randint(1, layers - 1),
        "eps": draw.choice((1e-6, 1e-3)), "theta": draw.choice((100.0, 1e4)), "tie": draw.random() < 0.5, "vheads": vheads,
        "vdim": vheads * draw.randint(2, 4), "vinter": draw.randint(5, 9), "vlayers": draw.randint(1, 3), "grid": draw.randint(1, 3),
        "patch": draw.randint(2, 4), "n_embed": draw.randint(5, 15), "depth": draw.randint(2, 4), "rq_dim": draw.randint(4, 9),
        "rq_heads": rq_heads, "rq_attn_dim": rq_heads * draw.randint(2, 5), "rq_layers": draw.randint(1, 2), "cfg": draw.choice((1.0, 2.5)),
        "steps": draw.randint(1, 4),
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "seed"), [("decoder", 1), ("training", 2), ("painting", 3)])
def test_a_random_configuration(kind: str, seed: int, tmp_path: Path) -> None:
    report = archloom.verify(EXAMPLE, write(tmp_path / "case", kind, drawn(seed)))
    assert report.ok, [row for row in report.rows if not row.holds]
    assert (report.golden, report.share) == (kind, 1)


@pytest.mark.parametrize("counts", [(3, 0), (0, 2)])
def test_a_batch_of_one_task_alone(counts: tuple[int, int], tmp_path: Path) -> None:
    """Its loss is the whole, and nothing of the other branch gets a gradient."""
    report = archloom.verify(EXAMPLE, write(tmp_path / "case", "training", drawn(2), counts))
    assert report.ok, [row for row in report.rows if not row.holds]
    assert (report.golden, report.share) == ("training", 1)


def test_gradients_are_those_of_finite_differences() -> None:
    """Both losses along a random direction of all that is trained."""
    config = drawn(2)
    names = {"vocab": "vocab", "dim": "hidden", "depth": "layers", "shared": "num_shared", "heads": "heads", "kv_heads": "kv", "ffn": "inter"}
    params = {ours: config[theirs] for ours, theirs in names.items()}
    model = archloom.compile(EXAMPLE, params, preset="small", dtype="float64").eval()
    model.losses_in_eval = True
    random_ = torch.Generator().manual_seed(0)
    weights = {name: value for name, value in model.named_parameters() if not name.startswith("tower.")}
    with torch.no_grad():
        for value in weights.values():
            value.copy_(0.4 * torch.randn(value.shape, generator=random_))
    tasks = ("understand", "generate")
    ids = {task: torch.randint(1, config["vocab"], (2, 4), generator=random_) for task in tasks}
    given: dict[str, Any] = {
        "ids": ids,
        "mask": {task: torch.tensor([[True] * 4, [True] * 3 + [False]]) for task in tasks},
        "at": {"understand": torch.tensor([0, 1]), "generate": torch.tensor([3, 2])},
        "image": {task: torch.randn(2, 3, 32, 32, generator=random_).double() for task in tasks},
        "labels": ids["understand"],
    }
    model(**given).loss.backward()
    direction = {name: torch.randn(value.shape, generator=random_).double() for name, value in weights.items()}
    slope = sum(float((value.grad * direction[name]).sum()) for name, value in weights.items() if value.grad is not None)
    step, found = 1e-5, list[float]()
    with torch.no_grad():
        for sign in (1, -2):
            for name, value in weights.items():
                value += sign * step * direction[name]
            found.append(float(model(**given).loss))
    assert slope == pytest.approx((found[0] - found[1]) / (2 * step), rel=1e-6)
    assert all(value.grad is not None for value in weights.values())


def test_two_swapped_tensors_are_caught(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / "a", tmp_path / "a"))
    path = folder / "weights.safetensors"
    path.chmod(0o644)
    weights = load_file(path)
    one, other = (f"model.gen_fork_layers.{i}.mlp.up_proj.weight" for i in (0, 1))
    weights[one], weights[other] = weights[other], weights[one]
    save_file(weights, path)
    rows = archloom.verify(EXAMPLE, folder).rows
    assert [row.stored for row in rows if row.kind == "output" and not row.holds] == ["gen_hidden", "gen_logits"]
