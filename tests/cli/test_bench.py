"""`archloom bench`: its table and its document, the picture, what it refuses, and short runs from end to end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from archloom.compiler.bench import ceilings
from archloom.compiler.bench import run as running
from archloom.compiler.bench.expected import BY_THEMSELVES, RANDOM
from archloom.compiler.bench.plot import plot
from archloom.compiler.bench.report import Ceilings, Machine, Quartiles, Report, Row
from archloom.compiler.bench.subject import Subject
from archloom.compiler.cli import INTERRUPTED, run
from archloom.compiler.cli._measured import text

SPEC = """arch 1

model M(dim: int = 8) {
  in x: float[B, dim]
  for t in {kind, size} {
    task t {
      head = Linear(dim, 3)
      target label: int[B] in 0..3
      out logits = head(x)
      loss error = cross_entropy(logits, label)
    }
  }
  entry last { in past: float[B, P, dim]; out y = past[:, -1] + x }
}

preset wide for M { dim = 16 }
"""


@pytest.fixture(autouse=True)
def short_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "LARGEST", 256)
    monkeypatch.setattr(ceilings, "TRIAD", 1 << 12)


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("m.arch").write_text(SPEC)
    return "m.arch"


def measured(**facts: Any) -> Row:
    seconds, ratio = Quartiles(median=0.0025, low=0.002, high=0.00312345), Quartiles(median=0.5, low=0.45, high=0.61)
    known: dict[str, Any] = {"seconds": seconds, "ratio": ratio, "times": [0.0025], "calls": 4, "prepare": 1.25, "weights": 4096, "kept": 0}
    known |= {"peak": 3 << 20, "error": 0.0, "multiply_adds": 1000, "moved": 4000, "gemm_share": 0.5, "bandwidth_share": 1.25}
    return Row.model_validate({"passes": "none", "mode": "eager", "dtype": "float32", **known, **facts})


FAILED = Row(passes="max", mode="compile", dtype="bfloat16", failed="No working C++ compiler found")
MACHINE = Machine(processor="A Processor", device="cpu", threads=2, system="Linux", python="3.11", torch="2.13.0", archloom="0.1.0")


def report(**facts: Any) -> Report:
    known: dict[str, Any] = {"model": "M", "preset": "wide", "tasks": [], "entry": None, "train": False, "sizes": {"B": 2, "S": 3}, "weights": None}
    known |= {"seed": 0, "pairs": 30, "interrupted": False, "baseline": "none eager float32", "machine": MACHINE, "notes": []}
    known |= {"ceilings": Ceilings(gemm={"float32": 7.5e10, "bfloat16": 1.5e11}, bandwidth=2e10)}
    return Report.model_validate({**known, "rows": [measured()], **facts})


FULL = report(
    rows=[
        measured(ratio=Quartiles(median=1, low=1, high=1)),
        measured(passes="cse, pack", mode="compile", kept=2048, error=3.1e-7),
        measured(dtype="bfloat16", error=None, notes=["gives numbers that are not finite, where the reference gives finite ones"]),
        FAILED,
    ]
)


# ---------------------------------------------------------------------------------------------------- table and picture


def test_the_table(golden: Callable[[str, str], None]) -> None:
    golden("bench.txt", text(FULL))
    assert text(FULL, 200) == text(FULL)


def test_the_table_of_a_narrow_terminal_is_several(golden: Callable[[str, str], None]) -> None:
    golden("bench_narrow.txt", text(FULL, 80))
    for width in (60, 80):
        tables = [part for part in text(FULL, width).split("\n\n") if part.startswith("passes ")]
        assert len(tables) > 1 and all(len(line) <= width for part in tables for line in part.splitlines())


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"train": True, "preset": None}, "M, forward and backward, B=2 S=3, random weights, seed 0\n"),
        (
            {"entry": "last", "weights": "w.st", "tasks": ["a", "b"]},
            "M, preset wide, entry last, tasks a, b, B=2 S=3, weights w.st\n",
        ),
        ({"interrupted": True, "pairs": 4}, "\n4 rounds, then interrupted; ratios and errors are to `none eager float32`\n"),
        ({"baseline": "max eager float32"}, "\n30 rounds; ratios are to `max eager float32`, errors to `none eager float32`\n"),
        ({"notes": ["no errors: why"]}, "\nno errors: why\n"),
        ({"baseline": None, "rows": [FAILED]}, "max compile bfloat16 failed: No working C++ compiler found\n"),
    ],
)
def test_what_stands_around_the_table(facts: dict[str, Any], says: str) -> None:
    assert says in text(report(**facts))


def test_a_report_is_read_back() -> None:
    assert Report.model_validate_json(FULL.model_dump_json()) == FULL


@pytest.mark.parametrize(("format", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_picture_is_written_in_each_format(format: str, start: bytes) -> None:
    assert plot(FULL, format).startswith(start)


def test_the_picture_shows_every_row_and_is_the_same_each_time() -> None:
    drawn = plot(FULL, "svg")
    shown = {"".join(element.itertext()).strip() for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}
    assert {row.name for row in FULL.rows} <= shown and {"failed", "exact", "0.50", "GEMM", "bandwidth", "kept"} <= shown
    assert plot(FULL, "svg") == drawn
    assert plot(report(rows=[FAILED], baseline=None), "svg")


# ------------------------------------------------------------------------------------------------------------- runs


def test_a_run_gives_a_row_for_each_combination(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["bench", spec, "--mode", "eager", "--pairs", "2", "--size", "B=4", "--json", "--plot", "found.svg"]
    assert run(asked) == 0
    shown = capsys.readouterr()
    found = Report.model_validate(json.loads(shown.out))
    names = [f"{passes} eager {dtype}" for dtype in ("float32", "bfloat16", "int8") for passes in ("none", "default", "max")]
    assert [row.name for row in found.rows] == names
    assert (found.model, found.sizes, found.pairs, found.baseline, found.interrupted) == ("M", {"B": 4}, 2, names[0], False)
    assert found.notes == [] and [len(row.times) for row in found.rows] == [2] * 9
    first, *others = found.rows
    assert (first.error, first.weights, first.kept, first.multiply_adds) == (0.0, 4 * 2 * (8 * 3 + 3), 0, 2 * 4 * 8 * 3)
    assert first.ratio == Quartiles(median=1, low=1, high=1) and first.gemm_share and first.bandwidth_share and first.peak and first.moved
    assert all(row.error is not None and row.error < (0.02 if row.dtype == "bfloat16" else 1e-6) for row in others)
    assert all(row.weights == (108 if row.dtype == "bfloat16" else 216) for row in found.rows)
    assert all(len(row.notes) == (row.dtype == "int8") for row in found.rows)
    assert all(row.notes[0].startswith("nothing is quantized: `head.") and "weight` holds " in row.notes[0] for row in found.rows[6:])
    assert Path("found.svg").read_bytes().startswith(b"<?xml") and shown.err.endswith("saved found.svg\n")


def test_training_compares_gradients_too(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", spec, "--mode", "eager", "--pairs", "1", "--train", "--dtype", "float32", "--preset", "wide", "--json"]) == 0
    found = Report.model_validate(json.loads(capsys.readouterr().out))
    assert [row.passes for row in found.rows] == ["none", "default"] and found.train and found.preset == "wide"
    none, default = found.rows
    assert none.multiply_adds == 3 * found.sizes["B"] * 2 * 16 * 3
    assert default.error is not None and default.error < 1e-6


def test_an_entry_a_task_and_a_given_input(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--mode", "eager", "--pairs", "1", "--dtype", "float32", "--optimize", "none"]
    assert run(["bench", spec, *short, "--entry", "last", "--size", "P=5"]) == 0
    assert "M, entry last, B=2 P=5, random weights, seed 0\n" in capsys.readouterr().out
    assert run(["bench", spec, *short, "--task", "kind", "--input", "x=[[1,2,3,4,5,6,7,8]]"]) == 0
    assert "M, one evaluation, tasks kind, B=1, random weights, seed 0\n" in capsys.readouterr().out


def test_models_that_draw_draw_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "drawn.arch"
    path.write_text(SPEC.replace("head(x)", "head(dropout(x, 0.5))"))
    assert run(["bench", str(path), "--mode", "eager", "--pairs", "1", "--train", "--json"]) == 0
    found = Report.model_validate(json.loads(capsys.readouterr().out))
    assert found.notes == [] and [row.error is not None and row.error < 0.02 for row in found.rows] == [True] * 4
    assert found.rows[0].error == 0.0


def test_models_that_never_give_the_same_have_no_errors(spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Subject.values
    monkeypatch.setattr(Subject, "values", lambda *args, **others: {name: torch.rand_like(v) for name, v in whole(*args, **others).items()})
    assert run(["bench", spec, "--mode", "eager", "--pairs", "1", "--dtype", "float32", "--optimize", "none"]) == 0
    shown = capsys.readouterr().out
    assert f"\n{RANDOM}\n" in shown and "0.0e+00" not in shown


def fails(self: Subject) -> Callable[[], Any]:
    def step() -> Any:
        raise RuntimeError("no compiler\nhere\n\nset VERBOSE=1")

    return step


def test_what_fails_is_a_row_that_says_why(spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Subject, "compiled", fails)
    short = ["bench", spec, "--pairs", "1", "--dtype", "float32", "--optimize", "none"]
    assert run(short) == 0
    shown = capsys.readouterr().out
    assert ["none", "compile", "float32", "failed"] in [line.split() for line in shown.splitlines()]
    assert "\nnone compile float32 failed: no compiler here\n" in shown
    assert run([*short, "--mode", "compile"]) == 1
    assert "\nnone compile float32 failed: no compiler here\n" in capsys.readouterr().out


def test_an_interrupted_run_shows_the_rounds_that_are_done(spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    whole = running.rounds

    def stopped(timers: Any, count: int) -> Iterator[list[float]]:
        for number, found in enumerate(whole(timers, count)):
            if number == 2:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(running, "rounds", stopped)
    assert run(["bench", spec, "--mode", "eager", "--dtype", "float32"]) == INTERRUPTED
    assert "\n2 rounds, then interrupted; ratios and errors are to `none eager float32`\n" in capsys.readouterr().out


def test_one_interrupted_at_once_shows_nothing(spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(timers: Any, count: int) -> Iterator[list[float]]:
        raise KeyboardInterrupt
        yield []

    monkeypatch.setattr(running, "rounds", stopped)
    assert run(["bench", spec, "--mode", "eager", "--dtype", "float32", "--optimize", "none"]) == INTERRUPTED
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.strip() == "interrupted"


def test_what_passes_leave_out_is_told(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--optimize", "none", "--optimize", "slice(tasks = ('kind',))", "--mode", "eager", "--dtype", "float32", "--pairs", "1"]
    assert run(["bench", spec, *asked]) == 0
    shown = capsys.readouterr().out
    assert "\nslice(tasks = ('kind',)) eager float32: gives 1 of 2 results\n" in shown


@pytest.mark.slow
def test_compiled_calls_that_draw_have_no_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "drawn.arch"
    path.write_text(SPEC.replace("head(x)", "head(dropout(x, 0.5))"))
    assert run(["bench", str(path), "--pairs", "1", "--dtype", "float32", "--train", "--optimize", "none", "--json"]) == 0
    found = Report.model_validate(json.loads(capsys.readouterr().out))
    assert [(row.mode, row.failed, row.error) for row in found.rows] == [("eager", None, 0.0), ("compile", None, None)]
    assert found.notes == [BY_THEMSELVES]


@pytest.mark.slow
def test_compiled_calls_are_compared(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", spec, "--pairs", "1", "--dtype", "float32", "--size", "B=4", "--json"]) == 0
    found = Report.model_validate(json.loads(capsys.readouterr().out))
    assert [(row.name, row.failed) for row in found.rows] == [
        (f"{passes} {mode} float32", None) for mode in ("eager", "compile") for passes in ("none", "default", "max")
    ]
    assert all(row.error is not None and row.error < 1e-6 for row in found.rows)


# ------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--mode", "egaer"], "Invalid value for '--mode': there is no mode `egaer`, did you mean `eager`: there are eager, compile"),
        (["--dtype", "bf16"], "Invalid value for '--dtype': there is no dtype `bf16`, did you mean `bfloat16`: there are float32, "),
        (["--optimize", "defualt"], "there is no pipeline `defualt`, did you mean `default`: there are none, default, inference, max, "),
        (["--optimize", "none,cse"], "`none` with passes beside it adds nothing to `none,cse`: ask for both"),
        (["--optimize", "max", "--train"], "`max` keeps numbers in evaluation alone, and can't be trained: `none`, `default` keep training"),
        (["--dtype", "int8", "--train"], "`int8` is for evaluation, and can't be trained: take float32, bfloat16, float16, float64"),
        (["--entry", "last", "--train"], "an entry has no losses: leave out --entry, or --train"),
        (["--plot", "found.gif"], "Invalid value for '--plot': `found.gif` doesn't end in .pdf, .png, .svg: the end says how to write it"),
        (["--pairs", "0"], "Invalid value for '--pairs': 0 is not in the range x>=1."),
    ],
)
def test_wrong_usage(asked: list[str], says: str, spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", spec, *asked]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(f"error: {says}") and "\n  = usage: archloom bench [OPTIONS] FILE\n" in shown.err


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--size", "C=3"], "error: no input has a size `C`: the sizes are `B`\n"),
        (["--task", "kidn"], "error: `M` has no task `kidn`, did you mean `kind`: its tasks are `kind`, `size`\n"),
        (["--entry", "lats"], "error: there is no entry `lats`; did you mean `last`?\n"),
        (["--input", "y=1"], "error: input `y`: there is none of that name\n  = help: the inputs are x\n"),
        (["--input", "label.kind=[1, 2]"], "error: input `label.kind`: there is none of that name\n"),
        (["--device", "meta"], "error: `meta` is no device to measure on: there are `cpu`, `cuda`, and `cuda:1`\n"),
        (["--weights", "none.safetensors"], "error[A650]: there is nothing at `none.safetensors`\n"),
    ],
)
def test_bad_input(asked: list[str], says: str, spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", spec, "--mode", "eager", *asked]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(says)


def test_random_inputs_that_a_model_fails_on(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("classes.arch").write_text("model M {\n  in x: float[B, 2]\n  in t: float[B]\n  out y = cross_entropy(x, int(t * 100))\n}\n")
    short = ["bench", "classes.arch", "--mode", "eager", "--dtype", "float32", "--optimize", "none", "--pairs", "1"]
    assert run(short) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: classes.arch:4:11: in `M`: ") and "is out of bounds" in shown
    assert shown.endswith("\n  = help: inputs that are not given are random values: --input gives others\n")
    assert run([*short, "--input", "t=[0, 0]"]) == 0


def test_nothing_to_train(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("plain.arch").write_text("model M {\n  in x: float[B, 2]\n  out y = x + 1\n}\n")
    assert run(["bench", "plain.arch", "--mode", "eager", "--train"]) == 1
    assert capsys.readouterr().err == "error: there is nothing to train: no output or loss depends on a parameter that isn't frozen\n"


@pytest.mark.parametrize(("missing", "asked"), [("matplotlib", ["--plot", "found.png"]), ("torch", [])])
def test_what_is_not_installed_is_said(
    missing: str, asked: list[str], spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert run(["bench", spec, *asked]) == 1
    extra = "plot" if missing == "matplotlib" else missing
    who = "--plot" if missing == "matplotlib" else "`bench`"
    assert capsys.readouterr().err == f'error: {who} needs {missing}, which is not installed\n  = help: pip install "archloom[{extra}]"\n'


def test_the_threads_of_the_process_are_as_before(spec: str) -> None:
    before = torch.get_num_threads()
    assert run(["bench", spec, "--mode", "eager", "--pairs", "1", "--dtype", "float32", "--optimize", "none", "--threads", str(before + 1)]) == 0
    assert torch.get_num_threads() == before


def test_what_each_list_of_passes_does_is_told(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["bench", spec, "--optimize", "none", "--optimize", "cse", "--mode", "eager", "--dtype", "float32,int8", "--pairs", "1", "--json"]
    assert run([*asked, "--explain-passes"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("passes of ")]
    assert [line.partition(" by ")[2] for line in told] == ["cse", "none, quantize", "cse, quantize"]


def test_the_graph_between_the_passes_of_each_list(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["bench", spec, "--mode", "eager", "--dtype", "float32", "--pairs", "1", "--json", "--optimize", "none", "--optimize"]

    def heads(*more: str) -> list[str]:
        assert run([*asked, *more]) == 0
        return [line.partition(":")[0] for line in capsys.readouterr().err.splitlines() if line.startswith(("--- ", "passes of "))]

    assert heads("cse, simplify", "--optimize", "cse", "--print-between") == [
        "passes of M by cse, simplify, one by one",
        "--- before the passes",
        "--- after cse",
        "--- after simplify",
        "passes of M by cse, one by one",
        "--- before the passes",
        "--- after cse",
    ]
    assert heads("cse, simplify", "--optimize", "cse", "--print-between=simplify") == [
        "passes of M by cse, simplify, one by one",
        "--- after simplify",
    ]
    assert run([*asked, "cse", "--print-between=pack"]) == 2
    assert "`--print-between` takes a pass that is run, not `pack`: those that run are cse; " in capsys.readouterr().err
