"""`--optimize` on the commands: what they print of passes and where, what is wrong usage, and that their own output is as ever."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from archloom.blocks.registry import primitives
from archloom.compiler.cli import run
from archloom.compiler.cli._topics import topic
from archloom.compiler.optimize.pipelines import PIPELINES
from archloom.compiler.optimize.registry import passes

TEXTS = Path(__file__).parents[1] / "passes" / "texts"
PACK = str(TEXTS / "pack.arch")
NOT_FOLDED = str(TEXTS / "fold_norms.not.arch")
CSE = str(TEXTS / "cse.arch")
TABLE = ["pass", "applied", "declined", "ms", "share", "nodes", "before", "after"]


def test_times_and_nodes_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", CSE, "--optimize", "simplify, cse", "--time-passes", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["M"]["parameters"] == 80
    name, heads, *rows = [line.split() for line in shown.err.splitlines()]
    assert (name, heads) == (["passes", "of", "M"], TABLE)
    assert [row[0] for row in rows] == ["simplify", "cse", "all"]
    assert rows[0][-2:] == [rows[2][-2], rows[1][-2]]
    assert int(rows[1][-1]) < int(rows[1][-2])
    assert re.fullmatch(r"cse 5 0 \d+\.\d \d+ % \d+ \d+", " ".join(rows[1]))


def test_places_where_a_pass_applied_and_where_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", NOT_FOLDED, PACK, "--optimize", "fold_norms, pack", "--explain-passes"]) == 0
    shown = capsys.readouterr()
    assert "fold_norms.not.arch: ok" in shown.out
    assert shown.err == (
        "passes of M\n"
        "  fold_norms did nothing, declined 3 times\n"
        f"    - {NOT_FOLDED}:10:11: in `M`: `conv` pads by other values than zeros\n"
        f"    - {NOT_FOLDED}:12:11: in `M`: the result of `both` is read elsewhere, too\n"
        f"    - {NOT_FOLDED}:13:11: in `M`: `own` follows no convolution or linear\n"
        "  pack did nothing\n"
        "passes of M\n"
        "  fold_norms did nothing\n"
        "  pack applied 3 times\n"
        f"    + {PACK}:9:21: in `M`: 3 parameters in one storage\n"
        f"    + {PACK}:9:49: in `M`: 3 parameters in one storage\n"
        f"    + {PACK}:10:11: in `M`: 3 parameters in one storage\n"
    )


def between(asked: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert run(["emit", CSE, *asked]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith('"""M, written by archloom')
    return [line for line in shown.err.splitlines() if line.startswith("---") or line.endswith(" {")]


def test_the_graph_between_passes_shows_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    before = ["--- before the passes", "M {", "Twice {"]
    cse, pack = ["--- after cse: 2 of 2 bodies changed", "M {", "Twice {"], ["--- after pack: none of 2 bodies changed"]
    assert between(["--optimize", "cse, pack", "--print-between"], capsys) == before + cse + pack
    assert between(["--optimize", "cse, pack", "--print-between=all"], capsys) == before + cse + pack
    assert between(["--optimize", "cse, pack", "--print-between", "cse"], capsys) == cse
    assert between(["--optimize", "none", "--print-between"], capsys) == []


def test_no_passes_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["draw", CSE, "--optimize", "none", "--time-passes", "--explain-passes"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("<svg ") and shown.err == "passes of M\n  no passes\n" * 2
    assert run(["draw", CSE, "--optimize", "inference"]) == 0
    assert capsys.readouterr().err == ""


def test_a_model_is_run_after_passes(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    for asked in ("none", "default", "inference"):
        assert run(["run", PACK, "--example", "--size", "B=2", "--optimize", asked]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] == shown[2] and "float32[2, 12]" in shown[0]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--optimize", "defualt"], "there is no pipeline `defualt`, did you mean `default`: there are none, default, inference, max, and "),
        (["--optimize", "cse,pakc"], "there is no pass `pakc`, did you mean `pack`: there are "),
        (["--optimize", "fold_parameters(grwth=2)"], "the pass `fold_parameters` has no option `grwth`, did you mean `growth`: it has growth"),
        (["--time-passes"], "`--time-passes` is about passes: add --optimize"),
        (["--explain-passes"], "`--explain-passes` is about passes: add --optimize"),
        (["--print-between", "cse"], "`--print-between` is about passes: add --optimize"),
        (["--optimize", "cse", "--print-between", "pack"], "`--print-between` takes a pass that is run, not `pack`: those that run are cse; `all`, "),
        (["--optimize", "none", "--print-between", "pack"], "`--print-between` takes a pass that is run, not `pack`: none is run; `all`, "),
    ],
)
def test_wrong_usage(asked: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", PACK, *asked]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(f"error: {says}")
    assert "  = usage: archloom summary [OPTIONS] FILE" in shown.err


@pytest.mark.parametrize("name", ["check", "draw", "emit", "run"])
def test_every_command_that_takes_a_model_refuses_what_there_is_not(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, PACK, "--optimize", "cse, pakc"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no pass `pakc`, did you mean `pack`: ")


TRAINED = """arch 1

model M(dim: int = 4) {
  in x: float[B, dim]
  task kind {
    head = Linear(dim, 3)
    target label: int[B] in 0..3
    out logits = head(x)
    loss error = cross_entropy(logits, label)
  }
}

train M {
  stage heads { tune head }
}
"""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--example", "--size", "B=2", "--input", "label=1"], "input `label`: it is a target, and this model only evaluates, without losses"),
        (["draw", "--stage", "heads"], "there is no stage `heads`: this model only evaluates, without losses and stages: passes have folded what"),
    ],
)
def test_what_a_model_that_only_evaluates_has_not(arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.arch").write_text(TRAINED)
    name, *rest = arguments
    assert run([name, str(tmp_path / "m.arch"), *rest, "--optimize", "inference"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {says}")
    assert run([name, str(tmp_path / "m.arch"), *rest, "--optimize", "default"]) == 0


def test_a_file_is_not_taken_for_a_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", "--optimize", "cse", "--print-between", PACK]) == 2
    assert f"`{PACK}` names no pass: write --print-between=PASS, =all, or nothing, with an option after it" in capsys.readouterr().err


@pytest.mark.parametrize("name", passes())
def test_every_pass_is_explained(name: str) -> None:
    found, text = passes()[name], topic(name)
    assert text is not None and text.startswith(f"pass {name}\n\n") and found.keeps.value in text
    assert [pipeline for pipeline, names in PIPELINES.items() if name in names and not re.search(rf"^pipelines .*\b{pipeline}\b", text, re.M)] == []
    assert all(f"{example} {count} times" in text for example, count in found.fires.items())
    assert name not in primitives()


def test_passes_and_pipelines_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "passes"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in shown for name in [*passes(), *PIPELINES])
    assert run(["explain", "fold_parameters"]) == 0
    assert re.search(r"^options +growth = 4$", capsys.readouterr().out, re.M)


def test_compile_tells_of_its_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["compile", CSE, "--optimize", "cse", "-o", str(tmp_path / "made")]
    assert run([*asked, "--explain-passes"]) == 0
    assert capsys.readouterr().err.startswith("passes of M\n  cse applied 5 times\n")
