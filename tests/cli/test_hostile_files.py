"""Hostile files, names and limits through the command line: said plainly, nothing followed, nothing waited for, nothing raw on the terminal."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import archloom
from archloom.compiler.check import check
from archloom.compiler.cli import run
from archloom.compiler.golden.case import read_case
from archloom.dsl.diagnostics import Failure
from archloom.dsl.source import HIDDEN

GOOD = "model M { in x: float[B, 4]; f = Linear(4, 4); out y = f(x) }\n"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (pipe, "A800"),
    "a gibibyte of nothing": (sparse, "A801"),
    "a link to itself": (loop, "A800"),
    "a device": (device, "A800"),
    "a folder": (Path.mkdir, "A800"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", ["check", "fmt", "draw"])
def test_what_is_no_file_is_refused_at_once(place: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, code = PLACES[place]
    path = tmp_path / "it.arch"
    make(path)
    assert run([command, str(path)]) == 1
    out, err = capsys.readouterr()
    assert f"error[{code}]" in out + err


@pytest.mark.parametrize("name", ["a\x1b[2J.arch", "a\nb.arch", "a\x9b31m.arch", "\u202ehcra.arch", os.fsdecode(b"a\xff.arch")])
def test_names_reach_no_terminal_raw(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text(GOOD)
    for arguments in (["check"], ["check", "--json"], ["fmt", "--check"]):
        assert run([*arguments, str(tmp_path)]) == 1
        out, err = capsys.readouterr()
        assert "A800" in out + err and not HIDDEN.search(out + err)


@pytest.mark.parametrize("text", ["# \x1b[2J\n", '"""\u202e"""\n', "x = 1\rimport os\n", "# \ue000\n"])
def test_texts_hold_only_what_is_shown(text: str) -> None:
    with pytest.raises(Failure, match="A806"):
        archloom.load_program(text + GOOD)


def test_a_link_out_of_the_project_is_followed_only_where_that_is_allowed(tmp_path: Path) -> None:
    library, project = tmp_path / "library", tmp_path / "project"
    (project / "below").mkdir(parents=True)
    library.mkdir()
    (library / "own.arch").write_text("block Own { in x: float[B]; out y = relu(x) }")
    (project / "below" / "own.arch").symlink_to("../../library/own.arch")
    (project / "near.arch").symlink_to("below/real.arch")
    (project / "below" / "real.arch").write_text("block Near { in x: float[B]; out y = relu(x) }")
    main = project / "main.arch"
    main.write_text("import .below.own.Own\nimport .near.Near\nmodel M { in x: float[B]; a = Own(); b = Near(); out y = a(b(x)) }")
    assert [d.code for d in check(main).diagnostics] == ["A818"]
    assert check(main, folders=[library]).ok
    assert run(["check", str(main), "--folder", str(library)]) == 0


def test_an_imported_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "main.arch").write_text("import .pipe.Own\nmodel M { in x: float[B]; out y = x }")
    os.mkfifo(tmp_path / "pipe.arch")
    (found,) = check(tmp_path / "main.arch").diagnostics
    assert found.code == "A800" and "it is a pipe" in found.message and found.span.line == 1


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("operations=2", "more than 2 operations"),
        ("steps=20", "more than 20 steps"),
        ("members=3", "more than 3"),
        ("modules=2", "more than 2 modules and parameters"),
        ("bytes=10", "larger than 10 bytes"),
        ("nesting=1", "nest deeper than 1"),
        ("depth=3", "nests deeper than 3"),
        ("values=2", "more than 2 values"),
    ],
)
def test_limits_are_set_and_named(limit: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.arch"
    path.write_text(
        "model M { in x: float[B, 4]; index s = 0..4; n = [1, 2, 3]; for i in s { f = Linear(4, 4); y = f(x) * i * n[0] }; out z = sum(y[*]) }"
    )
    assert run(["check", str(path)]) == 0
    capsys.readouterr()
    assert run(["check", str(path), "--limit", limit]) == 1
    assert says in capsys.readouterr().out
    name, _, value = limit.partition("=")
    given = {name: int(value)}
    assert not check(path, limits=given).ok
    for call in (archloom.load_program, archloom.compile, archloom.draw):
        with pytest.raises(Failure) as caught:
            call(path, limits=given)
        assert says in caught.value.diagnostics[0].message


@pytest.mark.parametrize("limit", ["step=5", "steps=0", "steps=x", "steps=" + "9" * 50])
def test_a_limit_that_is_none_is_wrong_usage(limit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(tmp_path), "--limit", limit]) == 2
    assert "limit" in capsys.readouterr().err


HEADERS: dict[str, object] = {
    "overlapping": {
        "f.weight": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]},
        "f.bias": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
    },
    "negative": {"f.weight": {"dtype": "F32", "shape": [-4, -4], "data_offsets": [0, 64]}},
    "huge": {"f.weight": {"dtype": "F32", "shape": [10**30], "data_offsets": [0, 4 * 10**30]}},
    "no number": {"f.weight": {"dtype": "F32", "shape": ["4", 4.0], "data_offsets": [0, 64]}},
    "no dtype": {"f.weight": {"dtype": ["F32"], "shape": [4, 4], "data_offsets": [0, 64]}},
    "no entry": {"f.weight": 3},
    "a list": [[]],
    "an escape": {"f.\x1b[2J": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]}},
}
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize("header", [*HEADERS, "deep"])
def test_hostile_headers(header: str, tmp_path: Path) -> None:
    content = DEEP if header == "deep" else json.dumps(HEADERS[header]).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(content)) + content + bytes(64))
    with pytest.raises(Failure, match="A652"):
        archloom.compile(GOOD, weights=str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    "config", [b"[" * 100_000, b'{"a": NaN}', b'{"a": ' + b"9" * 5000 + b"}", b'{"a": 1e999}' + b" " * (1 << 20), b"\xff", b"{}" * 2]
)
def test_hostile_configurations(config: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_bytes(config)
    (tmp_path / "a.arch").write_text(GOOD)
    assert run(["verify", str(tmp_path / "a.arch"), "--against", str(tmp_path)]) == 1
    assert "error[A662]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cotangent", "says"), [(None, "no `cotangent.NAME` of an output"), ([3], "`cotangent.y` is [3], and the output `y` is [2, 4]")]
)
def test_gradients_need_what_they_were_computed_with(cotangent: list[int] | None, says: str, tmp_path: Path) -> None:
    def stored(name: str, shapes: dict[str, list[int]]) -> None:
        save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, tmp_path / f"{name}.safetensors")

    (tmp_path / "config.json").write_text("{}")
    stored("weights", {"f.weight": [4, 4], "f.bias": [4]})
    stored("inputs", {"x": [2, 4], **({"cotangent.y": cotangent} if cotangent else {})})
    stored("outputs", {"y": [2, 4]})
    stored("grads", {"param.f.weight": [4, 4]})
    with pytest.raises(Failure, match="A662") as raised:
        read_case(tmp_path)
    assert says in str(raised.value)
