"""Compiled models as folders: what is written, what comes back, and what is refused."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import archloom
from archloom.compiler.artifact import manifest, saving
from archloom.compiler.artifact.saving import write_artifact
from archloom.compiler.cli import run

HEAD = "arch 1\n\nblock Head(dim: int) {\n  in x: float[B, dim]\n  proj = Linear(dim, 2)\n  out y = proj(x)\n}\n"
SPEC = """arch 1
import .parts.heads.Head
import ffn.Mlp

model M(dim: int = 8) {
  in x: float[B, dim]
  body = Mlp(dim, 2 * dim)
  a, b = Linear(dim, 3), Linear(dim, 3)
  for t in {left, right} {
    head = Head(dim)
    task t { out y = head(body(x)) }
  }
  out z = a(x) * b(x)
}

preset wide for M { dim = 12 }
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "heads.arch").write_text(HEAD)
    (tmp_path / "spec.arch").write_text(SPEC)
    return tmp_path / "spec.arch"


def outputs(model: Any, seed: int = 0) -> dict[str, torch.Tensor]:
    found = model.eval()(**model.example_inputs(seed))
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)} | {
        f"{task}.{name}": value for task, inner in found.items() if not isinstance(inner, torch.Tensor) for name, value in inner.items()
    }


@pytest.mark.parametrize("passes", ["none", "default", "inference", "merge_linears, fold_parameters(growth = 2)"])
@pytest.mark.parametrize(("params", "preset", "tasks"), [({"dim": "4 + 2"}, None, None), ({}, "wide", ["left"])])
def test_a_model_comes_back_without_its_spec(
    spec: Path, tmp_path: Path, passes: str, params: dict[str, str], preset: str | None, tasks: list[str] | None
) -> None:
    written = write_artifact(spec, tmp_path / "made", params, preset=preset, tasks=tasks, optimize=passes, seed=3, dtype="float64")
    torch.manual_seed(3)
    given = {name: 6 for name in params}
    kept = archloom.compile(spec, given, preset=preset, tasks=tasks, optimize=passes, dtype="float64")
    for path in (spec, spec.parent / "parts" / "heads.arch"):
        path.unlink()
    loaded = archloom.load(tmp_path / "made")
    assert list(loaded.state_dict()) == list(kept.state_dict())
    ours, theirs = outputs(loaded), outputs(kept)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert set(written.files) == {"spec.arch", "parts/heads.arch"} and list(written.library) == ["blocks/ffn.arch"]


def test_weights_go_through_the_map_and_come_back_under_their_paths(tmp_path: Path) -> None:
    text = 'arch 1\nmodel M { in x: float[B, 2]; p = Linear(2, 2); out y = p(x) }\nweights w for M from "w" complete { p <- "old.proj" }\n'
    (tmp_path / "m.arch").write_text(text)
    from safetensors.torch import save_file

    save_file({"old.proj.weight": torch.eye(2), "old.proj.bias": torch.ones(2)}, str(tmp_path / "w.safetensors"))
    made = write_artifact(tmp_path / "m.arch", tmp_path / "made", weights=tmp_path / "w.safetensors")
    assert made.names == {"w": {"p.weight": ["old.proj.weight"], "p.bias": ["old.proj.bias"]}}
    assert torch.equal(archloom.load(tmp_path / "made").p.weight, torch.eye(2))


def test_a_second_one_takes_the_place_of_the_first_and_of_nothing_else(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    first = write_artifact(spec, folder)
    (folder / "notes.txt").write_text("mine")
    second = write_artifact(spec, folder, {"dim": "4"})
    assert sorted(path.name for path in folder.iterdir()) == sorted(["manifest.json", "notes.txt", second.weights])
    assert first.weights != second.weights and archloom.load(folder).a.in_features == 4


def test_an_interrupted_write_leaves_the_old_one_whole(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_artifact(spec, tmp_path / "made")

    def cut(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "Manifest", cut)
    with pytest.raises(KeyboardInterrupt):
        write_artifact(spec, tmp_path / "made", {"dim": "4"})
    assert archloom.load(tmp_path / "made").a.in_features == 8


def change(**values: Any) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        found = json.loads((folder / manifest.NAME).read_text())
        (folder / manifest.NAME).write_text(json.dumps({**found, **values}))

    return changed


def cut_weights(folder: Path) -> None:
    path = next(folder.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-8])


WRONG: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "absent": (lambda folder: (folder / manifest.NAME).unlink(), "A831", "holds no compiled model: there is no `manifest.json`"),
    "bytes": (lambda folder: (folder / manifest.NAME).write_bytes(b"\xff"), "A832", "is no manifest: it is no text"),
    "format": (change(format=2, more=1), "A832", "is of format 2, and this archloom reads 1"),
    "passes": (change(passes=["nopass"]), "A833", "can't be made again: there is no pass `nopass`"),
    "tasks": (change(tasks=["nobody"]), "A833", "can't be made again: `M` has no task `nobody`"),
    "json": (lambda folder: (folder / manifest.NAME).write_text("{"), "A832", "is no manifest: the file: invalid json"),
    "unknown": (change(pickle="x"), "A832", "is no manifest: pickle: extra inputs are not permitted"),
    "type": (change(tasks=3), "A832", "is no manifest: tasks: input should be a valid array"),
    "text": (change(files={"spec.arch": SPEC + "\n"}), "A833", "aren't those that the model was compiled from"),
    "outside": (change(weights="../w.safetensors"), "A832", "`weights` is to name a file in its folder"),
    "weights": (cut_weights, "A833", "isn't the file that the model was compiled with"),
    "gone": (lambda folder: next(folder.glob("*.safetensors")).unlink(), "A833", "can't be read: no such file or directory"),
    "library": (change(library={"blocks/ffn.arch": "0"}), "A833", "the library's `blocks/ffn.arch` is another one"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_has_changed_is_refused(spec: Path, tmp_path: Path, what: str) -> None:
    does, code, says = WRONG[what]
    write_artifact(spec, tmp_path / "made")
    does(tmp_path / "made")
    with pytest.raises(archloom.Failure) as raised:
        archloom.load(tmp_path / "made")
    assert raised.value.diagnostics[0].code == code and says in raised.value.diagnostics[0].message


def test_a_text_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it imports from the folder that one stands in; it is read once, though what passes do is told before."""
    monkeypatch.chdir(tmp_path)
    Path("parts.arch").write_text("block Half(dim: int) {\n  in x: float[B, dim]\n  low = Linear(dim, dim // 2)\n  out y = low(x)\n}\n")
    text = b"arch 1\nimport .parts.Half\nmodel M {\n  in x: float[B, 4]\n  first = Half(4)\n  out y = first(x)\n}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert run(["compile", "-", "-o", "made", "--optimize", "cse", "--explain-passes"]) == 0
    Path("parts.arch").unlink()
    assert archloom.load("made")(x=torch.ones(2, 4)).y.shape == (2, 2)


def test_the_command_writes_one_and_says_what_is_wrong(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made"
    assert run(["compile", str(spec), "--preset", "wide", "--optimize", "default", "-o", str(folder)]) == 0
    assert f"wrote {folder}: M, weights-" in capsys.readouterr().err
    assert archloom.load(folder).a.in_features == 12
    assert run(["compile", str(spec), "--preset", "wid", "-o", str(folder)]) == 1
    assert run(["compile", str(spec)]) == 2
    (tmp_path / "file").write_text("")
    assert run(["compile", str(spec), "-o", str(tmp_path / "file" / "below")]) == 1
    assert "can't be written" in capsys.readouterr().err
