"""What to quantize, found by measuring: targets met, orders kept, choices written back, bad batches refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import archloom
from archloom.compiler.cli import run
from archloom.compiler.quantizing.run import bisected, confirmed
from archloom.compiler.quantizing.search import Search

SPEC = """arch 1

block Layer(dim: int) {
  in x: float[B, dim]
  up, down = Linear(dim, dim), Linear(dim, dim)
  out y = down(relu(up(x)))
}

model M(dim: int = 128) {
  in x: float[B, dim]
  index ends = {left, right}
  repeat i in 0..2 carry x {
    layer = Layer(dim)
    x = x + layer(x)
  }
  for e in ends { head = Linear(dim, dim) }
  out y = head[left](x) + head[right](x)
}
"""
WHERE = {
    *("layer[0].up.weight", "layer[0].down.weight", "layer[1].up.weight", "layer[1].down.weight"),
    *("head[left].weight", "head[right].weight"),
}


class Told:
    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []

    def count(self, text: str, done: int, total: int) -> None:
        self.steps.append((text, done, total))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return weights, of which one is hard to round: a single number rules each row."""
    torch.manual_seed(0)
    model = archloom.compile(SPEC)
    with torch.no_grad():
        model.get_parameter("layer.1.up.weight")[:, 0] *= 300
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def data(count: int = 2) -> list[dict[str, Tensor]]:
    torch.manual_seed(1)
    return [{"x": torch.randn(8, 128)} for _ in range(count)]


def error(passes: Any, weights: Path) -> float:
    plain, other = (archloom.compile(SPEC, weights=weights, optimize=each).eval() for each in ("none", passes))
    with torch.inference_mode():
        pairs = [(other(**batch).y, plain(**batch).y) for batch in data()]
    return float((sum((a - b).square().sum() for a, b in pairs) / sum(b.square().sum() for _, b in pairs)) ** 0.5)


def test_as_many_as_the_error_allows(weights: Path) -> None:
    told = Told()
    found = archloom.quantize(SPEC, data(), error=0.01, weights=weights, optimize="none", progress=told)
    alone = [choice.error for choice in found.taken + found.left]
    assert alone == sorted(alone) and {where for choice in found.taken + found.left for where in choice.where} == WHERE
    assert 0 < len(found.taken) < 6 and found.error <= 0.01 < found.left[0].error + found.error
    assert found.left[-1].where == ("layer[1].up.weight",)
    assert error(found.passes, weights) == pytest.approx(found.error, rel=1e-3)
    assert [done for _, done, _ in told.steps] == list(range(6)) and told.steps[0][2] == 6
    assert found.passes[0] == "none" and found.passes[1].startswith("quantize(where = ")
    model = archloom.compile(SPEC, weights=weights, optimize=", ".join(found.passes))
    assert {row.weights for row in model.quantized} == {choice.weights for choice in found.taken}


def test_as_few_as_the_size_asks_for(weights: Path) -> None:
    found = archloom.quantize(SPEC, data(), size=0.6, weights=weights)
    assert found.size <= 0.6 < found.size + 0.75 / 6 and found.time is None
    model = archloom.compile(SPEC, weights=weights, optimize=found.passes)
    model.drop_folded()
    whole = sum(value.numel() for value in archloom.compile(SPEC).parameters())
    assert sum(v.numel() * v.element_size() for v in model.state_dict().values()) == round(found.size * 4 * whole)


def test_several_kinds_one_after_the_other(weights: Path) -> None:
    found = archloom.quantize(SPEC, data(), size=0.22, weights=weights, to=("int8_weight", "int4_weight"), optimize=())
    kinds = [choice.to for choice in found.taken]
    assert {"int8_weight", "int4_weight"} == set(kinds) and len({choice.weights for choice in found.taken}) == 6
    assert [each.partition(",")[0] for each in found.passes] == ["quantize(to = 'int8_weight'", "quantize(to = 'int4_weight'"]
    assert archloom.compile(SPEC, optimize=found.passes).quantized.rows


def test_a_measure_of_ones_own(weights: Path) -> None:
    found = archloom.quantize(SPEC, data(), error=1e9, weights=weights, measure=lambda outputs, batch: float(outputs.y.abs().mean()))
    assert found.left == () and found.taken[0].error <= found.taken[-1].error


def test_ranges_are_found_on_the_data(weights: Path) -> None:
    found = archloom.quantize(SPEC, data(), error=0.01, weights=weights, to="int8_static", optimize="none")
    assert 0 < len(found.taken) < 6 and found.error <= 0.01
    model = archloom.compile(SPEC, weights=weights, optimize=", ".join(found.passes))
    assert {row.weights for row in model.quantized} == {choice.weights for choice in found.taken}
    assert error(found.passes, weights) == pytest.approx(found.error, rel=1e-3)


def test_nothing_is_an_answer_too(weights: Path) -> None:
    found = archloom.quantize(SPEC, data(), error=0, weights=weights)
    assert found.taken == () and found.passes == ("inference",) and found.error < 1e-5 and found.size == pytest.approx(1)
    assert str(found).splitlines()[-2:] == [f"together: error {found.error:.3g}, 1.000 of the size", '--optimize "inference"']


def test_time(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Search.time
    monkeypatch.setattr(Search, "time", lambda self, passes: measured(self, passes) / 1000)
    found = archloom.quantize(SPEC, data(1), time=1, weights=weights)
    assert found.time is not None and 0 < found.time < 1 and found.taken == ()


def test_a_time_that_is_measured_anew_keeps_to_the_target() -> None:
    measured = {2: 0.93, 3: 0.91, 4: 0.88}
    assert confirmed(measured.__getitem__, 2, 6, 0.9) == (4, 0.88)
    with pytest.raises(ValueError, match=r"^no choice comes down to 0\.8: with everything quantized it is 0\.880$"):
        confirmed(measured.__getitem__, 2, 4, 0.8)


@pytest.mark.parametrize("count", range(8))
def test_bisection(count: int) -> None:
    assert bisected(lambda n: n, 7, count, rising=True) == count
    assert bisected(lambda n: -n, 7, -count, rising=False) == count


def test_a_file_of_samples(tmp_path: Path, weights: Path) -> None:
    save_file({"x": torch.cat([batch["x"] for batch in data()])}, tmp_path / "d.safetensors")
    given = [archloom.quantize(SPEC, source, error=0.01, weights=weights, batch=8) for source in (data(), tmp_path / "d.safetensors")]
    assert given[0] == given[1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            [{"x": torch.zeros(2, 128)}, {"x": torch.zeros(2, 64)}],
            "batch 1: `x` is declared float[B, 128] and is given as [2, 64]: dimension 1 is 64, it must be 128",
        ),
        ([{"x": torch.zeros(2, 128, 1)}], "batch 0: `x` is declared float[B, 128] and is given with 3 dimensions: [2, 128, 1]"),
        ([{"y": torch.zeros(2, 128)}], "batch 0: "),
        ([{"x": torch.zeros(2, 128, dtype=torch.long)}], "batch 0: `x` is declared float[B, 128] and is given as int64: convert it, `x.float()`"),
    ],
)
def test_batches_that_do_not_fit(given: list[dict[str, Tensor]], says: str) -> None:
    with pytest.raises(archloom.InputError) as raised:
        archloom.quantize(SPEC, given, error=0.1)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give one target of error, size and time, not none"),
        ({"error": 0.1, "size": 0.5}, "give one target of error, size and time, not error, size"),
        ({"error": float("nan")}, "`error` is nan: give a number from 0 on, relative to the outputs"),
        ({"size": -1}, "`size` is -1: give a number above 0 and at most 1, a share of the floats'"),
        ({"size": 0.1}, "no choice comes down to 0.1: with everything quantized it is 0.2"),
        ({"error": 0.1, "to": "int8"}, "nothing is quantized to `int8`"),
        ({"error": 0.1, "data": []}, "there is no batch to measure on: give at least one"),
        (
            {"error": 0.1, "params": {"dim": 8}, "data": [{"x": torch.zeros(1, 8)}]},
            "there is no linear (convolutions are for `int8_static`) of 16384 numbers",
        ),
    ],
)
def test_what_can_not_be(options: dict[str, Any], says: str) -> None:
    given: Any = {"data": data(), "params": None, **options}
    with pytest.raises(ValueError) as raised:
        archloom.quantize(SPEC, **given)
    assert says in str(raised.value)


def test_a_file_of_unequal_samples(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(3, 128), "z": torch.zeros(2, 1)}, tmp_path / "d.safetensors")
    with pytest.raises(ValueError, match=r"is to hold as many samples of each input, along axis 0: there are of `x` 3, `z` 2$"):
        archloom.quantize(SPEC, tmp_path / "d.safetensors", error=0.1)


def test_the_command(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.arch").write_text(SPEC)
    save_file({"x": data()[0]["x"]}, tmp_path / "d.safetensors")
    asked = ["quantize", str(tmp_path / "m.arch"), "--data", str(tmp_path / "d.safetensors"), "--weights", str(weights), "--optimize", "none"]
    assert run([*asked, "--share", "0.3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["size"] <= 0.3 and {where for choice in found["taken"] + found["left"] for where in choice["where"]} == WHERE
    assert run([*asked, "--error", "1"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert "passes of" not in shown.err
    assert lines[0].split() == ["weights", "to", "error", "alone", "taken"] and len(lines) == 9
    line = lines[-1].removeprefix('--optimize "').removesuffix('"')
    assert run(["run", str(tmp_path / "m.arch"), "--example", "--optimize", line, "--explain-passes"]) == 0
    assert "quantize applied 4 times" in capsys.readouterr().err


def test_the_command_tells_of_the_passes_before_and_of_those_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.arch").write_text(SPEC)
    save_file({"x": data()[0]["x"]}, tmp_path / "d.safetensors")
    asked = ["quantize", str(tmp_path / "m.arch"), "--data", str(tmp_path / "d.safetensors"), "--share", "0.9", "--optimize", "cse"]
    assert run([*asked, "--explain-passes", "--time-passes", "--print-between", "quantize"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1].startswith('--optimize "cse, quantize(where = ')
    assert all(text in shown.err for text in ("passes of M\n  cse did nothing\n  quantize applied ", "--- after quantize", "pass      applied"))
    assert run([*asked, "--print-between", "pack"]) == 2
    assert "`--print-between` takes a pass that is run, not `pack`: those that run are cse, quantize" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        ([], 2, "error: give one target: --error, --share or --time"),
        *((["--share", each], 2, f"`size` is {each}: give a number above 0 and at most 1") for each in ("2", "0", "-1", "nan")),
        (["--time", "1.5"], 2, "`time` is 1.5: give a number above 0 and at most 1, a share of the floats'"),
        (["--error=-1"], 2, "`error` is -1: give a number from 0 on, relative to the outputs"),
        (["--error", "1", "--time", "1"], 2, "error: give one target: --error, --share or --time"),
        (["--error", "1", "--to", "int3"], 2, "'int3' is not one of 'int8_dynamic', 'int8_weight', 'int8_static', 'int4_weight'"),
        (["--error", "1", "--optimize", "infrence"], 2, "there is no pipeline `infrence`, did you mean `inference`"),
        (["--error", "1"], 1, "error: batch 0: `x` is declared float[B, 128] and is given as [4, 64]: dimension 1 is 64, it must be 128"),
        (["--error", "1", "--data", "nowhere"], 1, "there is nothing at `nowhere`"),
    ],
)
def test_the_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: int, says: str) -> None:
    (tmp_path / "m.arch").write_text(SPEC)
    save_file({"x": torch.zeros(4, 64)}, tmp_path / "d.safetensors")
    assert run(["quantize", str(tmp_path / "m.arch"), "--data", str(tmp_path / "d.safetensors"), *more]) == code
    assert says in capsys.readouterr().err
