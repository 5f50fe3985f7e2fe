"""TaskExpert against our reconstruction's numbers and an independent reference: gates, memory, rules of writing, losses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import archloom
from archloom.compiler.check import check_text
from archloom.compiler.summary import summarise
from archloom.dsl.diagnostics import Failure
from archloom.dsl.source import Source

from .cases import failing
from .taskexpert_reference import configuration, make

ROOT = Path(archloom.__file__).parent
EXAMPLE = ROOT / "examples" / "taskexpert.arch"
GOLDEN = ROOT / "tests" / "golden" / "TaskExpert"
CASES = sorted(GOLDEN.iterdir())
TEXT = EXAMPLE.read_text()


@pytest.mark.parametrize("source", [False, True], ids=["compiled", "emitted"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_the_reconstructions_numbers(case: Path, dtype: str, source: bool) -> None:
    report = archloom.verify(EXAMPLE, case, dtype=dtype, source=source)
    assert report.ok, failing(report)
    assert (report.share, report.left_out) == (1.0, ())
    assert set(report.unread) == {"system", "case", "computed_in", "seed", "batch", "n_params"}


@pytest.mark.parametrize("seed", range(6))
def test_other_configurations(seed: int, tmp_path: Path) -> None:
    report = archloom.verify(EXAMPLE, make(tmp_path / "TaskExpert" / str(seed), configuration(seed)), source=seed % 2 == 1)
    assert report.ok, failing(report)
    assert report.share == 1.0


@pytest.mark.parametrize(
    ("case", "right", "wrong", "caught"),
    [
        ("a", '<- "mmoe.{l}.experts.{e}.3"', '<- "mmoe.{l}.experts.{experts - 1 - e}.3"', "mmoe.0.expert.0"),
        ("b", '<- "backbone.blocks.{i}.norm1"', '<- "backbone.blocks.{depth - 1 - i}.norm1"', "backbone.tap0"),
        ("b", "kind = gate,", "kind = sample,", "mmoe.0.gate.edge"),
        ("c", "mmoe(tap[l],", "mmoe(tap[max(0, l - 1)],", "mmoe.1.gate.depth"),
    ],
)
def test_another_wiring_is_caught(case: str, right: str, wrong: str, caught: str) -> None:
    report = archloom.verify(changed(right, wrong), GOLDEN / case)
    assert not report.ok
    assert caught in [stored for stored, _, _ in failing(report)]


def test_a_case_of_another_gate_or_rule_is_refused(tmp_path: Path) -> None:
    case = make(tmp_path / "TaskExpert" / "other", configuration(0))
    config = json.loads((case / "config.json").read_text())
    for other, message in (({"gate": "both"}, '`gate` can\'t be the string "both"'), ({"write": "adding"}, '`write` can\'t be the string "adding"')):
        (case / "config.json").write_text(json.dumps({**config, **other}))
        with pytest.raises(Failure, match=message):
            archloom.verify(EXAMPLE, case)
    del config["d"], config["expert_kernel"]
    (case / "config.json").write_text(json.dumps(config))
    with pytest.raises(Failure) as caught:
        archloom.verify(EXAMPLE, case)
    assert [d.message for d in caught.value.diagnostics] == ["the map has no key `d`", "the map has no key `expert_kernel`"]


def changed(right: str, wrong: str) -> str:
    assert TEXT.count(right) == 1
    return TEXT.replace(right, wrong)


def findings(text: str) -> list[tuple[str, str]]:
    return [(d.code, d.message) for d in check_text(Source("taskexpert.arch", text), preset="small").diagnostics]


START = "  for t in tasks {\n    start = Parameter([dim, 1, 1])"


@pytest.mark.parametrize(
    ("right", "wrong", "found"),
    [
        (START, START.replace("tasks", "tasks except {depth}"), ("A202", "`MemorialMixture` needs its input `memory.depth` (`float[B, 8, 8, 12]`)")),
        ("    memory = expand(start,", "    memory_0 = expand(start,", ("A416", "`memory` is carried but not bound before the loop")),
        (" carry memory {", " {", ("A401", "`memory` is bound before the loop and rebound inside, but not carried")),
    ],
)
def test_a_memory_is_written_before_it_is_read(right: str, wrong: str, found: tuple[str, str]) -> None:
    assert found in findings(changed(right, wrong))


def test_tasks_that_read_each_others_memory_break_the_claim() -> None:
    mixed = changed("    memory = mmoe(tap[l], memory[*])", "    turned[t in tasks] = memory[tasks[0]]\n    memory = mmoe(tap[l], turned[*])")
    assert ("A703", "`a.pred` does not ignore `start[b]`") in findings(mixed)


def test_one_task_alone_is_the_same_and_builds_no_more() -> None:
    both = archloom.compile(EXAMPLE, preset="small").eval()
    alone = archloom.compile(EXAMPLE, preset="small", tasks=["depth"]).eval()
    assert not [name for name in alone.state_dict() if "semseg" in name or "normals" in name]
    alone.load_state_dict({name: value for name, value in both.state_dict().items() if name in alone.state_dict()})
    image = torch.randn(2, 3, 32, 48)
    assert torch.equal(alone(image=image).depth.pred, both(image=image).depth.pred)


@pytest.mark.parametrize("gate", ["sample", "spatial"])
@pytest.mark.parametrize("write", ["add", "gated", "replace"])
def test_a_step_moves_every_parameter(gate: str, write: str) -> None:
    torch.manual_seed(0)
    model = archloom.compile(EXAMPLE, {"gate": gate, "write": write}, preset="small").train()
    stage = model.stage("joint")
    labels = {"semseg": torch.randint(0, 5, (2, 32, 48)), "depth": torch.rand(2, 1, 32, 48), "normals": torch.randn(2, 3, 32, 48)}
    result = model(image=torch.randn(2, 3, 32, 48), label=labels)
    parts = result.losses
    assert set(parts) == {"semseg.main", "depth.main", "normals.main"}
    result.loss.backward()
    still = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.abs().max() > 0]
    assert not still
    assert sum(value.numel() for group in stage.groups for value in group["params"]) == sum(value.numel() for value in model.parameters())


def test_gradients_are_those_of_differences() -> None:
    """Along a random direction of each part, and of the picture."""
    torch.manual_seed(0)
    model = archloom.compile(EXAMPLE, {"write": "gated", "size": [16, 24]}, preset="small", dtype=torch.float64).eval()
    image = torch.randn(1, 3, 16, 24, dtype=torch.float64, requires_grad=True)
    parts = {name: values for name, part in model.named_children() if (values := list(part.parameters()))} | {"image": [image]}
    assert parts.keys() == {"start", "backbone", "mmoe", "head", "image"}

    def total() -> torch.Tensor:
        found = model(image=image)
        return torch.stack([found[t].pred.sin().sum() for t in ("semseg", "depth", "normals")]).sum()

    total().backward()
    for name, tensors in parts.items():
        ways = [torch.randn_like(value) for value in tensors]
        slope = torch.stack([(way * value.grad).sum() for way, value in zip(ways, tensors, strict=True) if value.grad is not None]).sum()
        moved: list[torch.Tensor] = []
        with torch.no_grad():
            for step in (1e-5, -2e-5, 1e-5):
                for way, value in zip(ways, tensors, strict=True):
                    value += step * way
                moved.append(total())
        torch.testing.assert_close((moved[0] - moved[1]) / 2e-5, slope, rtol=1e-6, atol=1e-8, msg=name)


@pytest.mark.parametrize(("preset", "backbone"), [("nyud", 304_133_120), ("pascal", 304_149_504)])
def test_presets_hold(preset: str, backbone: int) -> None:
    result = check_text(Source("taskexpert.arch", TEXT), preset=preset)
    assert result.ok, result.diagnostics
    assert result.programs["TaskExpert"].presets[preset]["backbone"] == backbone


def test_the_cost_of_the_decoder_on_a_small_backbone() -> None:
    """Five experts of width 192 on a ViT of 12 layers: 9.06 billion multiply-adds beside the backbone's, which has a class token."""
    params: dict[str, Any] = {
        "classes": {"semseg": 40, "depth": 1, "normals": 3, "edge": 1}, "experts": 5, "dim": 192, "hidden": 64, "kernel": 3, "gate": "sample",
        "write": "add", "size": [224, 288], "width": 384, "depth": 12, "heads": 6, "select": [3, 6, 9],
    }  # fmt: skip
    result = check_text(Source("taskexpert.arch", TEXT), params)
    assert result.ok, result.diagnostics
    expense = summarise(result.programs["TaskExpert"], {"B": 1}).expense
    n, width, depth = 14 * 18, 384, 12
    backbone = n * width * 3 * 16**2 + depth * (12 * (n + 1) * width**2 + 2 * (n + 1) ** 2 * width)
    assert expense is not None and round((expense.multiply_adds - backbone) / 1e7) == 906
