"""What `check` finds in a text, an audit finds in the module that it compiles to, under the same code, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import archloom

from ..compiler.test_facts import CLEAN, HEAD, PLANTED

SHARED = ("dead_parameters", "zero_gradients", "severed_losses")
"""The checker's facts that a compiled module has, too; inputs that change nothing it doesn't ask for."""

TEXTS: list[tuple[str, set[str]]] = [
    ("side = Linear(4, 4); y = head(h); loss l = mse(y, t); out y }", {"A122"}),
    *((text, {expected.split(" ")[0]}) for name in SHARED for text, expected in PLANTED[name]),
    *((text, set[str]()) for text in CLEAN if "loss" in text),
]


@pytest.mark.parametrize(("text", "codes"), TEXTS)
def test_the_codes_are_the_same(text: str, codes: set[str]) -> None:
    torch.manual_seed(0)
    model: Any = archloom.compile(HEAD + text)
    batch = model.example_inputs(B=4)
    found = archloom.audit(model, batch)
    assert {finding.code for finding in found.findings} == codes, str(found)


def test_a_stage_that_trains_in_vain() -> None:
    text = "side = Linear(4, 4); y = head(h); loss l = mse(y, t); out y; out z = side(h) }\ntrain M { stage s { tune side, head } }"
    model: Any = archloom.compile(HEAD + text)
    stage = model.stage("s")
    [finding] = archloom.audit(model, model.example_inputs(B=4), optimizer=torch.optim.SGD(stage.groups, lr=0.1)).findings
    assert (finding.code, finding.paths) == ("A516", ("side.weight", "side.bias"))
