"""`archloom audit` as a person meets it, and as a program does."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from archloom.compiler.cli import run

MODULE = """
import torch
from torch import nn

print("noise of the module")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.head, self.side = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 4)

    def forward(self, x, mask=None):
        return {"loss": self.head(self.trunk(x)).square().mean()}


net = Net()


def subject():
    torch.manual_seed(0)
    return {"model": Net(), "batch": {"x": torch.randn(3, 4), "mask": torch.ones(3)}}


def clean():
    torch.manual_seed(0)
    return nn.Linear(4, 2), torch.randn(3, 4), lambda net, x: net(x).square().mean()


def broken():
    return {"model": net, "batch": [][0]}
"""
TABLE = """\
Net: 4 steps of training on 1 batch

part            tensors  numbers  reached by loss
trunk  trained        2       20  all
head   trained        2       10  all
side   trained        2       20  none

in the batch
x             changes the results
mask          changes nothing

warning[A120]: `mask` changes nothing: with other values every loss and output stays the same, bit by bit
 --> batch.mask
  = help: use it, or leave it out of the batch

warning[A122]: `side` is trained (2 tensors, 20 numbers), and its module is never called
 --> side
  = help: call it in `forward`, or take it out

2 warnings
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    (tmp_path / "mine_to_audit.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("mine_to_audit", None)


@pytest.mark.parametrize("target", ["mine_to_audit:subject", "mine_to_audit.py:subject"])
def test_the_tables_and_what_was_found(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", target]) == 1
    shown = capsys.readouterr()
    assert shown.out == TABLE
    assert shown.err == "noise of the module\n"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "mine_to_audit:subject", "--json", "--select", "**.bias", "--steps", "2"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "Net" and found["steps"] == 2
    assert found["inputs"] == {"x": "changes the results", "mask": "changes nothing"}
    assert found["losses"]["loss"]["reaches"] == ["trunk.weight", "trunk.bias", "head.weight", "head.bias"]
    assert found["selectors"] == {"**.bias": ["trunk.bias", "head.bias", "side.bias"]}
    assert [(f["code"], f["severity"], f["place"], f["paths"]) for f in found["findings"]] == [
        ("A120", "warning", "batch.mask", []),
        ("A122", "warning", "side", ["side.weight", "side.bias"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["mine_to_audit:subject", "--fail-on", "error"], 0),
        (["mine_to_audit:subject", "--fail-on", "never", "--frozen", "trnk"], 0),
        (["mine_to_audit:subject", "--fail-on", "error", "--frozen", "trnk"], 1),
        (["mine_to_audit:clean"], 0),
        (["mine_to_audit:clean", "--frozen", "weight"], 1),
        (["mine_to_audit"], 2),
        (["mine_to_audit:"], 2),
        (["mine_to_audit:subject()"], 2),
        (["mine_to_audit:subject", "--fail-on", "warn"], 2),
        (["mine_to_audit:subject", "--steps", "0"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    assert run(["audit", *arguments]) == code


@pytest.mark.parametrize(
    ("target", "message", "help"),
    [
        ("mine_to_audi:subject", "error[A560]: there is no module `mine_to_audi`", "did you mean `mine_to_audit`?"),
        ("mine_to_audi.py:subject", "error[A560]: there is no file `mine_to_audi.py`", "did you mean `mine_to_audit.py`?"),
        ("mine_to_audit:subjct", "error[A560]: `mine_to_audit` has no `subjct`", "did you mean `subject`?"),
        ("mine_to_audit:net", "error[A560]: `net` of `mine_to_audit` is a `Net`, not a function", "wrap it: "),
        ("mine_to_audit:Net", "error[A561]: the function returned a `Net`, which is no subject", "return "),
        ("mine_to_audit:broken", "error[A562]: `broken` failed: IndexError: ", 'return {"model": net, "batch": [][0]}'),
    ],
)
def test_bad_input_is_named(target: str, message: str, help: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", target]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err and help in shown.err


def test_a_module_that_can_not_be_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong_to_audit.py").write_text("import mine_to_audit\nvalue = 1 / 0\n")
    for target in ("wrong_to_audit:subject", "wrong_to_audit.py:subject"):
        assert run(["audit", target]) == 1
        assert "failed: ZeroDivisionError: division by zero" in capsys.readouterr().err
