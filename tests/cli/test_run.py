"""`archloom run`: inputs from the command line, outputs in a table and a file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load, save

from archloom.compiler.cli import run

TWO = """\
model Two(dim: int = 4, classes: int = 3) {
  in image: float[B, 3, 4, 4] as picture(mean = 0.5, std = 0.5)
  trunk = Conv2d(3, dim, 4)
  h = flatten(trunk(image), 1, -1)
  task kind {
    target label: int[B] in 0..classes
    kind_head = Linear(dim, classes)
    out logits = kind_head(h)
    loss error = cross_entropy(logits, label)
  }
  task score {
    out total = sum(h, dim = 1)
  }
}
"""

PASS = "model Pass {\n  in x: float[B, 2]\n  in n: int[B] in 0..5\n  out y = x * 2\n  out m = n + 1\n}\n"

FAMILY = """\
model Family {
  index tasks = {a, b}
  for t in tasks {
    in x: float[B, 2]
    out y = x * 2
  }
}
"""

MAPPED = """\
model W {
  in x: float[B, 2]
  a = Linear(2, 1, bias = false)
  out y = a(x)
}

weights w for W from "w.safetensors" {
  a <- "old.a"
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("two.arch").write_text(TWO)
    Path("pass.arch").write_text(PASS)
    Path("family.arch").write_text(FAMILY)
    Image.new("RGB", (8, 8), "white").save("white.png")
    return tmp_path


def test_a_picture_and_a_table_by_task(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "two.arch", "--input", "image=white.png", "--input", "image=white.png"]) == 0
    shown = capsys.readouterr()
    head, kind, score = shown.out.splitlines()
    assert head.split() == ["task", "output", "type", "values"]
    assert re.fullmatch(r"kind +logits +float32\[2, 3\]( +-?\d\S*){6}", kind)
    assert re.fullmatch(r"score +total +float32\[2\]( +-?\d\S*){2}", score)
    assert "weights: random, seed 0: the numbers mean nothing" in shown.err
    assert "image: white.png resized from 8 x 8 to 4 x 4" in shown.err


def test_one_seed_one_result(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    for seed in ("1", "1", "2"):
        assert run(["run", "two.arch", "--example", "--size", "B=1", "--seed", seed]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]


def test_outputs_are_right_and_saved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "pass.arch", "--input", "x=[[1, 2], [3, 4]]", "--input", "n=3", "-o", "out.safetensors"]) == 0
    saved = load(Path("out.safetensors").read_bytes())
    assert {name: array.tolist() for name, array in saved.items()} == {"y": [[2, 4], [6, 8]], "m": [4, 4]}
    assert "float32[2, 2]  2 4 6 8" in capsys.readouterr().out


def test_an_output_file_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "pass.arch", "--example", "--size", "B=1", "-o", "none/out.safetensors"]) == 1
    assert capsys.readouterr().err.endswith("error: `none/out.safetensors` can't be written: no such file or directory\n")


def test_families_are_given_by_member(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "family.arch", "--input", "x.a=[[1, 2]]", "--input", "x.b=[[3, 4]]", "-o", "out.safetensors"]) == 0
    saved = load(Path("out.safetensors").read_bytes())
    assert {name: array.tolist() for name, array in saved.items()} == {"y.a": [[2, 4]], "y.b": [[6, 8]]}


def test_a_task_alone_needs_its_inputs_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "two.arch", "--task", "score", "--input", "image=white.png"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["task", "score"]


def test_a_target_gives_the_loss(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "two.arch", "--input", "image=white.png", "--input", "label=[1]"]) == 0
    assert re.search(r"^ +losses\.kind\.error +float32\[\] ", capsys.readouterr().out, re.MULTILINE)


def test_weights_by_a_map(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.arch").write_text(MAPPED)
    Path("w.safetensors").write_bytes(save({"old.a.weight": np.array([[2, 3]], dtype=np.float32)}))
    assert run(["run", "w.arch", "--weights", "w.safetensors", "--input", "x=[[10, 1]]"]) == 0
    shown = capsys.readouterr()
    assert "float32[1, 1]  23" in shown.out
    assert "weights: w.safetensors" in shown.err
    Path("w.safetensors").write_bytes(Path("w.safetensors").read_bytes()[:-3])
    assert run(["run", "w.arch", "--weights", "w.safetensors", "--input", "x=[[10, 1]]"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_all_that_is_wrong_with_weights_is_said_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = "  b = Linear(2, 1, bias = false)\n  out y = a(x) + b(x)\n"
    Path("w.arch").write_text(MAPPED.replace("  out y = a(x)\n", more).replace('"old.a"\n', '"old.a"\n  b <- "old.b"\n'))
    Path("w.safetensors").write_bytes(save({"old.a.weight": np.zeros((1, 3), np.float32)}))
    assert run(["run", "w.arch", "--weights", "w.safetensors", "--example"]) == 1
    shown = capsys.readouterr().err
    assert "error[A654]: `a.weight` is [1, 2] in the model and `old.a.weight` [1, 3] in the file" in shown
    assert "error[A653]: `w.safetensors` has no `old.b.weight`" in shown
    Path("w.safetensors").write_bytes(b"\x80\x04\x95" + b"pickled" * 9)
    assert run(["run", "w.arch", "--weights", "w.safetensors", "--example"]) == 1
    assert "error[A65" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["two.arch"], "error: not given: image: float[B, 3, 4, 4]\n  = help: --input image=..., or --example"),
        (["two.arch", "--input", "imge=white.png"], "error: input `imge`: there is none of that name\n  = help: did you mean `image`?"),
        (["two.arch", "--task", "kidn"], "error: `Two` has no task `kidn`, did you mean `kind`: its tasks are `kind`, `score`"),
        (["pass.arch", "--task", "kind"], "error: `Pass` has no task `kind`: its tasks are none"),
        (["pass.arch", "--input", "x=[[1, 2, 3]]", "--input", "n=[1]"], "`x` is declared float[B, 2]"),
        (["pass.arch", "--input", "x=[[1, 2]]", "--input", "n=[7]"], "`n`"),
        (["pass.arch", "--input", "x=[[1, 2]]", "--input", "n=[1, 2]"], "`n`"),
        (["none.arch"], "error[A800]: can't read `none.arch`"),
    ],
    ids=lambda value: str(value),
)
def test_what_is_refused(folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", *arguments]) == 1
    shown = capsys.readouterr()
    assert message in shown.err
    assert "failed at" not in shown.err
    assert shown.out == ""


def test_two_models_need_a_choice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("both.arch").write_text(PASS + FAMILY)
    assert run(["run", "both.arch"]) == 1
    assert "error: `both.arch` holds the models Pass, Family: choose one with --model" in capsys.readouterr().err
    assert run(["run", "both.arch", "--model", "Pass", "--example", "--size", "B=1"]) == 0


def test_a_file_with_an_error_is_not_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.arch").write_text(TWO.replace("kind_head(h)", "kind_haed(h)"))
    assert run(["run", "bad.arch", "--input", "image=white.png"]) == 1
    assert "did you mean `kind_head`?" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--weights", "--tokenizer"])
def test_a_file_that_is_not_there_is_bad_input(option: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.arch").write_text("model T { in ids: int[B, S] as tokens(300); e = Embedding(300, 2); out y = e(ids) }")
    assert run(["run", "t.arch", option, "nowhere", "--input", "ids=hello"]) == 1
    shown = capsys.readouterr().err
    assert "nowhere" in shown and "Traceback" not in shown and "usage" not in shown
