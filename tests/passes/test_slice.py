"""Cutting a model to tasks or results: what is left, what a state dict says of it, and what other passes make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import archloom
from archloom.compiler.api import load_program
from archloom.compiler.optimize.manager import optimize

from .comparing import ROOT

TEXT = ROOT / "tests" / "passes" / "texts" / "slice.arch"
TIED = """arch 1

model M(dim: int = 4) {
  in x: float[B, dim]
  for t in {a, b} {
    task t {
      head = Linear(dim, dim)
      out y = head(x)
    }
  }
  tie head[a].weight, head[b].weight
}
"""
WHOLE = archloom.compile(TEXT)


@pytest.mark.parametrize("asked", ["none", "default", "inference"])
def test_a_state_dict_of_the_whole_loads_and_one_of_the_part_goes_back(asked: str, tmp_path: Path) -> None:
    part = archloom.compile(TEXT, tasks=["semseg"], optimize=asked)
    assert part.passes.dropped == ("head.depth.weight", "head.depth.bias", "extra.weight", "extra.bias")
    part.load_state_dict(WHOLE.state_dict())
    x = torch.randn(3, 8)
    torch.testing.assert_close(part(x=x).semseg.y, WHOLE(x=x).semseg.y)
    with torch.no_grad():
        part.head["semseg"].bias.add_(1)
    back = archloom.compile(TEXT)
    back.load_state_dict(WHOLE.state_dict() | part.state_dict())
    torch.testing.assert_close(back(x=x).semseg.y, part(x=x).semseg.y)
    save_file(back.state_dict(), tmp_path / "whole.safetensors")
    again = archloom.compile(TEXT, tasks=["semseg"], optimize=asked, weights=tmp_path / "whole.safetensors")
    torch.testing.assert_close(again(x=x).semseg.y, part(x=x).semseg.y)
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "head.depths.weight"'):
        part.load_state_dict({**WHOLE.state_dict(), "head.depths.weight": torch.zeros(3, 8)})


def test_what_is_left_of_tasks_losses_entries_and_conditions() -> None:
    found = optimize(load_program(TEXT), "none", tasks=["depth"]).program
    assert found.tasks == ("depth",) and [loss.path for loss in found.eval.losses] == ["depth.error", "small"]
    assert list(found.entries) == ["seen"] and [declared.key for declared in found.eval.inputs] == ["x", "label.depth"]


def test_a_tied_parameter_goes_by_the_name_that_is_left() -> None:
    whole = archloom.compile(TIED)
    part = archloom.compile(TIED, tasks=["b"])
    assert part.passes.dropped == ("head.a.bias",) and list(part.state_dict()) == ["head.b.weight", "head.b.bias"]
    part.load_state_dict(whole.state_dict())
    x = torch.randn(2, 4)
    assert torch.equal(part(x=x).b.y, whole(x=x).b.y)


def test_results_are_asked_for_by_name() -> None:
    found = archloom.compile(TEXT, optimize="slice(results = ('depth', 'small'))")
    given: dict[str, Any] = found.example_inputs()
    assert list(given) == ["x", "label"] and list(given["label"]) == ["depth"]
    assert set(found(**given).losses) == {"depth.error", "small"}
    text = "`M` has no result `depht`, did you mean `depth.y`: it has semseg.y, depth.y, z, semseg.error, depth.error, small"
    with pytest.raises(ValueError, match=text):
        archloom.compile(TEXT, optimize="slice(results = ('depht',))")
    with pytest.raises(ValueError, match="`M` has no task `dept`, did you mean `depth`"):
        archloom.compile(TEXT, optimize="slice(tasks = ('dept',))")
    with pytest.raises(ValueError, match="`tasks` names none"):
        archloom.compile(TEXT, tasks=[])


def test_a_slice_of_nothing_says_so() -> None:
    found = optimize(load_program(TEXT), "slice")
    assert [event.what for event in found.steps[0].declined] == ["neither `tasks` nor `results` say what is to stay"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["taskexpert", "mlore", "invpt", "taskprompter"])
@pytest.mark.parametrize("asked", ["default", "inference"])
def test_a_task_of_an_example_gives_what_the_whole_gives(name: str, asked: str) -> None:
    whole = archloom.compile(ROOT / "examples" / f"{name}.arch", preset="small").eval()
    part = archloom.compile(ROOT / "examples" / f"{name}.arch", preset="small", tasks=["depth"], optimize=asked).eval()
    part.load_state_dict(whole.state_dict())
    assert len(part.state_dict()) < len(whole.state_dict())
    given = part.example_inputs()
    image = {"image": given["image"]}
    torch.testing.assert_close(part(**image).depth.pred, whole(**image).depth.pred, rtol=1e-4, atol=1e-5)


def test_a_model_is_cut_before_its_passes() -> None:
    steps = archloom.compile(TEXT, tasks=["semseg"], optimize="merge_linears").passes.steps
    assert [(step.name, len(step.fired)) for step in steps] == [("slice", 5), ("merge_linears", 0)]
