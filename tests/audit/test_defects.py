"""Every planted defect is found under its code and at its place, and nothing else is; a model is afterwards what it was."""

from __future__ import annotations

import random
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import archloom
from archloom.compiler.audit.facts import facts
from archloom.compiler.audit.observing import observe
from archloom.compiler.audit.run import audited
from archloom.compiler.audit.subject import as_subject
from archloom.dsl.catalogue import Entry, catalogue

from .defects import DEFECTS, Net, quiet, still, subject


@pytest.mark.parametrize("name", DEFECTS)
def test_it_is_found_and_nothing_else_and_nothing_is_changed(name: str) -> None:
    torch.manual_seed(0)
    fact, code, place, make = DEFECTS[name]
    given = used(make())
    before = everything(given)
    seen = observe(given)
    found = {name: [(f.code, f.diagnostic.span.source.name, f.message) for f in find(seen)] for name, find in facts().items()}
    assert [(name, *finding[:2]) for name, findings in found.items() for finding in findings] == [(fact, code, place)], found
    after = everything(given)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(value, after[key]) if isinstance(value, Tensor) else value == after[key], key


def used(given: archloom.Subject) -> archloom.Subject:
    """Leave a model as a training loop does: in eval mode, with gradients, its optimisers with a state."""
    for optimizer in given.optimizers:
        for group in optimizer.param_groups:
            for value in group["params"]:
                value.grad = torch.ones_like(value)
        optimizer.step()
    given.model.eval()
    return given


def test_every_fact_and_every_code_of_it_has_a_defect() -> None:
    package = import_module("archloom.compiler.audit.facts")
    folder = Path(str(package.__file__)).parent
    assert set(facts()) == {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert set(facts()) == {fact for fact, *_ in DEFECTS.values()}
    written = {code for path in [*folder.glob("*.py"), folder.parent / "selectors.py"] for code in re.findall(r'"(A\d{3})"', path.read_text("utf-8"))}
    assert written == {code for _, code, *_ in DEFECTS.values()}


def everything(given: archloom.Subject) -> dict[str, Any]:
    """Return copies of all that an audit must not change."""
    model: Any = given.model
    found: dict[str, Any] = {f"state {name}": value.clone() for name, value in model.state_dict().items()}
    found |= {f"object {name}": id(value) for name, value in (*model.named_parameters(), *model.named_buffers())}
    found |= {f"memory {name}": value.data_ptr() for name, value in (*model.named_parameters(), *model.named_buffers())}
    found |= {f"grad {name}": None if value.grad is None else value.grad.clone() for name, value in model.named_parameters()}
    found |= {f"flag {name}": value.requires_grad for name, value in model.named_parameters()}
    found |= {f"mode {name}": module.training for name, module in model.named_modules()}
    found |= {f"hooks {name}": len(module._forward_hooks) for name, module in model.named_modules()}
    for number, optimizer in enumerate(given.optimizers):
        for i, (parameter, values) in enumerate(optimizer.state.items()):
            found |= {f"optimizer {number} {i} {id(parameter)} {key}": value.clone() for key, value in values.items()}
        found[f"groups {number}"] = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    found |= {"random": torch.get_rng_state(), "python's": random.getstate(), "numpy's": str(np.random.get_state())}
    return found


def test_freezing_done_well_is_no_finding() -> None:
    torch.manual_seed(0)
    assert archloom.audit(**vars_of(subject(still(Net()), frozen=["trunk"], prepare=quiet))).ok


def vars_of(given: archloom.Subject) -> dict[str, Any]:
    names = ("model", "batch", "losses", "optimizer", "frozen", "prepare")
    return {name: getattr(given, name) for name in names}


PYTHON = [entry for entry in catalogue().values() if entry.python]


@pytest.mark.parametrize("entry", PYTHON, ids=lambda entry: entry.code)
def test_examples_of_the_catalogue(entry: Entry) -> None:
    for text, codes in ((entry.wrong, [entry.code]), (entry.right, [])):
        names: dict[str, Any] = {"torch": torch, "nn": torch.nn}
        torch.manual_seed(0)
        exec(compile(text, entry.code, "exec"), names)
        found = audited(as_subject(names["subject"]()))
        assert [finding.code for finding in found.findings] == codes, str(found)
